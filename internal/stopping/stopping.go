// Package stopping is how a request learns that its server begins to stop, between packages that do not know each other.
package stopping

import "context"

type key struct{}

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
