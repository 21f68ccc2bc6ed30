package tasks_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/genropy/genro-asgi-go/tasks"
	"github.com/genropy/genro-asgi-go/tasks/memstore"
	"github.com/genropy/genro-asgi-go/tasks/taskstest"
)

// model is what must hold of the tasks of one store, whatever its managers, clocks and connections
// do. It sees every change in order.
type model struct {
	mu     sync.Mutex
	tasks  map[string]*tasks.Task // as they were last told of
	errs   []string
	live   map[string]uint64 // fences of functions that run and whose context has not ended
	fences map[string]uint64 // highest that a function has run with
}

var transitions = map[tasks.State]string{
	tasks.Scheduled: "running cancelled", tasks.Queued: "running cancelled",
	tasks.Retrying: "running cancelled",
	tasks.Running:  "succeeded failed retrying cancelled dead queued",
	tasks.Failed:   "queued", tasks.Dead: "queued", tasks.Cancelled: "queued",
}

func (m *model) wrong(format string, args ...any) {
	m.errs = append(m.errs, fmt.Sprintf(format, args...))
}

func (m *model) changed(t *tasks.Task) {
	m.mu.Lock()
	defer m.mu.Unlock()
	old := m.tasks[t.ID]
	kept := *t
	m.tasks[t.ID] = &kept
	switch {
	case old == nil:
		if !t.State.Waiting() || t.Revision != 1 {
			m.wrong("%s begins as %s, revision %d", t.ID, t.State, t.Revision)
		}
		return
	case t.Revision != old.Revision+1:
		m.wrong("%s: revision %d after %d", t.ID, t.Revision, old.Revision)
	case t.State == old.State && (t.Owner != old.Owner || t.Fence != old.Fence):
		m.wrong("%s: holder changes while %s", t.ID, t.State)
	case t.State != old.State &&
		!slices.Contains(strings.Fields(transitions[old.State]), string(t.State)):
		m.wrong("%s: %s to %s", t.ID, old.State, t.State)
	}
	if t.Fence < old.Fence || t.State == tasks.Running && old.State != tasks.Running &&
		t.Fence <= old.Fence {
		m.wrong("%s: fence %d after %d", t.ID, t.Fence, old.Fence)
	}
	if (t.State == tasks.Running) != (t.Owner != "") {
		m.wrong("%s is %s, held by %q", t.ID, t.State, t.Owner)
	}
	if t.State == tasks.Cancelled {
		// a holder that is cut off goes on, beside what Retry asks for: that it writes nothing is
		// what is checked
		delete(m.live, t.ID)
	}
	if t.Deaths > 3 || t.State == tasks.Dead && t.Deaths != 3 {
		m.wrong("%s is %s after %d deaths", t.ID, t.State, t.Deaths)
	}
	if t.State.Done() == t.Finished.IsZero() {
		m.wrong("%s is %s, finished %v", t.ID, t.State, t.Finished)
	}
	if t.State == tasks.Succeeded && string(t.Result) != fmt.Sprint(t.Fence) {
		m.wrong("%s has the result of run %s, not %d", t.ID, t.Result, t.Fence)
	}
}

// world is managers, each with a clock and a connection of its own, on one store.
type world struct {
	*model
	store   *memstore.Store
	nodes   []*node
	release map[string]chan error // of running functions, by "id fence"
	seq     int
}

type node struct {
	m     *tasks.Manager
	kind  *tasks.Kind[int, uint64]
	clock *taskstest.Clock
	conn  *cut
	late  sync.Mutex
}

const modelLease = 30 * time.Second

