package schema_test

import (
	"encoding"
	"errors"
	"fmt"
	"math/big"
	"net/netip"
	"reflect"
	"strconv"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/genropy/genro-asgi-go/internal/leakcheck"
	"github.com/genropy/genro-asgi-go/internal/schema"
)

func TestMain(m *testing.M) { leakcheck.Main(m) }

type (
	named   string
	octet   byte
	level   int
	text    struct{ n int } // by text
	whole   struct{ N int } // by JSON
	halfway struct{ N int } // text when encoded only
	stated  struct{ N int } // by JSON, with a schema of its own
	tree    struct {
		Value int     `json:"value"`
		Left  *tree   `json:"left,omitzero"`
		More  []tree  `json:"more,omitempty"`
		ByKey treeMap `json:"by_key"`
	}
	treeMap map[string]*tree
	list    []list
	basics  struct {
		B    bool
		S    string `json:"s"`
		N    named  `json:"n,omitempty"`
		I    int
		I8   int8
		I16  int16 `json:",omitzero"`
		U    uint
		U8   uint8
		U32  uint32
		F    float64 `json:"f"`
		F32  float32
		L    level
		hide int
		Skip int `json:"-"`
	}
	numbers struct {
		I  int      `json:",string"`
		U  uint8    `json:"u,string,omitzero"`
		F  float64  `json:",string"`
		P  *int     `json:"p,string"`
		PP **int64  `json:",string"`
		A  []int    `json:",omitzero"`
		Q  *float32 `json:",string,omitempty"`
	}
	byMethods struct { // the string option says nothing to methods
		T text  `json:",string"`
		W whole `json:",string"`
		O text  `json:"o,omitempty"`
	}
	composites struct {
		Bytes  []byte
		Sum    [4]byte
		Octets []octet
		Grid   [2][3]int
		Names  []named
		Any    any
		Raw    jsontext.Value
		Time   time.Time  `json:"time"`
		When   *time.Time `json:"when,omitzero"`
		Text   text
		Half   halfway
		Whole  whole
		Stated stated
		Addr   netip.Addr
		Big    *big.Int
		Err    fmt.Stringer
		Iface  fmt.Stringer
		Maps   struct {
			S map[string]int
			N map[named]bool
			I map[int]string
			U map[uint8]string
			F map[float64]string
			T map[text]int
			A map[[2]byte]int
			P map[string]*struct{ X int }
		} `json:"maps"`
	}
	inner  struct{ X, Y int }
	deep   struct{ inner }
	clash  struct{ X string }
	winner struct {
		X string `json:"X"`
	}
	Public   struct{ Z int }
	embedded struct {
		inner
		*Public
		Extra map[string]int `json:",embed"`
	}
	embedRaw struct {
		A    int
		Rest jsontext.Value `json:",embed"`
	}
	embedFar struct {
		A    int
		Rest *map[string]int `json:",embed"`
	}
	embedNamed struct {
		Public `json:"public"`
		X      int `json:"z"`
	}
	shadowed struct {
		inner
		X string
	}
	ambiguous struct {
		inner
		clash
	}
	tagged struct {
		clash
		winner
	}
	twice struct { // both have inner: X and Y are nobody's
		inner
		Other
	}
	Other struct {
		deep
		Own int
	}
	sameDepth struct {
		A
		B
	}
	A struct{ inner }
	B struct{ inner }

	generic[T any] struct {
		Items []T `json:"items"`
		Next  *T  `json:"next"`
	}
	empty      struct{}
	noMembers  map[bool]int
	emptyOmits struct {
		M map[string]int `json:"m,omitempty"`
		P *inner         `json:"p,omitempty"`
		A [0]int         `json:"a,omitempty"`
		S *string        `json:"s,omitempty"`
		I inner          `json:"i,omitempty"`
		N int            `json:"n,omitempty"`
	}
)

func (t text) MarshalText() ([]byte, error) {
	return strconv.AppendInt([]byte("t"), int64(t.n), 10), nil
}

func (t *text) UnmarshalText(b []byte) (err error) {
	if len(b) == 0 || b[0] != 't' {
		return errors.New("no t")
	}
	t.n, err = strconv.Atoi(string(b[1:]))
	return err
}

func (w *whole) MarshalJSON() ([]byte, error) { return []byte(`["whole"]`), nil }
func (w *whole) UnmarshalJSON([]byte) error   { return nil }

