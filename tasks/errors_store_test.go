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

// picky is a store that takes everything but the end of a run that refuse says.
type picky struct {
	tasks.Store
	refuse func(t *tasks.Task) error
	asked  atomic.Int64 // for what it refused
}

func (s *picky) Update(ctx context.Context, id string, now time.Time,
	change func(*tasks.Task) error,
) (tasks.Task, error) {
	return s.Store.Update(ctx, id, now, func(t *tasks.Task) error {
		if err := change(t); err != nil {
			return err
		}
		if err := s.refuse(t); err != nil {
			s.asked.Add(1)
			return err
		}
		return nil
	})
}

// TestErrors_EndThatTheStoreRefuses: a store that is well and does not take how one run ended must
// not keep its place for ever.
func TestErrors_EndThatTheStoreRefuses(t *testing.T) {
	odd := errors.New("pq: invalid byte sequence")
	for _, c := range []struct {
		name   string
		refuse func(t *tasks.Task) error
		want   tasks.State
		kind   tasks.ErrorKind
		runs   int
	}{
		{"the result", func(t *tasks.Task) error {
			if len(t.Result) > 0 || t.State.Done() && t.Progress == nil { // what it said is kept
				return odd
			}
			return nil
		}, tasks.Failed, tasks.ErrorResult, 1},
		{"the text of the failure too", func(t *tasks.Task) error {
			if len(t.Result) > 0 || t.Error != nil &&
				strings.Contains(t.Error.Message, "succeeded") {
				return odd
			}
			return nil
		}, tasks.Failed, tasks.ErrorResult, 1},
		{"every end but death", func(t *tasks.Task) error {
			if t.State == tasks.Succeeded || t.State == tasks.Failed {
				return fmt.Errorf("%w: not this", tasks.ErrInvalid)
			}
			return nil
		}, tasks.Dead, tasks.ErrorLost, 3},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				store := &picky{Store: memstore.New(), refuse: c.refuse}
				var log lines
				m := tasks.New(store, &tasks.Options{
					Logger: slog.New(&log),
					Queues: map[string]tasks.QueueOptions{"default": {Concurrency: 1}},
				})
				runs := 0
				k := tasks.Register(m, "k", 1, func(ctx context.Context, _ int) (int, error) {
					runs++
					run := tasks.RunFrom(ctx)
					return 7, errors.Join(run.Progress(tasks.Progress{Done: 0.5}),
						run.Progress(tasks.Progress{Done: 1}))
				}, nil)
				start(t, m)
				task := wait(t, m, must[*tasks.Task](t)(k.Submit(t.Context(), 1, nil)).ID, c.want)
				if runs != c.runs || task.Error.Kind != c.kind {
					t.Errorf("%d runs, %v", runs, task.Error)
				}
				if n := store.asked.Load(); n > 60 {
					t.Errorf("asked %d times", n)
				}
				if n := strings.Count(log.String(), "the end of a run"); n > runs {
					t.Errorf("%d lines of %d runs: %s", n, runs, log.String())
				}
			})
		})
	}
}

// TestErrors_FullStoreKeepsTheResult: space comes back, and a result that was refused for it is
// kept.
func TestErrors_FullStoreKeepsTheResult(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var full atomic.Bool
		full.Store(true)
		store := &picky{Store: memstore.New(), refuse: func(t *tasks.Task) error {
			if full.Load() && t.State == tasks.Succeeded {
				return fmt.Errorf("no space: %w", tasks.ErrStoreFull)
			}
			return nil
		}}
		m := tasks.New(store, &tasks.Options{Logger: quiet})
		k := tasks.Register(m, "k", 1, func(context.Context, int) (int, error) { return 7, nil },
			nil)
		start(t, m)
		id := must[*tasks.Task](t)(k.Submit(t.Context(), 1, nil)).ID
		<-time.After(10 * time.Minute)
		full.Store(false)
		if task := wait(t, m, id, tasks.Succeeded); string(task.Result) != "7" ||
			task.Attempt != 1 {
			t.Errorf("%+v", task)
		}
	})
}