func (w *world) add() {
	n := &node{clock: taskstest.NewClock(begin), conn: &cut{Store: w.store}}
	if len(w.nodes) > 0 {
		n.clock.Jump(w.nodes[0].clock.Now().Sub(begin))
	}
	n.m = tasks.New(n.conn, &tasks.Options{
		Clock: n.clock, Logger: quiet, Lease: modelLease,
		Retention: -1,
		Queues:    map[string]tasks.QueueOptions{"default": {Concurrency: 3, KeyLimit: 2}},
	})
	n.kind = tasks.Register(n.m, "work", 1,
		func(ctx context.Context, _ int) (uint64, error) { return w.work(ctx, n) },
		&tasks.KindOptions{
			Retry: tasks.RetryPolicy{Attempts: 3, Min: time.Second, Max: time.Minute},
		})
	if err := n.m.Start(context.Background()); err != nil {
		w.wrong("start: %v", err)
	}
	w.nodes = append(w.nodes, n)
}

// work runs until it is let go or its context ends, and claims to be alone with its task meanwhile.
func (w *world) work(ctx context.Context, n *node) (uint64, error) {
	run := tasks.RunFrom(ctx)
	key, done := fmt.Sprint(run.ID(), " ", run.Fence()), make(chan error, 1)
	w.mu.Lock()
	if other, ok := w.live[run.ID()]; ok {
		w.wrong("%s runs with fences %d and %d at once", run.ID(), other, run.Fence())
	}
	if run.Fence() <= w.fences[run.ID()] {
		w.wrong("%s: fence %d after %d", run.ID(), run.Fence(), w.fences[run.ID()])
	}
	w.live[run.ID()], w.fences[run.ID()] = run.Fence(), run.Fence()
	w.release[key] = done
	w.mu.Unlock()
	var err error
	select {
	case err = <-done:
	case <-ctx.Done():
		err = ctx.Err()
	}
	stale := context.Cause(ctx)
	w.mu.Lock()
	if w.live[run.ID()] == run.Fence() {
		delete(w.live, run.ID())
	}
	w.mu.Unlock()
	if errors.Is(stale, tasks.ErrStale) {
		err = <-done // it does not heed its context, and others may have the task when it writes
	}
	w.mu.Lock()
	delete(w.release, key)
	w.mu.Unlock()
	if errors.Is(stale, tasks.ErrStale) || errors.Is(stale, tasks.ErrCancelled) {
		// two such runs of a node must not take the connection from each other
		n.late.Lock()
		off := n.conn.off.Swap(false) // the connection comes back for a moment
		is := w.get(run.ID())
		mine := is.State == tasks.Running && is.Fence == run.Fence() // nobody has taken it yet
		werr := run.Checkpoint(run.Fence())
		n.conn.off.Store(off)
		n.late.Unlock()
		if !mine && !errors.Is(werr, tasks.ErrStale) && !errors.Is(werr, errCut) {
			// cut off again by the model, it has written nothing either

			w.mu.Lock()
			w.wrong("%s: a stale write with fence %d ends with %v: %+v", run.ID(), run.Fence(),
				werr, is)
			w.mu.Unlock()
		}
		return run.Fence(), nil // believed by nobody
	}
	return run.Fence(), err
}

func (w *world) get(id string) *tasks.Task {
	t, err := w.store.Get(context.Background(), id)
	if err != nil {
		w.mu.Lock()
		w.wrong("lost: %s: %v", id, err)
		w.mu.Unlock()
		return &tasks.Task{}
	}
	return t
}

// pass lets time go by on all clocks.
func (w *world) pass(d time.Duration) {
	for d > 0 {
		step := min(d, time.Second)
		for _, n := range w.nodes {
			n.clock.Advance(step)
		}
		synctest.Wait()
		d -= step
	}
}

// end lets running functions return: each as which says.
func (w *world) end(which func(n int) (bool, error)) {
	w.mu.Lock()
	i := 0
	for _, done := range w.release {
		if ok, err := which(i); ok {
			select {
			case done <- err:
			default:
			}
		}
		i++
	}
	w.mu.Unlock()
	synctest.Wait()
}

// action is one step of a random history: what, on which manager and task, and how much.
type action struct{ What, Node, Task, More int }

