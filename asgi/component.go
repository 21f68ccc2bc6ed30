package asgi

import (
	"context"
	"net/http"
)

// Component is something with a life of its own beside requests: a pool, a connection, a hub.
//
// Start returns when the component is ready, or with the reason why it is not; ctx limits the starting, not the life.
// Stop ends it and waits until it has ended or ctx is done; it is idempotent and tolerates a component that never started.
type Component interface {
	Start(ctx context.Context) error
	Stop(ctx context.Context) error
}

// ErrShutdown is the cause with which contexts of streams are cancelled when the server stops. Its status is 503.
var ErrShutdown error = shutdownError{}

type shutdownError struct{}

func (shutdownError) Error() string   { return "asgi: the server is shutting down" }
func (shutdownError) StatusCode() int { return http.StatusServiceUnavailable }

type shutdownKey struct{}

// ContextWithShutdown tells the requests with this context when the server begins to stop: stopping is cancelled then.
// What may last for ever (Stream, StreamFunc, SSE) ends at once with the cause ErrShutdown, other requests go on to
// their end. App installs it in the base context of its server.
func ContextWithShutdown(ctx, stopping context.Context) context.Context {
	return context.WithValue(ctx, shutdownKey{}, stopping)
}

// Shutdown is a context that is cancelled when the server of the request with this context begins to stop.
// Outside of one it is never cancelled. It carries no values of use.
func Shutdown(ctx context.Context) context.Context {
	if stopping, _ := ctx.Value(shutdownKey{}).(context.Context); stopping != nil {
		return stopping
	}
	return context.Background()
}

// untilShutdown is ctx, cancelled with the cause ErrShutdown when the server begins to stop. stop must be called.
func untilShutdown(ctx context.Context) (_ context.Context, stop context.CancelCauseFunc) {
	stopping := Shutdown(ctx)
	ctx, cancel := context.WithCancelCause(ctx)
	unwatch := context.AfterFunc(stopping, func() { cancel(ErrShutdown) })
	return ctx, func(cause error) {
		unwatch()
		cancel(cause)
	}
}
