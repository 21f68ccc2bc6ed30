package wsx_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

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
		{"an unknown member", `{"lines":[{"sku":"a","price":3}]}`, wsx.CodeInvalidParams, "/lines/0/price", "the params have no such member"},
		{"a member in another case", `{"Lines":[]}`, wsx.CodeInvalidParams, "/Lines", "the params have no such member"},
		{"a duplicate", `{"note":"a","note":"b"}`, wsx.CodeInvalidParams, "/note", "the member occurs twice"},
		{"a duplicate through an escape", `{"lines":[{"sku":"a","\u0073ku":"b"}]}`, wsx.CodeInvalidParams, "/lines/0/sku", "the member occurs twice"},
		{"another type", `{"lines":[{"sku":"a"},{"quantity":"x"}]}`, wsx.CodeInvalidParams, "/lines/1/quantity", "the value does not fit the method's params"},
		{"a fraction for an integer", `{"lines":[{"quantity":1.5}]}`, wsx.CodeInvalidParams, "/lines/0/quantity", "the value does not fit the method's params"},
		{"a number out of range", `{"lines":[{"quantity":1e400}]}`, wsx.CodeInvalidParams, "/lines/0/quantity", "the value does not fit the method's params"},
		{"a name that a pointer escapes", `{"a/b~c":1}`, wsx.CodeInvalidParams, "/a~1b~0c", "the params have no such member"},
		{"another type for all", `[1]`, wsx.CodeInvalidParams, "", "the value does not fit the method's params"},
		{"a lone surrogate", `{"note":"\ud83d"}`, wsx.CodeInvalidParams, "/note", "the value does not fit the method's params"},
		{"a rule of the type", `{"lines":[{},{},{}]}`, wsx.CodeInvalidParams, "-", "at most two lines"},
		{"a coded rule of the type", `{"note":"coded"}`, wsx.CodeConflict, "-", "closed"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := d.Call(t.Context(), "order", jsontext.Value(tc.params))
			var e *wsx.Error
			if !errors.As(err, &e) || e.Code != tc.code || e.Message != tc.message {
				t.Fatalf("%v, want %s %q", err, tc.code, tc.message)
			}
			want := "null"
			if tc.path != "-" {
				want = `{"path":"` + tc.path + `"}`
			}
			if got := detailsOf(t, err); got != want {
				t.Errorf("details %s, want %s", got, want)
			}
		})
	}
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
	wsx.Handle(d, "echo", func(_ context.Context, in jsontext.Value) (jsontext.Value, error) { return in, nil })
	wsx.Handle(d, "any", func(_ context.Context, in any) (any, error) { return in, nil })
	wsx.Handle(d, "add", add)
	wsx.Handle(d, "slice", func(_ context.Context, in []string) ([]string, error) { return in, nil })
	wsx.Handle(d, "pointer", func(_ context.Context, in *order) (bool, error) { return in == nil, nil })
	wsx.Handle(d, "nilpointer", func(context.Context, struct{}) (*order, error) { return nil, nil })
	wsx.Handle(d, "positive", func(_ context.Context, in positive) (positive, error) { return in, nil })
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
	wsx.Handle(d, "func", func(context.Context, struct{}) (any, error) { return []any{strings.Repeat("x", 1<<16), func() {}}, nil })
	wsx.Handle(d, "raw", func(context.Context, struct{}) (jsontext.Value, error) { return jsontext.Value(`{"a"`), nil })
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
	wsx.Handle(d, "panic", func(context.Context, struct{}) (int, error) { panic(wsx.NewError(wsx.CodeConflict, "canary-7f3a")) })
	_, err := d.Call(t.Context(), "panic", nil)
	var e *wsx.Error
	if err == nil || errors.As(err, &e) {
		t.Errorf("got %v, want an error that is not coded", err)
	}
}
