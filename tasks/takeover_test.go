package tasks_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/genropy/genro-asgi-go/tasks"
	"github.com/genropy/genro-asgi-go/tasks/memstore"
)

// deaf is a store that tells its watchers nothing.
type deaf struct{ tasks.Store }

func (deaf) Watch(func(*tasks.Task)) (func(), error) { return func() {}, nil }

// TestLease_HeartbeatsThatNobodyTellsOf has a manager that is not told of the heartbeats of
// another: that the task was written to must keep it from taking it over.
func TestLease_HeartbeatsThatNobodyTellsOf(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mem := memstore.New()
		holder := tasks.New(mem, nil)
		release := make(chan struct{})
		k := tasks.Register(holder, "work", 1,
			func(ctx context.Context, _ struct{}) (struct{}, error) {
				<-release
				return struct{}{}, context.Cause(ctx)
			}, nil)
		start(t, holder)
		id := must[*tasks.Task](t)(k.Submit(t.Context(), struct{}{}, nil)).ID
		synctest.Wait()
		start(t, tasks.New(deaf{mem}, &tasks.Options{Logger: quiet})) // it finds what runs
		<-time.After(5 * time.Minute)
		if task := must[*tasks.Task](t)(mem.Get(t.Context(), id)); task.State != tasks.Running ||
			task.Deaths != 0 {
			t.Errorf("taken from one that lives: %+v", task)
		}
		close(release)
		wait(t, holder, id, tasks.Succeeded)
	})
}

// TestLease_TakeoverIsTriedAgain has the store fail at the moment when a lease is over.
func TestLease_TakeoverIsTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mem := memstore.New()
		conn, other := &cut{Store: mem}, &cut{Store: mem}
		holder := tasks.New(conn, &tasks.Options{Logger: quiet})
		k := tasks.Register(holder, "work", 1,
			func(ctx context.Context, _ struct{}) (struct{}, error) {
				<-ctx.Done()
				return struct{}{}, nil
			}, nil)
		start(t, holder)
		start(t, tasks.New(other, &tasks.Options{Logger: quiet}))
		id := must[*tasks.Task](t)(k.Submit(t.Context(), struct{}{}, nil)).ID
		synctest.Wait()
		conn.off.Store(true)
		<-time.After(30 * time.Second)
		other.off.Store(true)
		<-time.After(2 * time.Second)
		other.off.Store(false)
		<-time.After(2 * time.Second) // the second wait
		if task := must[*tasks.Task](t)(mem.Get(t.Context(), id)); task.Deaths != 1 ||
			task.State != tasks.Queued {
			t.Errorf("%+v", task)
		}
	})
}

// lostAnswer is a store whose first claim is done and fails.
type lostAnswer struct {
	tasks.Store
	lost atomic.Bool
}

func (s *lostAnswer) Claim(ctx context.Context, c *tasks.Claim) (time.Time, error) {
	if s.lost.Load() {
		return s.Store.Claim(ctx, c)
	}
	quietly := *c
	quietly.Claimed = func(*tasks.Task) { s.lost.Store(true) }
	if _, err := s.Store.Claim(ctx, &quietly); err != nil || !s.lost.Load() {
		return time.Time{}, err
	}
	return time.Time{}, errCut
}

// TestLease_ClaimWhoseAnswerIsLost: the manager holds a task and does not know of it.
func TestLease_ClaimWhoseAnswerIsLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := tasks.New(&lostAnswer{Store: memstore.New()}, &tasks.Options{
			Logger: quiet,
		})
		k := tasks.Register(m, "work", 1, nothing, nil)
		begun := time.Now()
		id := must[*tasks.Task](t)(k.Submit(t.Context(), struct{}{}, nil)).ID
		start(t, m)
		if task := wait(t, m, id, tasks.Succeeded); task.Deaths != 1 ||
			time.Since(begun) > 71*time.Second {
			// the lease, a look, and a lease that is watched
			t.Errorf("after %v: %+v", time.Since(begun), task)
		}
	})
}

// hanging is a store whose updates hang until it is let go.
type hanging struct {
	tasks.Store
	until atomic.Pointer[chan struct{}] // nil while it does not hang
}

func (s *hanging) hang() (letGo func()) {
	until := make(chan struct{})
	s.until.Store(&until)
	return func() { s.until.Store(nil); close(until) }
}

