package tasks_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/genropy/genro-asgi-go/tasks"
	"github.com/genropy/genro-asgi-go/tasks/filestore"
	"github.com/genropy/genro-asgi-go/tasks/memstore"
	"github.com/genropy/genro-asgi-go/tasks/taskstest"
)

type next = func(context.Context) error

type around = func(ctx context.Context, s *tasks.Submission, next next) error

// tracedBy puts the value that the context has into the metadata.
func tracedBy(key any) around {
	return func(ctx context.Context, s *tasks.Submission, next next) error {
		if trace, ok := ctx.Value(key).(string); ok {
			s.Options.Metadata["traceparent"] = trace
		}
		return next(ctx)
	}
}

type submitTraceKey struct{}

func TestSubmitMiddleware_OrderTaskAndContext(t *testing.T) {
	var calls []string
	note := func(name string) around {
		return func(ctx context.Context, s *tasks.Submission, next next) error {
			calls = append(calls, fmt.Sprint(name, " ", s.Kind, " ", string(s.Payload), " ",
				s.Task == nil, " ", ctx.Value(submitTraceKey{})))
			err := next(context.WithValue(ctx, submitTraceKey{}, name))
			calls = append(calls, fmt.Sprint(name, " ", s.Task != nil, " ", err))
			return err
		}
	}
	m := tasks.New(memstore.New(), &tasks.Options{
		SubmitMiddleware: []around{
			note("a"), note("b"),
		},
	})
	k := tasks.Register(m, "sum", 1, sum, nil)
	task := must[*tasks.Task](t)(k.Submit(t.Context(), sumIn{1, 2}, nil))
	if task.Kind != "sum" || task.Metadata != nil {
		t.Errorf("%+v", task)
	}
	want := []string{
		`a sum {"a":1,"b":2} true <nil>`, `b sum {"a":1,"b":2} true a`,
		"b true <nil>", "a true <nil>",
	}
	if !slices.Equal(calls, want) {
		t.Errorf("%q", calls)
	}
	calls = nil
	for what, submit := range map[string]func() error{
		"the payload does not fit": func() error {
			_, err := m.Submit(t.Context(), "sum", []byte(`{"a":"x"}`), nil)
			return err
		},
		"the kind is not known": func() error {
			_, err := m.Submit(t.Context(), "unknown", []byte(`{}`), nil)
			return err
		},
		"one of a batch does not fit": func() error {
			_, err := m.SubmitMany(t.Context(), []tasks.Submission{
				{Kind: "sum", Payload: []byte(`{"a":1}`)},
				{Kind: "sum", Payload: []byte(`{"a":"x"}`)},
			})
			return err
		},
	} {
		if err := submit(); err == nil || len(calls) != 0 {
			t.Errorf("%s: %v, %q", what, err, calls)
		}
	}
}

// What the middleware adds is the task's alone: the caller's options stay as they are.
func TestSubmitMiddleware_MetadataIsTheTasks(t *testing.T) {
	trace := 0
	m := tasks.New(memstore.New(), &tasks.Options{
		SubmitMiddleware: []around{
			func(ctx context.Context, s *tasks.Submission, next next) error {
				trace++
				s.Options.Metadata["traceparent"] = fmt.Sprint(trace)
				return next(ctx)
			},
		},
	})
	k := tasks.Register(m, "sum", 1, sum, nil)
	own := map[string]string{"of": "caller"}
	opts := &tasks.SubmitOptions{Metadata: own, Priority: 3}
	one := must[*tasks.Task](t)(k.Submit(t.Context(), sumIn{}, opts))
	many := must[[]*tasks.Task](t)(k.SubmitMany(t.Context(), []sumIn{{}, {}}, opts))
	mixed := must[[]*tasks.Task](t)(m.SubmitMany(t.Context(),
		[]tasks.Submission{{Kind: "sum", Payload: []byte(`{}`), Options: opts}}))
	for i, task := range slices.Concat([]*tasks.Task{one}, many, mixed) {
		want := map[string]string{"of": "caller", "traceparent": fmt.Sprint(i + 1)}
		if !maps.Equal(task.Metadata, want) || task.Priority != 3 {
			t.Errorf("%v, want %v", task.Metadata, want)
		}
	}
	if !maps.Equal(opts.Metadata, map[string]string{"of": "caller"}) || len(own) != 1 {
		t.Errorf("the caller's: %v", opts.Metadata)
	}
	// the metadata is limited, whoever it is of
	full := make(map[string]string)
	for i := range 32 {
		full[fmt.Sprint(i)] = ""
	}
	if _, err := k.Submit(t.Context(), sumIn{},
		&tasks.SubmitOptions{Metadata: full}); !errors.Is(err, tasks.ErrTooLarge) {
		t.Error(err)
	}
}

