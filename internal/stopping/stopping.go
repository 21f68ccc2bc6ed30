// Package stopping is how a request learns that what it began has to end: that its server begins to
// stop, or that the credentials it came with do. It is also how a connection that leaves net/http
// makes the server wait for it. It stands between packages that do not know each other.
package stopping

import (
	"context"
	"time"
)

// Key is the key of the context that From returns.
type Key struct{}

// ExpiryKey is the key of what WithExpiry puts into a context, for contexts that answer for their
// values themselves.
type ExpiryKey struct{}

// WithExpiry returns a context whose requests have credentials that end at a time. What may last
// for ever, such as an event stream, ends then; an ordinary request, which was let in before, goes
// on. The zero time is no end, also where ctx has one.
func WithExpiry(ctx context.Context, at time.Time) context.Context {
	if at.IsZero() && Expiry(ctx).IsZero() {
		return ctx
	}
	return context.WithValue(ctx, ExpiryKey{}, at)
}

// Expiry is when the credentials of the request of ctx end; the zero time is never.
func Expiry(ctx context.Context) time.Time {
	at, _ := ctx.Value(ExpiryKey{}).(time.Time)
	return at
}

// AttachKey is the key of a server's Attach in the contexts of its requests.
type AttachKey struct{}

// Attach registers what leaves net/http with the server of its request. begun ends when the
// shutdown begins: say good-bye and release. cut ends when there is no more time. ok is false when
// the server has been drained already.
type Attach func() (begun, cut context.Context, release func(), ok bool)

// To attaches to the server of ctx. Without one, begun and cut never end.
func To(ctx context.Context) (begun, cut context.Context, release func(), ok bool) {
	if f, _ := ctx.Value(AttachKey{}).(Attach); f != nil {
		return f()
	}
	return context.Background(), context.Background(), func() {}, true
}

// With returns a context whose requests are told by begun, which is cancelled when the server
// begins to stop.
func With(ctx, begun context.Context) context.Context {
	return context.WithValue(ctx, Key{}, begun)
}

// From is the context that With was given, or one that is never cancelled.
func From(ctx context.Context) context.Context {
	if begun, _ := ctx.Value(Key{}).(context.Context); begun != nil {
		return begun
	}
	return context.Background()
}
