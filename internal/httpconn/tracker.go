package httpconn

import (
	"cmp"
	"context"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// MaxPatience is how long a shutdown waits for the first request of a new connection, as
// http.Server.Shutdown does, and for a body under way, and then for a client to take an answer.
const MaxPatience = 5 * time.Second

// Tracker knows the connections of one http.Server. The zero value is ready; it must not be copied.
type Tracker struct {
	conns sync.Map // net.Conn → *conn: those of the server that are neither closed nor hijacked

	accepted, ended atomic.Uint64 // how many have come into conns, and have left it

	grace time.Duration // instead of halfCloseGrace; tests set it before Watch

	mu       sync.Mutex    // guards what follows
	listener net.Listener  // nil when not serving
	stopped  chan struct{} // closed when nothing is accepted any more
	draining bool          // Drain was called: no listener is served any more
}

// Watch makes srv, which has not served yet, report its connections to t. It wraps the Handler, the
// ConnContext and the ConnState of srv. The Handler that srv has gets a *[PacedWriter] of
// sendTimeout.
func (t *Tracker) Watch(srv *http.Server, sendTimeout time.Duration) {
	next, connContext, connState := srv.Handler, srv.ConnContext, srv.ConnState
	srv.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		answer := Pace(w, r, sendTimeout)
		defer answer.Extend() // for what net/http still holds back
		// It is nil where a ConnContext that the program set later replaced ours.
		if c := connOf(r.Context()); c != nil {
			r = c.begin(r, answer, srv.WriteTimeout)
			defer c.finish()
			var release func()
			r, release = c.holdHalfClosed(r)
			defer release()
		}
		next.ServeHTTP(answer, r)
	})
	srv.ConnContext = func(ctx context.Context, nc net.Conn) context.Context {
		if connContext != nil {
			ctx = connContext(ctx, nc)
		}
		return context.WithValue(ctx, connKey{}, t.track(ctx, nc))
	}
	srv.ConnState = func(nc net.Conn, state http.ConnState) {
		t.follow(nc, state, srv.ReadTimeout)
		if connState != nil {
			connState(nc, state)
		}
	}
}

type connKey struct{}

// connOf is the connection of a request's context, nil where the server is another's.
func connOf(ctx context.Context) *conn {
	c, _ := ctx.Value(connKey{}).(*conn)
	return c
}

// Serving notes the listener that the server is about to serve. stopped is to be called when that
// has ended. It is false when Drain came first: then nothing may be served.
func (t *Tracker) Serving(l net.Listener) (stopped func(), ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.draining {
		return nil, false
	}
	t.listener, t.stopped = l, make(chan struct{})
	return func() { close(t.stopped) }, true
}

// track notes a connection just accepted, which has no state yet.
func (t *Tracker) track(base context.Context, nc net.Conn) *conn {
	c := &conn{nc: nc, base: base, grace: cmp.Or(t.grace, halfCloseGrace), accepted: time.Now()}
	t.conns.Store(nc, c)
	t.accepted.Add(1)
	return c
}

// follow is http.Server.ConnState. It is called by the goroutine that serves the connection: for
// the active state before the handler is called and the body read, and before half a header is
// answered unless all of that was read while idle.
func (t *Tracker) follow(nc net.Conn, state http.ConnState, readTimeout time.Duration) {
	switch state {
	case http.StateNew: // tracked by then
	case http.StateHijacked, http.StateClosed:
		if _, ok := t.conns.LoadAndDelete(nc); ok {
			t.ended.Add(1)
		}
	default:
		if c, ok := t.conns.Load(nc); ok {
			c.(*conn).follow(state, readTimeout)
		}
	}
}

// Connections is how many connections are open, neither closed nor hijacked, and how many were
// accepted in all.
func (t *Tracker) Connections() (open int, total uint64) {
	ended := t.ended.Load() // in this order: what ends in between was accepted
	total = t.accepted.Load()
	return int(total - ended), total
}

// Drain closes the listener and waits until all connections of HTTP/1 have ended, for as long as
// ctx lasts. limit is how long the caller means to wait in all, of which no single socket gets more
// than a third for each of the things that it may be slow in. The error is the cause of ctx's end.
func (t *Tracker) Drain(ctx context.Context, limit time.Duration) error {
	t.mu.Lock()
	t.draining = true
	listener, stopped := t.listener, t.stopped
	t.mu.Unlock()
	if listener == nil {
		return nil
	}
	_ = listener.Close() // its error changes nothing
	select {
	case <-stopped: // all connections accepted are known now
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	began, patience := time.Now(), min(MaxPatience, limit/3)
	// net/http gives a connection that becomes idle its idle deadline after it says so: hence
	// repeatedly.
	const longest = 50 * time.Millisecond
	for wait := time.Millisecond; t.retire(began, patience) > 0; wait = min(2*wait, longest) {
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return nil
}

// retire makes the reads of connections end on which nothing is under way any more, and returns how
// many connections of HTTP/1 are left.
func (t *Tracker) retire(began time.Time, patience time.Duration) (left int) {
	t.conns.Range(func(_, c any) bool {
		if c.(*conn).retire(began, patience) {
			left++
		}
		return true
	})
	return left
}