func (halfway) MarshalText() ([]byte, error) { return []byte("half"), nil }

func (stated) MarshalJSONTo(enc *jsontext.Encoder) error { return enc.WriteToken(jsontext.Int(7)) }
func (*stated) JSONSchema() jsontext.Value {
	return jsontext.Value(`{"type":"integer"}`)
}

var (
	_ encoding.TextMarshaler = text{}
	_                        = basics{hide: 1}.hide
)

// all are the types that values are made of.
var all = []reflect.Type{
	reflect.TypeFor[basics](), reflect.TypeFor[numbers](), reflect.TypeFor[composites](),
	reflect.TypeFor[byMethods](), reflect.TypeFor[tree](), reflect.TypeFor[list](),
	reflect.TypeFor[embedded](), reflect.TypeFor[embedRaw](), reflect.TypeFor[embedFar](),
	reflect.TypeFor[embedNamed](), reflect.TypeFor[shadowed](),
	reflect.TypeFor[ambiguous](), reflect.TypeFor[tagged](), reflect.TypeFor[twice](),
	reflect.TypeFor[sameDepth](),
	reflect.TypeFor[generic[inner]](), reflect.TypeFor[generic[*generic[int]]](),
	reflect.TypeFor[empty](), reflect.TypeFor[noMembers](),
	reflect.TypeFor[emptyOmits](), reflect.TypeFor[*inner](), reflect.TypeFor[**int](),
	reflect.TypeFor[[]any](), reflect.TypeFor[named](),
	reflect.TypeFor[map[string]any](), reflect.TypeFor[any](), reflect.TypeFor[jsontext.Value](),
	reflect.TypeFor[bool](), reflect.TypeFor[uint64](),
}

// fataler is what testing.T and rapid.T have in common.
type fataler interface {
	Helper()
	Fatal(args ...any)
}

func of(t fataler, typ reflect.Type, dir schema.Direction) (root string, defs map[string]any,
	resolved any,
) {
	t.Helper()
	d := schema.New("#/$defs/")
	b, err := json.Marshal(d.Schema(typ, dir))
	if err != nil {
		t.Fatal(err)
	}
	all, err := json.Marshal(d.All(), json.Deterministic(true))
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(json.Unmarshal(b, &resolved), json.Unmarshal(all, &defs)); err != nil {
		t.Fatal(err)
	}
	return string(b) + " " + string(all), defs, resolved
}

