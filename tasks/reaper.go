package tasks

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
)

// reaper finds tasks whose holder is gone: those that nobody has written to for the length of their lease, measured from when this manager saw the last change. It
// does not go by the time of day, which may jump or differ from the holder's. A holder writes every third of its lease.
type reaper struct {
	m     *Manager
	woken chan struct{} // capacity 1
	some  atomic.Bool   // held has some, so that a change of what runs here costs no lock

	looked bool // at what was held before this manager began to watch; only look uses it

	mu   sync.Mutex
	held map[string]*sighting // by others
	due  []*Task              // their leases are over
}

// sighting is a task that another holds, as it was last seen.
type sighting struct {
	t    *Task
	stop func() bool // takes back the end of its lease
}

const (
	maxReap  = 1000                   // tasks a page
	reapLate = 500 * time.Millisecond // at most, after the lease: its holder is to give up first
)

func (r *reaper) init(m *Manager) {
	r.m, r.woken, r.held = m, make(chan struct{}, 1), make(map[string]*sighting)
}

// changed is told of every change of every task.
func (r *reaper) changed(t *Task) {
	foreign := t.State == Running && t.Owner != r.m.owner
	if !foreign && !r.some.Load() || !r.m.running.Load() {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if s := r.held[t.ID]; s != nil && s.t.Revision < t.Revision {
		r.forgetLocked(t.ID)
	}
	if foreign {
		kept := *t
		r.noteLocked(&kept, r.m.opts.Lease+min(reapLate, r.m.opts.Lease/10))
	}
}

// noteLocked begins to wait for the end of a lease, unless that is done already.
func (r *reaper) noteLocked(t *Task, wait time.Duration) {
	if r.held[t.ID] != nil {
		return
	}
	s := &sighting{t: t}
	r.held[t.ID] = s
	r.some.Store(true)
	s.stop = r.m.clock.AfterFunc(wait, func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		if r.held[t.ID] != s {
			return
		}
		r.forgetLocked(t.ID)
		r.due = append(r.due, t)
		select {
		case r.woken <- struct{}{}:
		default:
		}
	})
}

func (r *reaper) forgetLocked(id string) {
	r.held[id].stop()
	delete(r.held, id)
	r.some.Store(len(r.held) > 0)
}

// run takes over what is due, until ctx ends.
func (r *reaper) run(ctx context.Context) {
	for {
		select {
		case <-r.woken:
		case <-ctx.Done():
			return
		}
		r.mu.Lock()
		due := r.due
		r.due = nil
		r.mu.Unlock()
		for _, t := range due {
			if !r.m.runs(t) && r.m.bury(ctx, t, "the lease ended without a heartbeat") {
				r.mu.Lock()
				r.noteLocked(t, sulk) // the store failed
				r.mu.Unlock()
			}
		}
	}
}

// look finds what the watch does not tell of: at first what was running before, then what this manager holds without running it, as the answer to a claim was lost.
func (r *reaper) look(every time.Duration) time.Duration {
	err := r.find()
	if err != nil && r.m.ctx.Err() == nil {
		r.m.log.Error("tasks: look for ended leases", "error", err)
	}
	return every
}

func (r *reaper) find() error {
	ctx := r.m.ctx
	if !r.looked {
		for t, err := range r.m.All(ctx, &Filter{States: []State{Running}, Limit: maxReap}) {
			if err != nil {
				return err
			}
			r.found(t)
		}
		r.looked = true
	}
	expired, err := r.m.store.Expired(ctx, r.m.now(), maxReap)
	for _, t := range expired {
		r.found(t)
	}
	return err
}

// found watches a task for the length of a lease unless it runs here.
func (r *reaper) found(t *Task) {
	if r.m.runs(t) {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.noteLocked(t, r.m.opts.Lease+min(reapLate, r.m.opts.Lease/10))
}

// close takes back all timers. Nothing is told to r any more.
func (r *reaper) close() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for id := range r.held {
		r.forgetLocked(id)
	}
}
