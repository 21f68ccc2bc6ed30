package typed_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/genropy/genro-asgi-go/internal/typed"
	"github.com/genropy/genro-asgi-go/problem"
)

type (
	color string
	grade int
	// letter is an enum with a text of its own.
	letter struct{ r rune }
)

func (color) Enum() []color   { return []color{"red", "blue"} }
func (*grade) Enum() []grade  { return []grade{1, 2} }
func (letter) Enum() []letter { return []letter{{'a'}, {'b'}} }

func (l letter) MarshalText() ([]byte, error) { return []byte(string(l.r)), nil }
func (l *letter) UnmarshalText(b []byte) error {
	if len(b) != 1 {
		return errors.New("one letter")
	}
	l.r = rune(b[0])
	return nil
}

type inner struct {
	Limit int           `json:"limit" default:"20"`
	Every time.Duration `json:"every" default:"1m30s"`
}

type settings struct {
	inner
	Name  string     `json:"name" default:"none"`
	On    bool       `json:"on" default:"true"`
	Rate  float64    `json:"rate" default:"0.5"`
	Since time.Time  `json:"since" default:"2026-01-02T03:04:05Z"`
	Addr  netip.Addr `json:"addr" default:"127.0.0.1"`
	Deep  struct {
		N uint8 `json:"n" default:"7"`
	} `json:"deep"`
	Plain int `json:"plain"`
}

// in compiles an input, which must be possible.
func in[T any](t testing.TB, members typed.Members) *typed.Input {
	t.Helper()
	compiled, err := typed.NewInput(reflect.TypeFor[T](), members)
	if err != nil {
		t.Fatal(err)
	}
	return compiled
}

func decode[T any](t testing.TB, text string) (v T, err error) {
	t.Helper()
	err = in[T](t, typed.Strict).Decode([]byte(text), &v)
	return v, err
}

