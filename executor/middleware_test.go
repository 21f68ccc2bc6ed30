//go:build linux

package executor_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/genropy/genro-asgi-go/executor"
)

type ctxKey string

// seen is what a function in a worker finds in its context.
type seen struct {
	Meta map[string]string
	PID  int
	Func string
	Path []string
}

var (
	looks = executor.NewFunc("looks", func(ctx context.Context, fail bool) (*seen, error) {
		s, _ := ctx.Value(ctxKey("seen")).(*seen)
		if fail {
			return nil, statusError(http.StatusTeapot)
		}
		executor.Logger(ctx).Info("looked")
		return s, nil
	})
	// a result of which a part is written before it fails
	looksBadly = executor.NewFunc("looks badly",
		func(context.Context, none) ([]float64, error) { return []float64{1, nanOf()}, nil })
	sinkhole = executor.NewFunc("sinkhole",
		func(_ context.Context, in []byte) (int, error) { return len(in), nil })
)

func nanOf() float64 { zero := 0.0; return zero / zero }

// tracesInWorker is the outer middleware of workers.
func tracesInWorker(ctx context.Context, c *executor.CallInfo,
	next func(ctx context.Context) error,
) (err error) {
	s := &seen{Meta: c.Meta, PID: c.PID, Func: c.Func, Path: []string{"traces"}}
	executor.Logger(ctx).Debug("begin")
	if c.Meta["do"] == "swallow" {
		defer func() { err = nil }()
	}
	return next(context.WithValue(ctx, ctxKey("seen"), s))
}

// meddlesInWorker is the inner one.
func meddlesInWorker(ctx context.Context, c *executor.CallInfo,
	next func(ctx context.Context) error,
) error {
	s := ctx.Value(ctxKey("seen")).(*seen)
	s.Path = append(s.Path, "meddles")
	switch c.Meta["do"] {
	case "skip":
		return statusError(http.StatusGone)
	case "panic":
		panic("in middleware")
	case "replace":
		_ = next(ctx)
		return fmt.Errorf("in its place: %w", statusError(http.StatusConflict))
	}
	return next(ctx)
}

// startTraced starts an Executor whose workers have the middleware.
func startTraced(t *testing.T, o executor.Options) *executor.Executor {
	o.Workers, o.Spares, o.Env = 1, -1, []string{role + "=middleware"}
	return start(t, &o)
}

// puts makes a middleware that sends meta along.
func puts(meta map[string]string) executor.Middleware {
	return func(ctx context.Context, c *executor.CallInfo, next func(context.Context) error) error {
		c.Meta = meta
		return next(ctx)
	}
}

func TestMiddleware_MetaReachesTheWorker(t *testing.T) {
	var pids []int
	meta := map[string]string{"traceparent": "00-1-2-01", "": "é", "empty": ""}
	ex := startTraced(t, executor.Options{Middleware: []executor.Middleware{
		puts(meta),
		func(ctx context.Context, c *executor.CallInfo, next func(context.Context) error) error {
			err := next(ctx)
			pids = append(pids, c.PID)
			return err
		},
	}})
	worker, err := pid.Run(t.Context(), ex, none{})
	if err != nil {
		t.Fatal(err)
	}
	got, err := looks.Run(t.Context(), ex, false)
	if err != nil {
		t.Fatal(err)
	}
	want := &seen{
		Meta: map[string]string{"traceparent": "00-1-2-01", "": "é", "empty": ""},
		PID:  worker, Func: "looks", Path: []string{"traces", "meddles"},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%+v", got)
	}
	if !slices.Equal(pids, []int{worker, worker}) {
		t.Errorf("the caller's middleware has process %v, it is %d", pids, worker)
	}
	clear(meta)
	if got, err := looks.Run(t.Context(), ex, false); err != nil || len(got.Meta) != 0 {
		t.Errorf("without meta: %+v, %v", got, err)
	}
	for size, want := range map[int]error{4<<10 - 4 - 1: nil, 4<<10 - 4: executor.ErrTooLarge} {
		meta["k"] = strings.Repeat("v", size)
		// by file, too, whose frame is written twice
		for _, in := range [][]byte{{1}, make([]byte, 1<<20), make([]byte, 1<<20+1)} {
			if n, err := sinkhole.Run(t.Context(), ex, in); !errors.Is(err, want) ||
				err == nil && n != len(in) {
				t.Errorf("meta of %d bytes, input of %d: %v", size, len(in), err)
			}
		}
	}
	slices.Sort(pids)
	if want := []int{0, 0, 0, worker, worker, worker, worker, worker, worker}; !slices.Equal(pids,
		want) {
		t.Errorf("%v, want %v: those that were too large went to no worker", pids, want)
	}
}

