package tasks

import (
	"context"
	"fmt"
	"iter"
	"sync/atomic"

	"github.com/genropy/genro-asgi-go/internal/lockorder"
)

// Events yields every change, from the call of Events on, of the tasks that f selects as they are
// after it, nil all; those of one task in order. The error is that it cannot listen: ErrNotRunning
// after Stop, ctx's, or the store's. The sequence is for one loop. It ends with ctx, with its
// error; with Stop, with ErrNotRunning; or when the loop ends. A consumer that is 1,024 changes
// behind misses some, and gets ErrBehind in their place.
func (m *Manager) Events(ctx context.Context, f *Filter) (iter.Seq2[*Task, error], error) {
	l := &listener{wants: f.Matches}
	if err := m.listeners.listen(ctx, l); err != nil {
		return nil, err
	}
	removed := context.AfterFunc(ctx, func() { m.listeners.remove(l) }) // there may be no loop
	return func(yield func(*Task, error) bool) {
		defer m.listeners.remove(l)
		defer removed()
		m.listeners.deliver(ctx, l, yield)
	}, nil
}

// Follow yields a task as it is and then after each of its changes, or of several at once when the
// consumer is slow; the last is the one that it ends with. It ends with ctx, with its error; with
// Stop, with ErrNotRunning; with ErrNotFound where there is no such task; with ErrConflict where
// the function of a task of the same queue would follow it (see the package's documentation).
func (m *Manager) Follow(ctx context.Context, id string) iter.Seq2[*Task, error] {
	return func(yield func(*Task, error) bool) {
		m.listeners.follow(ctx, &listener{id: id, latest: true}, yield)
	}
}

// follow yields what l gets from now on, until a task that it follows is done.
func (w *listeners) follow(ctx context.Context, l *listener, yield func(*Task, error) bool) {
	m := w.m
	l.waiter = w.attemptOf(ctx)
	err := w.listen(ctx, l)
	if err == nil {
		defer w.remove(l)
	}
	if l.waiter != nil && m.stopping.Load() { // it waits for what may begin no more
		l.waiter.ctx.cancelWith(ErrNotRunning)
	}
	if err != nil {
		yield(nil, err)
		return
	}
	w.deliver(ctx, l, yield)
}

// attemptOf is the run of this manager whose function was given ctx, nil when there is none.
func (w *listeners) attemptOf(ctx context.Context) *attempt {
	if r, ok := ctx.Value(runKey{}).(*Run); ok {
		if a, ok := r.to.(*attempt); ok && a.q.m == w.m && !a.returned.Load() {
			return a
		}
	}
	return nil
}

// checkMayAwait refuses what may never come: a function holds a place of its queue while it waits,
// and so may all others that do.
func (l *listener) checkMayAwait(t *Task) error {
	a := l.waiter
	if a == nil || t.State.Done() || a.q.name != t.Queue {
		return nil
	}
	return fmt.Errorf(
		"%w: task %s of kind %q waits for task %s of kind %q in its own queue %q, whose places "+
			"may all be held by tasks that wait: give one of the kinds another queue "+
			"(KindOptions.Queue)",
		ErrConflict, a.task.ID, a.task.Kind, t.ID, t.Kind, t.Queue)
}

// listen begins to tell l of changes; who calls it removes l.
func (w *listeners) listen(ctx context.Context, l *listener) error {
	if err := w.m.watch.begin(ctx); err != nil {
		return err
	}
	w.add(l)
	return nil
}

// deliver yields what l gets since it listens.
func (w *listeners) deliver(ctx context.Context, l *listener, yield func(*Task, error) bool) {
	revision := uint64(0)
	if l.id != "" {
		t, err := w.m.store.Get(ctx, l.id)
		if err == nil {
			if err = l.checkMayAwait(t); err != nil {
				t = nil
			}
		}
		if !yield(t, err) || err != nil || t.State.Done() {
			return
		}
		revision = t.Revision
	}
	for {
		select {
		case <-l.woken:
		case <-ctx.Done():
			yield(nil, ctx.Err())
			return
		}
		changes, lost, closed := l.drain()
		for _, t := range changes {
			if t.Revision <= revision {
				continue // it changed before it was read
			}
			if !yield(t, nil) || l.id != "" && t.State.Done() {
				return
			}
		}
		if lost && !yield(nil, ErrBehind) {
			return
		}
		if closed {
			yield(nil, ErrNotRunning)
			return
		}
	}
}

// listeners are those who wait for changes of tasks in this process.
type listeners struct {
	m   *Manager
	any atomic.Bool // there are any, so that a change nobody waits for costs no lock

	mu     lockorder.Mutex
	closed bool
	byID   map[string][]*listener // of one task
	all    map[*listener]bool     // of any
}