func TestModel(t *testing.T) {
	actions := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) action {
		return action{
			rapid.IntRange(0, 9).Draw(t, "what"), rapid.IntRange(0, 9).Draw(t, "node"),
			rapid.IntRange(0, 99).Draw(t, "task"), rapid.IntRange(0, 99).Draw(t, "more"),
		}
	}), 1, 50)
	rapid.Check(t, func(r *rapid.T) {
		history := actions.Draw(r, "history")
		var wrong []string
		// rapid's own t has no place in the bubble
		synctest.Test(t, func(*testing.T) { wrong = play(history) })
		if len(wrong) > 0 {
			r.Fatal(strings.Join(wrong, "\n"))
		}
	})
}

// play plays a history and then lets everything come to its end. It returns what went wrong.
func play(history []action) []string {
	w := &world{
		model: &model{
			tasks: map[string]*tasks.Task{}, live: map[string]uint64{},
			fences: map[string]uint64{},
		},
		store: memstore.New(), release: map[string]chan error{},
	}
	stopWatch, err := w.store.Watch(w.changed)
	if err != nil {
		return []string{err.Error()}
	}
	defer stopWatch()
	w.add()
	w.add()
	defer w.stopAll()
	for _, a := range history {
		w.play(a)
		synctest.Wait()
		if len(w.errs) > 0 {
			return w.errs
		}
	}
	// In the end, with one manager that works, everything that was submitted is done.
	w.stopAll()
	w.add()
	for range 60 { // however far ahead the clocks were that put it off
		w.pass(10 * time.Second)
		w.end(func(int) (bool, error) { return true, nil })
	}
	for id, task := range w.tasks {
		if w.get(id).Revision != task.Revision {
			w.wrong("%s: a change was not told", id)
		}
		if !task.State.Done() {
			w.wrong("%s is never done: %+v", id, task)
		}
	}
	return w.errs
}

// play does one action.
func (w *world) play(a action) {
	ctx, n, id := context.Background(), w.nodes[a.Node%len(w.nodes)], fmt.Sprint("t",
		a.Task%max(w.seq, 1))
	switch a.What {
	case 0, 1, 2:
		_, err := n.kind.Submit(ctx, 1, &tasks.SubmitOptions{
			ID: fmt.Sprint("t", w.seq), Priority: a.More % 3, Key: []string{"", "a"}[a.Task%2],
			Delay: time.Duration(a.Task%3) * 20 * time.Second,
		})
		if err != nil {
			w.wrong("submit: %v", err)
		}
		w.seq++
	case 3:
		_, err := n.m.Cancel(ctx, id)
		w.check(err, n)
	case 4:
		_, err := n.m.Retry(ctx, id)
		w.check(err, n)
	case 5: // its connection fails for good: to the others it has crashed
		n.conn.off.Store(true)
		w.add()
		w.pass(time.Duration(a.More) * time.Second)
	case 6, 7:
		w.pass(time.Duration(a.More) * time.Second)
	case 8:
		n.clock.Jump([]time.Duration{time.Hour, -time.Hour}[a.More%2])
	case 9:
		w.end(func(i int) (bool, error) {
			if i < a.More%4 {
				return true, errors.New("no")
			}
			return i%2 == 0, nil
		})
	}
}

// check takes the errors that may be.
func (w *world) check(err error, n *node) {
	if err != nil && !errors.Is(err, tasks.ErrConflict) && !errors.Is(err, tasks.ErrNotFound) &&
		!n.conn.off.Load() {
		w.wrong("%v", err)
	}
}

// stopAll stops all managers, those that crashed as well, as a test leaves nothing behind.
func (w *world) stopAll() {
	w.end(func(int) (bool, error) { return true, nil })
	for _, n := range w.nodes {
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		_ = n.m.Stop(ctx)
	}
	w.nodes = nil
}