func TestSchema_Table(t *testing.T) {
	for _, tc := range []struct {
		t    reflect.Type
		dir  schema.Direction
		want string
	}{
		{reflect.TypeFor[string](), schema.Decode, `{"type":"string"} {}`},
		{reflect.TypeFor[int64](), schema.Decode, `{"type":"integer","format":"int64"} {}`},
		{
			reflect.TypeFor[uint8](), schema.Encode,
			`{"type":"integer","minimum":0,"maximum":255} {}`,
		},
		{
			reflect.TypeFor[int16](), schema.Encode,
			`{"type":"integer","minimum":-32768,"maximum":32767} {}`,
		},
		{
			reflect.TypeFor[uint64](), schema.Encode,
			`{"type":"integer","format":"uint64","minimum":0} {}`,
		},
		{
			reflect.TypeFor[*string](), schema.Encode,
			`{"anyOf":[{"type":"string"},{"type":"null"}]} {}`,
		},
		{reflect.TypeFor[*any](), schema.Encode, `{} {}`},
		{
			reflect.TypeFor[[]byte](), schema.Encode,
			`{"type":"string","contentEncoding":"base64"} {}`,
		},
		{reflect.TypeFor[time.Time](), schema.Encode, `{"type":"string","format":"date-time"} {}`},
		{
			reflect.TypeFor[time.Duration](), schema.Encode,
			`{"type":"string","pattern":"^[+-]?(0|(([0-9]+(\\.[0-9]*)?|\\.` +
				`[0-9]+)(ns|us|µs|μs|ms|s|m|h))+)$"} {}`,
		},
		{
			reflect.TypeFor[status](), schema.Decode,
			`{"$ref":"#/$defs/status"} {"status":{"type":"string","enum":["open","sent"]}}`,
		},
		{
			reflect.TypeFor[map[status]*grade](), schema.Encode,
			`{"type":"object","propertyNames":{"$ref":"#/$defs/status"},` +
				`"additionalProperties":{"anyOf":[{"$ref":"#/$defs/grade"},{"type":"null"}]}} ` +
				`{"grade":{"type":"integer","format":"int64","enum":[1,2]},` +
				`"status":{"type":"string","enum":["open","sent"]}}`,
		},
		{reflect.TypeFor[func()](), schema.Decode, `false {}`},
		{
			reflect.TypeFor[struct{ C chan int }](), schema.Encode,
			`{"type":"object","properties":{"C":false},"required":["C"],` +
				`"additionalProperties":false} {}`,
		},
		{reflect.TypeFor[struct {
			D int `json:"d,Omitzero"`
		}](), schema.Encode, `false {}`},
		{
			reflect.TypeFor[struct {
				D time.Time `json:",string"`
			}](), schema.Encode,
			`{"type":"object","properties":{"D":false},"required":["D"],` +
				`"additionalProperties":false} {}`,
		},
		{reflect.TypeFor[struct {
			D time.Time `json:",format:unix"`
		}](), schema.Decode, `false {}`},
		{reflect.TypeFor[halfway](), schema.Encode, `{"type":"string"} {}`},
		{
			reflect.TypeFor[halfway](), schema.Decode,
			`{"$ref":"#/$defs/halfway"} ` +
				`{"halfway":{"type":"object","properties":{"N":{"type":"integer",` +
				`"format":"int64"}},"additionalProperties":false}}`,
		},
		{
			reflect.TypeFor[stated](), schema.Encode,
			`{"$ref":"#/$defs/stated"} {"stated":{"type":"integer"}}`,
		},
		{
			reflect.TypeFor[map[int]bool](), schema.Encode,
			`{"type":"object","propertyNames":{"type":"string","pattern":"^-?(0|[1-9][0-9]*)$"},` +
				`"additionalProperties":{"type":"boolean"}} {}`,
		},
		{
			reflect.TypeFor[noMembers](), schema.Encode,
			`{"$ref":"#/$defs/noMembers"} ` +
				`{"noMembers":{"type":"object","additionalProperties":false}}`,
		},
		{
			reflect.TypeFor[struct {
				N int    `default:"3"`
				S status `default:"open"`
			}](), schema.Decode,
			`{"type":"object","properties":{"N":{"type":"integer","format":"int64","default":3},` +
				`"S":{"$ref":"#/$defs/status","default":"open"}},"additionalProperties":false} ` +
				`{"status":{"type":"string","enum":["open","sent"]}}`,
		},
		{
			reflect.TypeFor[struct { // what is written has no defaults
				N int `default:"3"`
			}](), schema.Encode,
			`{"type":"object","properties":{"N":{"type":"integer","format":"int64"}},` +
				`"required":["N"],"additionalProperties":false} {}`,
		},
		{
			reflect.TypeFor[embedFar](), schema.Decode,
			`{"$ref":"#/$defs/embedFar"} ` +
				`{"embedFar":{"type":"object","properties":{"A":{"type":"integer",` +
				`"format":"int64"}},"additionalProperties":{"type":"integer","format":"int64"}}}`,
		},
		{
			reflect.TypeFor[list](), schema.Decode,
			`{"$ref":"#/$defs/list"} {"list":{"type":"array","items":{"$ref":"#/$defs/list"}}}`,
		},
		{
			reflect.TypeFor[generic[inner]](), schema.Encode,
			`{"$ref":"#/$defs/genericinner"} ` +
				`{"genericinner":{"type":"object","properties":{"items":{"type":"array",` +
				`"items":{"$ref":"#/$defs/inner"}},"next":{"anyOf":[{"$ref":"#/$defs/inner"},` +
				`{"type":"null"}]}},"required":["items","next"],"additionalProperties":false},` +
				`"inner":{"type":"object","properties":{"X":{"type":"integer","format":"int64"},` +
				`"Y":{"type":"integer","format":"int64"}},"required":["X","Y"],` +
				`"additionalProperties":false}}`,
		},
		{
			reflect.TypeFor[tree](), schema.Decode,
			`{"$ref":"#/$defs/tree"} ` +
				`{"tree":{"type":"object","properties":{"value":{"type":"integer",` +
				`"format":"int64"},"left":{"anyOf":[{"$ref":"#/$defs/tree"},{"type":"null"}]},` +
				`"more":{"type":"array","items":{"$ref":"#/$defs/tree"}},` +
				`"by_key":{"$ref":"#/$defs/treeMap"}},"additionalProperties":false},` +
				`"treeMap":{"type":"object",` +
				`"additionalProperties":{"anyOf":[{"$ref":"#/$defs/tree"},{"type":"null"}]}}}`,
		},
	} {
		if got, _, _ := of(t, tc.t, tc.dir); got != tc.want {
			t.Errorf("%v:\n\tgot  %s\n\twant %s", tc.t, got, tc.want)
		}
	}
}

