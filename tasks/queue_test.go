package tasks_test

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/genropy/genro-asgi-go/tasks"
	"github.com/genropy/genro-asgi-go/tasks/memstore"
)

func TestQueue_LooksThatFindNothingUseNoRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := tasks.New(
			memstore.New(),
			&tasks.Options{Queues: map[string]tasks.QueueOptions{"default": {Rate: 1, Burst: 2}}})
		k := tasks.Register(m, "work", 1, nothing, nil)
		start(t, m)
		synctest.Wait() // it has looked
		begun := time.Now()
		for _, id := range []string{"a", "b"} {
			must[*tasks.Task](t)(k.Submit(t.Context(), struct{}{}, &tasks.SubmitOptions{ID: id}))
		}
		for _, id := range []string{"a", "b"} {
			wait(t, m, id, tasks.Succeeded)
		}
		if took := time.Since(begun); took != 0 {
			t.Errorf("two, as many as may begin at once, took %v", took)
		}
	})
}

func TestQueue_ClaimsAgainAfterAnError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &cut{Store: memstore.New()}
		m := tasks.New(store, &tasks.Options{Logger: quiet})
		k := tasks.Register(m, "work", 1, nothing, nil)
		start(t, m)
		synctest.Wait()
		begun := time.Now()
		id := must[*tasks.Task](t)(k.Submit(t.Context(), struct{}{},
			&tasks.SubmitOptions{Delay: time.Second})).ID
		store.off.Store(true)
		<-time.After(1500 * time.Millisecond)
		store.off.Store(false)
		if wait(t, m, id, tasks.Succeeded); time.Since(begun) != 2*time.Second {
			t.Errorf("ran after %v, want 1 s after the claim that failed", time.Since(begun))
		}
	})
}

func TestQueue_WakesForTheEarlier(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := tasks.New(memstore.New(), nil)
		k := tasks.Register(m, "work", 1, nothing, nil)
		start(t, m)
		begun := time.Now()
		for id, delay := range map[string]time.Duration{"late": time.Hour, "later": 2 * time.Hour} {
			must[*tasks.Task](t)(k.Submit(t.Context(), struct{}{},
				&tasks.SubmitOptions{ID: id, Delay: delay}))
		}
		must[*tasks.Task](t)(k.Submit(t.Context(), struct{}{},
			&tasks.SubmitOptions{ID: "soon", Delay: 3 * time.Second}))
		if wait(t, m, "soon", tasks.Succeeded); time.Since(begun) != 3*time.Second {
			t.Errorf("ran after %v", time.Since(begun))
		}
	})
}

// lateWatch is a store that tells of changes late, as a durable one does that writes them first.
type lateWatch struct {
	tasks.Store
	mu   sync.Mutex
	held []func() // not told yet
	open bool
}

func (s *lateWatch) Watch(f func(*tasks.Task)) (func(), error) {
	return s.Store.Watch(func(t *tasks.Task) {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.open {
			f(t)
		} else {
			kept := *t
			s.held = append(s.held, func() { f(&kept) })
		}
	})
}

func (s *lateWatch) tell() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, f := range s.held {
		f()
	}
	s.open = true
}

func TestQueue_OldNewsEndNoRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &lateWatch{Store: memstore.New()}
		m := tasks.New(store, nil)
		running, release := make(chan struct{}), make(chan struct{})
		k := tasks.Register(m, "work", 1, func(ctx context.Context, _ struct{}) (struct{}, error) {
			close(running)
			<-release
			return struct{}{}, context.Cause(ctx)
		}, nil)
		start(t, m)
		id := must[*tasks.Task](t)(k.Submit(t.Context(), struct{}{}, nil)).ID
		synctest.Wait()
		if err := m.Resume("default"); err != nil { // it looks, though nobody has told it
			t.Fatal(err)
		}
		<-running
		store.tell() // that the task is queued
		close(release)
		if task := wait(t, m, id, tasks.Succeeded); task.Attempt != 1 {
			t.Errorf("%+v", task)
		}
	})
}

func TestQueue_RateAfterARest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := tasks.New(
			memstore.New(),
			&tasks.Options{Queues: map[string]tasks.QueueOptions{"default": {Rate: 10, Burst: 2}}})
		k := tasks.Register(m, "work", 1, nothing, nil)
		start(t, m)
		<-time.After(time.Hour)
		begun := time.Now()
		for _, id := range []string{"a", "b", "c", "d", "e"} {
			must[*tasks.Task](t)(k.Submit(t.Context(), struct{}{}, &tasks.SubmitOptions{ID: id}))
		}
		if wait(t, m, "e", tasks.Succeeded); time.Since(begun) < 299*time.Millisecond ||
			time.Since(begun) > 310*time.Millisecond {
			t.Errorf("five took %v, want two at once and 0.1 s for each other", time.Since(begun))
		}
	})
}
