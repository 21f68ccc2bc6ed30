package tasks_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/genropy/genro-asgi-go/tasks"
	"github.com/genropy/genro-asgi-go/tasks/memstore"
)

func TestManager_EventsListenFromTheCallOn(t *testing.T) {
	m := tasks.New(memstore.New(), nil)
	k := tasks.Register(m, "sum", 1, sum, nil)
	ctx, cancel := context.WithCancel(t.Context())
	events := must[iter.Seq2[*tasks.Task, error]](t)(m.Events(ctx, nil))
	unread := must[iter.Seq2[*tasks.Task, error]](t)(m.Events(ctx, nil))
	id := must[*tasks.Task](t)(k.Submit(ctx, sumIn{}, nil)).ID
	for task, err := range events {
		if err != nil || task.ID != id {
			t.Errorf("%+v, %v", task, err)
		}
		break
	}
	cancel()
	for task, err := range unread { // what has come meanwhile, then the end
		if err != nil {
			if !errors.Is(err, context.Canceled) {
				t.Error(err)
			}
		} else if task.ID != id {
			t.Errorf("%+v", task)
		}
	}
	if err := m.Stop(context.Background()); err != nil {
		t.Error(err)
	}
	if _, err := m.Events(context.Background(), nil); !errors.Is(err, tasks.ErrNotRunning) {
		t.Errorf("after Stop: %v", err)
	}
}

func TestManager_EventsTellWhatWasMissed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := tasks.New(memstore.New(), nil)
		k := tasks.Register(m, "sum", 1, sum, nil)
		type event struct {
			task *tasks.Task
			err  error
		}
		events := make(chan event)
		changes := must[iter.Seq2[*tasks.Task, error]](t)(
			m.Events(context.Background(), &tasks.Filter{Kind: "sum"}))
		go func() {
			defer close(events)
			for task, err := range changes {
				events <- event{task, err}
			}
		}()
		synctest.Wait()
		submit := func(i int) {
			must[*tasks.Task](t)(k.Submit(t.Context(), sumIn{},
				&tasks.SubmitOptions{ID: fmt.Sprint(i)}))
		}
		submit(0)
		synctest.Wait() // the consumer has it, and is slow
		for i := range 1034 {
			submit(1 + i)
		}
		synctest.Wait()
		for i := range 1025 {
			if e := <-events; e.err != nil || e.task.ID != fmt.Sprint(i) {
				t.Fatalf("event %d: %+v", i, e)
			}
		}
		if e := <-events; !errors.Is(e.err, tasks.ErrBehind) {
			t.Fatalf("nothing is said of what was missed: %+v", e)
		}
		submit(2000)
		if e := <-events; e.err != nil || e.task.ID != "2000" {
			t.Errorf("afterwards: %+v", e)
		}
		stop(t, m)
		if e := <-events; !errors.Is(e.err, tasks.ErrNotRunning) {
			t.Errorf("after Stop: %+v", e)
		}
		if e, more := <-events; more {
			t.Errorf("after the end: %+v", e)
		}
	})
}

func TestManager_ClearFilters(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := tasks.New(memstore.New(),
			&tasks.Options{Queues: map[string]tasks.QueueOptions{"side": {}}})
		for _, kind := range []string{"a", "b"} {
			tasks.Register(m, kind, 1, func(_ context.Context, fail bool) (int, error) {
				if fail {
					return 0, errors.New("no")
				}
				return 1, nil
			}, nil)
		}
		start(t, m)
		submit := func(kind, payload string, o *tasks.SubmitOptions) string {
			return must[*tasks.Task](t)(m.Submit(t.Context(), kind, []byte(payload), o)).ID
		}
		wait(t, m, submit("a", "false", nil), tasks.Succeeded)
		<-time.After(time.Hour)
		middle := time.Now()
		wait(t, m, submit("a", "true", nil), tasks.Failed)
		wait(t, m, submit("b", "false", nil), tasks.Succeeded)
		wait(t, m, submit("b", "false", &tasks.SubmitOptions{Queue: "side"}), tasks.Succeeded)
		wait(t, m,
			submit("b", "false", &tasks.SubmitOptions{Metadata: map[string]string{"for": "x"}}),
			tasks.Succeeded)
		must[*tasks.Task](t)(m.Cancel(t.Context(),
			submit("b", "false", &tasks.SubmitOptions{Delay: time.Hour})))
		for i := range 250 {
			id := submit("b", "true", &tasks.SubmitOptions{ID: fmt.Sprint("many", i)})
			wait(t, m, id, tasks.Failed)
		}
		submit("a", "false", &tasks.SubmitOptions{ID: "waits", Delay: time.Hour})
		for _, c := range []struct {
			f    tasks.Filter
			want int
		}{
			{tasks.Filter{Before: middle}, 1},
			{tasks.Filter{Before: middle}, 0},
			{tasks.Filter{Kind: "a", States: []tasks.State{tasks.Succeeded}}, 0},
			{tasks.Filter{Kind: "a", States: []tasks.State{tasks.Scheduled, tasks.Failed}}, 1},
			{tasks.Filter{Queue: "side"}, 1},
			{tasks.Filter{Metadata: map[string]string{"for": "y"}}, 0},
			{tasks.Filter{Metadata: map[string]string{"for": "x"}}, 1},
			{tasks.Filter{States: []tasks.State{tasks.Cancelled}}, 1},
			{tasks.Filter{States: []tasks.State{tasks.Failed}, Limit: 100}, 250},
			{tasks.Filter{}, 1},
			{tasks.Filter{}, 0},
		} {
			if n := must[int](t)(m.Clear(t.Context(), &c.f)); n != c.want {
				t.Errorf("%+v: %d cleared, want %d", c.f, n, c.want)
			}
		}
		if _, err := m.Clear(t.Context(),
			&tasks.Filter{States: []tasks.State{tasks.Scheduled}}); !errors.Is(err,
			tasks.ErrInvalid) {
			t.Errorf("what is not done: %v", err)
		}
		if state := must[tasks.State](t)(m.State(t.Context(), "waits")); state != tasks.Scheduled {
			t.Errorf("what waits is %s", state)
		}
	})
}

