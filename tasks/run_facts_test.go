//go:build unix

package tasks_test

import (
	"context"
	"errors"
	"os"
	"reflect"
	"testing"
	"time"

	"github.com/genropy/genro-asgi-go/executor/executortest"
	"github.com/genropy/genro-asgi-go/tasks"
	"github.com/genropy/genro-asgi-go/tasks/memstore"
	"github.com/genropy/genro-asgi-go/tasks/taskstest"
)

// runFacts are what a run tells of its task.
type runFacts struct {
	ID, Kind, Queue string
	Attempt         int
	Created         time.Time
	Waited          int64
	Metadata        map[string]string
}

func factsOf(run *tasks.Run) runFacts {
	return runFacts{
		run.ID(), run.Kind(), run.Queue(), run.Attempt(), run.Created(), int64(run.Waited()),
		run.Metadata(),
	}
}

func tellFacts(ctx context.Context, _ struct{}) (runFacts, error) {
	return factsOf(tasks.RunFrom(ctx)), nil
}

var (
	isolatedFacts = tasks.NewIsolated("isolated-facts", tellFacts)
	isolatedDies  = tasks.NewIsolated("dies", func(context.Context, struct{}) (int, error) {
		os.Exit(3)
		return 0, nil
	})
)

// The middleware, a function in this process and one in a worker's know the same of a run.
func TestRun_TellsOfItsTask(t *testing.T) {
	clock := taskstest.NewClock(time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC))
	var seen runFacts
	m := tasks.New(memstore.New(), &tasks.Options{
		Executor: executortest.New(t, nil), Clock: clock,
		SubmitMiddleware: []around{tracedBy(submitTraceKey{})},
		Middleware: []tasks.Middleware{
			func(ctx context.Context, run *tasks.Run, next func(context.Context) error) error {
				seen = factsOf(run)
				return next(ctx)
			},
		},
	})
	opts := &tasks.KindOptions{Queue: "slow"}
	ctx := context.WithValue(t.Context(), submitTraceKey{}, "00-1-2-01")
	for name, k := range map[string]*tasks.Kind[struct{}, runFacts]{
		"facts":          tasks.Register(m, "facts", 1, tellFacts, opts),
		"isolated-facts": tasks.RegisterIsolated(m, 1, isolatedFacts, opts),
	} {
		for _, delay := range []time.Duration{0, time.Minute} {
			task := must[*tasks.Task](t)(k.Submit(ctx, struct{}{},
				&tasks.SubmitOptions{Delay: delay, Metadata: map[string]string{"of": "ada"}}))
			clock.Advance(delay + 5*time.Second)
			must[*tasks.Task](t)(m.RunNext(t.Context()))
			want := runFacts{
				task.ID, name, "slow", 1, task.Created, int64(5 * time.Second),
				map[string]string{"of": "ada", "traceparent": "00-1-2-01"},
			}
			got := must[runFacts](t)(k.Result(t.Context(), task.ID))
			if !reflect.DeepEqual(got, want) || !reflect.DeepEqual(seen, want) {
				t.Errorf("%+v and %+v, want %+v", got, seen, want)
			}
		}
	}
	outside := factsOf(tasks.RunFrom(t.Context()))
	if !reflect.DeepEqual(outside, runFacts{Attempt: 1}) {
		t.Errorf("outside of a task: %+v", outside)
	}
}

// A retry waits from its own time on, and a task that died from when it did.
func TestRun_WaitsFromWhenItWasDue(t *testing.T) {
	clock := taskstest.NewClock(time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC))
	m := tasks.New(memstore.New(), &tasks.Options{
		Executor: executortest.New(t, nil), Clock: clock,
	})
	var waited []time.Duration
	k := tasks.Register(m, "again", 1, func(ctx context.Context, _ struct{}) (int, error) {
		waited = append(waited, tasks.RunFrom(ctx).Waited())
		clock.Advance(time.Second)
		return 0, errors.New("once more")
	}, &tasks.KindOptions{Retry: tasks.RetryPolicy{Attempts: 2, Min: 1, Max: 1}})
	must[*tasks.Task](t)(k.Submit(t.Context(), struct{}{}, nil))
	for range 2 {
		clock.Advance(7 * time.Second)
		must[*tasks.Task](t)(m.RunNext(t.Context()))
	}
	if len(waited) != 2 || waited[0] != 7*time.Second || waited[1] != 7*time.Second-1 &&
		waited[1] != 7*time.Second {
		t.Errorf("%v", waited)
	}

	waited = nil
	dies := tasks.RegisterIsolated(m, 1, isolatedDies, &tasks.KindOptions{
		Middleware: []tasks.Middleware{
			func(ctx context.Context, run *tasks.Run, next func(context.Context) error) error {
				waited = append(waited, run.Waited())
				clock.Advance(time.Second)
				return next(ctx)
			},
		},
	})
	must[*tasks.Task](t)(dies.Submit(t.Context(), struct{}{}, nil))
	for range 2 {
		clock.Advance(7 * time.Second)
		must[*tasks.Task](t)(m.RunNext(t.Context()))
	}
	if len(waited) != 2 || waited[0] != 7*time.Second || waited[1] != 7*time.Second {
		t.Errorf("%v", waited)
	}
}
