package tasks_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/genropy/genro-asgi-go/tasks"
	"github.com/genropy/genro-asgi-go/tasks/memstore"
)

func wait(t testing.TB, m *tasks.Manager, id string, state tasks.State) *tasks.Task {
	t.Helper()
	task, err := m.Wait(context.Background(), id)
	if err != nil {
		t.Fatal(err)
	}
	if task.State != state {
		t.Fatalf("task is %s (%v), want %s", task.State, task.Error, state)
	}
	return task
}

type statusError int

func (e statusError) Error() string   { return fmt.Sprintf("status %d", int(e)) }
func (e statusError) StatusCode() int { return int(e) }

func TestRun_Failures(t *testing.T) {
	fails := map[string]func(ctx context.Context) error{
		"error": func(context.Context) error {
			return fmt.Errorf("wrapped: %w", statusError(404))
		},
		"permanent": func(context.Context) error {
			return fmt.Errorf("no use: %w", tasks.Permanent(errors.New("gone")))
		},
		"panic":   func(context.Context) error { panic("oh no") },
		"goexit":  func(context.Context) error { runtime.Goexit(); return nil },
		"timeout": func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() },
	}
	for _, c := range []struct {
		how      string
		kind     tasks.ErrorKind
		attempts int
		text     string
		status   int
	}{
		{"error", tasks.ErrorReturned, 3, "status 404", 404},
		{"permanent", tasks.ErrorReturned, 1, "gone", 0},
		{"panic", tasks.ErrorPanic, 3, "oh no", 0},
		{"goexit", tasks.ErrorPanic, 3, "Goexit", 0},
		{"timeout", tasks.ErrorTimeout, 3, "1m0s", 504},
	} {
		t.Run(c.how, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := tasks.New(
					memstore.New(), &tasks.Options{
						Queues: map[string]tasks.QueueOptions{"default": {Concurrency: 1}},
					})
				k := tasks.Register(m, "fails", 1,
					func(ctx context.Context, how string) (struct{}, error) {
						return struct{}{}, fails[how](ctx)
					},
					&tasks.KindOptions{Retry: tasks.RetryPolicy{Attempts: 3}, Timeout: time.Minute})
				start(t, m)
				task := wait(t, m, must[*tasks.Task](t)(k.Submit(t.Context(), c.how, nil)).ID,
					tasks.Failed)
				if task.Attempt != c.attempts || task.Error.Kind != c.kind ||
					task.Error.Attempt != c.attempts || task.Error.Status != c.status ||
					!strings.Contains(task.Error.Message, c.text) {
					t.Errorf("attempt %d, error %+v", task.Attempt, task.Error)
				}
				if c.how == "panic" && !strings.Contains(task.Error.Detail, "run_test.go") {
					t.Errorf("no stack: %q", task.Error.Detail)
				}
				if _, err := k.Result(t.Context(), task.ID); !errors.As(err,
					new(*tasks.TaskError)) {
					t.Errorf("Result: %v", err)
				}
				again := must[*tasks.Task](t)(m.Retry(t.Context(), task.ID))
				if again.State != tasks.Queued || again.Attempt != 0 {
					t.Errorf("retried: %+v", again)
				}
				if last := wait(t, m, task.ID, tasks.Failed); last.Fence <= task.Fence {
					t.Errorf("fence %d after %d", last.Fence, task.Fence)
				}
			})
		})
	}
}

func TestRun_RetryAfter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := tasks.New(memstore.New(), nil)
		begun := time.Now()
		k := tasks.Register(m, "later", 1, func(ctx context.Context, _ struct{}) (string, error) {
			if tasks.RunFrom(ctx).Attempt() == 1 {
				return "", tasks.RetryAfter(errors.New("busy"), time.Hour)
			}
			return time.Since(begun).String(), nil
		}, &tasks.KindOptions{Retry: tasks.RetryPolicy{Attempts: 2}})
		start(t, m)
		task := must[*tasks.Task](t)(k.Submit(t.Context(), struct{}{}, nil))
		if got := must[string](t)(k.Result(t.Context(), task.ID)); got != "1h0m0s" {
			t.Errorf("ran again after %s", got)
		}
	})
}