// listener gets the changes that it wants.
type listener struct {
	id     string           // "" is any task
	wants  func(*Task) bool // nil is every change
	latest bool             // only the latest change of a task is kept for it
	waiter *attempt         // whose function waits; nil is somebody else
	woken  chan struct{}    // capacity 1

	mu     lockorder.Mutex
	queue  []*Task
	missed bool // changes were dropped since the last take
	closed bool // no more come
}

// maxBehind is how many changes wait for a slow consumer.
const maxBehind = 1024

func (w *listeners) init(m *Manager) {
	w.m = m
	w.byID, w.all = make(map[string][]*listener), make(map[*listener]bool)
}

// add begins to tell l of changes.
func (w *listeners) add(l *listener) {
	l.woken = make(chan struct{}, 1)
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		l.close()
		return
	}
	if l.id == "" {
		w.all[l] = true
	} else {
		w.byID[l.id] = append(w.byID[l.id], l)
	}
	w.any.Store(true)
}

func (w *listeners) remove(l *listener) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if l.id == "" {
		delete(w.all, l)
	} else {
		left := w.byID[l.id]
		for i, other := range left {
			if other == l {
				left[i] = left[len(left)-1]
				left = left[:len(left)-1]
				break
			}
		}
		if len(left) == 0 {
			delete(w.byID, l.id)
		} else {
			w.byID[l.id] = left
		}
	}
	w.any.Store(len(w.all)+len(w.byID) > 0)
}

// publish hands a change to those who want it.
func (w *listeners) publish(t *Task) {
	if !w.any.Load() {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	some := w.byID[t.ID]
	if len(some)+len(w.all) == 0 {
		return
	}
	kept := *t
	for _, l := range some {
		l.offer(&kept)
	}
	for l := range w.all {
		l.offer(&kept)
	}
}

// interrupt ends the runs that wait for another task's end.
func (w *listeners) interrupt() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, list := range w.byID {
		for _, l := range list {
			if l.waiter != nil {
				l.waiter.ctx.cancelWith(ErrNotRunning)
			}
		}
	}
}

// close ends all waiting.
func (w *listeners) close() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.closed = true
	for _, list := range w.byID {
		for _, l := range list {
			l.close()
		}
	}
	for l := range w.all {
		l.close()
	}
}

func (l *listener) offer(t *Task) {
	if l.wants != nil && !l.wants(t) {
		return
	}
	l.mu.Lock()
	switch {
	case l.latest:
		l.queue = append(l.queue[:0], t)
	case len(l.queue) >= maxBehind:
		l.missed = true
	default:
		l.queue = append(l.queue, t)
	}
	l.mu.Unlock()
	l.wake()
}

func (l *listener) close() {
	l.mu.Lock()
	l.closed = true
	l.mu.Unlock()
	l.wake()
}

func (l *listener) wake() {
	select {
	case l.woken <- struct{}{}:
	default:
	}
}

// drain is what has come since the last one; whether something was lost after it; and whether no
// more comes.
func (l *listener) drain() (changes []*Task, lost, closed bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	changes, lost, closed = l.queue, l.missed, l.closed
	l.queue, l.missed = nil, false
	return changes, lost, closed
}

// storeWatch is how a manager hears of the changes of its store, from when somebody needs them.
type storeWatch struct {
	m *Manager
	// capacity 1: full while the watch is begun; never waited for under mu
	beginning chan struct{}

	mu      lockorder.Mutex
	unwatch func() // ends the store's watch, nil when there is none
}

func (w *storeWatch) init(m *Manager) { w.m, w.beginning = m, make(chan struct{}, 1) }

// begin begins to watch the store, once, also without Start. ctx governs the wait for another who
// does: a store that takes its time holds up nobody else. The error is ErrNotRunning after Stop.
func (w *storeWatch) begin(ctx context.Context) error {
	if begun, err := w.begun(); begun || err != nil {
		return err
	}
	select {
	case w.beginning <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	case <-w.m.ctx.Done():
		return ErrNotRunning
	}
	defer func() { <-w.beginning }()
	if begun, err := w.begun(); begun || err != nil {
		return err
	}
	stop, err := w.m.store.Watch(w.m.changed)
	if err != nil {
		return fmt.Errorf("tasks: watch the store: %w", err)
	}
	w.mu.Lock()
	stopped := w.m.stopping.Load()
	if !stopped {
		w.unwatch = stop
	}
	w.mu.Unlock()
	if stopped {
		stop()
		return ErrNotRunning
	}
	return nil
}

// begun reports whether the store is watched; the error is ErrNotRunning after Stop.
func (w *storeWatch) begun() (bool, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.m.stopping.Load() {
		return false, ErrNotRunning
	}
	return w.unwatch != nil, nil
}

// end ends the watch; the manager has been stopped before.
func (w *storeWatch) end() {
	w.mu.Lock()
	unwatch := w.unwatch
	w.mu.Unlock()
	if unwatch != nil {
		unwatch() // without the lock, as it waits for a change that is being told
	}
}
