package wsx_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/genropy/genro-asgi-go/internal/typed"
	"github.com/genropy/genro-asgi-go/problem"
	"github.com/genropy/genro-asgi-go/wsx"
)

func detailsOf(t *testing.T, err error) string {
	t.Helper()
	var e *wsx.Error
	if !errors.As(err, &e) {
		t.Fatalf("%v is not coded", err)
	}
	b, err := json.Marshal(e.Details)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// order has everything that params can have: nesting, arrays, a pointer and a rule of its own.
type order struct {
	Lines []struct {
		SKU      string `json:"sku"`
		Quantity int    `json:"quantity"`
	} `json:"lines"`
	Note *string `json:"note"`
}

func (o *order) Validate() error {
	if len(o.Lines) > 2 {
		return errors.New("at most two lines")
	}
	if o.Note != nil && *o.Note == "coded" {
		return wsx.NewError(wsx.CodeConflict, "closed")
	}
	return nil
}

func TestHandle_RefusesParamsThatDoNotFit(t *testing.T) {
	d := wsx.NewDispatcher()
	wsx.Handle(d, "order", func(context.Context, order) (struct{}, error) {
		t.Error("the handler ran")
		return struct{}{}, nil
	})
	for _, tc := range []struct{ name, params, code, path, message string }{
		{
			"an unknown member", `{"lines":[{"sku":"a","price":3}]}`, wsx.CodeInvalidParams,
			"/lines/0/price", "is not known here",
		},
		{
			"a member in another case", `{"Lines":[]}`, wsx.CodeInvalidParams, "/Lines",
			"is not known here",
		},
		{
			"a duplicate", `{"note":"a","note":"b"}`, wsx.CodeInvalidParams, "/note",
			"must be given once",
		},
		{
			"a duplicate through an escape", `{"lines":[{"sku":"a","\u0073ku":"b"}]}`,
			wsx.CodeInvalidParams, "/lines/0/sku", "must be given once",
		},
		{
			"another type", `{"lines":[{"sku":"a"},{"quantity":"x"}]}`, wsx.CodeInvalidParams,
			"/lines/1/quantity", "must be an integer",
		},
		{
			"a fraction for an integer", `{"lines":[{"quantity":1.5}]}`, wsx.CodeInvalidParams,
			"/lines/0/quantity", "must be an integer",
		},
		{
			"a number out of range", `{"lines":[{"quantity":1e400}]}`, wsx.CodeInvalidParams,
			"/lines/0/quantity", "must be an integer",
		},
		{
			"a name that a pointer escapes", `{"a/b~c":1}`, wsx.CodeInvalidParams, "/a~1b~0c",
			"is not known here",
		},
		{"another type for all", `[1]`, wsx.CodeInvalidParams, "", "must be an object"},
		{"a lone surrogate", `{"note":"\ud83d"}`, wsx.CodeInvalidParams, "/note", ""},
		{
			"a rule of the type", `{"lines":[{},{},{}]}`, wsx.CodeInvalidParams, "-",
			"The request is not valid.",
		},
		{"a coded rule of the type", `{"note":"coded"}`, wsx.CodeConflict, "-", "closed"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := d.Call(t.Context(), "order", jsontext.Value(tc.params))
			var e *wsx.Error
			want, message := "null", tc.message
			switch {
			case tc.path == "-": // a rule, not a field
			case tc.message == "":
				want, message = `{"path":"`+tc.path+`"}`, "the params do not fit the method"
			default:
				want, message = unfit(tc.path, tc.message), "The request has invalid fields."
			}
			if !errors.As(err, &e) || e.Code != tc.code || e.Message != message {
				t.Fatalf("%v, want %s %q", err, tc.code, message)
			}
			if got := detailsOf(t, err); got != want {
				t.Errorf("details %s, want %s", got, want)
			}
		})
	}
}

// unfit are the details of params that do not decode.
func unfit(path, detail string) string {
	return `{"path":"` + path + `","errors":[{"in":"body","pointer":"` + path + `","detail":"` +
		detail + `"}]}`
}

type positive int

func (p positive) Validate() error {
	if p <= 0 {
		return errors.New("must be positive")
	}
	return nil
}

