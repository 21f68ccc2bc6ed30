package describe_test

import (
	"context"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/genropy/genro-asgi-go/internal/describe"
	"github.com/genropy/genro-asgi-go/internal/leakcheck"
)

func TestMain(m *testing.M) { leakcheck.Main(m) }

type named struct{}

func (named) Method(context.Context, int) (int, error) { return 0, nil }

func function(context.Context, int) (int, error) { return 0, nil }

func generic[T any](context.Context, T) (T, error) { var t T; return t, nil }

func TestFunctionName(t *testing.T) {
	literal := func() {}
	for want, f := range map[string]any{
		"function": function, "Method": named{}.Method, "generic": generic[int], "": literal,
	} {
		if got := describe.FunctionName(f); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
	if got := describe.FunctionName((func())(nil)) + describe.FunctionName(1); got != "" {
		t.Errorf("%q", got)
	}
}

// foreign is a handler that nobody may call but its server.
type foreign struct{ t *testing.T }

func (f foreign) ServeHTTP(http.ResponseWriter, *http.Request) {
	f.t.Error("a foreign handler was called")
}

func TestOf_CallsNoForeignHandler(t *testing.T) {
	for _, h := range []http.Handler{
		nil,
		foreign{t},
		&foreign{t}, http.HandlerFunc(nil), http.HandlerFunc(foreign{t}.ServeHTTP),
		http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
			t.Error("a foreign function was called")
		}),
		http.StripPrefix("/x", foreign{t}), http.HandlerFunc(http.Handler(foreign{t}).ServeHTTP),
		http.HandlerFunc(http.HandlerFunc(foreign{t}.ServeHTTP).ServeHTTP),
		http.HandlerFunc((&foreign{t}).ServeHTTP),
	} {
		if found, ok := describe.Of(h); ok || found != nil {
			t.Errorf("%T tells of %v", h, found)
		}
	}
	for _, mw := range []func(http.Handler) http.Handler{nil, func(http.Handler) http.Handler {
		t.Error("a foreign middleware was called")
		return nil
	}} {
		if _, ok := describe.Middleware(mw); ok {
			t.Error("a foreign middleware tells something")
		}
	}
}

// A closure is known by its name, which inlining, stripping and trimming must leave as it is.
func TestOf_InABuiltProgram(t *testing.T) {
	dir := t.TempDir()
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	gosum, err := os.ReadFile("../../go.sum")
	if err != nil {
		t.Fatal(err)
	}
	const module = "github.com/genropy/genro-asgi-go"
	for name, content := range map[string]string{
		// In the module's own tree, as nothing else may import internal/describe.
		"go.mod": "module " + module + "/consumer\n\ngo 1.26.0\n\nrequire " + module +
			" v0.0.0\n\nreplace " + module + " => " + root + "\n",
		"go.sum": string(gosum),
		"main.go": `package main

import (
	"context"
	"fmt"
	"net/http"

	"github.com/genropy/genro-asgi-go/asgi"
	"github.com/genropy/genro-asgi-go/internal/describe"
)

type in struct{ ID int ` + "`path:\"id\"`" + ` }

func get(context.Context, in) (*in, error) { return nil, nil }

func routes() []http.Handler {
	return []http.Handler{
		asgi.Handle(get),
		asgi.HandleWith(func(context.Context, struct{}) (struct{}, error) ` +
			`{ return struct{}{}, nil }, nil),
		(&asgi.Limits{}).Wrap(asgi.Handle(get)),
		http.HandlerFunc(asgi.Handle(get).ServeHTTP),
		http.HandlerFunc((&asgi.Limits{}).Wrap(asgi.Handle(get)).ServeHTTP),
	}
}

func main() {
	for _, h := range routes() {
		found, ok := describe.Of(h)
		fmt.Println(ok, len(found))
	}
}
`,
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, flags := range [][]string{
		{"-trimpath", "-ldflags=-s -w"},
		{"-gcflags=" + module + "/...=-l=4"},
	} {
		args := append([]string{"build", "-buildvcs=false", "-mod=mod", "-o", "program"}, flags...)
		build := exec.CommandContext(t.Context(), "go", append(args, ".")...)
		build.Dir, build.Env = dir, append(os.Environ(), "GOWORK=off", "GOFLAGS=")
		if out, err := build.CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		run := exec.CommandContext(t.Context(), filepath.Join(dir, "program"))
		run.Dir = dir
		out, err := run.CombinedOutput()
		if err != nil || strings.Count(string(out), "true 1\n") != 5 {
			t.Errorf("%v: %v\n%s", flags, err, out)
		}
	}
}

// around has one code for all its closures, as long as it is not inlined.
//
//go:noinline
func around(h http.Handler, n *int) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) { *n++; h.ServeHTTP(w, r) }
}

// A variable is read only in closures of the code that the sample is of, and only where the sample
// is found.
func TestCaptured(t *testing.T) {
	var n int
	one, other := http.Handler(foreign{t}), http.Handler(&foreign{t})
	like := around(one, &n)
	if got, ok := describe.Captured(around(other, &n), like, one); !ok || got != other {
		t.Errorf("%v %t", got, ok)
	}
	if _, ok := describe.Captured(around(other, &n), like, other); ok {
		t.Error("found what the sample does not hold")
	}
	if _, ok := describe.Captured(http.HandlerFunc(one.ServeHTTP), like, one); ok {
		t.Error("found something in other code")
	}
	if _, ok := describe.Captured(nil, like, one); ok {
		t.Error("found something in nil")
	}
}
