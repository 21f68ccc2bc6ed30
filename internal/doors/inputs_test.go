package doors_test

import (
	"errors"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/genropy/genro-asgi-go/problem"
	"github.com/genropy/genro-asgi-go/wsx"
)

// input has a member of each kind.
type input struct {
	Text  string           `json:"text" default:"none"`
	N     int8             `json:"n" default:"7"`
	U     uint16           `json:"u"`
	F     float32          `json:"f"`
	On    bool             `json:"on" default:"true"`
	At    time.Time        `json:"at" default:"2026-01-02T03:04:05Z"`
	Every time.Duration    `json:"every" default:"1m30s"`
	Color color            `json:"color" default:"red"`
	Grade grade            `json:"grade,omitzero"`
	Any   any              `json:"any"`
	List  []int            `json:"list"`
	Items []item           `json:"items"`
	Map   map[string]int   `json:"map"`
	Keys  map[uint8]string `json:"keys"`
	Ptr   *int             `json:"ptr"`
	Bytes []byte           `json:"bytes"`
	Addr  netip.Addr       `json:"addr" default:"127.0.0.1"`
	Odd   oddNumber        `json:"odd,omitzero"`
	Inner struct {
		Limit int `json:"limit" default:"20"`
	} `json:"inner"`
}

type item struct {
	SKU    string           `json:"sku"`
	Colors []color          `json:"colors"`
	Waits  map[string]pause `json:"waits"`
}

type pause struct {
	For time.Duration `json:"for"`
}

type (
	color     string
	grade     int
	oddNumber int
)

func (color) Enum() []color { return []color{"red", "blue"} }
func (grade) Enum() []grade { return []grade{1, 2} }

// UnmarshalText takes what is odd, as a text.
func (o *oddNumber) UnmarshalText(b []byte) error {
	if len(b) == 1 && (b[0]-'0')%2 == 1 {
		*o = oddNumber(b[0] - '0')
		return nil
	}
	return errors.New(secret)
}

func (o oddNumber) MarshalText() ([]byte, error) { return []byte{'0' + byte(o)}, nil }

// untouched is an input of which nothing was said, with some members in another state.
func untouched(t *testing.T, members string) string {
	t.Helper()
	const text = `{"text":"none","n":7,"u":0,"f":0,"on":true,"at":"2026-01-02T03:04:05Z",` +
		`"every":"1m30s","color":"red","any":null,"list":[],"items":[],"map":{},"keys":{},` +
		`"ptr":null,` +
		`"bytes":"","addr":"127.0.0.1","inner":{"limit":20}}`
	var all, some map[string]any
	if err := errors.Join(json.Unmarshal([]byte(text), &all),
		json.Unmarshal([]byte(members), &some)); err != nil {
		t.Fatal(err)
	}
	for name, value := range some {
		all[name] = value
	}
	whole, err := json.Marshal(all, json.Deterministic(true))
	if err != nil {
		t.Fatal(err)
	}
	return string(whole)
}

// taken are inputs, and what the function sees of them beside the defaults.
var taken = map[string]string{
	`{}`: `{}`, `{"text":""}`: `{"text":""}`,
	`{"text":"ä\u0000\ud83d\ude00"}`: `{"text":"ä\u0000😀"}`, `{"n":-128}`: `{"n":-128}`,
	`{"n":0}`: `{"n":0}`, `{"n":null}`: `{"n":0}`,
	`{"u":65535}`: `{"u":65535}`, `{"f":1.5}`: `{"f":1.5}`, `{"f":-3}`: `{"f":-3}`,
	`{"on":false}`: `{"on":false}`, `{"on":null}`: `{"on":false}`,
	`{"at":"2026-11-30T12:00:00.5+02:00"}`: `{"at":"2026-11-30T12:00:00.5+02:00"}`,
	`{"every":"2h"}`:                       `{"every":"2h0m0s"}`,
	`{"every":"-1.5s"}`:                    `{"every":"-1.5s"}`, `{"every":"0"}`: `{"every":"0s"}`,
	`{"color":"blue"}`: `{"color":"blue"}`, `{"grade":2}`: `{"grade":2}`,
	`{"any":{"id":1,"a":[true,null,"x"]}}`: `{"any":{"id":1,"a":[true,null,"x"]}}`,
	`{"list":[1,2]}`:                       `{"list":[1,2]}`, `{"list":null}`: `{}`,
	`{"items":[{"sku":"a","colors":["red"],` +
		`"waits":{"x":{"for":"1s"}}},{}]}`: `{"items":[{"sku":"a","colors":["red"],` +
		`"waits":{"x":{"for":"1s"}}},{"sku":"","colors":[],"waits":{}}]}`,
	`{"map":{"a":1}}`: `{"map":{"a":1}}`, `{"keys":{"255":"x"}}`: `{"keys":{"255":"x"}}`,
	`{"ptr":0}`: `{"ptr":0}`, `{"bytes":"AAE="}`: `{"bytes":"AAE="}`,
	`{"addr":"::1"}`: `{"addr":"::1"}`,
	`{"odd":"3"}`:    `{"odd":"3"}`, `{"inner":{}}`: `{}`,
	`{"inner":{"limit":3}}`: `{"inner":{"limit":3}}`, `{"inner":null}`: `{"inner":{"limit":0}}`,
}

