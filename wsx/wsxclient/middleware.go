package wsxclient

import (
	"context"
	"errors"
	"slices"
)

// CallInfo is a call, a stream or a notification on its way to the server, as
// Options.CallMiddleware sees it.
type CallInfo struct {
	Method string
	Notify bool // it is a notification: nothing answers it
	Stream bool // it is a call by Stream: next returns when its loop has ended
	// JSONRPC says that the client speaks JSON-RPC, so that its server's errors are numbers.
	JSONRPC bool
	// Meta is what the message's meta has besides what the protocol asks for: whatever middleware
	// puts into it before it calls next, such as traceparent and tracestate (W3C Trace Context). It
	// is never nil. What is named timeout_ms, window or progress is left out, as those are the
	// protocol's. In JSON-RPC it is a member "meta" of the request, which servers of this package
	// read and most others ignore; with nothing in it, as for servers that do not bear members of
	// their callers' own, there is none.
	Meta map[string]string
}

// CallMiddleware is called around each call, stream and notification: to log, to measure, to trace.
// It calls next once, with ctx or one made of it, and returns next's error or another in its place,
// which is what the caller gets. One that returns nil without next, so that nothing was sent, gets
// its caller an error.
type CallMiddleware func(ctx context.Context, call *CallInfo,
	next func(ctx context.Context) error) error

// errNotMade is what a caller gets whose call the middleware has neither made nor refused.
var errNotMade = errors.New("wsx: a CallMiddleware returned nil without having called next")

// through runs do with the middleware around it, the first of which is outermost.
func (c *Client) through(ctx context.Context, info *CallInfo,
	do func(ctx context.Context, meta map[string]string) error,
) error {
	info.JSONRPC, info.Meta = c.opts.JSONRPC, make(map[string]string)
	made := false
	next := func(ctx context.Context) error {
		made = true
		return do(ctx, info.Meta)
	}
	for _, around := range slices.Backward(c.opts.CallMiddleware) {
		inner := next
		next = func(ctx context.Context) error { return around(ctx, info, inner) }
	}
	if err := next(ctx); err != nil || made {
		return err
	}
	return errNotMade
}