func TestManager_StopWithAFunctionThatNeverReturns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := memstore.New()
		m := tasks.New(store, nil)
		running, release := make(chan struct{}), make(chan struct{})
		k := tasks.Register(m, "deaf", 1, func(context.Context, struct{}) (int, error) {
			close(running)
			<-release
			return 1, nil
		}, nil)
		if err := m.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		id := must[*tasks.Task](t)(k.Submit(t.Context(), struct{}{}, nil)).ID
		<-running
		begun := time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := m.Stop(ctx); err == nil || !strings.Contains(err.Error(), id) ||
			!strings.Contains(err.Error(), "has not returned") {
			t.Errorf("Stop: %v", err)
		}
		if took := time.Since(begun); took != 6*time.Second {
			t.Errorf("Stop took %v, not 1 s of patience and 5 s of grace", took)
		}
		if task := must[*tasks.Task](t)(store.Get(t.Context(), id)); task.State != tasks.Queued ||
			task.Attempt != 0 || task.Owner != "" {
			t.Errorf("not put back: %+v", task)
		}
		other := tasks.New(store, nil)
		tasks.Register(other, "deaf", 1,
			func(context.Context, struct{}) (int, error) { return 2, nil }, nil)
		start(t, other)
		wait(t, other, id, tasks.Succeeded)
		close(release) // it returns at last, too late
		synctest.Wait()
		if task := must[*tasks.Task](t)(store.Get(t.Context(), id)); string(task.Result) != "2" ||
			task.Attempt != 1 {
			t.Errorf("in the end: %+v", task)
		}
	})
}

func TestQueue_OrderAndPause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := tasks.New(
			memstore.New(),
			&tasks.Options{Queues: map[string]tasks.QueueOptions{"default": {Concurrency: 1}}})
		var order []string // one runs at a time
		step := make(chan struct{})
		k := tasks.Register(m, "work", 1, func(ctx context.Context, _ struct{}) (struct{}, error) {
			order = append(order, tasks.RunFrom(ctx).ID())
			<-step
			return struct{}{}, nil
		}, nil)
		start(t, m)
		submit := func(id string, priority int) {
			must[*tasks.Task](t)(k.Submit(t.Context(), struct{}{},
				&tasks.SubmitOptions{ID: id, Priority: priority}))
		}
		submit("first", 0)
		synctest.Wait()
		if err := errors.Join(m.Pause("default"), m.Pause("default")); err != nil {
			t.Error(err)
		}
		step <- struct{}{}
		wait(t, m, "first", tasks.Succeeded) // what runs goes on
		submit("low", -1)
		submit("normal", 0)
		submit("normal-later", 0)
		submit("high", 5)
		<-time.After(time.Hour)
		synctest.Wait()
		if len(order) != 1 {
			t.Errorf("ran while paused: %v", order)
		}
		if err := m.Resume("default"); err != nil {
			t.Error(err)
		}
		for range 4 {
			step <- struct{}{}
		}
		synctest.Wait()
		if want := []string{"first", "high", "normal", "normal-later", "low"}; !slices.Equal(order,
			want) {
			t.Errorf("order %v, want %v", order, want)
		}
		if err := m.Resume("none"); !errors.Is(err, tasks.ErrNotFound) {
			t.Errorf("Resume: %v", err)
		}
	})
}

