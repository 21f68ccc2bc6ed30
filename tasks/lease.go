package tasks

import (
	"context"
	"errors"
	"time"
)

// leaseBeats is how many heartbeats there are in a lease.
const leaseBeats = 3

// beatEvery is the time between heartbeats.
func (m *Manager) beatEvery() time.Duration {
	return max(m.opts.Lease/leaseBeats, time.Millisecond/leaseBeats)
}

// heartbeat renews the leases of all that runs here.
func (m *Manager) heartbeat(every time.Duration) {
	for _, q := range *m.queues.Load() {
		for _, a := range q.active() {
			m.beat(a, every)
		}
	}
}

// beat renews the lease of an attempt, within a time. One whose lease has not been renewed for its length is given up, as another may hold its task.
func (m *Manager) beat(a *attempt, within time.Duration) {
	ctx, cancel := context.WithTimeout(m.ctx, within)
	defer cancel()
	_, err := m.store.Update(ctx, a.task.ID, m.now(), func(t *Task) error {
		if !a.holds(t) {
			return ErrStale
		}
		t.LeaseUntil = m.now().Add(m.opts.Lease)
		return nil
	})
	switch {
	case err == nil:
		a.missed = 0
	case errors.Is(err, ErrStale), errors.Is(err, ErrNotFound):
		a.ctx.end(ErrStale)
	default:
		m.log.Warn("tasks: renew a lease", "task", a.task.ID, "error", err)
		if a.missed++; a.missed >= leaseBeats {
			a.gone.Store(true)
			a.ctx.end(ErrStale)
		}
	}
}

// reaper finds tasks whose holder is gone. A lease that has ended by this manager's time of day is not enough, as that may have jumped, or the holder's may differ: the
// reaper also sees for itself that it is not renewed for its whole length, which it measures by its own rounds.
type reaper struct {
	m    *Manager
	seen map[string]sighting
}

// sighting is a lease that has ended by the time of day.
type sighting struct {
	fence  uint64
	until  time.Time
	rounds int // how often it was seen
}

const maxReap = 1000 // tasks a round

func newReaper(m *Manager) *reaper { return &reaper{m: m, seen: make(map[string]sighting)} }

// reap is one round. There is one every third of a lease.
func (r *reaper) reap() {
	expired, err := r.m.store.Expired(r.m.ctx, r.m.now(), maxReap)
	if err != nil {
		if r.m.ctx.Err() == nil {
			r.m.log.Error("tasks: look for ended leases", "error", err)
		}
		return
	}
	seen := make(map[string]sighting, len(expired))
	for _, t := range expired {
		s := sighting{fence: t.Fence, until: t.LeaseUntil, rounds: 1}
		if old := r.seen[t.ID]; old.fence == s.fence && old.until.Equal(s.until) {
			s.rounds += old.rounds
		}
		if s.rounds <= leaseBeats+1 || r.m.runs(t) { // a lease lies between that many sightings, and a round as margin
			seen[t.ID] = s
			continue
		}
		r.m.bury(r.m.ctx, t, "the lease ended without a heartbeat")
	}
	r.seen = seen
}

// runs reports whether t runs here, by the very claim.
func (m *Manager) runs(t *Task) bool {
	q := m.queue(t.Queue)
	if q == nil {
		return false
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	a := q.runs[t.ID]
	return a != nil && a.task.Fence == t.Fence
}

// bury counts a death of t, which was running, unless somebody wrote to it meanwhile.
func (m *Manager) bury(ctx context.Context, t *Task, why string) {
	now := m.now()
	o := outcome{death: true, err: &TaskError{Kind: ErrorLost, Message: "holder " + t.Owner + " vanished: " + why}}
	_, err := m.store.Update(ctx, t.ID, now, func(is *Task) error {
		if is.State != Running || is.Fence != t.Fence || !is.LeaseUntil.Equal(t.LeaseUntil) {
			return ErrStale
		}
		o.apply(is, now)
		return nil
	})
	switch {
	case err == nil:
		m.log.Warn("tasks: a holder vanished", "task", t.ID, "kind", t.Kind, "holder", t.Owner, "why", why)
	case !errors.Is(err, ErrStale) && !errors.Is(err, ErrNotFound):
		m.log.Error("tasks: take over a task", "task", t.ID, "error", err)
	}
}

// inherit takes the tasks for lost that a manager of the same name holds: it was this one's predecessor.
func (m *Manager) inherit(ctx context.Context) error {
	for t, err := range m.All(ctx, &Filter{States: []State{Running}, Limit: maxReap}) {
		if err != nil {
			return err
		}
		if t.Owner == m.owner {
			m.bury(ctx, t, "another of the same name has started")
		}
	}
	return nil
}
