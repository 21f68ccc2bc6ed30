package executor

import (
	"context"
	"fmt"
	"slices"

	"github.com/genropy/genro-asgi-go/executor/internal/frame"
	"github.com/genropy/genro-asgi-go/executor/internal/proc"
	"github.com/genropy/genro-asgi-go/executor/internal/shared"
)

// take gives a worker to a call that the gate admitted. There mostly is one: the gate admits no
// more than Workers can take, and spares replace the dead.
func (p *pool) take(ctx context.Context, c *call) (*process, error) {
	for {
		p.mu.Lock()
		if w := p.pickLocked(c); w != nil {
			p.mu.Unlock()
			return w, nil
		}
		p.waiting++
		changed, failures, failure, stopping := p.changed, p.failures, p.failure, p.stopping
		p.mu.Unlock()
		var err error
		if stopping {
			err = ErrNotRunning
		} else if failures >= maxStartFailures {
			err = failure
		} else {
			select {
			case <-changed:
			case <-ctx.Done():
				err = contextError(ctx, "waiting for a worker")
			case <-p.ex.killed:
				err = fmt.Errorf("%w: stopped", ErrNotRunning)
			}
		}
		p.mu.Lock()
		p.waiting--
		p.mu.Unlock()
		if err != nil {
			return nil, err
		}
	}
}

func (p *pool) pickLocked(c *call) *process {
	if len(p.idle) > 0 && p.busy < p.opts.Workers {
		w := p.idleLocked()
		c.slot, _ = p.assignLocked(w)
		return w
	}
	var best *process
	for _, w := range p.ready {
		if w.running > 0 && w.running < p.roomLocked(w, c) &&
			(best == nil || w.running < best.running) {
			best = w
		}
	}
	if best == nil {
		return nil
	}
	slot, ok := p.assignLocked(best)
	if !ok {
		return nil
	}
	c.slot = slot
	return best
}

// roomLocked is how many calls w may have, were c one of them.
func (p *pool) roomLocked(w *process, c *call) int {
	if w.takesAhead && !w.sizeDue && c.light() {
		return 1 + ahead
	}
	return p.opts.CallsPerWorker
}

// idleLocked takes the warmest of the idle ones.
func (p *pool) idleLocked() *process {
	w := p.idle[len(p.idle)-1]
	p.idle = p.idle[:len(p.idle)-1]
	p.busy++
	return w
}

// assignLocked counts a call in w and finds a slot for it. One that will wait in w's pipe needs a
// slot, by which it can be withdrawn, and ok is false without.
func (p *pool) assignLocked(w *process) (slot uint8, ok bool) {
	slot = w.shared.Queue(max(p.opts.CallsPerWorker, 1+ahead))
	if slot == shared.NoSlot && p.opts.CallsPerWorker == 1 && w.running > 0 {
		return slot, false
	}
	w.running++
	w.calls++
	p.assigned++
	return slot, true
}

// giveBack takes w back from a call, and replaces it if it has served long enough.
func (p *pool) giveBack(w *process, c *call) {
	if p.adopts {
		proc.ReapOrphans(w.pid)
	}
	answered := c.kind >= frame.Result && c.kind <= frame.Panic && c.settled
	p.mu.Lock()
	w.running--
	p.assigned--
	if answered && !w.gone {
		p.setQuickLocked(w, c.took < quickMax)
	}
	if p.opts.RecycleRSS > 0 && !w.sizeDue && c.at-w.sizedAt >= rssEvery {
		w.sizeDue = true
	}
	if w.sizeDue && w.running == 0 && !w.gone {
		w.sizeDue, w.sizedAt = false, c.at
		p.mu.Unlock() // w is not idle yet, so that nobody gets it
		rss, err := proc.ResidentBytes(w.pid)
		p.mu.Lock()
		if err == nil && rss > p.opts.RecycleRSS && !w.gone {
			p.dropLocked(w)
			w.retiring = true
		}
	}
	if !w.gone && p.opts.RecycleCalls > 0 && w.calls >= p.opts.RecycleCalls {
		p.dropLocked(w)
		w.retiring = true
	}
	if !w.gone && w.running == 0 {
		p.busy--
		p.idle = append(p.idle, w)
		p.uneven.Store(true)
	}
	retire := w.retiring && w.running == 0
	if p.waiting > 0 {
		p.signalChangeLocked()
	}
	p.mu.Unlock()
	if retire {
		w.retire()
	}
}

// setQuickLocked notes whether w is quick, so that calls may wait in its pipe, and tells the gate
// how many may in all.
func (p *pool) setQuickLocked(w *process, quick bool) {
	takesAhead := quick && p.opts.CallsPerWorker == 1 && p.opts.RecycleCalls == 0 && !w.smallPipe
	if w.takesAhead == takesAhead {
		return
	}
	if w.takesAhead = takesAhead; takesAhead {
		p.aheadWorkers++
	} else {
		p.aheadWorkers--
	}
	p.gate.extend(ahead * min(p.aheadWorkers, p.opts.Workers))
}

// rebalance moves calls that wait in a worker's pipe to workers that are idle, if no call is on its
// way to those. It is called when a worker may have become idle, or a call has come to wait; what
// it leaves undone, because a call is on its way, that call will do when it leaves.
func (p *pool) rebalance() {
	if !p.uneven.Load() {
		return
	}
	admitted := p.gate.admitted()
	p.mu.Lock()
	defer p.mu.Unlock()
	for len(p.idle) > 0 && p.busy < p.opts.Workers {
		if p.waiting > 0 || admitted > p.assigned {
			return
		}
		c := p.stealLocked()
		if c == nil {
			break
		}
		c.next = p.idleLocked()
		c.nextSlot, _ = p.assignLocked(c.next)
		from := c.from
		c.finish(moved) // c is not ours any more
		from.answers.wake()
	}
	// perhaps a call that is not sent yet, which then comes here
	waiting := func(w *process) bool { return w.running > 1 }
	p.uneven.Store(p.opts.CallsPerWorker == 1 && slices.ContainsFunc(p.ready, waiting))
}

// stealLocked withdraws the latest of the calls that wait in a pipe.
func (p *pool) stealLocked() *call {
	for _, w := range p.ready {
		if w.running < 2 || p.opts.CallsPerWorker > 1 {
			continue
		}
		if c := w.pending.withdrawLatest(); c != nil {
			c.from = w
			w.running--
			w.calls--
			p.assigned--
			return c
		}
	}
	return nil
}
