//go:build unix

package tasks_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/genropy/genro-asgi-go/executor"
	"github.com/genropy/genro-asgi-go/tasks"
	"github.com/genropy/genro-asgi-go/tasks/memstore"
)

var (
	isolatedEcho = tasks.NewIsolated("echo",
		func(_ context.Context, n int) (int, error) { return n, nil })
	isolatedWrong = tasks.NewIsolated("wrong", func(ctx context.Context, how string) (any, error) {
		switch how {
		case "not a number":
			return math.NaN(), nil
		case "too large":
			return strings.Repeat("x", 2000), nil
		case "panics when encoded":
			return badResult{}, nil
		case "checkpoint":
			run, kept := tasks.RunFrom(ctx), ""
			if found, err := run.Restore(&kept); err != nil || found {
				return kept, err
			}
			if err := run.Checkpoint("kept"); err != nil {
				return nil, err
			}
			return nil, errors.New("once more")
		case "Error panics":
			return nil, hostile{"Error"}
		}
		return nil, errors.New("no\xff luck")
	})
)

// counted is a store that counts claims of tasks.
type counted struct {
	tasks.Store
	claimed atomic.Int64
}

func (s *counted) Claim(ctx context.Context, c *tasks.Claim) (time.Time, error) {
	inner := *c
	inner.Claimed = func(t *tasks.Task) {
		s.claimed.Add(1)
		c.Claimed(t)
	}
	return s.Store.Claim(ctx, &inner)
}

// TestProcesses_NoneToBeHad: isolated tasks wait in their queue as they are, the others of the
// queue run, and all is well when the executor has started.
func TestProcesses_NoneToBeHad(t *testing.T) {
	ex := executor.New(&executor.Options{Workers: 1, Stderr: t.Output()})
	t.Cleanup(func() {
		if err := ex.Stop(context.Background()); err != nil {
			t.Error(err)
		}
	})
	store := &counted{Store: memstore.New()}
	var log lines
	m := tasks.New(store, &tasks.Options{
		Executor: ex, Logger: slog.New(&log),
		Queues: map[string]tasks.QueueOptions{"default": {Concurrency: 2}},
	})
	k := tasks.RegisterIsolated(m, 1, isolatedEcho, nil)
	plain := tasks.Register(m, "plain", 1, nothing, nil)
	var ids []string
	for i := range 50 {
		ids = append(ids, must[*tasks.Task](t)(k.Submit(t.Context(), i, nil)).ID)
	}
	start(t, m)
	for range 50 { // behind the others in the queue's order
		wait(t, m, must[*tasks.Task](t)(plain.Submit(t.Context(), struct{}{}, nil)).ID,
			tasks.Succeeded)
	}
	for _, id := range ids { // those that were claimed before are put back
		for task, err := range m.Follow(t.Context(), id) {
			if err != nil {
				t.Fatal(err)
			}
			if task.State == tasks.Queued {
				break
			}
		}
	}
	if n := store.claimed.Load(); n > 50+4 {
		t.Errorf("%d claims", n)
	}
	if n := log.count("tasks: cannot get a worker process"); n != 1 ||
		!strings.Contains(log.String(), "Options.Executor") {
		t.Errorf("%d lines: %s", n, log.String())
	}
	for _, id := range ids {
		if task := must[*tasks.Task](t)(m.Get(t.Context(), id)); task.State != tasks.Queued ||
			task.Attempt != 0 || !task.RunAt.Equal(task.Created) {
			t.Fatalf("%+v", task)
		}
	}
	if err := ex.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	for i, id := range ids {
		if got := must[int](t)(k.Result(t.Context(), id)); got != i {
			t.Errorf("%d, want %d", got, i)
		}
	}
	if n := log.count("tasks: again able to get a worker process"); n != 1 {
		t.Errorf("%d times that it is over", n)
	}
}

func TestProcesses_RunNextSaysThatThereIsNone(t *testing.T) {
	m := tasks.New(memstore.New(), &tasks.Options{Executor: executor.New(nil), Logger: quiet})
	k := tasks.RegisterIsolated(m, 1, isolatedEcho, nil)
	id := must[*tasks.Task](t)(k.Submit(t.Context(), 1, nil)).ID
	for range 2 {
		if _, err := m.RunNext(t.Context()); !errors.Is(err, executor.ErrNotRunning) ||
			!strings.Contains(err.Error(), "Options.Executor") {
			t.Errorf("RunNext: %v", err)
		}
	}
	if task := must[*tasks.Task](t)(m.Get(t.Context(), id)); task.State != tasks.Queued ||
		task.Attempt != 0 {
		t.Errorf("%+v", task)
	}
	stop(t, m)
}