func TestRun_CancelInEveryState(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := tasks.New(memstore.New(), nil)
		running, ended := make(chan struct{}), make(chan error, 1)
		k := tasks.Register(m, "waits", 1, func(ctx context.Context, fail bool) (struct{}, error) {
			if fail {
				return struct{}{}, errors.New("no")
			}
			close(running)
			<-ctx.Done()
			ended <- context.Cause(ctx)
			return struct{}{}, nil
		}, &tasks.KindOptions{Retry: tasks.RetryPolicy{Attempts: 2, Min: time.Hour}})
		queued := must[*tasks.Task](t)(k.Submit(t.Context(), false,
			&tasks.SubmitOptions{ID: "queued"}))
		if err := m.Pause("none"); !errors.Is(err, tasks.ErrNotFound) {
			t.Errorf("Pause: %v", err)
		}
		must[*tasks.Task](t)(m.Cancel(t.Context(), queued.ID))
		start(t, m)
		must[*tasks.Task](t)(k.Submit(t.Context(), false,
			&tasks.SubmitOptions{ID: "scheduled", Delay: time.Hour}))
		must[*tasks.Task](t)(k.Submit(t.Context(), false, &tasks.SubmitOptions{ID: "running"}))
		<-running
		must[*tasks.Task](t)(k.Submit(t.Context(), true, &tasks.SubmitOptions{ID: "retrying"}))
		synctest.Wait()
		for _, id := range []string{"queued", "scheduled", "running", "retrying"} {
			if state := must[tasks.State](t)(m.State(t.Context(), id)); id != "queued" &&
				string(state) != id {
				t.Errorf("%s is %s", id, state)
			}
			must[*tasks.Task](t)(m.Cancel(t.Context(), id))
			task := wait(t, m, id, tasks.Cancelled)
			if task.Finished.IsZero() || task.Owner != "" {
				t.Errorf("%s: %+v", id, task)
			}
			if _, err := k.Result(t.Context(), id); !errors.Is(err, tasks.ErrCancelled) {
				t.Errorf("%s: Result: %v", id, err)
			}
		}
		if cause := <-ended; !errors.Is(cause, tasks.ErrCancelled) {
			t.Errorf("the function's context ended with %v", cause)
		}
		synctest.Wait()
		wait(t, m, "running", tasks.Cancelled) // what the function returned is not looked at
		if _, err := m.Cancel(t.Context(), "nobody"); !errors.Is(err, tasks.ErrNotFound) {
			t.Errorf("nobody: %v", err)
		}
	})
}

func TestManager_StopInterrupts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := memstore.New()
		m := tasks.New(store, nil)
		running := make(chan struct{}, 2)
		fn := func(ctx context.Context, _ struct{}) (int, error) {
			running <- struct{}{}
			<-ctx.Done()
			return 0, ctx.Err()
		}
		k := tasks.Register(m, "waits", 1, fn, nil)
		if err := m.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		task := must[*tasks.Task](t)(k.Submit(t.Context(), struct{}{}, nil))
		<-running
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := m.Stop(ctx); err != nil {
			t.Error(err)
		}
		if task := must[*tasks.Task](t)(store.Get(t.Context(), task.ID)); task.State !=
			tasks.Queued || task.Attempt != 0 || task.Deaths != 0 {
			t.Errorf("after Stop: %+v", task)
		}
		if _, err := m.Wait(t.Context(), task.ID); !errors.Is(err, tasks.ErrNotRunning) {
			t.Errorf("Wait after Stop: %v", err)
		}
		other := tasks.New(store, nil)
		tasks.Register(other, "waits", 1,
			func(context.Context, struct{}) (int, error) { return 7, nil }, nil)
		start(t, other)
		if task := wait(t, other, task.ID, tasks.Succeeded); task.Attempt != 1 ||
			string(task.Result) != "7" {
			t.Errorf("afterwards: %+v", task)
		}
	})
}