func TestSubmitMiddleware_DecidesTheError(t *testing.T) {
	mine := errors.New("mine")
	for name, c := range map[string]struct {
		around around
		opts   *tasks.SubmitOptions
		want   error
		tasks  int // in the store
	}{
		"refuses": {
			func(context.Context, *tasks.Submission, next) error { return mine },
			nil, mine, 0,
		},
		"says nothing": {
			func(context.Context, *tasks.Submission, next) error { return nil },
			nil, nil, 0,
		},
		"makes an error of a success": {
			func(ctx context.Context, _ *tasks.Submission, next next) error {
				return errors.Join(next(ctx), mine)
			},
			nil, mine, 1,
		},
		"puts another in its place": {
			func(ctx context.Context, _ *tasks.Submission, next next) error {
				if err := next(ctx); !errors.Is(err, tasks.ErrInvalid) {
					return err
				}
				return mine
			},
			&tasks.SubmitOptions{Delay: -1}, mine, 0,
		},
		"hides a failure": {
			func(ctx context.Context, _ *tasks.Submission, next next) error {
				_ = next(ctx)
				return nil
			},
			&tasks.SubmitOptions{Delay: -1}, tasks.ErrInvalid, 0,
		},
	} {
		t.Run(name, func(t *testing.T) {
			m := tasks.New(memstore.New(), &tasks.Options{
				SubmitMiddleware: []around{c.around},
			})
			k := tasks.Register(m, "sum", 1, sum, nil)
			check := func(what string, got bool, err error) {
				if got || err == nil || c.want != nil && !errors.Is(err, c.want) {
					t.Errorf("%s: %v, %v", what, got, err)
				}
			}
			one, err := k.Submit(t.Context(), sumIn{}, c.opts)
			check("one", one != nil, err)
			many, err := k.SubmitMany(t.Context(), []sumIn{{}, {}}, c.opts)
			check("many", many != nil, err)
			page, _, err := m.List(t.Context(), nil)
			if err != nil || len(page) != 3*c.tasks {
				t.Errorf("%d tasks, %v", len(page), err)
			}
		})
	}
}

// The calls for a batch are around the one write, and each learns what became of its own task.
func TestSubmitMiddleware_Batch(t *testing.T) {
	type end struct {
		task bool
		err  error
	}
	var ends []end
	depth, deepest := 0, 0
	refuseAt := -1
	mine := errors.New("mine")
	m := tasks.New(memstore.New(), &tasks.Options{
		SubmitMiddleware: []around{
			func(ctx context.Context, s *tasks.Submission, next next) error {
				if ctx.Value(submitTraceKey{}) != nil {
					t.Error("the context is that of another task of the batch")
				}
				if depth == refuseAt {
					return mine
				}
				depth++
				deepest = max(deepest, depth)
				err := next(context.WithValue(ctx, submitTraceKey{}, depth))
				depth--
				ends = append(ends, end{s.Task != nil, err})
				return err
			},
		},
	})
	k := tasks.Register(m, "sum", 1, sum, nil)
	all := must[[]*tasks.Task](t)(k.SubmitMany(t.Context(), make([]sumIn, 100), nil))
	if len(all) != 100 || deepest != 100 || len(ends) != 100 ||
		slices.ContainsFunc(ends, func(e end) bool { return !e.task || e.err != nil }) {
		t.Errorf("%d tasks, %d deep, %v", len(all), deepest, ends)
	}
	if none, err := k.SubmitMany(t.Context(), nil, nil); err != nil || len(none) != 0 {
		t.Errorf("%v, %v", none, err)
	}

	ends = nil
	submit := func(id string) tasks.Submission {
		s := must[tasks.Submission](t)(k.Submission(sumIn{A: 1}, &tasks.SubmitOptions{ID: id}))
		return s
	}
	_, err := m.SubmitMany(t.Context(), []tasks.Submission{
		submit("fine"), submit(all[0].ID), submit("fine-too"),
	})
	batch, ok := errors.AsType[*tasks.BatchError](err)
	if !ok || len(batch.Errors) != 1 || !errors.Is(batch.Errors[1], tasks.ErrConflict) {
		t.Fatal(err)
	}
	exists := func(err error) bool {
		_, ok := errors.AsType[*tasks.ExistsError](err)
		_, whole := errors.AsType[*tasks.BatchError](err)
		return ok && !whole
	}
	if len(ends) != 3 || exists(ends[0].err) || !exists(ends[1].err) || exists(ends[2].err) ||
		slices.ContainsFunc(ends, func(e end) bool { return e.task || e.err == nil }) {
		t.Errorf("%v", ends)
	}

	ends, refuseAt = nil, 1
	_, err = m.SubmitMany(t.Context(), []tasks.Submission{submit("x"), submit("y"), submit("z")})
	batch, ok = errors.AsType[*tasks.BatchError](err)
	if !ok || len(batch.Errors) != 1 || batch.Errors[1] != mine || len(ends) != 1 || ends[0].task {
		t.Errorf("%v, %v", err, ends)
	}

	// the middleware of one makes an error of what was added
	refuseAt = -1
	page, _, err := m.List(t.Context(), &tasks.Filter{Limit: 1000})
	if err != nil || len(page) != 100 {
		t.Errorf("%d tasks, %v", len(page), err)
	}
}

