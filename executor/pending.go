package executor

import (
	"context"

	"github.com/genropy/genro-asgi-go/executor/internal/frame"
	"github.com/genropy/genro-asgi-go/executor/internal/shared"
	"github.com/genropy/genro-asgi-go/internal/lockorder"
)

// pendingCalls are the calls that a worker has been sent, or is being sent, and that have not
// ended. Who takes one out has to end it, and nobody else does.
type pendingCalls struct {
	shared *shared.Side
	// startReader starts readForAll. It is called with mu held, so that the owner of the worker,
	// who ends no sooner than its calls, is still there.
	startReader func()

	// Guarded by mu, as are progress and log records on their way to a call.
	mu          lockorder.Mutex
	byID        map[uint64]*call
	latest      uint64 // the highest id
	readsForAll bool   // readForAll reads the answers
	closed      bool   // no call is added any more: the worker is dead
}

// add registers c before it is sent; false when the worker is dead, or ctx has ended.
func (p *pendingCalls) add(ctx context.Context, c *call) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return false
	}
	if ctx.Err() != nil {
		p.shared.Free(c.slot)
		return false
	}
	p.latest++
	c.ctx = ctx
	c.id, c.kind, c.crash, c.settled, c.at = p.latest, 0, nil, false, 0
	c.others = len(p.byID) > 0
	c.sent = clock()
	frame.SetID(c.request.Bytes(), c.id)
	frame.SetSlot(c.request.Bytes(), c.slot)
	if c.others && !p.readsForAll {
		p.readsForAll = true
		p.startReader()
	}
	c.readFor = p.readsForAll
	p.byID[c.id] = c
	return true
}

// take takes out the call of an answer; nil when it was taken out before.
func (p *pendingCalls) take(id uint64) *call {
	p.mu.Lock()
	defer p.mu.Unlock()
	c := p.byID[id]
	delete(p.byID, id)
	return c
}

// remove takes c out; false when its answer is on its way to c.done.
func (p *pendingCalls) remove(c *call) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.byID[c.id] != c {
		return false
	}
	delete(p.byID, c.id)
	return true
}

// withdraw takes c out if it has not begun: it goes to another worker.
func (p *pendingCalls) withdraw(c *call) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.byID[c.id] != c || !p.shared.Withdraw(c.slot) {
		return false
	}
	delete(p.byID, c.id)
	return true
}

// withdrawLatest is withdraw of the call that came last; nil when all have begun.
func (p *pendingCalls) withdrawLatest() (latest *call) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range p.byID {
		if p.shared.Queued(c.slot) && (latest == nil || c.id > latest.id) {
			latest = c
		}
	}
	if latest == nil || !p.shared.Withdraw(latest.slot) {
		return nil
	}
	delete(p.byID, latest.id)
	return latest
}

// tell gives a progress value or a log record to the call that it is for, if that is still there.
func (p *pendingCalls) tell(t frame.Type, id uint64, payload []byte) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch c := p.byID[id]; {
	case c == nil:
	case t == frame.Progress:
		c.notify(payload)
	default:
		c.note(payload)
	}
}

// readerDone reports whether there are no calls left to read for; readForAll then ends.
func (p *pendingCalls) readerDone() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.byID) > 0 {
		return false
	}
	p.readsForAll = false
	return true
}

// close makes add refuse.
func (p *pendingCalls) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
}

// takeAll takes out all that are left after close.
func (p *pendingCalls) takeAll() map[uint64]*call {
	p.mu.Lock()
	defer p.mu.Unlock()
	left := p.byID
	p.byID = nil
	return left
}
