package wsxclient

import (
	"context"
	"errors"
	"net/http"
	"time"
)

// dialTimeout bounds a handshake when the client reconnects.
const dialTimeout = 10 * time.Second

// reconnect returns the connection to follow l, nil when there is none to be: the client was closed, is not to connect again, or the end
// was final. Then c.err tells how it ended.
func (c *Client) reconnect(l *link) *link {
	next, end := (*link)(nil), l.err
	if time.Since(l.began) >= c.opts.RetryMax {
		c.waits = backoff{}
	}
	final := end.final()
	if end.Code == closeUnauthenticated {
		final = c.denied(l)
	} else {
		c.denials = 0
	}
	if c.opts.Reconnect && !final && c.ctx.Err() == nil {
		c.states <- stateChange{state: Reconnecting, err: end}
		var err error
		if next, err = c.retry(); err != nil {
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
		c.dropped = c.offline.endLocked(end)
	}
	close(c.changed)
	c.changed = make(chan struct{})
	return next
}

// retry dials until it succeeds. It returns nothing when the client was closed, and the error that makes going on no use.
func (c *Client) retry() (*link, error) {
	for {
		wait := time.NewTimer(c.waits.next(&c.opts))
		select {
		case <-wait.C:
		case <-c.ctx.Done():
			wait.Stop()
			return nil, nil
		}
		ctx, cancel := context.WithTimeout(c.ctx, dialTimeout)
		l, err := c.dial(ctx)
		cancel()
		if err == nil {
			return l, nil
		}
		if refused, ok := errors.AsType[*HandshakeError](err); ok {
			if refused.final() || refused.Status == http.StatusUnauthorized && c.denied(nil) {
				return nil, err
			}
		}
	}
}
