//go:build unix

package tasks_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/genropy/genro-asgi-go/executor"
	"github.com/genropy/genro-asgi-go/executor/executortest"
	"github.com/genropy/genro-asgi-go/tasks"
	"github.com/genropy/genro-asgi-go/tasks/memstore"
)

var (
	loops = tasks.NewIsolated("loops", func(ctx context.Context, _ struct{}) (int, error) {
		if err := tasks.RunFrom(ctx).Progress(tasks.Progress{Done: float64(os.Getpid())}); err !=
			nil {
			return 0, err
		}
		for n := 0; ; n++ {
			if n < 0 {
				return n, nil
			}
		}
	})
	isolatedSteps = tasks.NewIsolated("steps",
		func(ctx context.Context, dies bool) (string, error) {
			run, step := tasks.RunFrom(ctx), 0
			if _, err := run.Restore(&step); err != nil {
				return "", err
			}
			if err := run.Progress(tasks.Progress{Done: 1, Message: run.Metadata()["for"]}); err !=
				nil {
				return "", err
			}
			if err := run.Checkpoint(step + 1); err != nil {
				return "", err
			}
			if dies {
				fmt.Fprintln(os.Stderr, "last words")
				os.Exit(3)
			}
			if step == 0 {
				return "", tasks.RetryAfter(statusError(503), time.Millisecond)
			}
			return fmt.Sprintf("%s %d %d", run.ID(), run.Attempt(),
				step), run.Progress(tasks.Progress{Done: 2})
		})
	isolatedLeaves = tasks.NewIsolated("leaves",
		func(ctx context.Context, _ struct{}) (bool, error) {
			before := left
			if left = tasks.RunFrom(ctx); before == nil {
				return false, left.Progress(tasks.Progress{Done: 1})
			}
			progress, checkpoint := before.Progress(tasks.Progress{Done: 2}), before.Checkpoint(2)
			return errors.Is(progress, tasks.ErrStale) && errors.Is(checkpoint, tasks.ErrStale), nil
		})
	left *tasks.Run // in a worker, by the task that ran there before

	isolatedFails = tasks.NewIsolated("fails", func(_ context.Context, in string) (int, error) {
		if in == "panic" {
			panic("oh no")
		}
		return 0, tasks.Permanent(errors.New(in))
	})
)

func isolatedManager(t *testing.T) *tasks.Manager {
	ex := executortest.New(t, &executor.Options{Workers: 2, Stderr: t.Output()})
	return tasks.New(memstore.New(), &tasks.Options{Executor: ex})
}

// pidOf waits until a task says its process id as progress.
func pidOf(t *testing.T, m *tasks.Manager, id string) int {
	t.Helper()
	for task, err := range m.Follow(t.Context(), id) {
		if err != nil {
			t.Fatal(err)
		}
		if task.Progress != nil {
			return int(task.Progress.Done)
		}
	}
	t.Fatal("it ended without progress")
	return 0
}

func TestIsolated_CancelKills(t *testing.T) {
	m := isolatedManager(t)
	k := tasks.RegisterIsolated(m, 1, loops, nil)
	start(t, m)
	id := must[*tasks.Task](t)(k.Submit(t.Context(), struct{}{}, nil)).ID
	pid := pidOf(t, m, id)
	begun := time.Now()
	must[*tasks.Task](t)(m.Cancel(t.Context(), id))
	wait(t, m, id, tasks.Cancelled)
	t.Logf("cancelled after %v", time.Since(begun))
	for active := 1; active > 0; { // the place is free when the process is gone
		active = 0
		for _, q := range must[[]tasks.QueueInfo](t)(m.Queues(t.Context())) {
			active += q.Active
		}
	}
	t.Logf("gone after %v", time.Since(begun))
	if err := syscall.Kill(pid, 0); !errors.Is(err, syscall.ESRCH) {
		t.Errorf("process %d: %v", pid, err)
	}
}

// What a function leaves behind in its process cannot speak for its task any more, and is told so.
func TestIsolated_ARunThatHasEndedIsStale(t *testing.T) {
	// of one process
	m := tasks.New(memstore.New(), &tasks.Options{Executor: executortest.New(t, nil)})
	k := tasks.RegisterIsolated(m, 1, isolatedLeaves, nil)
	start(t, m)
	for i, want := range []bool{false, true} {
		id := must[*tasks.Task](t)(k.Submit(t.Context(), struct{}{}, nil)).ID
		if got := must[bool](t)(k.Result(t.Context(), id)); got != want {
			t.Errorf("run %d: stale %t", i, got)
		}
	}
}