// refused are inputs, and what is said of the one field that is wrong.
var refused = map[string]problem.Field{
	`{"text":1}`:     {Pointer: "/text", Detail: "must be a string"},
	`{"text":["a"]}`: {Pointer: "/text", Detail: "must be a string"},
	`{"n":128}`:      {Pointer: "/n", Detail: "is out of range"},
	`{"n":1.5}`:      {Pointer: "/n", Detail: "must be an integer"},
	`{"n":"1"}`:      {Pointer: "/n", Detail: "must be an integer"},
	`{"u":-1}`:       {Pointer: "/u", Detail: "must be an integer, 0 or more"},
	`{"u":65536}`:    {Pointer: "/u", Detail: "is out of range"},
	`{"f":"1"}`:      {Pointer: "/f", Detail: "must be a number"},
	`{"f":1e300}`:    {Pointer: "/f", Detail: "is out of range"},
	`{"on":"true"}`:  {Pointer: "/on", Detail: "must be true or false"},
	`{"at":"2026-11-30"}`: {
		Pointer: "/at",
		Detail:  "must be a time such as 2006-01-02T15:04:05Z (RFC 3339)",
	},
	`{"at":1}`: {
		Pointer: "/at",
		Detail:  "must be a time such as 2006-01-02T15:04:05Z (RFC 3339)",
	},
	`{"every":90}`:      {Pointer: "/every", Detail: "must be a duration such as 1m30s"},
	`{"every":"90"}`:    {Pointer: "/every", Detail: "must be a duration such as 1m30s"},
	`{"color":"green"}`: {Pointer: "/color", Detail: `must be one of "red", "blue"`},
	`{"color":""}`:      {Pointer: "/color", Detail: `must be one of "red", "blue"`},
	`{"grade":0}`:       {Pointer: "/grade", Detail: "must be one of 1, 2"},
	`{"list":{}}`:       {Pointer: "/list", Detail: "must be an array"},
	`{"list":[1,"2"]}`:  {Pointer: "/list/1", Detail: "must be an integer"},
	`{"items":[{},{"colors":["red","green"]}]}`: {
		Pointer: "/items/1/colors/1",
		Detail:  `must be one of "red", "blue"`,
	},
	`{"items":[{"waits":{"a/b~":{"for":1}}}]}`: {
		Pointer: "/items/0/waits/a~1b~0/for",
		Detail:  "must be a duration such as 1m30s",
	},
	`{"items":[{"price":1}]}`: {
		Pointer: "/items/0/price",
		Detail:  "is not known here",
	},
	`{"map":[]}`:           {Pointer: "/map", Detail: "must be an object"},
	`{"map":{"a":"1"}}`:    {Pointer: "/map/a", Detail: "must be an integer"},
	`{"keys":{"256":"x"}}`: {Pointer: "/keys/256", Detail: "is out of range"},
	`{"ptr":"0"}`:          {Pointer: "/ptr", Detail: "must be an integer"},
	`{"addr":"here"}`:      {Pointer: "/addr", Detail: "has a wrong format"},
	`{"odd":"2"}`:          {Pointer: "/odd", Detail: "has a wrong format"},
	`{"Text":"a"}`:         {Pointer: "/Text", Detail: "is not known here"},
	`{"colour":"red"}`:     {Pointer: "/colour", Detail: "is not known here"},
	`{"inner":[]}`:         {Pointer: "/inner", Detail: "must be an object"},
	`{"inner":{"limit":1,"limits":2}}`: {
		Pointer: "/inner/limits",
		Detail:  "is not known here",
	},
	`[]`:     {Pointer: "", Detail: "must be an object"},
	`"text"`: {Pointer: "", Detail: "must be an object"},
	`7`:      {Pointer: "", Detail: "must be an object"},
}

func TestDoors_GiveTheSameVerdictOnEveryInput(t *testing.T) {
	for _, d := range doors(t) {
		t.Run(d.name, func(t *testing.T) {
			for in, want := range taken {
				echo := strings.Replace(in, "{", `{"echo":true,`, 1)
				got := d.send(t, strings.Replace(echo, ",}", "}", 1))
				var text string
				if err := json.Unmarshal([]byte(got.result), &text); err != nil {
					t.Errorf("%s: %s", in, got.raw)
				} else if seen := untouched(t, text); seen != untouched(t, want) {
					t.Errorf("%s: the function sees %s", in, text)
				}
			}
			for in, field := range refused {
				if d.params && !strings.HasPrefix(in, "{") {
					continue // params are an object or, by position, an array
				}
				field.In = "body"
				want := problem.Invalid(field)
				got := d.send(t, in)
				if got.wsx {
					want.Code = wsx.CodeInvalidParams
				}
				if what := got.differs(want); what != "" {
					t.Errorf("%s: %s: %d %s", in, what, got.status, got.raw)
				}
			}
		})
	}
}
