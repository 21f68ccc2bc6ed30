package wsxclient

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/genropy/genro-asgi-go/wsx"
)

// retryCall makes a call until it has an answer other than UNAVAILABLE, ctx ends, or the client does.
func (c *Client) retryCall(ctx context.Context, encode func(id []byte) []byte) ([]byte, error) {
	l, again, mayHaveRun := c.current(), backoff{}, false
	for {
		result, err := l.request(ctx, nil, encode)
		if closed, ok := errors.AsType[*ClosedError](err); ok {
			mayHaveRun = mayHaveRun || closed.MayHaveRun
			next, err := c.after(ctx, l)
			if err != nil {
				return nil, l.lost(err, mayHaveRun)
			}
			l, again = next, backoff{}
			continue
		}
		if !unavailable(err) {
			return result, err
		}
		if ended := c.pause(ctx, l, &again); ended != nil {
			return nil, fmt.Errorf("%w (the last answer: %w)", ended, err)
		}
	}
}

// unavailable reports whether the server said that it did not run a call and that it may be made again.
func unavailable(err error) bool {
	return errors.Is(err, wsx.NewError(wsx.CodeUnavailable, "")) && !errors.As(err, new(*JSONRPCError)) // -32000 is anything, from others
}

// lost is the error of a call that waited in vain for what comes after l: err is the client's end, or why the call waits no longer.
func (l *link) lost(err error, mayHaveRun bool) *ClosedError {
	if closed, ok := errors.AsType[*ClosedError](err); ok {
		return &ClosedError{Code: closed.Code, Err: closed.Err, MayHaveRun: mayHaveRun}
	}
	return &ClosedError{Code: l.err.Code, Err: err, MayHaveRun: mayHaveRun}
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

// pause waits a moment before a server that was not available is asked again, unless l ends before. The error is ctx's.
func (c *Client) pause(ctx context.Context, l *link, b *backoff) error {
	wait := time.NewTimer(b.next(&c.opts))
	defer wait.Stop()
	select {
	case <-wait.C:
	case <-l.ended:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	return nil
}

// backoff makes the waits between attempts: random up to a bound that doubles from RetryMin to RetryMax (full jitter).
type backoff struct{ bound time.Duration }

func (b *backoff) next(opts *Options) time.Duration {
	b.bound = min(max(2*b.bound, opts.RetryMin), opts.RetryMax)
	return rand.N(b.bound) + 1
}
