package tasks_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/genropy/genro-asgi-go/tasks"
	"github.com/genropy/genro-asgi-go/tasks/memstore"
)

// tight is a store whose tasks have no room for a long result.
type tight struct{ tasks.Store }

func (s tight) Update(ctx context.Context, id string, now time.Time,
	change func(*tasks.Task) error,
) (tasks.Task, error) {
	return s.Store.Update(ctx, id, now, func(t *tasks.Task) error {
		if err := change(t); err != nil {
			return err
		}
		if len(t.Result) > 50 {
			return fmt.Errorf("%w: no room", tasks.ErrTooLarge)
		}
		return nil
	})
}

func TestRun_ResultThatIsTooLarge(t *testing.T) {
	for name, limited := range map[string]struct {
		store tasks.Store
		most  int
	}{
		"for the manager": {memstore.New(), 50}, "for the store": {tight{memstore.New()}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := tasks.New(limited.store,
					&tasks.Options{MaxPayload: limited.most, Logger: quiet})
				k := tasks.Register(m, "long", 1,
					func(_ context.Context, n int) (string, error) {
						return strings.Repeat("x", n), nil
					},
					&tasks.KindOptions{Retry: tasks.RetryPolicy{Attempts: 3}})
				start(t, m)
				// and two quotation marks
				wait(t, m, must[*tasks.Task](t)(k.Submit(t.Context(), 48, nil)).ID, tasks.Succeeded)
				task := wait(t, m, must[*tasks.Task](t)(k.Submit(t.Context(), 49, nil)).ID,
					tasks.Failed)
				if task.Attempt != 1 || task.Error.Kind != tasks.ErrorResult ||
					!strings.Contains(task.Error.Message, "too large") || task.Result != nil {
					t.Errorf("%+v, error %+v", task, task.Error)
				}
			})
		})
	}
}

// TestRun_EndIsWrittenOnceTheStoreIsBack: what a run returned is not lost with a write that fails.
func TestRun_EndIsWrittenOnceTheStoreIsBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &cut{Store: memstore.New()}
		m := tasks.New(store, &tasks.Options{Logger: quiet})
		k := tasks.Register(m, "work", 1, func(context.Context, struct{}) (int, error) {
			store.off.Store(true)
			return 7, nil
		}, nil)
		start(t, m)
		id := must[*tasks.Task](t)(k.Submit(t.Context(), struct{}{}, nil)).ID
		<-time.After(3 * time.Second)
		store.off.Store(false)
		<-time.After(10 * time.Second)
		if task := must[*tasks.Task](t)(m.Get(t.Context(), id)); string(task.Result) != "7" ||
			task.Attempt != 1 || task.Deaths != 0 {
			t.Errorf("%+v", task)
		}
	})
}

// full is a store with no space for results.
type full struct{ tasks.Store }

func (s full) Update(ctx context.Context, id string, now time.Time,
	change func(*tasks.Task) error,
) (tasks.Task, error) {
	return s.Store.Update(ctx, id, now, func(t *tasks.Task) error {
		if err := change(t); err != nil {
			return err
		}
		if t.Result != nil {
			return fmt.Errorf("%w: no space", tasks.ErrStoreFull)
		}
		return nil
	})
}

// TestManager_StopNamesTheStoreThatIsFull: a function that has returned is not to blame.
func TestManager_StopNamesTheStoreThatIsFull(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := memstore.New()
		m := tasks.New(full{store}, &tasks.Options{Logger: quiet})
		runs := 0
		k := tasks.Register(m, "work", 1,
			func(context.Context, struct{}) (int, error) { runs++; return 7, nil }, nil)
		if err := m.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		id := must[*tasks.Task](t)(k.Submit(t.Context(), struct{}{}, nil)).ID
		<-time.After(5 * time.Minute) // many leases
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		err := m.Stop(ctx)
		if !errors.Is(err, tasks.ErrStoreFull) ||
			strings.Contains(err.Error(), "has not returned") ||
			!strings.Contains(err.Error(), id) {
			t.Errorf("Stop: %v", err)
		}
		task := must[*tasks.Task](t)(store.Get(t.Context(), id))
		if runs != 1 || task.State != tasks.Queued || task.Attempt != 0 || task.Deaths != 0 {
			t.Errorf("%d runs, %+v, want it to be put back after one", runs, task)
		}
	})
}

// roomless is a store that has no space for results for a while, and counts who wanted some.
type roomless struct {
	tasks.Store
	is    atomic.Bool
	asked atomic.Int32
}

func (s *roomless) Update(ctx context.Context, id string, now time.Time,
	change func(*tasks.Task) error,
) (tasks.Task, error) {
	return s.Store.Update(ctx, id, now, func(t *tasks.Task) error {
		if err := change(t); err != nil {
			return err
		}
		if t.Result != nil && s.is.Load() {
			s.asked.Add(1)
			return fmt.Errorf("%w: no space", tasks.ErrStoreFull)
		}
		return nil
	})
}

// TestRun_AFullStoreIsLoggedOnce has many ends wait for space: one line says so, one that it is
// over, and nobody asks for it all the time.
func TestRun_AFullStoreIsLoggedOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log lines
		store := &roomless{Store: memstore.New()}
		store.is.Store(true)
		const places, n = 50, 200
		m := tasks.New(store, &tasks.Options{
			Logger: slog.New(&log),
			Queues: map[string]tasks.QueueOptions{"default": {Concurrency: places}},
		})
		k := tasks.Register(m, "work", 1,
			func(context.Context, int) (int, error) { return 7, nil }, nil)
		start(t, m)
		for i := range n {
			must[*tasks.Task](t)(k.Submit(t.Context(), i, nil))
		}
		<-time.After(5 * time.Minute)
		if asked := store.asked.Load(); asked > places*100 {
			t.Errorf("%d tries in 5 minutes", asked)
		}
		store.is.Store(false)
		<-time.After(time.Minute)
		counts := must[map[string]map[tasks.State]int](t)(store.Counts(t.Context()))
		if counts["default"][tasks.Succeeded] != n {
			t.Errorf("%v, want %d that have succeeded", counts, n)
		}
		if log.count("tasks: cannot write the ends of runs") != 1 ||
			log.count("tasks: again able to write the ends of runs") != 1 {
			t.Errorf("want one line, and one that it is over: %s", log.String())
		}
	})
}
