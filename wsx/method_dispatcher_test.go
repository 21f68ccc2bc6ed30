package wsx_test

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"sync"
	"testing"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/genropy/genro-asgi-go/wsx"
)

type addIn struct {
	A int `json:"a"`
	B int `json:"b"`
}

// wrongTag has a tag that no int can have.
type wrongTag struct {
	A int `json:",embed"`
}

// day reads itself, and refuses what a registration would try.
type day struct{ name string }

func (d *day) UnmarshalText(b []byte) error {
	d.name = string(b)
	return nil
}

type addOut struct {
	Sum int `json:"sum"`
}

func add(_ context.Context, in addIn) (addOut, error) { return addOut{in.A + in.B}, nil }

func nothing(context.Context, struct{}) (struct{}, error) { return struct{}{}, nil }

// panicText runs f and returns what it panicked with, "" when it did not.
func panicText(f func()) (text string) {
	defer func() {
		if v := recover(); v != nil {
			text = fmt.Sprint(v)
		}
	}()
	f()
	return ""
}

func TestDispatcher_RefusesBadRegistrations(t *testing.T) {
	mounted := wsx.NewDispatcher()
	wsx.NewDispatcher().Mount("at", mounted)
	for _, tc := range []struct {
		name string
		do   func(d *wsx.Dispatcher)
		want string
	}{
		{"empty name", func(d *wsx.Dispatcher) { wsx.Handle(d, "", nothing) }, "1 to 256 bytes"},
		{
			"long name",
			func(d *wsx.Dispatcher) { wsx.Handle(d, strings.Repeat("m", 257), nothing) },
			"1 to 256 bytes",
		},
		{"long name by its mount", func(d *wsx.Dispatcher) {
			sub := wsx.NewDispatcher()
			wsx.Handle(sub, strings.Repeat("m", 256), nothing)
			d.Mount("p", sub)
		}, "1 to 256 bytes"},
		{"space", func(d *wsx.Dispatcher) { wsx.Handle(d, "a b", nothing) }, "visible ASCII"},
		{"not ASCII", func(d *wsx.Dispatcher) { wsx.Handle(d, "é", nothing) }, "visible ASCII"},
		{"quote", func(d *wsx.Dispatcher) { wsx.Handle(d, `a"b`, nothing) }, "visible ASCII"},
		{"two dots", func(d *wsx.Dispatcher) { wsx.Handle(d, "a..b", nothing) }, "empty part"},
		{"dot at the end", func(d *wsx.Dispatcher) { wsx.Handle(d, "a.", nothing) }, "empty part"},
		{"bad prefix", func(d *wsx.Dispatcher) {
			sub := wsx.NewDispatcher()
			wsx.Handle(sub, "a", nothing)
			d.Mount(".p", sub)
		}, "empty part"},
		{
			"the protocol's name",
			func(d *wsx.Dispatcher) {
				wsx.HandleNotify(d, "rpc.x", func(context.Context, int) error { return nil })
			}, "the protocol's",
		},
		{
			"the library's name", func(d *wsx.Dispatcher) { wsx.Handle(d, "wsx.auth", nothing) },
			"the protocol's",
		},
		{
			"duplicate", func(d *wsx.Dispatcher) { wsx.Handle(d, "taken", nothing) },
			`"taken" is registered already`,
		},
		{"duplicate by a mount", func(d *wsx.Dispatcher) {
			sub := wsx.NewDispatcher()
			wsx.Handle(sub, "taken", nothing)
			d.Mount("", sub)
		}, `"taken" is registered already`},
		{
			"nil function", func(d *wsx.Dispatcher) { wsx.Handle[int, int](d, "x", nil) },
			"nil function",
		},
		{
			"nil notification", func(d *wsx.Dispatcher) { wsx.HandleNotify[int](d, "x", nil) },
			"nil function",
		},
		{"wrong tags", func(d *wsx.Dispatcher) {
			wsx.HandleNotify(d, "x", func(context.Context, wrongTag) error { return nil })
		}, "the params: wsx_test.wrongTag: JSON cannot hold"},
		{"Use after methods", func(d *wsx.Dispatcher) { d.Use() }, "Use after methods"},
		{"mount on itself", func(d *wsx.Dispatcher) { d.Mount("x", d) }, "mounted on itself"},
		{
			"method after mounting", func(*wsx.Dispatcher) { wsx.Handle(mounted, "late", nothing) },
			`was mounted (as "at")`,
		},
		{
			"middleware after mounting", func(*wsx.Dispatcher) { mounted.Use() },
			`was mounted (as "at")`,
		},
		{
			"mount after mounting",
			func(*wsx.Dispatcher) { mounted.Mount("x", wsx.NewDispatcher()) },
			`was mounted (as "at")`,
		},
		{
			"doc of an unknown method", func(d *wsx.Dispatcher) { d.Describe("nope", "") },
			"no such method",
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			d := wsx.NewDispatcher()
			wsx.Handle(d, "taken", nothing)
			text := panicText(func() { tc.do(d) })
			if !strings.HasPrefix(text, "wsx: ") || !strings.Contains(text, tc.want) {
				t.Errorf("panic %q, want %q in it", text, tc.want)
			}
			if n := len(d.Methods()); n != 1 {
				t.Errorf("%d methods are registered", n)
			}
		})
	}
}