func TestHandle_TakesAnyParamsAndResult(t *testing.T) {
	d := wsx.NewDispatcher()
	wsx.Handle(d, "echo",
		func(_ context.Context, in jsontext.Value) (jsontext.Value, error) { return in, nil })
	wsx.Handle(d, "any", func(_ context.Context, in any) (any, error) { return in, nil })
	wsx.Handle(d, "add", add)
	wsx.Handle(d, "slice",
		func(_ context.Context, in []string) ([]string, error) { return in, nil })
	wsx.Handle(d, "pointer",
		func(_ context.Context, in *order) (bool, error) { return in == nil, nil })
	wsx.Handle(d, "nilpointer", func(context.Context, struct{}) (*order, error) { return nil, nil })
	wsx.Handle(d, "positive",
		func(_ context.Context, in positive) (positive, error) { return in, nil })
	wsx.Handle(d, "nothing", nothing)
	wsx.Handle(d, "day", func(_ context.Context, in day) (string, error) { return in.name, nil })
	wsx.HandleNotify(d, "notify", func(context.Context, int) error { return nil })

	for _, tc := range []struct{ method, params, want string }{
		{"echo", "{ \"z\" : 1e400,\n\"a\":\"\\u00e9\" }", "{ \"z\" : 1e400,\n\"a\":\"\\u00e9\" }"},
		{"echo", `null`, `null`},
		{"echo", ``, `null`},
		{"echo", `{"a":1,"a":2}`, wsx.CodeInvalidParams},
		{"any", `{"a":[1,"x",null]}`, `{"a":[1,"x",null]}`},
		{"any", ``, `null`},
		{"add", ``, `{"sum":0}`},
		{"add", `null`, `{"sum":0}`},
		{"add", `{"b":1}`, `{"sum":1}`},
		{"slice", `["a","b"]`, `["a","b"]`},
		{"slice", ``, `[]`},
		{"pointer", ``, `true`},
		{"pointer", `{}`, `false`},
		{"pointer", `{"lines":[{},{},{}]}`, wsx.CodeInvalidParams},
		{"nilpointer", `{}`, `null`},
		{"nilpointer", `{"a":1}`, wsx.CodeInvalidParams},
		{"positive", `3`, `3`},
		{"positive", `0`, wsx.CodeInvalidParams},
		{"positive", ``, wsx.CodeInvalidParams},
		{"nothing", `{}`, `null`},
		{"nothing", `null`, `null`},
		{"day", `"Monday"`, `"Monday"`},
		{"day", `{}`, wsx.CodeInvalidParams},
		{"notify", `3`, `null`},
		{"notify", `"x"`, wsx.CodeInvalidParams},
	} {
		t.Run(tc.method+" "+tc.params, func(t *testing.T) {
			var params jsontext.Value
			if tc.params != "" {
				params = jsontext.Value(tc.params)
			}
			got, err := d.Call(t.Context(), tc.method, params)
			var e *wsx.Error
			if errors.As(err, &e) {
				got = jsontext.Value(e.Code)
			} else if err != nil {
				t.Fatal(err)
			}
			if string(got) != tc.want {
				t.Errorf("got %s, want %s", got, tc.want)
			}
		})
	}
}

func TestHandle_GivesAHandlerItsOwnParams(t *testing.T) {
	d := wsx.NewDispatcher()
	var kept jsontext.Value
	wsx.Handle(d, "keep", func(_ context.Context, in jsontext.Value) (struct{}, error) {
		kept = in
		return struct{}{}, nil
	})
	params := jsontext.Value(`"mine"`)
	if _, err := d.Call(t.Context(), "keep", params); err != nil {
		t.Fatal(err)
	}
	copy(params, `"them"`) // as the next message does to a buffer
	if string(kept) != `"mine"` {
		t.Errorf("what the handler kept became %s", kept)
	}
}

func TestHandle_FailsOnAResultThatIsNotJSON(t *testing.T) {
	d := wsx.NewDispatcher()
	wsx.Handle(d, "func",
		func(context.Context, struct{}) (any, error) {
			return []any{strings.Repeat("x", 1<<16), func() {}}, nil
		})
	wsx.Handle(d, "raw",
		func(context.Context, struct{}) (jsontext.Value, error) {
			return jsontext.Value(`{"a"`), nil
		})
	for _, method := range []string{"func", "raw"} {
		got, err := d.Call(t.Context(), method, nil)
		var e *wsx.Error
		if err == nil || got != nil || errors.As(err, &e) {
			t.Errorf("%s: %s, %v", method, got, err)
		}
	}
}