// TestErrors_StoreThatIsAwayIsLoggedOnce: each thing that is asked of it says so once when it
// fails, and once when it goes again.
func TestErrors_StoreThatIsAwayIsLoggedOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &readOnly{Store: memstore.New()}
		var log lines
		m := tasks.New(store, &tasks.Options{Logger: slog.New(&log)})
		release := make(chan struct{})
		k := tasks.Register(m, "k", 1, func(ctx context.Context, wait bool) (int, error) {
			if wait {
				select {
				case <-release:
				case <-ctx.Done():
				}
			}
			return 1, nil
		}, nil)
		start(t, m)
		for range 5 {
			must[*tasks.Task](t)(k.Submit(t.Context(), true, nil))
		}
		synctest.Wait()
		store.off.Store(true)
		for range 100 { // each has the queue look
			must[*tasks.Task](t)(k.Submit(t.Context(), false, nil))
		}
		<-time.After(20 * time.Second) // two beats of five runs
		for _, what := range []string{
			"tasks: cannot claim tasks of queue default",
			"tasks: cannot renew leases",
		} {
			if n := log.count(what); n != 1 {
				t.Errorf("%d times %q", n, what)
			}
		}
		store.off.Store(false)
		<-time.After(20 * time.Second)
		if n := log.count("tasks: again able to claim tasks of queue default"); n != 1 {
			t.Errorf("%d times that it is over", n)
		}
		close(release)
		for task, err := range m.All(t.Context(), nil) {
			if err != nil {
				t.Fatal(err)
			}
			wait(t, m, task.ID, tasks.Succeeded)
		}
	})
}

// readOnly is a store that can take no changes of tasks that are there, and tells of others.
type readOnly struct {
	tasks.Store
	off atomic.Bool
}

func (s *readOnly) Update(ctx context.Context, id string, now time.Time,
	change func(*tasks.Task) error,
) (tasks.Task, error) {
	if s.off.Load() {
		return tasks.Task{}, errCut
	}
	return s.Store.Update(ctx, id, now, change)
}

func (s *readOnly) Claim(ctx context.Context, claim *tasks.Claim) (time.Time, error) {
	if s.off.Load() {
		return time.Time{}, errCut
	}
	return s.Store.Claim(ctx, claim)
}

// TestErrors_ClaimsOfABrokenStoreAreSpaced: without anything new the pauses grow.
func TestErrors_ClaimsOfABrokenStoreAreSpaced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &refusing{Store: memstore.New()}
		m := tasks.New(store, &tasks.Options{Logger: quiet})
		tasks.Register(m, "k", 1, nothing, nil)
		start(t, m)
		<-time.After(10 * time.Minute)
		if n := store.claims.Load(); n < 40 || n > 50 { // 1, 2, 4, 8 and then every 15 s
			t.Errorf("%d claims in ten minutes", n)
		}
	})
}

// TestErrors_OneThatLastsIsSaidAgain every ten minutes, and its end once.
func TestErrors_OneThatLastsIsSaidAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &readOnly{Store: memstore.New()}
		var log lines
		m := tasks.New(store, &tasks.Options{Logger: slog.New(&log)})
		tasks.Register(m, "k", 1, nothing, nil)
		store.off.Store(true)
		start(t, m)
		<-time.After(25 * time.Minute)
		if n := log.count("tasks: cannot claim tasks of queue default"); n != 3 {
			t.Errorf("%d lines in 25 minutes", n)
		}
		store.off.Store(false)
		<-time.After(16 * time.Second)
		if n := log.count("tasks: again able to claim tasks of queue default"); n != 1 {
			t.Errorf("%d times that it is over", n)
		}
	})
}

// TestErrors_OfAReplacement: a store that does not let the holder of a unique key be cancelled is
// heard.
func TestErrors_OfAReplacement(t *testing.T) {
	store := &readOnly{Store: memstore.New()}
	m := tasks.New(store, &tasks.Options{Logger: quiet})
	k := tasks.Register(m, "k", 1, nothing,
		&tasks.KindOptions{Unique: &tasks.UniqueOptions{Taken: tasks.UniqueReplace}})
	must[*tasks.Task](t)(k.Submit(t.Context(), struct{}{}, nil))
	store.off.Store(true)
	if _, err := k.Submit(t.Context(), struct{}{}, nil); !errors.Is(err, errCut) {
		t.Errorf("%v", err)
	}
}

// refusing is a store that has nothing claimed.
type refusing struct {
	tasks.Store
	claims atomic.Int64
}

func (s *refusing) Claim(context.Context, *tasks.Claim) (time.Time, error) {
	s.claims.Add(1)
	return time.Time{}, errCut
}