func TestIsolated_TimeoutKills(t *testing.T) {
	m := isolatedManager(t)
	k := tasks.RegisterIsolated(m, 1, loops, &tasks.KindOptions{Timeout: 300 * time.Millisecond})
	start(t, m)
	id := must[*tasks.Task](t)(k.Submit(t.Context(), struct{}{}, nil)).ID
	pid := pidOf(t, m, id)
	if task := wait(t, m, id, tasks.Failed); task.Error.Kind != tasks.ErrorTimeout {
		t.Errorf("error %+v", task.Error)
	}
	if err := syscall.Kill(pid, 0); !errors.Is(err, syscall.ESRCH) {
		t.Errorf("process %d: %v", pid, err)
	}
}

func TestIsolated_RunCrossesThePipe(t *testing.T) {
	m := isolatedManager(t)
	k := tasks.RegisterIsolated(m, 1, isolatedSteps,
		&tasks.KindOptions{Retry: tasks.RetryPolicy{Attempts: 2, Min: time.Millisecond}})
	f := tasks.RegisterIsolated(m, 1, isolatedFails,
		&tasks.KindOptions{Retry: tasks.RetryPolicy{Attempts: 2, Min: time.Millisecond}})
	start(t, m)
	must[*tasks.Task](t)(k.Submit(t.Context(), false,
		&tasks.SubmitOptions{ID: "a", Metadata: map[string]string{"for": "me"}}))
	if got := must[string](t)(k.Result(t.Context(), "a")); got != "a 2 1" {
		t.Errorf("result %q", got)
	}
	task := wait(t, m, "a", tasks.Succeeded)
	if task.Progress.Done != 2 || task.Error.Status != 503 {
		t.Errorf("progress %+v, error %+v", task.Progress, task.Error)
	}

	id := must[*tasks.Task](t)(k.Submit(t.Context(), true, nil)).ID
	task = wait(t, m, id, tasks.Dead)
	if task.Deaths != 3 || task.Error.Kind != tasks.ErrorCrash ||
		!strings.Contains(task.Error.Detail, "last words") || string(task.Checkpoint) != "3" {
		t.Errorf("deaths %d, checkpoint %s, error %+v", task.Deaths, task.Checkpoint, task.Error)
	}

	task = wait(t, m, must[*tasks.Task](t)(f.Submit(t.Context(), "panic", nil)).ID, tasks.Failed)
	if task.Attempt != 2 || task.Error.Kind != tasks.ErrorPanic || task.Error.Message != "oh no" ||
		task.Error.Detail == "" {
		t.Errorf("panic: attempt %d, %+v", task.Attempt, task.Error)
	}
	task = wait(t, m, must[*tasks.Task](t)(f.Submit(t.Context(), "text", nil)).ID, tasks.Failed)
	if task.Attempt != 1 || task.Error.Message != "text" {
		t.Errorf("permanent: attempt %d, %+v", task.Attempt, task.Error)
	}
}

func TestIsolated_StopKills(t *testing.T) {
	m := isolatedManager(t)
	k := tasks.RegisterIsolated(m, 1, loops, nil)
	if err := m.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	id := must[*tasks.Task](t)(k.Submit(t.Context(), struct{}{}, nil)).ID
	pid := pidOf(t, m, id)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := m.Stop(ctx); err != nil {
		t.Error(err)
	}
	if err := syscall.Kill(pid, 0); !errors.Is(err, syscall.ESRCH) {
		t.Errorf("process %d: %v", pid, err)
	}
	if task := must[*tasks.Task](t)(m.Get(context.Background(), id)); task.State != tasks.Queued ||
		task.Attempt != 0 {
		t.Errorf("task %+v", task)
	}
}

// traced is the trace that the function of a run belongs to.
var traced = tasks.NewIsolated("traced", func(ctx context.Context, _ struct{}) (string, error) {
	return fmt.Sprint(ctx.Value(traceKey{})), nil
})

// What a middleware of runs puts into the context is there for that of the executor, and what that
// sends along for the one in the worker.
func TestIsolated_TraceReachesTheWorker(t *testing.T) {
	ex := executortest.New(t, &executor.Options{
		Workers: 1, Stderr: t.Output(),
		Middleware: []executor.Middleware{
			func(ctx context.Context, c *executor.CallInfo,
				next func(context.Context) error,
			) error {
				c.Meta = map[string]string{"traceparent": ctx.Value(traceKey{}).(string)}
				return next(ctx)
			},
		},
	})
	m := tasks.New(memstore.New(), &tasks.Options{
		Executor: ex,
		Middleware: []tasks.Middleware{
			func(ctx context.Context, r *tasks.Run, next func(context.Context) error) error {
				return next(context.WithValue(ctx, traceKey{}, r.Metadata()["traceparent"]))
			},
		},
	})
	k := tasks.RegisterIsolated(m, 1, traced, nil)
	start(t, m)
	id := must[*tasks.Task](t)(k.Submit(t.Context(), struct{}{},
		&tasks.SubmitOptions{Metadata: map[string]string{"traceparent": "00-1-2-01"}})).ID
	if got := must[string](t)(k.Result(t.Context(), id)); got != "tasks:traced of 00-1-2-01" {
		t.Errorf("the function ran in the trace %q", got)
	}
}
