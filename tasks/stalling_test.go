package tasks_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/genropy/genro-asgi-go/tasks"
	"github.com/genropy/genro-asgi-go/tasks/memstore"
)

// stalling is a store that takes its time with what has a gate.
type stalling struct {
	tasks.Store
	watch, unwatch, progress chan struct{} // nil: it takes none
}

func pass(gate chan struct{}) {
	if gate != nil {
		<-gate
	}
}

func (s *stalling) Watch(f func(*tasks.Task)) (func(), error) {
	pass(s.watch)
	stop, err := s.Store.Watch(f)
	return func() { pass(s.unwatch); stop() }, err
}

func (s *stalling) Update(
	ctx context.Context, id string, now time.Time, change func(*tasks.Task) error,
) (tasks.Task, error) {
	held := errors.New("held up")
	t, err := s.Store.Update(ctx, id, now, func(t *tasks.Task) error {
		before := t.Progress
		if err := change(t); err != nil {
			return err
		}
		if t.State == tasks.Running && t.Progress != before && t.Progress.Done == 2 {
			return held
		}
		return nil
	})
	if !errors.Is(err, held) {
		return t, err
	}
	pass(s.progress)
	return s.Store.Update(ctx, id, now, change)
}

// TestManager_StoreThatHangsAtStart has a store whose Watch does not return: kinds are registered
// meanwhile, who has less patience gives up, and Stop stops.
func TestManager_StoreThatHangsAtStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &stalling{Store: memstore.New(), watch: make(chan struct{})}
		m := tasks.New(store, &tasks.Options{Logger: quiet})
		started := make(chan error, 1)
		go func() { started <- m.Start(t.Context()) }()
		synctest.Wait()
		k := tasks.Register(m, "sum", 1, sum, nil)
		id := must[*tasks.Task](t)(k.Submit(t.Context(), sumIn{1, 2}, nil)).ID
		if err := m.Start(t.Context()); err == nil {
			t.Error("it starts twice")
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := m.Wait(ctx, id); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("wait: %v", err)
		}
		waited := make(chan error, 1)
		go func() {
			_, err := m.Wait(t.Context(), id)
			waited <- err
		}()
		synctest.Wait()
		stop(t, m)
		if err := <-waited; !errors.Is(err, tasks.ErrNotRunning) {
			t.Errorf("a wait when the manager stops: %v", err)
		}
		close(store.watch)
		if err := <-started; !errors.Is(err, tasks.ErrNotRunning) {
			t.Errorf("start: %v", err)
		}
	})
}

// TestManager_StoreThatHangsAtStop has a store that waits for a change that it tells of before it
// ends a watch, as Store.Watch demands.
func TestManager_StoreThatHangsAtStop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &stalling{Store: memstore.New(), unwatch: make(chan struct{})}
		m := tasks.New(store, nil)
		start(t, m)
		stopped := make(chan struct{})
		go func() {
			defer close(stopped)
			stop(t, m)
		}()
		synctest.Wait()
		tasks.Register(m, "sum", 1, sum, nil)
		if err := m.Start(t.Context()); err == nil {
			t.Error("it starts after Stop")
		}
		close(store.unwatch)
		<-stopped
	})
}

// TestRun_StoreThatHangsAtProgress: a write of progress that does not return holds up neither the
// function, which says more, nor the end of the run, which keeps the last that it said.
func TestRun_StoreThatHangsAtProgress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &stalling{Store: memstore.New(), progress: make(chan struct{})}
		m := tasks.New(store, &tasks.Options{Logger: quiet})
		say := func(ctx context.Context, done float64) error {
			return tasks.RunFrom(ctx).Progress(tasks.Progress{Done: done})
		}
		k := tasks.Register(m, "work", 1, func(ctx context.Context, more bool) (struct{}, error) {
			err := errors.Join(say(ctx, 1), say(ctx, 2))
			<-time.After(time.Second) // the second is being written
			if more {
				err = errors.Join(err, say(ctx, 3))
			}
			return struct{}{}, err
		}, nil)
		start(t, m)
		for more, want := range map[bool]float64{false: 2, true: 3} {
			id := must[*tasks.Task](t)(k.Submit(t.Context(), more, nil)).ID
			task := wait(t, m, id, tasks.Succeeded)
			if task.Progress == nil || task.Progress.Done != want {
				t.Errorf("%v ended with progress %+v", more, task.Progress)
			}
		}
		close(store.progress)
	})
}