// An occurrence of a schedule has what the middleware gave it, and is not replaced by the next
// manager, whose middleware would have given it something else.
func TestSubmitMiddleware_Schedule(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		clock := taskstest.NewClock(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC))
		store := memstore.New()
		begin := func(trace string, metadata map[string]string) *tasks.Manager {
			m := tasks.New(store, &tasks.Options{
				Clock: clock, Logger: slog.New(slog.DiscardHandler),
				SubmitMiddleware: []around{
					func(ctx context.Context, s *tasks.Submission, next next) error {
						if trace == "panic" {
							panic(trace)
						}
						s.Options.Metadata["traceparent"] = trace
						return next(ctx)
					},
				},
			})
			k := tasks.Register(m, "job", 1, nothing, nil)
			if err := k.Schedule(struct{}{}, tasks.Schedule{
				Name: "job", Every: time.Hour,
				Options: tasks.SubmitOptions{Metadata: metadata},
			}); err != nil {
				t.Fatal(err)
			}
			if err := m.Start(t.Context()); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
			return m
		}
		check := func(m *tasks.Manager, want map[string]string) {
			t.Helper()
			page, _, err := m.List(t.Context(), &tasks.Filter{
				States: []tasks.State{tasks.Scheduled},
			})
			switch {
			case err != nil || len(page) > 1 || len(page) == 0 && want != nil:
				t.Errorf("%d tasks, %v", len(page), err)
			case len(page) == 1 && !maps.Equal(page[0].Metadata, want):
				t.Errorf("%v, want %v", page[0].Metadata, want)
			}
			stop(t, m)
		}
		check(begin("panic", nil), nil)
		check(begin("a", nil), map[string]string{"schedule": "job", "traceparent": "a"})
		check(begin("b", nil), map[string]string{"schedule": "job", "traceparent": "a"})
		check(begin("c", map[string]string{"of": "new"}),
			map[string]string{"schedule": "job", "traceparent": "c", "of": "new"})
	})
}

// The trace of whoever submitted a task is there when it runs, after a restart too.
func TestSubmitMiddleware_AcrossARestart(t *testing.T) {
	dir := t.TempDir()
	for run := range 2 {
		store, err := filestore.Open(dir, nil)
		if err != nil {
			t.Fatal(err)
		}
		ran := make(chan map[string]string, 1)
		m := tasks.New(store, &tasks.Options{
			SubmitMiddleware: []around{tracedBy(submitTraceKey{})},
			Middleware: []tasks.Middleware{
				func(ctx context.Context, run *tasks.Run, next next) error {
					ran <- run.Metadata()
					return next(ctx)
				},
			},
		})
		k := tasks.Register(m, "sum", 1, sum, nil)
		if run == 0 {
			ctx := context.WithValue(t.Context(), submitTraceKey{}, "00-1-2-01")
			must[*tasks.Task](t)(k.Submit(ctx, sumIn{1, 2}, nil))
		} else {
			start(t, m)
			if got := <-ran; got["traceparent"] != "00-1-2-01" {
				t.Errorf("metadata %v", got)
			}
		}
		stop(t, m)
		if err := store.Stop(t.Context()); err != nil {
			t.Error(err)
		}
	}
}
