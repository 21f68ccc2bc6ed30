package tasks

import (
	"context"
	"errors"
	"time"
)

// leaseBeats is how many heartbeats there are in a lease.
const leaseBeats = 3

// leases keeps the tasks that run here, by heartbeats.
type leases struct{ m *Manager }

// every is the time between heartbeats.
func (l leases) every() time.Duration {
	return max(l.m.opts.Lease/leaseBeats, time.Millisecond/leaseBeats)
}

// renewAll renews the leases of all that runs here.
func (l leases) renewAll(every time.Duration) {
	active := l.m.queues.active()
	for _, a := range active {
		a.expire(every) // all of them before the first, which may hang
	}
	failed := 0
	var last error
	for _, a := range active {
		if err := l.renew(a, every); err != nil {
			failed, last = failed+1, err
		}
	}
	l.note(failed, last)
}

// note notes how the heartbeats of all runs went.
func (l leases) note(failed int, last error) {
	m := l.m
	switch {
	case failed == 0:
		m.faults.Over(faultLease)
	case m.ctx.Err() == nil:
		m.faults.Met(faultLease, last, "tasks", failed)
	}
}

// expire gives the attempt up unless the beat that comes now, or a later one, succeeds before the
// lease ends. Another will hold its task then.
func (a *attempt) expire(every time.Duration) {
	if a.expiry != nil {
		return
	}
	m := a.q.m
	a.expiry = m.clock.AfterFunc(m.opts.Lease-every-every/2, func() {
		// it was claimed or renewed a beat ago at most
		a.leaseLost.Store(true)
		a.ctx.cancelWith(ErrStale)
	})
}

// renew renews the lease of an attempt, within a time that is the one between heartbeats. The error
// is the store's.
func (l leases) renew(a *attempt, within time.Duration) error {
	m := l.m
	a.expire(within)
	ctx, cancel := context.WithTimeout(m.ctx, within)
	defer cancel()
	acquitted := m.suspects.hasOutlived(a)
	_, err := m.store.Update(ctx, a.task.ID, m.now(), func(t *Task) error {
		if !a.holds(t) {
			return ErrStale
		}
		t.LeaseUntil = m.now().Add(m.opts.Lease)
		if acquitted && a.deaths.holderVanished {
			t.Deaths = 0
		}
		return nil
	})
	if acquitted && err == nil {
		m.suspects.release(a)
	}
	switch {
	case err == nil:
		a.expiry()
		a.expiry = nil
		a.beats.Add(1)
	case errors.Is(err, ErrStale), errors.Is(err, ErrNotFound):
		a.expiry()
		a.ctx.cancelWith(ErrStale)
	default:
		return err
	}
	return nil
}
