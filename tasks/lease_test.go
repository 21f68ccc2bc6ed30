package tasks_test

import (
	"context"
	"errors"
	"log/slog"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/genropy/genro-asgi-go/tasks"
	"github.com/genropy/genro-asgi-go/tasks/memstore"
	"github.com/genropy/genro-asgi-go/tasks/taskstest"
)

var quiet = slog.New(slog.DiscardHandler)

var begin = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// cut is a store whose connection can fail, as a store on another machine may: the manager that has
// it cannot write, and is told nothing.
type cut struct {
	tasks.Store
	off atomic.Bool
}

var errCut = errors.New("no connection")

func (c *cut) Update(ctx context.Context, id string, now time.Time,
	change func(*tasks.Task) error,
) (tasks.Task, error) {
	if c.off.Load() {
		return tasks.Task{}, errCut
	}
	return c.Store.Update(ctx, id, now, change)
}

func (c *cut) Claim(ctx context.Context, claim *tasks.Claim) (time.Time, error) {
	if c.off.Load() {
		return time.Time{}, errCut
	}
	return c.Store.Claim(ctx, claim)
}

func (c *cut) Expired(ctx context.Context, now time.Time, limit int) ([]*tasks.Task, error) {
	if c.off.Load() {
		return nil, errCut
	}
	return c.Store.Expired(ctx, now, limit)
}

func (c *cut) Watch(f func(*tasks.Task)) (func(), error) {
	return c.Store.Watch(func(t *tasks.Task) {
		if !c.off.Load() {
			f(t)
		}
	})
}

func TestLease_JumpingClocks(t *testing.T) {
	for _, jump := range []time.Duration{time.Hour, -time.Hour} {
		t.Run(jump.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				store := memstore.New()
				clocks := []*taskstest.Clock{taskstest.NewClock(begin), taskstest.NewClock(begin)}
				var runs atomic.Int64
				release := make(chan struct{})
				var first *tasks.Kind[struct{}, struct{}]
				for i, clock := range clocks {
					m := tasks.New(store, &tasks.Options{Clock: clock})
					k := tasks.Register(m, "waits", 1,
						func(ctx context.Context, _ struct{}) (struct{}, error) {
							runs.Add(1)
							select {
							case <-release:
								return struct{}{}, nil
							case <-ctx.Done():
								return struct{}{}, context.Cause(ctx)
							}
						}, nil)
					start(t, m)
					if i == 0 {
						first = k
					}
				}
				for range 12 {
					must[*tasks.Task](t)(first.Submit(t.Context(), struct{}{}, nil))
				}
				synctest.Wait()
				for i := range clocks { // one of them at a time, and both
					clocks[i].Jump(jump)
					for range 100 {
						for _, c := range clocks {
							c.Advance(time.Second)
						}
						synctest.Wait()
					}
				}
				if n := runs.Load(); n != 12 {
					t.Errorf("12 tasks ran %d times", n)
				}
				close(release)
				synctest.Wait()
				for task, err := range must2(store.List(t.Context(), &tasks.Filter{})) {
					if err != nil || task.State != tasks.Succeeded || task.Deaths != 0 {
						t.Errorf("%+v %v", task, err)
					}
				}
			})
		})
	}
}

func must2(page []*tasks.Task, _ string, err error) func(func(*tasks.Task, error) bool) {
	return func(yield func(*tasks.Task, error) bool) {
		if err != nil {
			yield(nil, err)
			return
		}
		for _, t := range page {
			if !yield(t, nil) {
				return
			}
		}
	}
}

func TestLease_VanishedHolder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mem := memstore.New()
		var fences []uint64
		fn := func(ctx context.Context, _ struct{}) (struct{}, error) {
			fences = append(fences, tasks.RunFrom(ctx).Fence()) // one runs at a time
			<-ctx.Done()
			if cause := context.Cause(ctx); !errors.Is(cause, tasks.ErrStale) {
				t.Errorf("cause %v", cause)
			}
			if err := tasks.RunFrom(ctx).Checkpoint(1); err == nil {
				t.Error("a stale run has written")
			}
			return struct{}{}, nil
		}
		id := ""
		for range 3 {
			store := &cut{Store: mem}
			m := tasks.New(store, &tasks.Options{Logger: quiet})
			k := tasks.Register(m, "dies", 1, fn, nil)
			start(t, m)
			if id == "" {
				id = must[*tasks.Task](t)(k.Submit(t.Context(), struct{}{}, nil)).ID
			}
			synctest.Wait()
			store.off.Store(true)
			// runs nothing of that kind
			reaper := tasks.New(mem, &tasks.Options{Logger: quiet})
			start(t, reaper)
			<-time.After(31 * time.Second) // the lease and a second
			synctest.Wait()
			stop(t, reaper)
		}
		task := must[*tasks.Task](t)(mem.Get(t.Context(), id))
		if task.State != tasks.Dead || task.Deaths != 3 || task.Error.Kind != tasks.ErrorLost ||
			len(fences) != 3 {
			t.Errorf("%+v, error %+v, fences %v", task, task.Error, fences)
		}
	})
}