func TestRun_ProgressAndCheckpoint(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := tasks.New(memstore.New(), nil)
		k := tasks.Register(m, "steps", 1, func(ctx context.Context, _ struct{}) (int, error) {
			run, from := tasks.RunFrom(ctx), 0
			found, err := run.Restore(&from)
			if err != nil || found != (run.Attempt() > 1) {
				return 0, fmt.Errorf("restored %v, %w", found, err)
			}
			for i := from; i < 100; i++ {
				if err := run.Progress(tasks.Progress{
					Done: float64(i + 1), Total: 100,
					Data: jsontext.Value(`[1]`),
				}); err != nil {
					return 0, err
				}
				if i == 49 && run.Attempt() == 1 {
					if err := run.Checkpoint(i); err != nil {
						return 0, err
					}
					return 0, errors.New("once more")
				}
				<-time.After(10 * time.Millisecond)
			}
			return from, nil
		}, &tasks.KindOptions{Retry: tasks.RetryPolicy{Attempts: 2}})
		start(t, m)
		task := must[*tasks.Task](t)(k.Submit(t.Context(), struct{}{}, nil))
		var changes int
		var last *tasks.Task
		for task, err := range m.Follow(t.Context(), task.ID) {
			if err != nil {
				t.Fatal(err)
			}
			changes++
			last = task
		}
		if last.State != tasks.Succeeded || last.Progress.Done != 100 ||
			string(last.Result) != "49" || last.Checkpoint != nil {
			t.Errorf("ended as %+v, progress %+v", last, last.Progress)
		}
		if changes > 20 { // 1 s of work at 10 a second, and the transitions
			t.Errorf("%d changes", changes)
		}
		if err := new(tasks.Run).
			Progress(tasks.Progress{Data: make(jsontext.Value, 70<<10)}); !errors.Is(err,
			tasks.ErrTooLarge) {
			t.Errorf("large progress: %v", err)
		}
		if err := new(tasks.Run).Checkpoint(strings.Repeat("x", 70<<10)); !errors.Is(err,
			tasks.ErrTooLarge) {
			t.Errorf("large checkpoint: %v", err)
		}
		for _, p := range []tasks.Progress{
			{Done: math.NaN()},
			{Done: math.Inf(1)},
			{Total: math.Inf(-1)},
			{Data: jsontext.Value("{")},
		} {
			if err := new(tasks.Run).Progress(p); !errors.Is(err, tasks.ErrInvalid) {
				t.Errorf("%v: %v", p, err) // a list with the task could not be written
			}
		}
	})
}

func TestKind_Versions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := memstore.New()
		old, newer := tasks.New(store, nil),
			tasks.New(store, nil)
		one := tasks.Register(old, "greet", 1,
			func(_ context.Context, name string) (string, error) { return name, nil }, nil)
		type in struct{ Name string }
		two := tasks.Register(newer, "greet", 2,
			func(_ context.Context, in in) (string, error) { return "2 " + in.Name, nil },
			&tasks.KindOptions{
				Upgrade: func(from int, payload jsontext.Value) (jsontext.Value, error) {
					if string(payload) == `"bad"` {
						return nil, errors.New("cannot")
					}
					return jsontext.Value(fmt.Sprintf(`{"Name":%s}`, payload)), nil
				},
			})
		ahead := must[*tasks.Task](t)(two.Submit(t.Context(), in{"b"}, nil))
		start(t, old)
		synctest.Wait()
		if state := must[tasks.State](t)(old.State(t.Context(), ahead.ID)); state != tasks.Queued {
			t.Errorf("a newer payload is %s", state)
		}
		stop(t, old)
		behind := must[*tasks.Task](t)(store.Add(t.Context(),
			&tasks.Task{
				ID: "behind", Kind: "greet", Version: 1, Queue: "default",
				Payload: []byte(`"a"`), State: tasks.Queued,
			}, time.Now(), 0))
		bad := must[*tasks.Task](t)(store.Add(t.Context(),
			&tasks.Task{
				ID: "bad", Kind: "greet", Version: 1, Queue: "default",
				Payload: []byte(`"bad"`), State: tasks.Queued,
			}, time.Now(), 0))
		start(t, newer)
		for id, want := range map[string]string{ahead.ID: "2 b", behind.ID: "2 a"} {
			if got := must[string](t)(two.Result(t.Context(), id)); got != want {
				t.Errorf("got %q, want %q", got, want)
			}
		}
		if task := wait(t, newer, bad.ID, tasks.Failed); task.Error.Kind != tasks.ErrorInput {
			t.Errorf("bad: %+v", task.Error)
		}
		_ = one
	})
}

