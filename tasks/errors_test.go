package tasks_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/genropy/genro-asgi-go/tasks"
	"github.com/genropy/genro-asgi-go/tasks/memstore"
)

// lines is a log that counts, by message.
type lines struct {
	mu   sync.Mutex
	text bytes.Buffer
	n    map[string]int
}

func (l *lines) Enabled(context.Context, slog.Level) bool { return true }
func (l *lines) WithAttrs([]slog.Attr) slog.Handler       { return l }
func (l *lines) WithGroup(string) slog.Handler            { return l }

func (l *lines) Handle(ctx context.Context, r slog.Record) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.n == nil {
		l.n = make(map[string]int)
	}
	l.n[r.Message]++
	return slog.NewTextHandler(&l.text, &slog.HandlerOptions{Level: slog.LevelDebug}).Handle(ctx, r)
}

func (l *lines) count(message string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.n[message]
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

func panics(t *testing.T, want string, f func()) {
	t.Helper()
	defer func() {
		if v := recover(); v == nil || !strings.Contains(fmt.Sprint(v), want) {
			t.Errorf("panic %v, want one with %q", v, want)
		}
	}()
	f()
}

type withChannel struct {
	For chan int `json:"for"`
}

func TestErrors_RefusedAtOnce(t *testing.T) {
	m := tasks.New(memstore.New(), nil)
	panics(t, "chan int at /for", func() {
		tasks.Register(m, "out", 1,
			func(context.Context, int) (withChannel, error) { return withChannel{}, nil }, nil)
	})
	panics(t, "payload: tasks_test.withChannel", func() {
		tasks.Register(m, "in", 1,
			func(context.Context, withChannel) (int, error) { return 0, nil }, nil)
	})
	panics(t, "chan struct {}", func() {
		tasks.Register(m, "deep", 1,
			func(context.Context, int) (map[string][]chan struct{}, error) { return nil, nil }, nil)
	})
	panics(t, "Options.Owner", func() { tasks.New(memstore.New(), &tasks.Options{Owner: "\xff"}) })
	panics(t, "Options.Queues",
		func() {
			tasks.New(memstore.New(), &tasks.Options{
				Queues: map[string]tasks.QueueOptions{"no name": {}},
			})
		})

	panics(t, "SubmitMiddleware", func() {
		tasks.New(memstore.New(), &tasks.Options{SubmitMiddleware: []around{nil}})
	})
	panics(t, "Middleware", func() {
		tasks.Register(m, "around", 1, nothing,
			&tasks.KindOptions{Middleware: []tasks.Middleware{nil}})
	})

	k := tasks.Register(m, "float", 1,
		func(_ context.Context, f float64) (float64, error) { return f, nil }, nil)
	text := tasks.Register(m, "text", 1,
		func(_ context.Context, s string) (string, error) { return s, nil }, nil)
	raw := tasks.Register(m, "raw", 1,
		func(_ context.Context, v jsontext.Value) (int, error) { return 0, nil }, nil)
	submit := func(o tasks.SubmitOptions) error {
		_, err := k.Submit(t.Context(), 1, &o)
		return err
	}
	for name, err := range map[string]error{
		"metadata": submit(
			tasks.SubmitOptions{Metadata: map[string]string{"from": "Jos\xe9"}}),
		"metadata name": submit(tasks.SubmitOptions{Metadata: map[string]string{"\xc3": ""}}),
		"key":           submit(tasks.SubmitOptions{Key: "\xff"}),
		"unique key":    submit(tasks.SubmitOptions{Unique: &tasks.UniqueOptions{Key: "a\x80"}}),
		"schedule": k.Schedule(1,
			tasks.Schedule{Name: "s", Every: time.Hour, Options: tasks.SubmitOptions{Key: "\xff"}}),
		"NaN":            second(k.Submit(t.Context(), math.NaN(), nil)),
		"text":           second(text.Submit(t.Context(), "\xff", nil)),
		"raw":            second(raw.Submit(t.Context(), jsontext.Value("\"\xff\""), nil)),
		"from a client":  second(m.Submit(t.Context(), "text", jsontext.Value("\"\xff\""), nil)),
		"checkpoint":     new(tasks.Run).Checkpoint(math.Inf(1)),
		"checkpoint too": new(tasks.Run).Checkpoint(func() {}),
	} {
		if !errors.Is(err, tasks.ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for task, err := range m.All(t.Context(), nil) {
		t.Errorf("in the store: %+v, %v", task, err)
	}
}

func second[T any](_ T, err error) error { return err }

// hostile is an error whose methods panic.
type hostile struct{ in string }

func (h hostile) Error() string {
	if h.in == "Error" {
		panic("in Error")
	}
	return "hostile"
}

func (h hostile) Unwrap() error {
	if h.in == "Unwrap" {
		panic(hostile{"Error"}) // and what it panics with cannot be printed either
	}
	return nil
}

func (h hostile) StatusCode() int {
	if h.in == "StatusCode" {
		runtime.Goexit()
	}
	return 404
}

// badResult panics when it is encoded.
type badResult struct{}

func (badResult) MarshalJSON() ([]byte, error) { panic("no") }

// TestErrors_OfAFunction has the rows of the package's table that a run can meet: each ends the
// task in one way, and the next task runs.
func TestErrors_OfAFunction(t *testing.T) {
	type fn = func(ctx context.Context) (any, error)
	returns := func(v any) fn { return func(context.Context) (any, error) { return v, nil } }
	fails := func(err error) fn { return func(context.Context) (any, error) { return nil, err } }
	for _, c := range []struct {
		name string
		fn   fn
		runs int // of 3 attempts
		kind tasks.ErrorKind
		text string
	}{
		{"not a number", returns(math.NaN()), 1, tasks.ErrorResult, "cannot be kept"},
		{"infinite", returns([]float64{1, math.Inf(-1)}), 1, tasks.ErrorResult, "cannot be kept"},
		{"not UTF-8", returns("Jos\xe9"), 1, tasks.ErrorResult, "UTF-8"},
		{
			"a name that is not UTF-8", returns(map[string]int{"\xff": 1}), 1, tasks.ErrorResult,
			"UTF-8",
		},
		{
			"a function in an any", returns(map[string]any{"f": func() {}}), 1, tasks.ErrorResult,
			"func()",
		},
		{"a channel", returns(make(chan int)), 1, tasks.ErrorResult, "chan int"},
		{"no JSON", returns(jsontext.Value("{")), 1, tasks.ErrorResult, "cannot be kept"},
		{"a panic when encoded", returns(badResult{}), 1, tasks.ErrorResult, "panic"},
		{"too large", returns(strings.Repeat("x", 2000)), 1, tasks.ErrorResult, "limit 1000"},
		{"permanent", fails(tasks.Permanent(errors.New("gone"))), 1, tasks.ErrorReturned, "gone"},
		{"an error", fails(errors.New("no\xff luck")), 3, tasks.ErrorReturned, "no luck"},
		{
			"an error that is a nil pointer", fails((*nilError)(nil)), 3, tasks.ErrorPanic,
			"nil *nilError pointer",
		},
		// fmt has caught it
		{
			"Error panics", fails(fmt.Errorf("%w", hostile{"Error"})), 3, tasks.ErrorReturned,
			"PANIC",
		},
		{"Error panics itself", fails(hostile{"Error"}), 3, tasks.ErrorPanic, "in Error"},
		{"Unwrap panics", fails(hostile{"Unwrap"}), 3, tasks.ErrorPanic, "PANIC"},
		{
			"StatusCode ends the goroutine", fails(hostile{"StatusCode"}), 3, tasks.ErrorPanic,
			"Goexit",
		},
		{
			"a panic", func(context.Context) (any, error) { panic(nilError{}) }, 3,
			tasks.ErrorPanic, "nil error",
		},
		{
			"a panic with nothing", func(context.Context) (any, error) { panic(nil) }, 3,
			tasks.ErrorPanic, "nil",
		},
		{
			"a panic with an error that panics",
			func(context.Context) (any, error) { panic(hostile{"Error"}) }, 3, tasks.ErrorPanic,
			"PANIC",
		},
		{
			"a panic with bytes", func(context.Context) (any, error) { panic("\xff\xfe!") }, 3,
			tasks.ErrorPanic, "!",
		},
		{
			"Goexit", func(context.Context) (any, error) { runtime.Goexit(); return nil, nil }, 3,
			tasks.ErrorPanic, "Goexit",
		},
		{
			"the timeout",
			func(ctx context.Context) (any, error) { <-ctx.Done(); return nil, ctx.Err() }, 3,
			tasks.ErrorTimeout, "longer than",
		},
		{
			"a panic after the timeout",
			func(ctx context.Context) (any, error) { <-ctx.Done(); panic("late") }, 3,
			tasks.ErrorPanic, "late",
		},
		{"a checkpoint that is none", func(ctx context.Context) (any, error) {
			return nil, tasks.Permanent(tasks.RunFrom(ctx).Checkpoint(math.NaN()))
		}, 1, tasks.ErrorReturned, "checkpoint"},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := tasks.New(memstore.New(), &tasks.Options{
					MaxPayload: 1000, Logger: quiet,
					Queues: map[string]tasks.QueueOptions{"default": {Concurrency: 1}},
				})
				runs := 0
				k := tasks.Register(m, "k", 1, func(ctx context.Context, _ int) (any, error) {
					runs++
					return c.fn(ctx)
				}, &tasks.KindOptions{Retry: tasks.RetryPolicy{Attempts: 3}, Timeout: time.Minute})
				next := tasks.Register(m, "next", 1, nothing, nil)
				start(t, m)
				task := wait(t, m, must[*tasks.Task](t)(k.Submit(t.Context(), 1, nil)).ID,
					tasks.Failed)
				if runs != c.runs || task.Attempt != c.runs || task.Error.Kind != c.kind ||
					!strings.Contains(task.Error.Message, c.text) || task.Deaths != 0 {
					t.Errorf("%d runs, attempt %d, %d deaths, %v; want %d, %s with %q", runs,
						task.Attempt, task.Deaths, task.Error, c.runs, c.kind, c.text)
				}
				wait(t, m, must[*tasks.Task](t)(next.Submit(t.Context(), struct{}{}, nil)).ID,
					tasks.Succeeded)
			})
		})
	}
}

type nilError struct{}

func (nilError) Error() string { return "nil error" }