// What middleware makes of an error is what the call ends with, on either side of the pipe.
func TestMiddleware_HasTheLastWord(t *testing.T) {
	meta := map[string]string{}
	ex := startTraced(t, executor.Options{Middleware: []executor.Middleware{puts(meta)}})
	for do, want := range map[string]int{
		"":        http.StatusTeapot,
		"skip":    http.StatusGone,
		"replace": http.StatusConflict,
	} {
		meta["do"] = do
		_, err := looks.Run(t.Context(), ex, true)
		var remote *executor.RemoteError
		if !errors.As(err, &remote) || remote.Status != want {
			t.Errorf("%q: %v", do, err)
		}
	}
	meta["do"] = "replace" // of a success
	if got, err := looks.Run(t.Context(), ex, false); err == nil || got != nil {
		t.Errorf("%+v, %v", got, err)
	}
	meta["do"] = "panic"
	var panicked *executor.PanicError
	if _, err := looks.Run(t.Context(), ex, false); !errors.As(err, &panicked) ||
		panicked.Value != "in middleware" {
		t.Errorf("%v", err)
	}
	meta["do"] = "swallow"
	if got, err := looks.Run(t.Context(), ex, true); err != nil || got != nil {
		t.Errorf("a failure made a success: %+v, %v", got, err)
	}
	if got, err := looksBadly.Run(t.Context(), ex, none{}); err != nil || len(got) != 0 {
		t.Errorf("a lost result made a success: %+v, %v", got, err)
	}
	if _, err := panics.Run(t.Context(), ex, none{}); !errors.As(err, &panicked) ||
		panicked.Value != "oh no" { // which goes through
		t.Errorf("%v", err)
	}
}

// notes what middleware is told.
type noted struct {
	mu    sync.Mutex
	calls []string
}

func (n *noted) middleware(name string) executor.Middleware {
	return func(ctx context.Context, c *executor.CallInfo, next func(context.Context) error) error {
		err := next(context.WithValue(ctx, ctxKey("by"), name))
		if errors.As(err, new(*executor.PanicError)) {
			err = fmt.Errorf("panic: %w", err)
		}
		n.mu.Lock()
		defer n.mu.Unlock()
		function := c.Func[strings.LastIndexByte(c.Func, '.')+1:]
		n.calls = append(n.calls, fmt.Sprintf("%s %s %q %t %t", name, function, c.Class, c.Blocking,
			err != nil))
		return err
	}
}

func (n *noted) take() []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	calls := n.calls
	n.calls = nil
	return calls
}

func double(_ context.Context, n int) (int, error) { return 2 * n, nil }

func TestMiddleware_IsAroundEveryCall(t *testing.T) {
	var n noted
	ex := start(t, &executor.Options{
		Workers: 1, Spares: -1,
		Classes:    map[string]executor.ClassOptions{"db": {}},
		Middleware: []executor.Middleware{n.middleware("outer"), n.middleware("inner")},
	})
	post := func(h http.Handler, body string) func() error {
		return func() error {
			r := httptest.NewRequest("POST", "/", strings.NewReader(body))
			r.Header.Set("Content-Type", "application/json")
			w := httptest.NewRecorder()
			if h.ServeHTTP(w, r); w.Code != http.StatusOK {
				return statusError(w.Code)
			}
			return nil
		}
	}
	by := func(ctx context.Context) (int, error) {
		if ctx.Value(ctxKey("by")) != "inner" {
			t.Error("it has not the context that the middleware made")
		}
		return 1, nil
	}
	db := &executor.CallOptions{Class: "db"}
	for want, call := range map[string]func() error{
		`echo "" false false`: func() error {
			_, err := echo.Run(t.Context(), ex, sample)
			return err
		},
		`fails "" false true`: func() error {
			_, err := fails.Run(t.Context(), ex, 400)
			return err
		},
		` "" true false`: func() error {
			_, err := executor.RunBlocking(t.Context(), ex, by)
			return err
		},
		` "db" true true`: func() error {
			_, err := executor.RunBlockingWith(t.Context(), ex,
				func(context.Context) (int, error) { panic("oh no") }, db)
			if !strings.HasPrefix(fmt.Sprint(err), "panic: panic: ") {
				t.Errorf("%v", err)
			}
			return err
		},
		` "db" true false`: func() error {
			done := make(chan none)
			err := ex.GoWith(t.Context(), func(ctx context.Context) error {
				defer close(done)
				_, err := by(ctx)
				return err
			}, db)
			<-done
			for ex.Stats().Blocking["db"].Running > 0 { // the middleware has returned then
			}
			return err
		},
		` "none" true true`: func() error {
			_, err := executor.RunBlockingWith(t.Context(), ex, by,
				&executor.CallOptions{Class: "none"})
			return err
		},
		`looks "" false false`:   post(executor.Handler(ex, looks, nil), "false"),
		`double "" true false`:   post(executor.BlockingHandler(ex, double, nil), "21"),
		`double "db" true false`: post(dbHandler(ex), "21"),
	} {
		err := call()
		if failed := strings.HasSuffix(want, "true"); (err != nil) != failed {
			t.Errorf("%s: %v", want, err)
		}
		if got := n.take(); !slices.Equal(got, []string{"inner " + want, "outer " + want}) {
			t.Errorf("%q, want %s", got, want)
		}
	}
}

