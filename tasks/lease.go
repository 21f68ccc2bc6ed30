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
	var active []*attempt
	for _, q := range *m.queues.Load() {
		active = append(active, q.active()...)
	}
	for _, a := range active {
		a.expire(every) // all of them before the first, which may hang
	}
	for _, a := range active {
		m.beat(a, every)
	}
}

// expire gives the attempt up unless the beat that comes now, or a later one, succeeds before the lease ends. Another will hold its task then.
func (a *attempt) expire(every time.Duration) {
	if a.expiry != nil {
		return
	}
	m := a.q.m
	a.expiry = m.clock.AfterFunc(m.opts.Lease-every-every/2, func() { // it was claimed or renewed a beat ago at most
		a.gone.Store(true)
		a.ctx.end(ErrStale)
	})
}

// beat renews the lease of an attempt, within a time that is the one between beats.
func (m *Manager) beat(a *attempt, within time.Duration) {
	a.expire(within)
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
		a.expiry()
		a.expiry = nil
	case errors.Is(err, ErrStale), errors.Is(err, ErrNotFound):
		a.expiry()
		a.ctx.end(ErrStale)
	default:
		m.log.Warn("tasks: renew a lease", "task", a.task.ID, "error", err)
	}
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

// bury counts a death of t, which was running, unless somebody wrote to it since it was seen so. It reports whether the store failed.
func (m *Manager) bury(ctx context.Context, t *Task, why string) (failed bool) {
	now := m.now()
	o := outcome{death: true, err: &TaskError{Kind: ErrorLost, Message: "holder " + t.Owner + " vanished: " + why}}
	_, err := m.store.Update(ctx, t.ID, now, func(is *Task) error {
		if is.State != Running || is.Revision != t.Revision {
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
		return true
	}
	return false
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
