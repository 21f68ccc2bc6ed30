package tasks

import (
	"sync"
	"sync/atomic"
)

// listeners are those who wait for changes of tasks in this process.
type listeners struct {
	some atomic.Bool // there are any, so that a change nobody waits for costs no lock

	mu     sync.Mutex
	closed bool
	byID   map[string][]*listener // of one task
	all    map[*listener]bool     // of any
}

// listener gets the changes that it wants.
type listener struct {
	id     string           // "" is any task
	wants  func(*Task) bool // nil is every change
	latest bool             // only the latest change of a task is kept for it
	woken  chan struct{}    // capacity 1

	mu     sync.Mutex
	queue  []*Task
	lost   bool // changes were dropped since the last take
	closed bool // no more come
}

// maxBehind is how many changes wait for a slow consumer.
const maxBehind = 1024

func (w *listeners) init() {
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
	w.some.Store(true)
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
	w.some.Store(len(w.all)+len(w.byID) > 0)
}

// tell hands a change to those who want it.
func (w *listeners) tell(t *Task) {
	if !w.some.Load() {
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
		l.give(&kept)
	}
	for l := range w.all {
		l.give(&kept)
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

func (l *listener) give(t *Task) {
	if l.wants != nil && !l.wants(t) {
		return
	}
	l.mu.Lock()
	switch {
	case l.latest:
		l.queue = append(l.queue[:0], t)
	case len(l.queue) >= maxBehind:
		l.lost = true
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

// take is what has come since the last one; whether something was lost after it; and whether no more comes.
func (l *listener) take() (changes []*Task, lost, closed bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	changes, lost, closed = l.queue, l.lost, l.closed
	l.queue, l.lost = nil, false
	return changes, lost, closed
}

// changed is called by the store after every change of every task.
func (m *Manager) changed(t *Task) {
	if t.State != Running || t.Owner != m.owner { // else it is this manager's claim, or what its run says: nobody has to be woken
		if q := m.queue(t.Queue); q != nil {
			q.changed(t)
		}
	}
	m.reaper.changed(t)
	m.listeners.tell(t)
}