func dbHandler(ex *executor.Executor) http.Handler {
	return executor.BlockingHandler(ex, double, &executor.HandlerOptions{
		Call: func(*http.Request) *executor.CallOptions {
			return &executor.CallOptions{Class: "db"}
		},
	})
}

// A panic of a function of Go is an error to its middleware.
func TestMiddleware_OfGo(t *testing.T) {
	errs := make(chan error, 1)
	ex := start(t, &executor.Options{Middleware: []executor.Middleware{
		func(ctx context.Context, _ *executor.CallInfo, next func(context.Context) error) error {
			err := next(ctx)
			errs <- err
			return nil // so that it is not logged
		},
	}})
	if err := ex.Go(t.Context(), func(context.Context) error { panic("oh no") }); err != nil {
		t.Fatal(err)
	}
	var panicked *executor.PanicError
	if err := <-errs; !errors.As(err, &panicked) || panicked.Value != "oh no" {
		t.Errorf("%v", err)
	}
	eventually(t, "it has ended", func() bool { return ex.Stats().Blocking[""].Done == 1 })
}

func TestMiddleware_MayEndACallItself(t *testing.T) {
	refuse := true
	ex := start(t, &executor.Options{Middleware: []executor.Middleware{
		func(ctx context.Context, _ *executor.CallInfo, next func(context.Context) error) error {
			if refuse {
				return statusError(http.StatusForbidden)
			}
			_ = next(ctx)
			return nil
		},
	}})
	if _, err := echo.Run(t.Context(), ex, sample); !errors.Is(err,
		statusError(http.StatusForbidden)) {
		t.Error(err)
	}
	if n, err := executor.RunBlocking(t.Context(), ex,
		func(context.Context) (int, error) { return 1, nil }); n != 0 || err == nil {
		t.Error(n, err)
	}
	if s := ex.Stats(); s.Process.Done != 0 || s.Blocking[""].Done != 0 {
		t.Errorf("%+v", s)
	}
	refuse = false
	if n, err := executor.RunBlocking(t.Context(), ex,
		func(context.Context) (int, error) { return 1, errors.ErrUnsupported }); n != 0 ||
		err != nil {
		t.Error(n, err)
	}
}

func TestMiddleware_IsRefusedWhenNilOrLate(t *testing.T) {
	for want, call := range map[string]func(){
		"executor: New: Options.Middleware: a Middleware that is nil": func() {
			executor.New(&executor.Options{Middleware: make([]executor.Middleware, 1)})
		},
		"executor: UseWorker: it comes before Main": func() { executor.UseWorker(puts(nil)) },
	} {
		func() {
			defer func() {
				if got := recover(); got != want {
					t.Errorf("it panicked with %v, want %s", got, want)
				}
			}()
			call()
		}()
	}
}

// byTrace is a slog.Handler that shows what the context of a record has.
type byTrace struct {
	slog.Handler
	mu    sync.Mutex
	lines map[string]string
}

// Enabled implements slog.Handler.
func (h *byTrace) Enabled(ctx context.Context, _ slog.Level) bool {
	return ctx.Value(ctxKey("trace")) != nil
}

// Handle implements slog.Handler.
func (h *byTrace) Handle(ctx context.Context, r slog.Record) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.lines[r.Message] = fmt.Sprint(ctx.Value(ctxKey("trace")))
	return nil
}

// What functions log, and what is logged of a call, comes with the call's context.
func TestLogger_HasTheCallsContext(t *testing.T) {
	h := &byTrace{lines: map[string]string{}}
	ex := startTraced(t, executor.Options{Logger: slog.New(h)})
	ctx := context.WithValue(t.Context(), ctxKey("trace"), "4711")
	if _, err := looks.Run(ctx, ex, false); err != nil {
		t.Fatal(err)
	}
	if _, err := exits.Run(ctx, ex, 3); err == nil {
		t.Error("it did not crash")
	}
	eventually(t, "its death is logged", func() bool {
		h.mu.Lock()
		defer h.mu.Unlock()
		return h.lines["executor worker died"] != ""
	})
	h.mu.Lock()
	defer h.mu.Unlock()
	want := map[string]string{"begin": "4711", "looked": "4711", "executor worker died": "4711"}
	if !maps.Equal(h.lines, want) {
		t.Errorf("%v", h.lines)
	}
}