func TestHandle_TurnsAPanicIntoAnError(t *testing.T) {
	d := wsx.NewDispatcher()
	wsx.Handle(d, "panic",
		func(context.Context, struct{}) (int, error) {
			panic(wsx.NewError(wsx.CodeConflict, "canary-7f3a"))
		})
	_, err := d.Call(t.Context(), "panic", nil)
	var e *wsx.Error
	if err == nil || errors.As(err, &e) {
		t.Errorf("got %v, want an error that is not coded", err)
	}
}

type paced struct {
	Every time.Duration `json:"every" default:"1m30s"`
	Color hue           `json:"color" default:"red"`
	Big   any           `json:"big"`
}

type hue string

func (hue) Enum() []hue { return []hue{"red", "blue"} }

func TestHandle_DefaultsDurationsAndEnums(t *testing.T) {
	d := wsx.NewDispatcher()
	wsx.Handle(d, "paced", func(_ context.Context, in paced) (paced, error) { return in, nil })
	wsx.Handle(d, "pointer", func(_ context.Context, in *paced) (*paced, error) { return in, nil })
	for _, tc := range []struct{ method, params, want string }{
		{"paced", "", `{"every":"1m30s","color":"red","big":null}`},
		{"paced", "null", `{"every":"1m30s","color":"red","big":null}`},
		{
			"paced", `{"every":"2h","color":"blue","big":9007199254740993}`,
			`{"every":"2h0m0s","color":"blue","big":9007199254740993}`,
		},
		{"pointer", "", `null`},
		{"pointer", `{}`, `{"every":"1m30s","color":"red","big":null}`},
	} {
		if got, err := d.Call(t.Context(), tc.method, jsontext.Value(tc.params)); err != nil ||
			string(got) != tc.want {
			t.Errorf("%s %s: %s, %v, want %s", tc.method, tc.params, got, err, tc.want)
		}
	}
	for params, want := range map[string]string{
		`{"every":90}`:      unfit("/every", "must be a duration such as 1m30s"),
		`{"color":"green"}`: unfit("/color", `must be one of \"red\", \"blue\"`),
	} {
		if _, err := d.Call(t.Context(), "paced", jsontext.Value(params)); detailsOf(t, err) !=
			want {
			t.Errorf("%s: %v, want %s", params, err, want)
		}
	}
}

// The validator of the dispatcher that a method was registered with is asked, then that of the one
// it is mounted on, then the context's.
func TestDispatcher_UseValidator(t *testing.T) {
	refuse := func(by string) func(any) error {
		return func(v any) error {
			if _, ok := v.(*paced); !ok {
				t.Errorf("%s sees a %T", by, v)
			}
			return problem.Field{Pointer: "/" + by, Detail: "no"}
		}
	}
	echo := func(_ context.Context, in paced) (paced, error) { return in, nil }
	root, own, none := wsx.NewDispatcher(), wsx.NewDispatcher(), wsx.NewDispatcher()
	root.UseValidator(refuse("root"))
	own.UseValidator(refuse("own"))
	wsx.Handle(own, "echo", echo)
	wsx.Handle(none, "echo", echo)
	wsx.Handle(none, "number", func(_ context.Context, in int) (int, error) { return in, nil })
	root.Mount("own", own)
	root.Mount("none", none)
	plain := wsx.NewDispatcher()
	wsx.Handle(plain, "echo", echo)
	ctx := typed.WithValidator(t.Context(), refuse("context"))
	for _, tc := range []struct {
		d            *wsx.Dispatcher
		method, want string
	}{{root, "own.echo", "own"}, {root, "none.echo", "root"}, {plain, "echo", "context"}} {
		_, err := tc.d.Call(ctx, tc.method, nil)
		if want := `{"errors":[{"in":"body","pointer":"/` + tc.want +
			`","detail":"no"}]}`; err == nil || detailsOf(t, err) != want {
			t.Errorf("%s: %v, want %s", tc.method, err, want)
		}
	}
	if got, err := root.Call(ctx, "none.number", jsontext.Value("7")); err != nil ||
		string(got) != "7" {
		t.Errorf("%s, %v", got, err)
	}
	if _, err := plain.Call(t.Context(), "echo", nil); err != nil {
		t.Error(err)
	}
	defer func() {
		if recover() == nil {
			t.Error("UseValidator after methods is taken")
		}
	}()
	plain.UseValidator(refuse("late"))
}