func (s *hanging) Update(ctx context.Context, id string, now time.Time,
	change func(*tasks.Task) error,
) (tasks.Task, error) {
	if until := s.until.Load(); until != nil {
		select {
		case <-*until:
		case <-ctx.Done():
			return tasks.Task{}, ctx.Err()
		}
	}
	return s.Store.Update(ctx, id, now, change)
}

// TestLease_AHangingStore: every run is given up before its lease ends, though the heartbeat hangs
// at the first, and heartbeats go on afterwards.
func TestLease_AHangingStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &hanging{Store: memstore.New()}
		m := tasks.New(store, &tasks.Options{Logger: quiet})
		given := make(chan time.Time, 3)
		k := tasks.Register(m, "work", 1, func(ctx context.Context, _ struct{}) (struct{}, error) {
			<-ctx.Done()
			given <- time.Now()
			return struct{}{}, context.Cause(ctx)
		}, nil)
		long := tasks.Register(m, "long", 1,
			func(ctx context.Context, _ struct{}) (struct{}, error) {
				<-time.After(2 * time.Minute)
				task, err := m.Get(ctx, tasks.RunFrom(ctx).ID())
				if err == nil && !task.LeaseUntil.After(time.Now()) {
					err = tasks.Permanent(errors.New("the lease has ended"))
				}
				return struct{}{}, err
			}, nil)
		start(t, m)
		for range 3 {
			must[*tasks.Task](t)(k.Submit(t.Context(), struct{}{}, nil))
		}
		synctest.Wait()
		letGo := store.hang()
		begun := time.Now()
		for range 3 {
			if took := (<-given).Sub(begun); took > 25*time.Second {
				t.Errorf("given up %v after the last renewal", took)
			}
		}
		letGo()
		if err := m.Pause("default"); err != nil {
			t.Fatal(err)
		}
		<-time.After(time.Minute)
		for task, err := range m.All(t.Context(), nil) {
			if err == nil {
				_, err = m.Cancel(t.Context(), task.ID)
			}
			if err != nil {
				t.Error(err)
			}
		}
		if err := m.Resume("default"); err != nil {
			t.Fatal(err)
		}
		wait(t, m, must[*tasks.Task](t)(long.Submit(t.Context(), struct{}{}, nil)).ID,
			tasks.Succeeded)
	})
}

// TestManager_StopWithAHangingStore: neither a function that has ended nor one that does not return
// keeps Stop.
func TestManager_StopWithAHangingStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &hanging{Store: memstore.New()}
		m := tasks.New(store, &tasks.Options{Logger: quiet})
		release := make(chan struct{})
		k := tasks.Register(m, "work", 1, func(ctx context.Context, deaf bool) (struct{}, error) {
			if deaf {
				<-release
			}
			<-ctx.Done()
			return struct{}{}, context.Cause(ctx)
		}, nil)
		if err := m.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		for _, deaf := range []bool{true, false} {
			must[*tasks.Task](t)(k.Submit(t.Context(), deaf, nil))
		}
		synctest.Wait()
		store.hang()
		begun := time.Now()
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := m.Stop(ctx); err == nil {
			t.Error("Stop says nothing of what it left")
		}
		if took := time.Since(begun); took > 10*time.Second {
			t.Errorf("Stop took %v", took)
		}
		close(release)
	})
}

// TestOptions_OwnerInheritsNothingOfOthers starts a manager beside one of another name.
func TestOptions_OwnerInheritsNothingOfOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mem := memstore.New()
		m := tasks.New(mem, &tasks.Options{Owner: "one"})
		release := make(chan struct{})
		k := tasks.Register(m, "work", 1, func(ctx context.Context, _ struct{}) (struct{}, error) {
			<-release
			return struct{}{}, context.Cause(ctx)
		}, nil)
		start(t, m)
		id := must[*tasks.Task](t)(k.Submit(t.Context(), struct{}{}, nil)).ID
		synctest.Wait()
		start(t, tasks.New(mem, &tasks.Options{Owner: "two", Logger: quiet}))
		close(release)
		if task := wait(t, m, id, tasks.Succeeded); task.Deaths != 0 || task.Attempt != 1 {
			t.Errorf("%+v", task)
		}
	})
}
