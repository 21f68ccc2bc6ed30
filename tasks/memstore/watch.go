package memstore

import (
	"slices"
	"sync/atomic"

	"github.com/genropy/genro-asgi-go/internal/lockorder"
	"github.com/genropy/genro-asgi-go/tasks"
)

// watch tells watchers of changes. They are noted under the store's lock, in their order, and
// told without it, by one at a time: whoever has made a change, unless another tells already, who
// goes on with it then. So a watcher that takes its time holds up no reader; writers it holds up
// when they are maxPending changes ahead.
type watch struct {
	all          []*watcher
	pending      []tasks.Task
	pendingCount atomic.Int32    // how many are pending
	telling      lockorder.Mutex // of who tells; never waited for under the store's lock
	// The memory that becomes pending when that is taken to be told: the two take turns, so that
	// neither is made anew. It is of who holds telling. nil while a batch is told, and after one
	// that was too large to be kept.
	idle []tasks.Task
}

// maxPending is how many changes may wait for a slow watcher.
const maxPending = 1024

type watcher struct{ f func(t *tasks.Task) }

// Watch is described by [tasks.Store]. f is called before the change's caller has its answer,
// unless f is being called for another change just then: then right after that.
func (s *Store) Watch(f func(t *tasks.Task)) (stop func(), err error) {
	w := &watcher{f}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.watch.all = append(s.watch.all, w)
	return func() {
		s.watch.telling.Lock() // f may be under way
		defer s.watch.telling.Unlock()
		s.mu.Lock()
		defer s.mu.Unlock()
		s.watch.all = slices.DeleteFunc(s.watch.all, func(o *watcher) bool { return o == w })
	}, nil
}

// notifyLocked notes a change for the watchers; unlock tells them.
func (s *Store) notifyLocked(t *tasks.Task) {
	if len(s.watch.all) > 0 {
		s.watch.pending = append(s.watch.pending, *t)
		s.watch.pendingCount.Store(int32(len(s.watch.pending)))
	}
}

// unlock ends a step in which tasks may have changed.
func (s *Store) unlock() {
	w := &s.watch
	n := w.pendingCount.Load()
	if n == 0 || !w.telling.TryLock() {
		if s.mu.Unlock(); n < maxPending {
			return
		}
		w.telling.Lock()
		s.mu.Lock()
	}
	for {
		batch, all := w.pending, w.all
		w.pending, w.idle = w.idle[:0], nil
		w.pendingCount.Store(0)
		s.mu.Unlock()
		for i := range batch {
			for _, to := range all {
				to.f(&batch[i])
			}
		}
		if clear(batch); cap(batch) <= 2*maxPending {
			w.idle = batch
		}
		w.telling.Unlock()
		if w.pendingCount.Load() == 0 || !w.telling.TryLock() {
			// who came meanwhile has left its change
			return
		}
		s.mu.Lock()
	}
}