func TestDispatcher_DescribesWhatIsRegistered(t *testing.T) {
	users := wsx.NewDispatcher()
	wsx.HandleNotify(users, "seen", func(context.Context, string) error { return nil })
	users.Describe("seen", "remembers a visit")
	admin := wsx.NewDispatcher()
	admin.Mount("users", users)
	d := wsx.NewDispatcher()
	wsx.Handle(d, "math/add", add)
	d.Mount("admin", admin)
	d.Mount("guest", users)

	want := []wsx.Method{
		{
			Name: "admin.users.seen", Kind: "notification", In: reflect.TypeFor[string](),
			Doc: "remembers a visit",
		},
		{
			Name: "guest.seen", Kind: "notification", In: reflect.TypeFor[string](),
			Doc: "remembers a visit",
		},
		{
			Name: "math/add", Kind: "request", In: reflect.TypeFor[addIn](),
			Out: reflect.TypeFor[addOut](),
		},
	}
	if got := d.Methods(); !reflect.DeepEqual(got, want) {
		t.Errorf("got %v\nwant %v", got, want)
	}
}

func TestDispatcher_RunsMiddlewareOfEachMountOutsideIn(t *testing.T) {
	var trace []string
	composed := 0
	mark := func(name string) func(wsx.Handler) wsx.Handler {
		return func(next wsx.Handler) wsx.Handler {
			composed++
			return func(ctx context.Context, r *wsx.Request) error {
				trace = append(trace, name+">"+r.Method)
				return next(ctx, r)
			}
		}
	}
	sub := wsx.NewDispatcher()
	sub.Use(mark("sub"))
	wsx.Handle(sub, "add", add)
	d := wsx.NewDispatcher()
	d.Use(mark("first"), mark("second"))
	wsx.Handle(d, "add", add)
	d.Mount("sub", sub)
	composedAtRegistration := composed

	for _, tc := range []struct{ method, want string }{
		{"add", "first>add second>add"},
		{"sub.add", "first>sub.add second>sub.add sub>sub.add"},
	} {
		trace = nil
		for range 2 {
			if got, err := d.Call(t.Context(), tc.method, jsontext.Value(`{"a":2,"b":40}`)); err !=
				nil || string(got) != `{"sum":42}` {
				t.Errorf("%s: %s, %v", tc.method, got, err)
			}
		}
		if got := strings.Join(trace, " "); got != tc.want+" "+tc.want {
			t.Errorf("%s ran %s", tc.method, got)
		}
	}
	if composed != composedAtRegistration {
		t.Error("middleware was composed again during calls")
	}
}

func TestDispatcher_MiddlewareSeesTheRequestAndDecides(t *testing.T) {
	refusal := wsx.NewError(wsx.CodePermissionDenied, "")
	d := wsx.NewDispatcher()
	d.Use(func(next wsx.Handler) wsx.Handler {
		return func(ctx context.Context, r *wsx.Request) error {
			switch string(r.Params) {
			case `"refuse"`:
				return refusal
			case `"skip"`:
				return nil
			case `"late"`:
				if err := next(ctx, r); err != nil {
					return err
				}
				return refusal
			}
			return next(ctx, r)
		}
	})
	wsx.Handle(d, "method",
		func(ctx context.Context, _ jsontext.Value) (string, error) {
			return wsx.RequestFrom(ctx).Method, nil
		})

	for params, want := range map[string]string{`1`: `"method"`, `"skip"`: `null`} {
		if got, err := d.Call(t.Context(), "method", jsontext.Value(params)); err != nil ||
			string(got) != want {
			t.Errorf("%s: %s, %v", params, got, err)
		}
	}
	for _, params := range []string{`"refuse"`, `"late"`} {
		if got, err := d.Call(t.Context(), "method", jsontext.Value(params)); !errors.Is(err,
			refusal) || got != nil {
			t.Errorf("%s: %s, %v", params, got, err)
		}
	}
	if wsx.RequestFrom(t.Context()) != nil {
		t.Error("a request outside of a handler")
	}
}

func TestDispatcher_SaysWhichMethodIsUnknown(t *testing.T) {
	_, err := wsx.NewDispatcher().Call(t.Context(), "no.such", nil)
	if !errors.Is(err, wsx.NewError(wsx.CodeMethodNotFound, "")) {
		t.Fatal(err)
	}
	if got := detailsOf(t, err); got != `{"method":"no.such"}` {
		t.Error(got)
	}
}

func TestDispatcher_TakesMethodsWhileOthersAreCalled(t *testing.T) {
	d := wsx.NewDispatcher()
	wsx.Handle(d, "add", add)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 200 {
				if _, err := d.Call(t.Context(), "add", nil); err != nil {
					t.Error(err)
				}
				d.Methods()
			}
		})
	}
	for i := range 4 {
		wg.Go(func() {
			for j := range 50 {
				wsx.Handle(d, fmt.Sprintf("m.%d.%d", i, j), nothing)
			}
		})
	}
	wg.Wait()
	if n := len(d.Methods()); n != 201 {
		t.Errorf("%d methods", n)
	}
}
