package wsxclient

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/coder/websocket"
)

// maxRefusals is how many connections in a row the server may close with 1008, none of which held
// for RetryMax, before the client believes it.
const maxRefusals = 3

// reconnect returns the connection to follow l, nil when there is none to be: the client was
// closed, is not to connect again, or the end was final. Then c.err tells how it ended.
func (c *Client) reconnect(l *link) *link {
	next, end := (*link)(nil), l.err
	held := time.Since(l.began) >= c.opts.RetryMax
	if held {
		c.waits = backoff{}
	}
	final := c.final(l, held)
	if c.opts.Reconnect && !final && c.ctx.Err() == nil {
		c.states.add(Reconnecting, end)
		var err error
		if next, err = c.retry(minDelay(end, c.opts.RetryMax)); err != nil {
			end = &ClosedError{Code: end.Code, Err: err}
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if next != nil && c.ctx.Err() != nil { // closed meanwhile
		_ = next.ws.CloseNow() // nobody has used it
		next = nil
	}
	if next != nil {
		c.link = next
		c.offline.flushLocked(next)
	} else {
		c.err = end
		c.dropped = c.offline.closeLocked(end)
	}
	close(c.changed)
	c.changed = make(chan struct{})
	return next
}

// final reports whether l has ended for good. What this side ended, or the network, never is:
// nobody said that coming back is of no use.
func (c *Client) final(l *link, held bool) bool {
	code := websocket.CloseStatus(l.err)
	if code != closeUnauthenticated {
		c.denials = 0
	}
	if code != websocket.StatusPolicyViolation || held {
		c.refusals = 0
	}
	switch code {
	case -1:
		return false
	case closeUnauthenticated:
		return c.denied(l)
	case websocket.StatusPolicyViolation:
		if c.refusals++; c.refusals >= maxRefusals && c.opts.Final == nil {
			return true
		}
	}
	return c.decide(l.err)
}

// decide is Options.Final, or what it is by default.
func (c *Client) decide(err error) bool {
	if c.opts.Final != nil {
		return c.opts.Final(err)
	}
	return Final(err)
}

// minDelay is how long to wait at least with the next connection after one that ended like this:
// where there was too much, a second.
func minDelay(end *ClosedError, most time.Duration) time.Duration {
	switch end.Code {
	case closeTiming, closeTooMany, closeSlow, closeTryAgainLater:
		return min(time.Second, most)
	}
	return 0
}

// retry dials until it succeeds, after a wait of least or more. It returns nothing when the client
// was closed, and the error that makes going on no use.
func (c *Client) retry(least time.Duration) (*link, error) {
	for {
		wait := time.NewTimer(least + c.waits.next(&c.opts))
		select {
		case <-wait.C:
		case <-c.ctx.Done():
			wait.Stop()
			return nil, nil
		}
		ctx, cancel := context.WithTimeout(c.ctx, c.opts.DialTimeout)
		l, err := c.dial(ctx)
		cancel()
		if err == nil {
			return l, nil
		}
		least = 0
		if refused, ok := errors.AsType[*HandshakeError](err); ok {
			if refused.Status == http.StatusUnauthorized && c.denied(nil) ||
				refused.Status != http.StatusUnauthorized && c.decide(refused) {
				return nil, err
			}
			least = min(refused.RetryAfter, maxServerDelay)
		}
		c.states.add(Reconnecting, err)
	}
}
