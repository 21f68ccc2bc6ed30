package tasks_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/genropy/genro-asgi-go/tasks"
	"github.com/genropy/genro-asgi-go/tasks/memstore"
	"github.com/genropy/genro-asgi-go/tasks/taskstest"
)

// unstarted is a manager for RunNext.
func unstarted(t *testing.T, store tasks.Store, opts *tasks.Options) *tasks.Manager {
	t.Helper()
	if store == nil {
		store = memstore.New()
	}
	m := tasks.New(store, opts)
	t.Cleanup(func() { _ = m.Stop(context.Background()) })
	return m
}

func submit(t *testing.T, m *tasks.Manager, kind string, opts *tasks.SubmitOptions) *tasks.Task {
	t.Helper()
	task, err := m.Submit(t.Context(), kind, nil, opts)
	if err != nil {
		t.Fatal(err)
	}
	return task
}

func TestManager_RunNextTakesQueuesInTheirOrder(t *testing.T) {
	m := unstarted(t, nil, &tasks.Options{Queues: map[string]tasks.QueueOptions{
		"a": {}, "b": {}, "elsewhere": {Concurrency: -1}, "paused": {}, "slow": {Rate: 0.001},
	}})
	tasks.Register(m, "k", 1, nothing, nil)
	for _, o := range []tasks.SubmitOptions{
		{ID: "b1", Queue: "b"},
		{ID: "a-later", Queue: "a", Delay: time.Hour},
		{ID: "a1", Queue: "a"},
		{ID: "a2", Queue: "a", Priority: 1},
		{ID: "elsewhere", Queue: "elsewhere"},
		{ID: "paused", Queue: "paused"},
		{ID: "slow1", Queue: "slow"},
		{ID: "slow2", Queue: "slow"},
	} {
		submit(t, m, "k", &o)
	}
	if err := m.Pause("paused"); err != nil {
		t.Fatal(err)
	}
	var ran []string
	for {
		task, err := m.RunNext(t.Context())
		if errors.Is(err, tasks.ErrNotFound) {
			break
		}
		if err != nil || task.State != tasks.Succeeded {
			t.Fatalf("%+v, %v", task, err)
		}
		ran = append(ran, task.ID)
	}
	if got := strings.Join(ran, " "); got != "a2 a1 b1 slow1" {
		t.Errorf("ran %s", got)
	}
	if err := m.Resume("paused"); err != nil {
		t.Fatal(err)
	}
	if task, err := m.RunNext(t.Context()); err != nil || task.ID != "paused" {
		t.Errorf("after Resume: %v, %v", task, err)
	}
}

func TestManager_RunNextIsForOneThatWasNotStarted(t *testing.T) {
	m := tasks.New(memstore.New(), nil)
	if err := m.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := m.RunNext(t.Context()); !errors.Is(err, tasks.ErrConflict) {
		t.Errorf("started: %v", err)
	}
	if err := m.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := m.RunNext(t.Context()); !errors.Is(err, tasks.ErrNotRunning) {
		t.Errorf("stopped: %v", err)
	}
}

func TestManager_RunNextEndsWithItsContext(t *testing.T) {
	m := unstarted(t, nil, nil)
	ctx, cancel := context.WithCancel(t.Context())
	tasks.Register(m, "k", 1, func(ctx context.Context, _ struct{}) (struct{}, error) {
		cancel()
		<-ctx.Done()
		return struct{}{}, ctx.Err()
	}, nil)
	submit(t, m, "k", nil)
	if task, err := m.RunNext(ctx); err != nil || task.State != tasks.Queued || task.Attempt != 0 {
		t.Errorf("%+v, %v", task, err)
	}
	if _, err := m.RunNext(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("with a context that has ended: %v", err)
	}
}

func TestManager_RunNextHearsOfCancel(t *testing.T) {
	m := unstarted(t, nil, nil)
	tasks.Register(m, "k", 1, func(ctx context.Context, _ struct{}) (struct{}, error) {
		_, err := m.Cancel(context.WithoutCancel(ctx), tasks.RunFrom(ctx).ID())
		<-ctx.Done()
		return struct{}{}, errors.Join(err, context.Cause(ctx))
	}, nil)
	tasks.Register(m, "clears", 1, func(ctx context.Context, _ struct{}) (struct{}, error) {
		ctx = context.WithoutCancel(ctx)
		_, err := m.Cancel(ctx, tasks.RunFrom(ctx).ID())
		_, clearErr := m.Clear(ctx, nil)
		return struct{}{}, errors.Join(err, clearErr)
	}, nil)
	submit(t, m, "k", nil)
	if task, err := m.RunNext(t.Context()); err != nil || task.State != tasks.Cancelled {
		t.Errorf("%+v, %v", task, err)
	}
	submit(t, m, "clears", &tasks.SubmitOptions{ID: "cleared"})
	if task, err := m.RunNext(t.Context()); err != nil || task.ID != "cleared" {
		t.Errorf("one that is not there any more: %+v, %v", task, err)
	}
}

func TestManager_RunNextKeepsItsLease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := unstarted(t, nil, nil)
		tasks.Register(m, "k", 1, func(ctx context.Context, _ struct{}) (struct{}, error) {
			stop := time.NewTimer(10 * time.Minute)
			<-stop.C
			task, err := m.Get(ctx, tasks.RunFrom(ctx).ID())
			if err != nil {
				return struct{}{}, err
			}
			if !task.LeaseUntil.After(time.Now()) {
				err = errors.New("the lease has ended")
			}
			return struct{}{}, err
		}, nil)
		submit(t, m, "k", nil)
		if task, err := m.RunNext(t.Context()); err != nil || task.State != tasks.Succeeded {
			t.Errorf("%+v, %v", task, err)
		}
	})
}

func TestManager_StopWaitsForRunNext(t *testing.T) {
	m := unstarted(t, nil, nil)
	began, goOn := make(chan struct{}), make(chan struct{})
	tasks.Register(m, "k", 1, func(context.Context, struct{}) (struct{}, error) {
		close(began)
		<-goOn
		return struct{}{}, nil
	}, nil)
	id := submit(t, m, "k", nil).ID
	ran, stopped := make(chan error, 1), make(chan error, 1)
	go func() { _, err := m.RunNext(context.Background()); ran <- err }()
	<-began
	go func() { stopped <- m.Stop(context.Background()) }()
	close(goOn)
	if err := <-stopped; err != nil {
		t.Errorf("Stop: %v", err)
	}
	if state, err := m.State(t.Context(), id); err != nil || state != tasks.Succeeded {
		t.Errorf("after Stop it is %s, %v", state, err)
	}
	if err := <-ran; err != nil {
		t.Errorf("RunNext: %v", err)
	}
}

func TestManager_RunNextServesSchedules(t *testing.T) {
	clock := taskstest.NewClock(begin)
	m := unstarted(t, nil, &tasks.Options{Clock: clock})
	tasks.Register(m, "k", 1, nothing, nil)
	if err := m.Schedule("k", nil, tasks.Schedule{Name: "hourly", Every: time.Hour}); err != nil {
		t.Fatal(err)
	}
	for hour := range 3 {
		if task, err := m.RunNext(t.Context()); !errors.Is(err, tasks.ErrNotFound) {
			t.Fatalf("before the hour: %+v, %v", task, err)
		}
		clock.Advance(time.Hour)
		if task, err := m.RunNext(t.Context()); err != nil || task.State != tasks.Succeeded {
			t.Fatalf("hour %d: %+v, %v", hour, task, err)
		}
	}
}
