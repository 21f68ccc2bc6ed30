package wsxclient

import (
	"context"
	"math/rand/v2"
	"time"
)

// reconnect returns the next connection, nil when there is none to be: the client was closed, is not to connect again, or the end was
// final. err is how the last one ended.
func (c *Client) reconnect(err *ClosedError) *link {
	next := (*link)(nil)
	if c.opts.Reconnect && !err.final() && c.ctx.Err() == nil {
		c.states <- stateChange{Reconnecting, err}
		next = c.retry()
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if next != nil && c.ctx.Err() != nil { // closed meanwhile
		_ = next.ws.CloseNow() // nobody has used it
		next = nil
	}
	if next != nil {
		c.link = next
	}
	close(c.changed)
	c.changed = make(chan struct{})
	return next
}

// retry dials until it succeeds, the client is closed or a refusal is final.
func (c *Client) retry() *link {
	bound := c.opts.RetryMin
	for {
		wait := time.NewTimer(rand.N(bound) + 1)
		select {
		case <-wait.C:
		case <-c.ctx.Done():
			wait.Stop()
			return nil
		}
		bound = min(2*bound, c.opts.RetryMax)
		ctx, cancel := context.WithTimeout(c.ctx, dialTimeout)
		l, err := c.dial(ctx)
		cancel()
		if err == nil {
			return l
		}
		if (&ClosedError{Err: err}).final() {
			return nil
		}
	}
}

// after returns the connection that came after l, waiting for it, or an error when there is none to come.
func (c *Client) after(ctx context.Context, l *link) (*link, error) {
	for {
		c.mu.Lock()
		current, changed := c.link, c.changed
		c.mu.Unlock()
		if current != l {
			return current, nil
		}
		select {
		case <-changed:
		case <-c.done:
			return nil, c.err
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

// pause waits a moment before a server that was not available is asked again: on l, or what came after it.
func (c *Client) pause(ctx context.Context, l *link) (*link, error) {
	wait := time.NewTimer(rand.N(10*c.opts.RetryMin) + 1)
	defer wait.Stop()
	select {
	case <-wait.C:
		return l, nil
	case <-l.ended:
		return c.after(ctx, l)
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}
