package wsx

import (
	"context"
	"net/http"
	"time"
)

// snapshot is r as it may be used after its handler has returned: with a context that has r's values and ends with
// the connection.
func snapshot(ctx context.Context, r *http.Request) (*http.Request, context.Context, context.CancelCauseFunc) {
	ctx, cancel := context.WithCancelCause(lastingValues{ctx})
	return r.WithContext(ctx), ctx, cancel
}

// lastingValues are the values of a request's context without those that their owner takes back for the next request
// when the handler returns.
type lastingValues struct{ context.Context }

// Deadline hides that of a time-out middleware: it was the handshake's, and every context derived from this one would have it.
func (lastingValues) Deadline() (time.Time, bool) { return time.Time{}, false }
func (lastingValues) Done() <-chan struct{}       { return nil }
func (lastingValues) Err() error                  { return nil }

// Value hides chi's RouteContext, which comes from a pool. It is known by its methods: this package does not import chi.
func (v lastingValues) Value(key any) any {
	value := v.Context.Value(key)
	if _, pooled := value.(interface {
		Reset()
		RoutePattern() string
	}); pooled {
		return nil
	}
	return value
}