func TestQueue_Limits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := tasks.New(memstore.New(), &tasks.Options{Queues: map[string]tasks.QueueOptions{
			"keys": {Concurrency: 8, KeyLimit: 2}, "rate": {Rate: 10, Burst: 2},
			"small": {Concurrency: -1, MaxWaiting: 2},
		}})
		var running, most atomic.Int64
		k := tasks.Register(m, "work", 1, func(context.Context, struct{}) (struct{}, error) {
			if n := running.Add(1); n > most.Load() {
				most.Store(n)
			}
			<-time.After(time.Second)
			running.Add(-1)
			return struct{}{}, nil
		}, nil)
		quick := tasks.Register(m, "quick", 1, nothing, nil)
		start(t, m)
		submit := func(n int, opts tasks.SubmitOptions) (ids []string) {
			for range n {
				ids = append(ids, must[*tasks.Task](t)(k.Submit(t.Context(), struct{}{}, &opts)).ID)
			}
			return ids
		}
		for _, id := range submit(6, tasks.SubmitOptions{Queue: "keys", Key: "a"}) {
			wait(t, m, id, tasks.Succeeded)
		}
		if most.Load() != 2 {
			t.Errorf("%d of one key at once", most.Load())
		}
		most.Store(0)
		for _, id := range submit(25, tasks.SubmitOptions{}) {
			wait(t, m, id, tasks.Succeeded)
		}
		if most.Load() != 10 {
			t.Errorf("%d at once", most.Load())
		}
		begun := time.Now()
		for range 22 {
			must[*tasks.Task](t)(quick.Submit(t.Context(), struct{}{},
				&tasks.SubmitOptions{Queue: "rate"}))
		}
		for task, err := range m.All(t.Context(), &tasks.Filter{Queue: "rate"}) {
			if err != nil {
				t.Fatal(err)
			}
			wait(t, m, task.ID, tasks.Succeeded)
		}
		if took := time.Since(begun); took < 2*time.Second || took > 2100*time.Millisecond {
			t.Errorf("22 at 10 a second took %v", took)
		}
		submit(2, tasks.SubmitOptions{Queue: "small"})
		if _, err := k.Submit(t.Context(), struct{}{},
			&tasks.SubmitOptions{Queue: "small"}); !errors.Is(err, tasks.ErrOverloaded) {
			t.Errorf("full: %v", err)
		}
		if err := m.Pause("default"); err != nil {
			t.Fatal(err)
		}
		id := must[*tasks.Task](t)(quick.Submit(t.Context(), struct{}{}, nil)).ID
		synctest.Wait()
		if state := must[tasks.State](t)(m.State(t.Context(), id)); state != tasks.Queued {
			t.Errorf("paused: %s", state)
		}
		queues := must[[]tasks.QueueInfo](t)(m.Queues(t.Context()))
		if len(queues) != 4 || queues[0].Name != "default" || !queues[0].Paused ||
			queues[0].Counts[tasks.Queued] != 1 || queues[3].Counts[tasks.Queued] != 2 {
			t.Errorf("queues: %+v", queues)
		}
		if err := m.Resume("default"); err != nil {
			t.Fatal(err)
		}
		wait(t, m, id, tasks.Succeeded)
	})
}

func TestRun_ProgressIsWrittenInTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := tasks.New(memstore.New(), nil)
		left := make(chan *tasks.Run, 1)
		k := tasks.Register(m, "work", 1, func(ctx context.Context, _ struct{}) (struct{}, error) {
			run := tasks.RunFrom(ctx)
			for i := range 3 { // at once: the first is written, the last follows
				if err := run.Progress(tasks.Progress{Done: float64(i)}); err != nil {
					return struct{}{}, err
				}
			}
			<-time.After(time.Second)
			left <- run
			return struct{}{}, run.Progress(tasks.Progress{Done: 9})
		}, nil)
		start(t, m)
		id := must[*tasks.Task](t)(k.Submit(t.Context(), struct{}{}, nil)).ID
		<-time.After(500 * time.Millisecond)
		if task := must[*tasks.Task](t)(m.Get(t.Context(), id)); task.Progress == nil ||
			task.Progress.Done != 2 {
			t.Errorf("half a second later: %+v", task.Progress)
		}
		wait(t, m, id, tasks.Succeeded)
		if err := (<-left).Progress(tasks.Progress{Done: 10}); !errors.Is(err, tasks.ErrStale) {
			t.Errorf("progress after the end: %v", err)
		}
		if task := must[*tasks.Task](t)(m.Get(t.Context(), id)); task.Progress.Done != 9 {
			t.Errorf("in the end: %+v", task.Progress)
		}
	})
}