func TestInput_Defaults(t *testing.T) {
	want := settings{
		inner: inner{20, 90 * time.Second}, Name: "none", On: true, Rate: 0.5,
		Since: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), Addr: netip.MustParseAddr("127.0.0.1"),
	}
	want.Deep.N = 7
	for _, text := range []string{"", "null", "{}"} {
		if got, err := decode[settings](t, text); err != nil || got != want {
			t.Errorf("%q: %+v, %v", text, got, err)
		}
	}
	want.Limit, want.On, want.Name, want.Deep.N, want.Plain = 0, false, "", 8, 1
	got, err := decode[settings](t, `{"limit":0,"on":false,"name":null,"deep":{"n":8},"plain":1}`)
	if err != nil || got != want {
		t.Errorf("%+v, %v", got, err)
	}
	for text, limit := range map[string]int{`{}`: 20, `{"limit":3}`: 3} {
		if got, err := decode[*inner](t, text); err != nil || got == nil || got.Limit != limit {
			t.Errorf("%s: %+v, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "null"} {
		if got, err := decode[*inner](t, text); err != nil || got != nil {
			t.Errorf("%q: %+v, %v", text, got, err)
		}
	}
}

// What one decoding leaves is no default of the next.
func TestInput_DefaultsAreNotShared(t *testing.T) {
	for range 2 {
		got, err := decode[inner](t, "{}")
		if err != nil || got.Limit != 20 {
			t.Fatalf("%+v, %v", got, err)
		}
		got.Limit = 1
	}
}

type (
	node struct {
		Next *node `json:"next"`
	}
	sum  interface{ isSum() }
	bent struct {
		A int `json:"a" default:"1"`
	}
)

func (*bent) UnmarshalJSON([]byte) error { return nil }

func TestNewInput_JudgesTheType(t *testing.T) {
	for _, tc := range []struct {
		of   reflect.Type
		want string // part of the error, "" is none
	}{
		{reflect.TypeFor[settings](), ""},
		{reflect.TypeFor[node](), ""},
		{reflect.TypeFor[any](), ""},
		{reflect.TypeFor[jsontext.Value](), ""},
		{reflect.TypeFor[[]byte](), ""},
		{reflect.TypeFor[struct{}](), ""},
		{reflect.TypeFor[map[string]time.Duration](), ""},
		{reflect.TypeFor[struct{ C chan int }](), "chan int at /C"},
		{reflect.TypeFor[struct{ R io.Reader }](), "io.Reader at /R"},
		{reflect.TypeFor[sum](), "typed_test.sum"},
		{reflect.TypeFor[map[[2]int]string](), "such names at /*"},
		{reflect.TypeFor[struct {
			A int `json:"a,Omitzero"`
		}](), "JSON cannot hold struct"},
		{reflect.TypeFor[struct {
			N int `default:"x"`
		}](), `field N of struct { N int "default:\"x\"" }: default "x": it must be an integer`},
		{reflect.TypeFor[struct {
			C color `default:"green"`
		}](), `it must be one of "red", "blue"`},
		{reflect.TypeFor[struct {
			P *int `default:"1"`
		}](), "a *int can have no default"},
		{reflect.TypeFor[struct {
			L []int `default:"1"`
		}](), "a []int can have no default"},
		{reflect.TypeFor[struct {
			A int
			n int `default:"1"`
		}](), "not exported"},
		{reflect.TypeFor[[]inner](), "only in the input itself"},
		{reflect.TypeFor[struct{ P *inner }](), "only in the input itself"},
		{reflect.TypeFor[map[string][]struct{ I inner }](), "only in the input itself"},
		{reflect.TypeFor[bent](), "decodes itself"},
	} {
		_, err := typed.NewInput(tc.of, typed.Strict)
		if tc.want == "" && err != nil || tc.want != "" &&
			(err == nil || !strings.Contains(err.Error(), tc.want)) {
			t.Errorf("%v: %v, want %q", tc.of, err, tc.want)
		}
	}
}

func TestNewOutput_JudgesTheType(t *testing.T) {
	for of, want := range map[reflect.Type]string{
		reflect.TypeFor[settings]():               "",
		reflect.TypeFor[[]sum]():                  "",
		reflect.TypeFor[struct{ F func() }]():     "func() at /F",
		reflect.TypeFor[struct{ E error }]():      "error at /E",
		reflect.TypeFor[map[string]io.Reader]():   "io.Reader at /*",
		reflect.TypeFor[struct{ C complex128 }](): "complex128 at /C",
	} {
		_, err := typed.NewOutput(of)
		if want == "" && err != nil || want != "" &&
			(err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%v: %v, want %q", of, err, want)
		}
	}
}

type every struct {
	S  string                   `json:"s"`
	N  int8                     `json:"n"`
	U  uint                     `json:"u"`
	F  float64                  `json:"f"`
	B  bool                     `json:"b"`
	T  time.Time                `json:"t"`
	D  time.Duration            `json:"d"`
	C  color                    `json:"c"`
	G  grade                    `json:"g"`
	E  letter                   `json:"e"`
	L  []int                    `json:"l"`
	M  map[string]int           `json:"m"`
	A  netip.Addr               `json:"a"`
	DD map[string]time.Duration `json:"dd"`
	CC []*color                 `json:"cc"`
	CK map[color]int            `json:"ck"`
	BY []byte                   `json:"by"`
	B3 [3]byte                  `json:"b3"`
	L2 [2]int                   `json:"l2"`
	QN int8                     `json:"qn,string"`
	QF float64                  `json:"qf,string"`
}

func TestInput_SaysWhatIsWrong(t *testing.T) {
	for text, want := range map[string]string{
		`{`:                 "400: The body is not valid JSON at byte 1.",
		`{"s":"a"} x`:       "400: The body is not valid JSON at byte 10.",
		"{\"s\":\"\xff\"}":  "400: The body is not valid JSON at byte 6.",
		`{"s":"a","s":"b"}`: "400 /s must be given once",
		`{"S":"a"}`:         "422 /S is not known here",
		`{"x":1}`:           "422 /x is not known here",
		`[]`:                "422  must be an object",
		`{"s":1}`:           "422 /s must be a string",
		`{"n":"1"}`:         "422 /n must be an integer",
		`{"n":1.5}`:         "422 /n must be an integer",
		`{"n":128}`:         "422 /n is out of range",
		`{"u":-1}`:          "422 /u must be an integer, 0 or more",
		`{"f":1e999}`:       "422 /f is out of range",
		`{"f":"1"}`:         "422 /f must be a number",
		`{"b":1}`:           "422 /b must be true or false",
		`{"t":"yesterday"}`: "422 /t must be a time such as 2006-01-02T15:04:05Z " +
			"(RFC 3339)",
		`{"d":90}`:                   "422 /d must be a duration such as 1m30s",
		`{"d":"soon"}`:               "422 /d must be a duration such as 1m30s",
		`{"dd":{"a/b":"1"}}`:         "422 /dd/a~1b must be a duration such as 1m30s",
		`{"c":"green"}`:              `422 /c must be one of "red", "blue"`,
		`{"c":""}`:                   `422 /c must be one of "red", "blue"`,
		`{"c":1}`:                    "422 /c must be a string",
		`{"cc":["red","green"]}`:     `422 /cc/1 must be one of "red", "blue"`,
		`{"ck":{"red":1,"green":2}}`: `422 /ck/green must be one of "red", "blue"`,
		`{"g":3}`:                    "422 /g must be one of 1, 2",
		`{"e":"c"}`:                  `422 /e must be one of "a", "b"`,
		`{"e":"ab"}`:                 "422 /e has a wrong format",
		`{"l":{}}`:                   "422 /l must be an array",
		`{"l":[1,"2"]}`:              "422 /l/1 must be an integer",
		`{"m":[]}`:                   "422 /m must be an object",
		`{"a":"here"}`:               "422 /a has a wrong format",
		`{"by":[1]}`:                 "422 /by must be bytes in base64",
		`{"by":"A"}`:                 "422 /by must be bytes in base64",
		`{"b3":[1,2,3]}`:             "422 /b3 must be 3 bytes in base64",
		`{"b3":"AQ=="}`:              "422 /b3 must be 3 bytes in base64",
		`{"l2":[1]}`:                 "422 /l2 must be an array of 2",
		`{"l2":[1,2,3]}`:             "422 /l2 must be an array of 2",
		`{"l2":1}`:                   "422 /l2 must be an array of 2",
		`{"qn":1}`:                   "422 /qn must be a number in a string",
		`{"qn":"x"}`:                 "422 /qn must be an integer",
		`{"qn":"128"}`:               "422 /qn is out of range",
		`{"qf":"x"}`:                 "422 /qf must be a number",
		`{"qf":1}`:                   "422 /qf must be a number in a string",
		`{"qf":"1e999"}`:             "422 /qf is out of range",
	} {
		_, err := decode[every](t, text)
		e := problem.Of(err)
		if e == nil || e.Err == nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		got := fmt.Sprintf("%d: %s", e.Status, e.Detail)
		if len(e.Fields) == 1 {
			got = fmt.Sprintf("%d %s %s", e.Status, e.Fields[0].Pointer, e.Fields[0].Detail)
		}
		if got != want {
			t.Errorf("%s: %s, want %s", text, got, want)
		}
	}
	good := `{"s":"ä","n":-128,"u":1,"f":1.5,"b":true,"t":"2026-01-02T03:04:05Z","d":"1m30s",` +
		`"c":"blue","g":2,"e":"b","l":[1],"m":{"a":1},"a":"::1","dd":{"a":"2h"},"cc":["red",` +
		`null],"ck":{"blue":1},"by":"AQID"}`
	got, err := decode[every](t, good)
	if err != nil || got.D != 90*time.Second || got.C != "blue" || got.G != 2 || got.E.r != 'b' ||
		*got.CC[0] != "red" || got.CC[1] != nil || got.CK["blue"] != 1 ||
		got.DD["a"] != 2*time.Hour {
		t.Errorf("%+v, %v", got, err)
	}
	back, err := typed.Marshal(&got)
	if err != nil {
		t.Fatal(err)
	}
	if again, err := decode[every](t, string(back)); err != nil || !reflect.DeepEqual(again, got) {
		t.Errorf("%s: %+v, %v", back, again, err)
	}
}

func TestInput_Lenient(t *testing.T) {
	var v inner
	if err := in[inner](t, typed.Lenient).Decode([]byte(`{"limit":3,"sent_by":"them"}`), &v); err !=
		nil || v.Limit != 3 || v.Every != 90*time.Second {
		t.Errorf("%+v, %v", v, err)
	}
	if err := in[inner](t, typed.Lenient).Decode([]byte(`{"limit":"3"}`), &v); err == nil {
		t.Error("a wrong type is taken")
	}
	if err := in[inner](t, typed.Strict).DecodeAgain([]byte(`{"limit":4,"gone":1,"every":"1s"}`),
		&v); err != nil || v != (inner{4, time.Second}) {
		t.Errorf("%+v, %v", v, err)
	}
}

// What a type has of its own is known before anything is read.
func TestInput_TellsOfTheType(t *testing.T) {
	for _, c := range []struct {
		of                  *typed.Input
		defaults, validates bool
	}{
		{in[inner](t, typed.Strict), true, false},
		{in[*settings](t, typed.Strict), true, false},
		{in[checked](t, typed.Strict), false, true},
		{in[*checked](t, typed.Strict), false, true},
		{in[byPointer](t, typed.Strict), false, true},
		{in[int](t, typed.Strict), false, false},
		{in[any](t, typed.Strict), false, true}, // of what will be in it nobody knows
	} {
		if c.of.HasDefaults() != c.defaults || c.of.Validates() != c.validates {
			t.Errorf("%+v: defaults %t, validates %t", c, c.of.HasDefaults(), c.of.Validates())
		}
	}
	var absent inner
	if in[inner](t, typed.Strict).Absent(&absent); absent != (inner{20, 90 * time.Second}) {
		t.Errorf("%+v", absent)
	}
	var none *inner
	if in[*inner](t, typed.Strict).Absent(&none); none != nil {
		t.Errorf("%+v", none)
	}
}

// A type that takes null as a value gets it.
func TestInput_Null(t *testing.T) {
	if got, err := decode[jsontext.Value](t, "null"); err != nil || string(got) != "null" {
		t.Errorf("%s, %v", got, err)
	}
	if got, err := decode[jsontext.Value](t, ""); err != nil || got != nil {
		t.Errorf("%s, %v", got, err)
	}
	if got, err := decode[any](t, "null"); err != nil || got != nil {
		t.Errorf("%v, %v", got, err)
	}
}

func TestInput_IntegersInAny(t *testing.T) {
	got, err := decode[struct{ A map[string][]any }](t, `{"A":{"a":[9007199254740993,1]}}`)
	if err != nil || !reflect.DeepEqual(got.A["a"], []any{int64(9007199254740993), 1.0}) {
		t.Errorf("%v, %v", got, err)
	}
}

type checked struct {
	N int `json:"n"`
}

func (c checked) Validate() error {
	if c.N < 1 {
		return problem.Field{Pointer: "/n", Detail: "must be positive"}
	}
	return nil
}

type byPointer struct{ N int }

func (b *byPointer) Validate() error { return (*checked)(b).Validate() }

func TestInput_Validate(t *testing.T) {
	ctx := t.Context()
	bad, good, pointer := checked{}, checked{N: 1}, &checked{}
	var none *checked
	var inside any = &bad
	var empty any
	for _, tc := range []struct {
		of    *typed.Input
		v     any
		wrong bool
	}{
		{in[checked](t, typed.Strict), &bad, true},
		{in[checked](t, typed.Strict), &good, false},
		{in[*checked](t, typed.Strict), &pointer, true},
		{in[*checked](t, typed.Strict), &none, false},
		{in[byPointer](t, typed.Strict), &byPointer{}, true},
		{in[any](t, typed.Strict), &inside, true},
		{in[any](t, typed.Strict), &empty, false},
		{in[int](t, typed.Strict), new(int), false},
	} {
		if err := tc.of.Validate(ctx, nil, tc.v); (err != nil) != tc.wrong {
			t.Errorf("%T: %v", tc.v, err)
		}
	}
}

// The validator of the app sees structs, before their own method does; a door's own goes before the
// context's.
func TestInput_AppValidator(t *testing.T) {
	var seen []string
	by := func(name string, err error) func(any) error {
		return func(v any) error {
			seen = append(seen, fmt.Sprintf("%s %T", name, v))
			return err
		}
	}
	refused := errors.New("refused")
	ctx := typed.WithValidator(t.Context(), by("context", refused))
	bad, pointer, n := checked{}, &checked{}, 1
	var none *checked
	for _, tc := range []struct {
		ctx  context.Context
		of   *typed.Input
		app  func(any) error
		v    any
		want string
		err  error
	}{
		{ctx, in[checked](t, typed.Strict), nil, &bad, "context *typed_test.checked", refused},
		{ctx, in[*checked](t, typed.Strict), nil, &pointer, "context *typed_test.checked", refused},
		{ctx, in[*checked](t, typed.Strict), nil, &none, "", nil},
		{ctx, in[int](t, typed.Strict), nil, &n, "", nil},
		{
			ctx, in[settings](t, typed.Strict), by("own", nil), &settings{},
			"own *typed_test.settings", nil,
		},
		{t.Context(), in[settings](t, typed.Strict), nil, &settings{}, "", nil},
		{
			t.Context(), in[checked](t, typed.Strict), by("own", nil), &bad,
			"own *typed_test.checked",
			problem.Field{Pointer: "/n", Detail: "must be positive"},
		},
	} {
		seen = nil
		if err := tc.of.Validate(tc.ctx, tc.app, tc.v); !errors.Is(err, tc.err) ||
			strings.Join(seen, ",") != tc.want {
			t.Errorf("%T: %v, seen %q, want %v and %q", tc.v, err, seen, tc.err, tc.want)
		}
	}
}

type (
	lists  []lists
	nested map[string]nested
	ring   struct{ Next *ring }
)

// Types may be of themselves without a struct between.
func TestNewInput_OfTypesThatHoldThemselves(t *testing.T) {
	for _, of := range []reflect.Type{
		reflect.TypeFor[lists](), reflect.TypeFor[nested](),
		reflect.TypeFor[ring](), reflect.TypeFor[struct{ L lists }](),
	} {
		if _, err := typed.NewInput(of, typed.Strict); err != nil {
			t.Errorf("%v: %v", of, err)
		}
	}
}
