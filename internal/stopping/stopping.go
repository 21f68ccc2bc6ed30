// Package stopping is how a request learns that its server begins to stop, and how a connection that leaves net/http makes the
// server wait for it, between packages that do not know each other.
package stopping

import "context"

type key struct{}

type attachKey struct{}

// Attach registers what leaves net/http with the server of its request. begun ends when the shutdown begins: say good-bye and
// release. cut ends when there is no more time. ok is false when the server has been drained already.
type Attach func() (begun, cut context.Context, release func(), ok bool)

// WithAttach returns a context whose requests are attached by f.
func WithAttach(ctx context.Context, f Attach) context.Context {
	return context.WithValue(ctx, attachKey{}, f)
}

// To attaches to the server of ctx. Without one, begun and cut never end.
func To(ctx context.Context) (begun, cut context.Context, release func(), ok bool) {
	if f, _ := ctx.Value(attachKey{}).(Attach); f != nil {
		return f()
	}
	return context.Background(), context.Background(), func() {}, true
}

// With returns a context whose requests are told by begun, which is cancelled when the server begins to stop.
func With(ctx, begun context.Context) context.Context {
	return context.WithValue(ctx, key{}, begun)
}

// From is the context that With was given, or one that is never cancelled.
func From(ctx context.Context) context.Context {
	if begun, _ := ctx.Value(key{}).(context.Context); begun != nil {
		return begun
	}
	return context.Background()
}
