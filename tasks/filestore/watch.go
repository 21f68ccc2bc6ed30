package filestore

import (
	"slices"
	"sync/atomic"

	"github.com/genropy/genro-asgi-go/internal/lockorder"
	"github.com/genropy/genro-asgi-go/tasks"
)

// watchers are those who want to be told of changes.
type watchers struct {
	any atomic.Bool // there are some; changes are not copied for nobody

	// mu guards all. It is held while they are told, so that they are told of one change at a time;
	// no other lock of the store is held then.
	mu  lockorder.Mutex
	all []*watcher
}

type watcher struct{ f func(t *tasks.Task) }

// Watch is described by [tasks.Store]. f is told of a change when it is on the disk, of a claim and
// the like when they are written.
func (s *Store) Watch(f func(t *tasks.Task)) (stop func(), err error) {
	if err := s.checkOpen(); err != nil {
		return nil, err
	}
	return s.watchers.add(f), nil
}

func (w *watchers) add(f func(t *tasks.Task)) (remove func()) {
	added := &watcher{f}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.all = append(w.all, added)
	w.any.Store(true)
	return func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.all = slices.DeleteFunc(w.all, func(o *watcher) bool { return o == added })
		w.any.Store(len(w.all) > 0)
	}
}

// notify tells them of changes, in their order.
func (w *watchers) notify(changed []tasks.Task) {
	if len(changed) == 0 {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for i := range changed {
		for _, one := range w.all {
			one.f(&changed[i])
		}
	}
}