// A parameter is a text, and its schema is of what the text has to be; a pointer says that it may
// be missing, not that it may be null.
func TestDefinitions_Text(t *testing.T) {
	for of, want := range map[reflect.Type]string{
		reflect.TypeFor[string]():     `{"type":"string"}`,
		reflect.TypeFor[int]():        `{"type":"integer","format":"int64"}`,
		reflect.TypeFor[**bool]():     `{"type":"boolean"}`,
		reflect.TypeFor[netip.Addr](): `{"type":"string"}`,
		reflect.TypeFor[*text]():      `{"type":"string"}`,
		reflect.TypeFor[big.Int]():    `{"type":"string"}`,
		reflect.TypeFor[time.Time]():  `{"type":"string","format":"date-time"}`,
		reflect.TypeFor[*status]():    `{"$ref":"#/x/status"}`,
	} {
		if got, err := json.Marshal(schema.New("#/x/").Text(of)); err != nil ||
			string(got) != want {
			t.Errorf("%v: %s, want %s, %v", of, got, want, err)
		}
	}
}

// The text of a default tag is a value of the type: what looks like a number is a text where the
// type is one.
func TestDefinitions_SetDefault(t *testing.T) {
	for _, c := range []struct {
		of         reflect.Type
		text, want string
	}{
		{reflect.TypeFor[string](), "20", `"20"`},
		{reflect.TypeFor[string](), `a"b`, `"a\"b"`},
		{reflect.TypeFor[int](), "20", `20`},
		{reflect.TypeFor[bool](), "true", `true`},
		{reflect.TypeFor[bool](), "on", `"on"`},
		{reflect.TypeFor[time.Duration](), "0", `"0"`},
		{reflect.TypeFor[status](), "open", `"open"`},
		{reflect.TypeFor[grade](), "2", `2`},
		{reflect.TypeFor[any](), "1", `"1"`},
	} {
		d := schema.New("#/x/")
		s := d.Schema(c.of, schema.Decode)
		if d.SetDefault(s, c.text); string(s.Default) != c.want {
			t.Errorf("%v %s: %s, want %s", c.of, c.text, s.Default, c.want)
		}
		if d.Resolve(s) != s && d.Resolve(s).Default != nil {
			t.Errorf("%v: all of the type have the default", c.of)
		}
	}
}

// What is left of a struct has a definition of its own, beside the whole; without a name it stands
// where it is used.
func TestDefinitions_Without(t *testing.T) {
	d := schema.New("#/x/")
	whole := d.Schema(reflect.TypeFor[inner](), schema.Encode)
	less, again := d.Without(reflect.TypeFor[inner](), schema.Encode, []string{"X"},
		"innerBody"), d.Without(reflect.TypeFor[inner](), schema.Encode, []string{"X"}, "innerBody")
	other := d.Without(reflect.TypeFor[inner](), schema.Encode, []string{"Y"}, "innerBody")
	bare := d.Without(reflect.TypeFor[inner](), schema.Encode, []string{"X", "Y"}, "")
	for want, s := range map[string]*schema.Schema{
		`{"$ref":"#/x/inner"}`: whole, `{"$ref":"#/x/innerBody"}`: less,
		`{"$ref":"#/x/innerBody2"}`:                                      other,
		`{"type":"object","properties":{},"additionalProperties":false}`: bare,
	} {
		if got, err := json.Marshal(s); err != nil || string(got) != want {
			t.Errorf("%s, want %s, %v", got, want, err)
		}
	}
	all, err := json.Marshal(d.All()["innerBody"])
	if want := `{"type":"object","properties":{"Y":{"type":"integer","format":"int64"}},` +
		`"required":["Y"],"additionalProperties":false}`; err != nil || string(all) != want ||
		d.Resolve(less) != d.Resolve(again) {
		t.Errorf("%s, want %s, %v", all, want, err)
	}
	if len(d.Resolve(whole).Properties) != 2 {
		t.Error("the whole has lost a member")
	}
}
