package tasks

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/genropy/genro-asgi-go/internal/lockorder"
)

// reaper finds tasks whose holder is gone: those that nobody has written to for the length of their
// lease, measured from when this manager saw the last change. It does not go by the time of day,
// which may jump or differ from the holder's. A holder writes every third of its lease.
type reaper struct {
	m     *Manager
	woken chan struct{} // capacity 1
	// sightings is not empty. While it is, a change of what runs here costs no lock (see changed).
	anySighted atomic.Bool

	// The store was asked for all that runs, as the watch does not tell of what ran before.
	looked atomic.Bool

	mu        lockorder.Mutex
	sightings map[string]*sighting // by id: running tasks that this manager does not run
	due       []*Task              // those that were among them until their leases ended
}

// sighting is a task that another holds, as it was last seen.
type sighting struct {
	t         *Task
	stopTimer func() bool // takes back the end of its lease
}

const (
	maxReap  = 1000                   // tasks a page
	reapLate = 500 * time.Millisecond // at most, after the lease: its holder is to give up first
)

func (r *reaper) init(m *Manager) {
	r.m, r.woken, r.sightings = m, make(chan struct{}, 1), make(map[string]*sighting)
}

// changed is told of every change of every task.
func (r *reaper) changed(t *Task) {
	foreign := t.State == Running && t.Owner != r.m.owner
	if !foreign && !r.anySighted.Load() || !r.m.running.Load() {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if s := r.sightings[t.ID]; s != nil && s.t.Revision < t.Revision {
		r.forgetLocked(t.ID)
	}
	if foreign {
		kept := *t
		r.watchLocked(&kept, r.m.opts.Lease+min(reapLate, r.m.opts.Lease/10))
	}
}

// watchLocked begins to wait for the end of a lease, unless that is done already.
func (r *reaper) watchLocked(t *Task, wait time.Duration) {
	if r.sightings[t.ID] != nil {
		return
	}
	s := &sighting{t: t}
	r.sightings[t.ID] = s
	r.anySighted.Store(true)
	s.stopTimer = r.m.clock.AfterFunc(wait, func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		if r.sightings[t.ID] != s {
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
	r.sightings[id].stopTimer()
	delete(r.sightings, id)
	r.anySighted.Store(len(r.sightings) > 0)
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
			if r.m.queues.running(t) {
				continue
			}
			if wait := r.recordDeath(ctx, t, "the lease ended without a heartbeat"); wait > 0 {
				r.mu.Lock()
				r.watchLocked(t, wait)
				r.mu.Unlock()
			}
		}
	}
}

// look finds what the watch does not tell of: at first what was running before, then what this
// manager holds without running it, as the answer to a claim was lost.
func (r *reaper) look(every time.Duration) time.Duration {
	err := r.search()
	switch {
	case err == nil:
		r.m.faults.Over(faultLook)
	case r.m.ctx.Err() == nil:
		r.m.faults.Met(faultLook, err)
	}
	return every
}

func (r *reaper) search() error {
	ctx := r.m.ctx
	if !r.looked.Load() {
		r.looked.Store(true) // before the look: after it somebody may want another
		for t, err := range r.m.All(ctx, &Filter{States: []State{Running}, Limit: maxReap}) {
			if err != nil {
				r.lookAgain()
				return err
			}
			r.watchLease(t)
		}
	}
	expired, err := r.m.store.Expired(ctx, r.m.now(), maxReap)
	for _, t := range expired {
		r.watchLease(t)
	}
	return err
}

// lookAgain makes it look at all that runs once more: a lease whose end is a time of day that is
// far now is found by no other way.
func (r *reaper) lookAgain() { r.looked.Store(false) }

// watchLease watches a task for the length of a lease unless it runs here.
func (r *reaper) watchLease(t *Task) {
	if r.m.queues.running(t) {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.watchLocked(t, r.m.opts.Lease+min(reapLate, r.m.opts.Lease/10))
}

// close takes back all timers. Nothing is told to r any more.
func (r *reaper) close() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for id := range r.sightings {
		r.forgetLocked(id)
	}
}

// recordDeath counts a death of t, which was running, unless somebody wrote to it since it was seen
// so. When the store fails it returns how long to wait before the next try.
func (r *reaper) recordDeath(ctx context.Context, t *Task, why string) (wait time.Duration) {
	m := r.m
	now := m.now()
	o := outcome{
		death: true,
		err: &TaskError{
			Kind: ErrorLost,
			Message: "holder " + t.Owner +
				" vanished, its process died or did not reach the store: " + why,
		},
	}
	is, err := m.store.Update(ctx, t.ID, now, func(is *Task) error {
		if is.State != Running || is.Revision != t.Revision {
			return ErrStale
		}
		o.apply(m, is, now)
		return nil
	})
	switch {
	case err == nil:
		m.faults.Over(faultTakeover)
		m.outcomes.report(is)
	case ctx.Err() == nil && !errors.Is(err, ErrStale) && !errors.Is(err, ErrNotFound):
		return m.faults.Met(faultTakeover, err, "task", t.ID, "kind", t.Kind)
	}
	return 0
}

// takeOverPredecessor takes the tasks for lost that a manager of the same name holds: it was this
// one's predecessor.
func (r *reaper) takeOverPredecessor(ctx context.Context) error {
	m := r.m
	for t, err := range m.All(ctx, &Filter{States: []State{Running}, Limit: maxReap}) {
		if err != nil {
			return err
		}
		if t.Owner == m.owner {
			r.recordDeath(ctx, t, "another of the same name has started")
		}
	}
	return nil
}
