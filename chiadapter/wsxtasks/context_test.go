package wsxtasks_test

import (
	"context"
	"log/slog"
	"sync/atomic"
	"testing"

	"github.com/genropy/genro-asgi-go/chiadapter/wsxtasks"
	"github.com/genropy/genro-asgi-go/tasks"
	"github.com/genropy/genro-asgi-go/tasks/memstore"
	"github.com/genropy/genro-asgi-go/wsx"
	"github.com/genropy/genro-asgi-go/wsx/wsxclient"
	"github.com/genropy/genro-asgi-go/wsx/wsxtest"
)

type traceKey struct{}

func traceOf(ctx context.Context) string {
	trace, _ := ctx.Value(traceKey{}).(string)
	return trace
}

// What middleware of the dispatcher puts into a call's context reaches all that the call reaches.
func TestBridge_PassesTheCallsContextOn(t *testing.T) {
	m := tasks.New(memstore.New(), nil)
	tasks.Register(m, "job", 1, func(context.Context, in) (out, error) { return out{}, nil }, nil)
	var asked atomic.Int32
	check := func(ctx context.Context, where string) {
		asked.Add(1)
		if got := traceOf(ctx); got != "of the call" {
			t.Errorf("%s has %q", where, got)
		}
	}
	bridge := wsxtasks.New(m, nil, &wsxtasks.Options{
		Authorize: func(ctx context.Context, c tasks.Call) error {
			check(ctx, string(c.Operation))
			return nil
		},
		Submit: func(ctx context.Context, _ string) (*tasks.SubmitOptions, error) {
			check(ctx, "the options of a submit")
			return nil, nil
		},
	})
	d := wsx.NewDispatcher()
	d.Use(func(next wsx.Handler) wsx.Handler {
		return func(ctx context.Context, r *wsx.Request) error {
			return next(context.WithValue(ctx, traceKey{}, "of the call"), r)
		}
	})
	bridge.Register(d)
	c := wsxtest.New(t, d, nil, nil)
	v, err := wsxclient.Call[tasks.View](t.Context(), c, "tasks.submit",
		map[string]any{"kind": "job", "payload": in{}})
	if err != nil {
		t.Fatal(err)
	}
	for _, method := range []string{"tasks.get", "tasks.cancel", "tasks.retry"} {
		if _, err := wsxclient.Call[tasks.View](t.Context(), c, method,
			map[string]string{"id": v.ID}); err != nil {
			t.Errorf("%s: %v", method, err)
		}
	}
	if asked.Load() < 5 {
		t.Errorf("asked %d times", asked.Load())
	}
}

// traced tells of records whose context lacks the trace.
type traced struct {
	slog.Handler
	seen chan string
}

func (h traced) Enabled(context.Context, slog.Level) bool { return true }

func (h traced) Handle(ctx context.Context, r slog.Record) error {
	h.seen <- traceOf(ctx) + ": " + r.Message
	return nil
}

func TestBridge_LogsWithTheContextOfItsStart(t *testing.T) {
	m := tasks.New(memstore.New(), nil)
	tasks.Register(m, "job", 1, func(context.Context, in) (out, error) { return out{}, nil }, nil)
	log := traced{slog.DiscardHandler, make(chan string, 10)}
	hub := wsx.NewHub(nil)
	bridge := wsxtasks.New(m, hub,
		&wsxtasks.Options{Kinds: []string{"job"}, Logger: slog.New(log)})
	if err := bridge.Start(context.WithValue(t.Context(), traceKey{}, "of the start")); err != nil {
		t.Fatal(err)
	}
	if err := hub.Stop(t.Context()); err != nil { // so that nothing can be published
		t.Fatal(err)
	}
	if _, err := m.Submit(t.Context(), "job", nil, nil); err != nil {
		t.Fatal(err)
	}
	if got := <-log.seen; got !=
		"of the start: wsxtasks: changes of tasks could not be published" {
		t.Error(got)
	}
	if err := bridge.Stop(t.Context()); err != nil {
		t.Error(err)
	}
	if err := m.Stop(t.Context()); err != nil {
		t.Error(err)
	}
}