func TestProcesses_ResultsThatCannotBeKept(t *testing.T) {
	ex := executor.New(&executor.Options{Workers: 1, Stderr: t.Output()})
	if err := ex.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ex.Stop(context.Background()) })
	m := tasks.New(memstore.New(), &tasks.Options{Executor: ex, MaxPayload: 1000, Logger: quiet})
	k := tasks.RegisterIsolated(m, 1, isolatedWrong,
		&tasks.KindOptions{Retry: tasks.RetryPolicy{Attempts: 2, Max: 1}})
	start(t, m)
	for _, c := range []struct {
		how      string
		attempts int
		kind     tasks.ErrorKind
		text     string
	}{
		{"not a number", 1, tasks.ErrorResult, "cannot be kept"},
		{"too large", 1, tasks.ErrorResult, "limit 1000"},
		{"panics when encoded", 1, tasks.ErrorResult, "panic"},
		{"Error panics", 2, tasks.ErrorPanic, "in Error"},
		{"fails", 2, tasks.ErrorReturned, "no luck"},
	} {
		task := wait(t, m, must[*tasks.Task](t)(k.Submit(t.Context(), c.how, nil)).ID, tasks.Failed)
		if task.Attempt != c.attempts || task.Error.Kind != c.kind ||
			!strings.Contains(task.Error.Message, c.text) || task.Deaths != 0 {
			t.Errorf("%s: attempt %d, %d deaths, %v", c.how, task.Attempt, task.Deaths, task.Error)
		}
	}
}

// TestProcesses_TooSmallForATask: what the executor does not take it never will.
func TestProcesses_TooSmallForATask(t *testing.T) {
	ex := executor.New(&executor.Options{Workers: 1, MaxPayload: 1000, Stderr: t.Output()})
	if err := ex.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ex.Stop(context.Background()) })
	m := tasks.New(memstore.New(), &tasks.Options{Executor: ex, Logger: quiet})
	k := tasks.RegisterIsolated(m, 1, isolatedWrong,
		&tasks.KindOptions{Retry: tasks.RetryPolicy{Attempts: 3, Max: 1}})
	start(t, m)
	task := wait(t, m,
		must[*tasks.Task](t)(k.Submit(t.Context(), strings.Repeat("x", 1000), nil)).ID,
		tasks.Failed)
	if task.Attempt != 1 || task.Error.Kind != tasks.ErrorInput {
		t.Errorf("attempt %d, %v", task.Attempt, task.Error)
	}
	task = wait(t, m, must[*tasks.Task](t)(k.Submit(t.Context(), "too large", nil)).ID,
		tasks.Failed)
	if task.Attempt != 1 || task.Error.Kind != tasks.ErrorResult {
		t.Errorf("attempt %d, %v", task.Attempt, task.Error)
	}
}

// noCheckpoints is a store that cannot take a checkpoint while a task runs.
type noCheckpoints struct{ tasks.Store }

func (s noCheckpoints) Update(ctx context.Context, id string, now time.Time,
	change func(*tasks.Task) error,
) (tasks.Task, error) {
	return s.Store.Update(ctx, id, now, func(t *tasks.Task) error {
		if err := change(t); err != nil || t.State != tasks.Running || len(t.Checkpoint) == 0 {
			return err
		}
		return errCut
	})
}

// TestProcesses_CheckpointThatWasNotWritten is written with the end of the run, and its middleware
// sees what the function returned.
func TestProcesses_CheckpointThatWasNotWritten(t *testing.T) {
	ex := executor.New(&executor.Options{Workers: 1, Stderr: t.Output()})
	if err := ex.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ex.Stop(context.Background()) })
	m := tasks.New(noCheckpoints{memstore.New()}, &tasks.Options{
		Executor: ex, Logger: quiet,
	})
	var seen []string
	k := tasks.RegisterIsolated(m, 1, isolatedWrong, &tasks.KindOptions{
		Retry: tasks.RetryPolicy{Attempts: 2, Max: 1},
		Middleware: []tasks.Middleware{
			func(ctx context.Context, run *tasks.Run, next func(context.Context) error) error {
				err := next(ctx)
				seen = append(seen, fmt.Sprint(run.Attempt(), err))
				return err
			},
		},
	})
	start(t, m)
	task := wait(t, m, must[*tasks.Task](t)(k.Submit(t.Context(), "checkpoint", nil)).ID,
		tasks.Succeeded)
	if string(task.Result) != `"kept"` || !slices.Equal(seen, []string{"1 once more", "2 <nil>"}) {
		t.Errorf("%s, middleware saw %q", task.Result, seen)
	}
}

// notedClock is the machine's clock, and notes what it is asked for.
type notedClock struct {
	mu    sync.Mutex
	asked []time.Duration
}

func (c *notedClock) Now() time.Time { return time.Now() }

func (c *notedClock) AfterFunc(d time.Duration, f func()) func() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.asked = append(c.asked, d)
	return time.AfterFunc(d, f).Stop
}

// TestProcesses_AreLookedForAtTimes: soon at first, and every five seconds for as long as it takes.
func TestProcesses_AreLookedForAtTimes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		clock := new(notedClock)
		m := tasks.New(memstore.New(),
			&tasks.Options{Clock: clock, Executor: executor.New(nil), Logger: quiet})
		k := tasks.RegisterIsolated(m, 1, isolatedEcho, nil)
		start(t, m)
		synctest.Wait()
		clock.asked = nil
		must[*tasks.Task](t)(k.Submit(t.Context(), 1, nil))
		<-time.After(time.Minute)
		clock.mu.Lock()
		defer clock.mu.Unlock()
		looks := 0
		for _, d := range clock.asked {
			if d == 5*time.Second {
				looks++
			}
		}
		if looks < 10 || looks > 12 || slices.Min(clock.asked) <= 0 {
			t.Errorf("timers of a minute: %v", clock.asked)
		}
	})
}