func TestLease_GivenUpUsesNoAttempt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &cut{Store: memstore.New()}
		m := tasks.New(store, &tasks.Options{Logger: quiet})
		running := make(chan struct{}, 2)
		runs := 0
		k := tasks.Register(m, "work", 1, func(ctx context.Context, _ struct{}) (int, error) {
			running <- struct{}{}
			if runs++; runs > 1 {
				return runs, nil
			}
			<-ctx.Done()
			store.off.Store(false) // back before anybody took the task over
			return 0, context.Cause(ctx)
		}, nil)
		start(t, m)
		id := must[*tasks.Task](t)(k.Submit(t.Context(), struct{}{}, nil)).ID
		<-running
		store.off.Store(true)
		if task := wait(t, m, id, tasks.Succeeded); task.Attempt != 1 {
			t.Errorf("%+v: an outage of the store used an attempt", task)
		}
	})
}

func TestOptions_OwnerInherits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mem := memstore.New()
		store := &cut{Store: mem}
		m := tasks.New(store, &tasks.Options{Owner: "one", Logger: quiet})
		running := make(chan struct{})
		k := tasks.Register(m, "work", 1, func(ctx context.Context, _ struct{}) (int, error) {
			close(running)
			<-ctx.Done()
			return 0, nil
		}, nil)
		start(t, m)
		id := must[*tasks.Task](t)(k.Submit(t.Context(), struct{}{}, nil)).ID
		<-running
		store.off.Store(true) // as if it were killed
		begun := time.Now()
		next := tasks.New(mem, &tasks.Options{Owner: "one", Logger: quiet})
		tasks.Register(next, "work", 1,
			func(context.Context, struct{}) (int, error) { return 1, nil }, nil)
		start(t, next)
		if task := wait(t, next, id, tasks.Succeeded); task.Deaths != 1 ||
			!time.Now().Equal(begun) {
			t.Errorf("after %v: %+v", time.Since(begun), task)
		}
		<-time.After(time.Minute) // m sees that its lease is over, and gives up
	})
}

func TestRetention_Sweeps(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := tasks.New(memstore.New(), &tasks.Options{Retention: time.Hour})
		k := tasks.Register(m, "work", 1, nothing, nil)
		start(t, m)
		for range 1200 { // more than a page
			must[*tasks.Task](t)(k.Submit(t.Context(), struct{}{}, nil))
		}
		must[*tasks.Task](t)(k.Submit(t.Context(), struct{}{},
			&tasks.SubmitOptions{ID: "later", Delay: 50 * time.Minute}))
		<-time.After(61 * time.Minute)
		<-time.After(5 * time.Minute)
		synctest.Wait()
		left := 0
		for task, err := range m.All(t.Context(), nil) {
			if err != nil || task.ID != "later" {
				t.Fatalf("left: %v %v", task, err)
			}
			left++
		}
		if left != 1 {
			t.Errorf("%d left", left)
		}
		if n := must[int](t)(m.Clear(t.Context(), &tasks.Filter{Kind: "work"})); n != 1 {
			t.Errorf("cleared %d", n)
		}
	})
}

// TestLease_KilledHolderIsRerunInTime kills a holder a while after its last heartbeat, with the
// clock of one or the other an hour off.
func TestLease_KilledHolderIsRerunInTime(t *testing.T) {
	for _, jump := range []time.Duration{0, time.Hour, -time.Hour} {
		t.Run(jump.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				mem := memstore.New()
				clocks := [2]*taskstest.Clock{
					taskstest.NewClock(begin.Add(jump)),
					taskstest.NewClock(begin),
				}
				conn := &cut{Store: mem}
				holder := tasks.New(conn, &tasks.Options{Clock: clocks[0], Logger: quiet})
				gaveUp := false
				k := tasks.Register(holder, "work", 1,
					func(ctx context.Context, _ struct{}) (int, error) {
						<-ctx.Done()
						gaveUp = true
						return 1, nil
					}, nil)
				other := tasks.New(mem, &tasks.Options{Clock: clocks[1], Logger: quiet})
				start(t, holder)
				start(t, other)
				id := must[*tasks.Task](t)(k.Submit(t.Context(), struct{}{}, nil)).ID
				synctest.Wait()
				tasks.Register(other, "work", 1, func(context.Context, struct{}) (int, error) {
					if !gaveUp {
						t.Error("the holder still runs it")
					}
					return 2, nil
				}, nil)
				pass := func(d time.Duration) {
					for range d / (100 * time.Millisecond) {
						for _, c := range clocks {
							c.Advance(100 * time.Millisecond)
						}
						synctest.Wait()
					}
				}
				pass(25 * time.Second) // two heartbeats, the last 5 s ago
				conn.off.Store(true)
				pass(24900 * time.Millisecond)
				if task := must[*tasks.Task](t)(mem.Get(t.Context(), id)); task.State !=
					tasks.Running || task.Deaths != 0 {
					t.Fatalf("taken over before the lease was over: %+v", task)
				}
				pass(1100 * time.Millisecond)
				if task := must[*tasks.Task](t)(mem.Get(t.Context(), id)); task.Deaths != 1 ||
					task.State != tasks.Queued && task.State != tasks.Succeeded {
					t.Errorf("a lease and a second later: %+v", task)
				}
				// where its clock was ahead, what it submitted is due later here
				pass(time.Hour + time.Minute)
				if task := must[*tasks.Task](t)(mem.Get(t.Context(), id)); string(task.Result) !=
					"2" {
					t.Errorf("in the end: %+v", task)
				}
			})
		})
	}
}
