package tasks

import (
	"context"
	"errors"
	"time"
)

// Clock is what time is for a Manager. The default is the machine's; taskstest has one for tests.
type Clock interface {
	// Now is the time of day. It may jump, either way.
	Now() time.Time
	// AfterFunc calls f, which is quick, once d has passed, however the time of day jumps
	// meanwhile, and not from within AfterFunc. stop takes that back and reports whether it came
	// before f began.
	AfterFunc(d time.Duration, f func()) (stop func() bool)
}

// machineClock is the real one.
type machineClock struct{}

func (machineClock) Now() time.Time { return time.Now() }

func (machineClock) AfterFunc(d time.Duration, f func()) func() bool {
	return time.AfterFunc(d, f).Stop
}

// pause waits for d, or until done is closed, and reports whether d has passed.
func pause(c Clock, d time.Duration, done <-chan struct{}) bool {
	passed := make(chan struct{})
	stop := c.AfterFunc(d, func() { close(passed) })
	select {
	case <-passed:
		return true
	case <-done:
		stop()
		return false
	}
}

// timekeeper notices that the time of day was set, which no system tells a program, and mends what
// went by it. It deletes old tasks too, as when that is to be goes by the time of day. One
// goroutine runs it.
type timekeeper struct {
	m     *Manager
	every time.Duration // between looks at the clock

	searchDue bool          // there may be tasks that wait for longer than they are to
	setBack   bool          // the clock was set back since they were looked for
	sweep     time.Duration // until old tasks are deleted again
	// By how much the clock was set ahead, 0 when it was not of late. Tasks that had ended before
	// look older by that, and are kept for longer by it, until none of them is left.
	ahead    time.Duration
	aheadFor time.Duration // how much longer that takes: Retention from the last time it was set
}

const (
	lookAtClock = 15 * time.Second
	// by less a clock is not said to be set ahead: a busy machine is late too
	setAhead = time.Minute
)

func newTimekeeper(m *Manager) *timekeeper {
	k := &timekeeper{m: m, searchDue: true}
	k.every = min(lookAtClock, k.sweepEvery())
	return k
}

// run serves until ctx ends.
func (k *timekeeper) run(ctx context.Context) {
	m := k.m
	for {
		if k.searchDue {
			k.searchDue = !k.shortenWaits(ctx, k.setBack)
			k.setBack = k.setBack && k.searchDue
		}
		if k.sweep <= 0 && m.opts.Retention > 0 {
			k.deleteBefore(ctx, m.now().Add(-m.opts.Retention-k.ahead))
			k.sweep = k.sweepEvery()
		}
		begun := m.now()
		set := make(chan time.Duration, 1)
		stop := m.clock.AfterFunc(k.every, func() { set <- m.now().Sub(begun) - k.every })
		select {
		case by := <-set:
			k.noticeJump(by)
		case <-ctx.Done():
			stop()
			return
		}
	}
}

// noticeJump is told that the time between two looks has passed, and by how much the clock was set
// meanwhile, below 0 back.
func (k *timekeeper) noticeJump(by time.Duration) {
	m := k.m
	k.sweep -= k.every
	if k.aheadFor -= k.every; k.aheadFor <= 0 {
		k.ahead = 0
	}
	switch {
	case by < -skew:
		m.log.Warn("tasks: the clock was set back", "by", -by)
		k.searchDue, k.setBack = true, true
		m.reaper.lookAgain()
	case by > setAhead:
		// What was done before looks older than it is, and is not to be deleted before its time.
		m.log.Warn("tasks: the clock was set ahead, or the program stood still", "by", by)
		k.ahead, k.aheadFor = k.ahead+by, m.opts.Retention
	default:
		return
	}
	m.planner.wake()
	m.queues.wakeAll()
}

// shortenWaits lets no task wait for longer than it was to when it was put off, and no queued one
// stand behind those that came after it, as they do where the clock was set back since. It reports
// whether the store let it.
func (k *timekeeper) shortenWaits(ctx context.Context, back bool) bool {
	m := k.m
	now := m.now()
	states := []State{Scheduled, Retrying}
	newest, _, err := m.store.List(ctx, &Filter{States: []State{Queued}, Limit: 1})
	if back || err == nil && len(newest) > 0 && newest[0].waitsTooLong(now) {
		// without a look at all that are queued, whenever a program starts
		states = append(states, Queued)
	}
	if back && m.opts.Retention > 0 {
		// what ended in a time that is to come would be kept until then, and for the retention
		states = append(states, Succeeded, Failed, Cancelled, Dead)
	}
	for t, listed := range m.All(ctx, &Filter{States: states, Limit: maxReap}) {
		if err = listed; err == nil && t.waitsTooLong(now) {
			_, err = m.store.Update(ctx, t.ID, now, func(t *Task) error {
				switch {
				case !t.waitsTooLong(now):
				case t.State.Done():
					t.Finished = now
				default:
					t.RunAt = now.Add(t.maxWait())
				}
				return nil
			})
		}
		if err != nil && !errors.Is(err, ErrNotFound) {
			break
		}
	}
	if err == nil || errors.Is(err, ErrNotFound) {
		m.faults.Over(faultShortenWaits)
		return true
	}
	if ctx.Err() == nil {
		m.faults.Met(faultShortenWaits, err)
	}
	return false
}

// maxWait is how long t waits at most: no time where it waits for a place.
func (t *Task) maxWait() time.Duration {
	if t.State == Queued {
		return 0
	}
	return t.Delay
}

// waitsTooLong reports whether t, which waits, is to wait for longer than it was put off, or has
// ended in a time that is to come. What waits for a time of day never is.
func (t *Task) waitsTooLong(now time.Time) bool {
	if t.State.Done() {
		return t.Finished.Sub(now) > skew
	}
	return (t.State == Queued || t.Delay > 0 && t.State.Waiting()) &&
		t.RunAt.Sub(now) > t.maxWait()+skew
}

// sweepPage is how many tasks one step of the sweep looks at.
const sweepPage = 500

// sweepEvery is the time between two sweeps.
func (k *timekeeper) sweepEvery() time.Duration {
	if k.m.opts.Retention <= 0 {
		return 10 * time.Minute
	}
	return min(max(k.m.opts.Retention/24, time.Second), 10*time.Minute)
}

// deleteBefore deletes what was done before a time, page by page.
func (k *timekeeper) deleteBefore(ctx context.Context, before time.Time) {
	m := k.m
	f := &Filter{
		States: []State{Succeeded, Failed, Cancelled, Dead}, Before: before,
		Limit: sweepPage,
	}
	for ctx.Err() == nil {
		_, next, err := m.clearPage(ctx, f)
		switch {
		case err == nil:
			m.faults.Over(faultSweep)
		case ctx.Err() == nil:
			m.faults.Met(faultSweep, err)
		}
		if err != nil || next == "" {
			return
		}
		f.Cursor = next
	}
}
