//go:build linux

package executor_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/genropy/genro-asgi-go/executor"
	"github.com/genropy/genro-asgi-go/problem"
)

// codedError is what another package's own kind of error is to this one.
type codedError string

func (e codedError) Error() string           { return "private" }
func (e codedError) Problem() *problem.Error { return &problem.Error{Status: 409, Code: string(e)} }

// refusals are what refuses returns, by name.
var refusals = map[string]func() error{
	"everything": func() error {
		return &problem.Error{
			Status: 409, Code: "SOLD_OUT", Type: "urn:sold-out", Title: "Sold out",
			Detail: "None is left.", Instance: "/orders/7",
			Fields:     []problem.Field{{In: "query", Pointer: "/size", Detail: "is gone"}},
			RetryAfter: 1001 * time.Millisecond,
			Extensions: map[string]any{"left": int64(1<<53 + 1), "sizes": []any{"s", 2.0}},
			Header:     http.Header{"Link": {"</sizes>"}},
		}
	},
	"wrapped": func() error {
		return fmt.Errorf("private: %w", problem.NotFound("There is no such order."))
	},
	"joined": func() error {
		return errors.Join(problem.Field{Pointer: "/a", Detail: "is odd"}, errors.New("private"))
	},
	"of another": func() error { return fmt.Errorf("private: %w", codedError("TAKEN")) },
	"late": func() error {
		return &problem.Error{
			Status: 504, Detail: "The supplier did not answer.",
			Err: context.DeadlineExceeded,
		}
	},
	"no JSON": func() error {
		return &problem.Error{
			Status: 400, Detail: "Odd.",
			Extensions: map[string]any{"f": func() {}},
		}
	},
	"too large": func() error {
		return &problem.Error{
			Status: 413, Code: strings.Repeat("C", 200),
			Detail:     strings.Repeat("\x01", 100<<10),
			Extensions: map[string]any{"x": strings.Repeat("x", 2<<20)},
		}
	},
	"plain":        func() error { return errors.New("private") },
	"plain status": func() error { return statusError(http.StatusTeapot) },
	"deadline":     func() error { return fmt.Errorf("private: %w", context.DeadlineExceeded) },
	"cancelled":    func() error { return context.Canceled },
}

var refuses = executor.NewFunc("refuses",
	func(_ context.Context, how string) (none, error) { return none{}, refusals[how]() })

func TestRemoteError_CarriesTheProblem(t *testing.T) {
	ex := start(t, nil)
	for name, refuse := range refusals {
		original := refuse()
		_, err := refuses.Run(t.Context(), ex, name)
		remote, ok := errors.AsType[*executor.RemoteError](err)
		if !ok || remote.Status != problem.From(original).StatusCode() || name != "too large" &&
			remote.Message != original.Error() {
			t.Errorf("%s: %#v", name, err)
			continue
		}
		for _, end := range []error{context.DeadlineExceeded, context.Canceled} {
			if errors.Is(err, end) != errors.Is(original, end) {
				t.Errorf("%s is %v: %v", name, end, !errors.Is(original, end))
			}
		}
		want := problem.Of(original)
		got, public := errors.AsType[*problem.Error](err)
		if public != (want != nil) {
			t.Errorf("%s: public: %v", name, public)
		}
		if want == nil {
			continue
		}
		sent, arrived := *want, *got
		sent.Err, arrived.Err = nil, nil
		switch name {
		case "no JSON":
			sent.Extensions = nil
		case "too large":
			sent.Extensions, sent.Code, sent.Detail = nil, sent.Code[:128], sent.Detail[:64<<10]
		}
		if !reflect.DeepEqual(arrived, sent) {
			t.Errorf("%s: %+v, want %+v", name, arrived, sent)
		}
	}
}

func TestHandler_TellsTheProblem(t *testing.T) {
	ex := start(t, nil)
	blocking := executor.BlockingHandler(ex,
		func(_ context.Context, how string) (none, error) { return none{}, refusals[how]() }, nil)
	for how, want := range map[string]string{
		"everything": `{"type":"urn:sold-out","title":"Sold out","status":409,"detail":"None is ` +
			`left.","instance":"/orders/7","code":"SOLD_OUT","retry_after":1.001,` +
			`"errors":[{"in":"query","pointer":"/size","detail":"is ` +
			`gone"}],"left":9007199254740993,"sizes":["s",2]}`,
		"wrapped": `{"title":"Not Found","status":404,"detail":"There is no such order."}`,
		"joined": `{"title":"Unprocessable Entity","status":422,"detail":"The request has ` +
			`invalid fields.","errors":[{"in":"body","pointer":"/a","detail":"is odd"}]}`,
		"of another":   `{"title":"Conflict","status":409,"code":"TAKEN"}`,
		"no JSON":      `{"title":"Bad Request","status":400,"detail":"Odd."}`,
		"plain status": `{"title":"I'm a teapot","status":418}`,
	} {
		for name, h := range map[string]http.Handler{
			"Handler":         executor.Handler(ex, refuses, nil),
			"BlockingHandler": blocking,
		} {
			w := post(h, asJSON, `"`+how+`"`)
			if w.Body.String() != want || how == "everything" &&
				(w.Header().Get("Link") != "</sizes>" || w.Header().Get("Retry-After") != "2") {
				t.Errorf("%s: %s: %d %s %v", name, how, w.Code, w.Body, w.Header())
			}
		}
	}
}
