package tasks

import (
	"bytes"
	"sync/atomic"
	"time"
)

// suspects keep tasks apart whose run died: a process that dies takes all of its runs along, and
// only one of them may have killed it. Of those suspects a manager runs one at a time, so that a
// further death is laid at the door of one; before the death that would be the last, it runs alone.
// What lives longer than when it died is acquitted.
type suspects struct {
	m         *Manager
	running   atomic.Pointer[attempt] // the suspect that runs, nil when none does
	exclusive atomic.Bool             // nothing else is begun
	drained   chan struct{}           // capacity 1: a run has ended while nothing else is begun
}

// deathRecord is what an attempt knows of the deaths of its task.
type deathRecord struct {
	deaths int
	// how long it had run when it died; the window at most, as deaths further apart do not add up
	lastedFor time.Duration
	// its holder vanished, which may not have been its doing; a worker process that died was
	holderVanished bool
	// how many heartbeats there were when its function was called, and one; 0 before that
	startedAtBeat atomic.Int32
}

// deathRecordOf is that of t, which has died.
func deathRecordOf(t *Task, window time.Duration) *deathRecord {
	s := &deathRecord{deaths: t.Deaths}
	if e := t.Error; e != nil {
		s.lastedFor, s.holderVanished = max(e.At.Sub(e.Started), 0), e.Kind == ErrorLost
	}
	if window > 0 {
		s.lastedFor = min(s.lastedFor, window)
	}
	return s
}

const (
	maxWaitUntilAlone = 30 * time.Second // that a suspect waits for the others to end, at most
	maxExclusive      = time.Minute      // that nothing is begun beside a suspect, at most
)

// admit makes a, which was claimed, the suspect that runs, if there is none.
func (x *suspects) admit(a *attempt) { x.running.CompareAndSwap(nil, a) }

// oneRuns reports whether no suspect is to be claimed now. It is Claim.SkipDied.
func (x *suspects) oneRuns() bool { return x.running.Load() != nil }

// release is told that a's run has ended, or that it is acquitted.
func (x *suspects) release(a *attempt) {
	if x.running.CompareAndSwap(a, nil) {
		x.exclusive.Store(false)
		x.m.queues.wakeAll() // for other suspects
	}
}

// start is called before the function of a suspect is. It is false when another runs, as
// stores may have it that do not ask Claim.SkipDied, and when two queues claim at once.
func (x *suspects) start(a *attempt) (ok bool, end func() bool) {
	end = func() bool { return false }
	if x.running.Load() != a {
		return false, end
	}
	s := a.deaths
	if most := x.m.opts.MaxDeaths; s.holderVanished && most > 0 && s.deaths >= most-1 {
		x.waitUntilAlone(a)
		end = x.m.clock.AfterFunc(min(s.lastedFor+x.m.leases.every(), maxExclusive), func() {
			if x.running.Load() == a {
				x.exclusive.Store(false)
				x.m.queues.wakeAll()
			}
		})
	}
	s.startedAtBeat.Store(a.beats.Load() + 1)
	return true, end
}

// waitUntilAlone waits until nothing else runs here, or its patience ends. Until then a death is
// not of a's doing, and must not be its last.
func (x *suspects) waitUntilAlone(a *attempt) {
	x.exclusive.Store(true)
	if !x.othersRun() {
		return
	}
	// an error: it has lost the task, or counts a death too many
	_ = a.update(func(t *Task) { t.Deaths-- })
	tired := make(chan struct{})
	defer x.m.clock.AfterFunc(maxWaitUntilAlone, func() { close(tired) })()
	for x.othersRun() {
		select {
		case <-x.drained:
		case <-tired:
			return // it stays as it is: whatever it dies of, it was not alone
		case <-a.ctx.Done():
			return
		}
	}
	// an error: a death is not its last, and it is tried again
	_ = a.update(func(t *Task) { t.Deaths++ })
}

// othersRun reports whether anything but the suspect runs here.
func (x *suspects) othersRun() bool {
	n := 0
	for _, q := range x.m.queues.byName() {
		n += q.info().Active
	}
	return n > 1
}

// runEnded is told that a run has ended.
func (x *suspects) runEnded() {
	if !x.exclusive.Load() {
		return
	}
	select {
	case x.drained <- struct{}{}:
	default:
	}
}

// hasOutlived reports whether a, the suspect that runs, has lived a heartbeat longer than when it
// died.
func (x *suspects) hasOutlived(a *attempt) bool {
	if a.deaths == nil || x.running.Load() != a {
		return false
	}
	since, every := a.deaths.startedAtBeat.Load(), x.m.leases.every()
	return since > 0 && time.Duration(a.beats.Load()+1-since)*every >= a.deaths.lastedFor+every
}

// isDeath reports whether e is a death.
func (e *TaskError) isDeath() bool {
	return e != nil && (e.Kind == ErrorLost || e.Kind == ErrorCrash)
}

// addDeath counts a death at a time. One long after that before begins the count anew.
func (t *Task) addDeath(at time.Time, window time.Duration) {
	if window > 0 && t.Error.isDeath() && at.Sub(t.Error.At) > window {
		t.Deaths = 0
	}
	t.Deaths++
}

// diedTooOften reports whether t, which died, is dead of it. Attempts that did not fail were
// deaths, also those that do not count any more.
func (t *Task) diedTooOften(most int) bool {
	const altogether = 10
	return most > 0 && (t.Deaths >= most || t.Attempt-max(t.Retry.Attempts, 1) >= altogether*most)
}

// clearsDeaths reports whether a checkpoint acquits a suspect: the task has come further than when
// its holder vanished. A worker process that died was its own doing.
func (t *Task) clearsDeaths(checkpoint []byte) bool {
	return t.Deaths > 0 && t.Error != nil && t.Error.Kind == ErrorLost &&
		!bytes.Equal(t.Checkpoint, checkpoint)
}
