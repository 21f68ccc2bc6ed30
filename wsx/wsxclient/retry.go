package wsxclient

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/genropy/genro-asgi-go/wsx"
)

// retryCall makes a call until it has an answer other than one to come back later, ctx ends, the
// client does, or its message has ended two connections.
func (c *Client) retryCall(ctx context.Context, encode func(id []byte) []byte) ([]byte, error) {
	l, again, mayHaveRun := c.current(), backoff{}, false
	var blame poison
	for {
		result, err := l.request(ctx, nil, encode)
		if closed, ok := errors.AsType[*ClosedError](err); ok {
			mayHaveRun = mayHaveRun || closed.MayHaveRun
			if given := blame.count(closed); given != nil {
				return nil, given
			}
			next, err := c.after(ctx, l)
			if err == nil {
				err = next.sleep(ctx, c.pace.slot())
			}
			if err != nil {
				return nil, l.lost(err, mayHaveRun)
			}
			l, again = next, backoff{}
			continue
		}
		if !unavailable(err) && (serverDelay(err) == 0 || foreign(err)) {
			return result, err
		}
		if gaveUp := c.pause(ctx, l, &again, err); gaveUp != nil {
			return nil, fmt.Errorf("%w (the last answer: %w)", gaveUp, err)
		}
	}
}

// poison counts the connections that a message ended which is sent again and again.
type poison int

// count is told how a connection ended over which the message was under way. The error is not nil
// when it must not be sent again: what one message does must not end all that the next connections
// carry.
func (p *poison) count(closed *ClosedError) error {
	if !closed.blamed {
		return nil
	}
	if *p++; *p < 2 {
		return nil
	}
	return &ClosedError{
		Code: closed.Code, Err: fmt.Errorf("%w: %w", ErrPoison, closed.Err),
		MayHaveRun: closed.MayHaveRun,
	}
}

// unavailable reports whether the server said that it did not run a call and that it may be made
// again.
func unavailable(err error) bool {
	// -32000 is anything, from others
	return errors.Is(err, wsx.NewError(wsx.CodeUnavailable, "")) && !foreign(err)
}

// foreign reports whether an error is that of a JSON-RPC server of others, whose numbers mean what
// they like.
func foreign(err error) bool { return errors.As(err, new(*JSONRPCError)) }

// lost is the error of a call that waited in vain for what comes after l: err is the client's end,
// or why the call waits no longer.
func (l *link) lost(err error, mayHaveRun bool) *ClosedError {
	if closed, ok := errors.AsType[*ClosedError](err); ok {
		return &ClosedError{Code: closed.Code, Err: closed.Err, MayHaveRun: mayHaveRun}
	}
	return &ClosedError{Code: l.err.Code, Err: err, MayHaveRun: mayHaveRun}
}

// after returns the connection that came after l, waiting for it, or an error when there is none to
// come.
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

// backoff makes the waits between attempts: random up to a bound that doubles from RetryMin to
// RetryMax (full jitter).
type backoff struct{ bound time.Duration }

func (b *backoff) next(opts *Options) time.Duration {
	b.bound = min(max(2*b.bound, opts.RetryMin), opts.RetryMax)
	return rand.N(b.bound) + 1
}
