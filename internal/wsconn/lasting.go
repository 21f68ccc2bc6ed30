package wsconn

import (
	"context"
	"net/http"
	"slices"
	"time"
)

// Lasting is r as it may be used once its handler has returned, and what cancels its context. That
// context has the values of r's but neither its end nor its deadline: net/http cancels r's when the
// handler returns, and a time-out around the handler is one for the handshake. Values that their
// owner takes back for the next request are left out: chi's RouteContext comes from a pool.
// r.PathValue stays. The body is empty, as that of a handshake is. Headers that serve the handshake
// and nothing else are left out: a connection keeps the rest for as long as it lives.
func Lasting(r *http.Request) (*http.Request, context.CancelCauseFunc) {
	ctx, cancel := context.WithCancelCause(lastingValues{r.Context()})
	r = r.WithContext(ctx)
	r.Body = http.NoBody
	r.Header = lastingHeader(r.Header)
	return r, cancel
}

func lastingHeader(h http.Header) http.Header {
	kept := make(http.Header)
	for name, values := range h {
		switch name {
		case "Connection", "Upgrade", "Sec-Websocket-Key", "Sec-Websocket-Version",
			"Sec-Websocket-Extensions":
			continue
		}
		kept[name] = slices.Clone(values) // net/http has the values of all headers in one array
	}
	return kept
}

type lastingValues struct{ context.Context }

func (lastingValues) Done() <-chan struct{}       { return nil }
func (lastingValues) Err() error                  { return nil }
func (lastingValues) Deadline() (time.Time, bool) { return time.Time{}, false }

// Value knows chi's RouteContext by its methods: this module's transport does not import chi.
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