// TestRun_StaleInTheSameManager has a function that does not heed its context outlive its run,
// while the same manager runs the task again: only the fence tells them apart.
func TestRun_StaleInTheSameManager(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := tasks.New(memstore.New(), nil)
		release := []chan struct{}{make(chan struct{}), make(chan struct{})}
		var runs []*tasks.Run
		k := tasks.Register(m, "deaf", 1, func(ctx context.Context, _ struct{}) (int, error) {
			n := len(runs)
			runs = append(runs, tasks.RunFrom(ctx))
			<-release[n]
			return n, nil
		}, nil)
		start(t, m)
		id := must[*tasks.Task](t)(k.Submit(t.Context(), struct{}{}, nil)).ID
		synctest.Wait()
		must[*tasks.Task](t)(m.Cancel(t.Context(), id))
		must[*tasks.Task](t)(m.Retry(t.Context(), id))
		synctest.Wait()
		if err := runs[0].Checkpoint(0); !errors.Is(err, tasks.ErrStale) {
			t.Errorf("the stale run writes: %v", err)
		}
		close(release[0])
		synctest.Wait()
		if state := must[tasks.State](t)(m.State(t.Context(), id)); state != tasks.Running {
			t.Errorf("the stale run's end made it %s", state)
		}
		close(release[1])
		if task := wait(t, m, id, tasks.Succeeded); string(task.Result) != "1" {
			t.Errorf("%+v", task)
		}
	})
}

// slowClaim is a store whose claims wait at a gate.
type slowClaim struct {
	tasks.Store
	gate chan struct{}
}

func (s *slowClaim) Claim(ctx context.Context, c *tasks.Claim) (time.Time, error) {
	<-s.gate
	return s.Store.Claim(ctx, c)
}

func TestQueue_PauseWaitsForAClaim(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &slowClaim{memstore.New(), make(chan struct{})}
		m := tasks.New(store, nil)
		k := tasks.Register(m, "work", 1, nothing, nil)
		start(t, m)
		synctest.Wait() // it claims
		paused := make(chan error, 1)
		go func() { paused <- m.Pause("default") }()
		synctest.Wait()
		if len(paused) > 0 {
			t.Error("paused, and a claim is under way")
		}
		close(store.gate)
		if err := <-paused; err != nil {
			t.Error(err)
		}
		id := must[*tasks.Task](t)(k.Submit(t.Context(), struct{}{}, nil)).ID
		synctest.Wait()
		if state := must[tasks.State](t)(m.State(t.Context(), id)); state != tasks.Queued {
			t.Errorf("submitted after Pause, and %s", state)
		}
	})
}

func TestManager_StopInterruptsWhatIsBeingClaimed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &slowClaim{memstore.New(), make(chan struct{})}
		m := tasks.New(store, nil)
		k := tasks.Register(m, "waits", 1, func(ctx context.Context, _ struct{}) (struct{}, error) {
			<-ctx.Done()
			return struct{}{}, context.Cause(ctx)
		}, nil)
		id := must[*tasks.Task](t)(k.Submit(t.Context(), struct{}{}, nil)).ID
		if err := m.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		synctest.Wait() // it claims
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		stopped := make(chan error, 1)
		go func() { stopped <- m.Stop(ctx) }()
		synctest.Wait()
		close(store.gate)
		if err := <-stopped; err != nil {
			t.Error(err)
		}
		if task := must[*tasks.Task](t)(store.Get(t.Context(), id)); task.State != tasks.Queued ||
			task.Attempt != 0 {
			t.Errorf("after Stop: %+v", task)
		}
	})
}

func TestManager_CancelRetryAndClearOnceMore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := tasks.New(memstore.New(), nil)
		k := tasks.Register(m, "sum", 1, sum, nil)
		about := map[string]string{"for": "me"}
		id := must[*tasks.Task](t)(k.Submit(t.Context(), sumIn{},
			&tasks.SubmitOptions{Metadata: about})).ID
		about["for"] = "another" // it was taken as it was
		once := must[*tasks.Task](t)(m.Cancel(t.Context(), id))
		if again := must[*tasks.Task](t)(m.Cancel(t.Context(), id)); again.State !=
			tasks.Cancelled || again.Metadata["for"] != "me" || again.Revision != once.Revision {
			t.Errorf("%+v after %+v", again, once)
		}
		if task := must[*tasks.Task](t)(m.Retry(t.Context(), id)); task.State != tasks.Queued ||
			!task.Finished.IsZero() {
			t.Errorf("retried: %+v", task)
		}
		gaveUp, cancel := context.WithCancel(t.Context())
		waits := make(chan error, 3)
		for _, ctx := range []context.Context{t.Context(), gaveUp, t.Context()} {
			go func() { _, err := m.Wait(ctx, id); waits <- err }()
			synctest.Wait()
		}
		cancel()
		if err := <-waits; !errors.Is(err, context.Canceled) {
			t.Errorf("who gives up: %v", err)
		}
		start(t, m)
		for range 2 { // the others hear of the end all the same
			if err := <-waits; err != nil {
				t.Error(err)
			}
		}
		if _, err := m.Cancel(t.Context(), id); !errors.Is(err, tasks.ErrConflict) {
			t.Errorf("one that has succeeded: %v", err)
		}
		if n := must[int](t)(m.Clear(t.Context(), &tasks.Filter{Cursor: "1"})); n != 1 {
			t.Errorf("%d cleared, want all, wherever a cursor is", n)
		}
	})
}
