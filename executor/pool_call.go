package executor

import (
	"context"
	"fmt"
	"time"
)

// do runs c in a worker and leaves the body of its result in c.result.
func (p *pool) do(ctx context.Context, c *call, opts *CallOptions) (err error) {
	begun, err := p.gate.enter(ctx, opts, &c.waiter, c.light())
	if err != nil {
		return fmt.Errorf("function %q: %w", c.name, err)
	}
	how, run := outcomeFailed, time.Duration(-1)
	defer func() { // deferred, for a callback of the caller's that panics
		p.gate.leave(opts.Key, run, how)
		p.rebalance()
	}()
	w, err := p.take(ctx, c)
	for err == nil && p.attempt(ctx, w, c, opts) {
		if w = c.next; w != nil {
			c.next, c.slot = nil, c.nextSlot
			continue
		}
		if ctx.Err() != nil {
			return contextError(ctx, fmt.Sprintf("queued call of function %q", c.name))
		}
		w, err = p.take(ctx, c)
	}
	if err != nil {
		return fmt.Errorf("function %q: %w", c.name, err)
	}
	run, c.pid = clock()-begun, w.pid
	how, err = c.outcome(ctx, w)
	return err
}

// attempt runs c in w and gives w back. It reports whether c did not begin and is to be moved.
func (p *pool) attempt(ctx context.Context, w *process, c *call, opts *CallOptions) (movedOn bool) {
	defer func() {
		if c.next == nil { // else who moved it has done so
			p.giveBack(w, c)
		}
	}()
	if !w.pending.add(ctx, c) {
		return true
	}
	p.rebalance() // it may wait here, and another worker have become idle meanwhile
	w.exchange(ctx, c, opts)
	return c.kind == moved
}
