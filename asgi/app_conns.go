package asgi

import (
	"context"
	"net"
	"net/http"
	"sync"
	"time"
)

// conns knows the connections of an App's server, to end the idle ones without losing a request.
//
// http.Server.Shutdown closes a connection that it believes idle. It is marked active only after a request's header was read and
// parsed, so a request that arrives on a kept-alive connection at that moment may reach its handler and its answer go nowhere.
// It is rare (none of 33,000 requests in 300 shutdowns on two cores) but so are shutdowns, and the request may be a payment.
// Here an idle connection is not closed but its read is made to end: either no whole header has been read, and net/http
// closes the connection itself without calling the handler, or the request is on its way to the handler and is answered.
type conns struct {
	all sync.Map // net.Conn → *trackedConn

	mu       sync.Mutex
	listener net.Listener  // nil when not serving
	served   chan struct{} // closed when nothing is accepted any more
	closed   bool
}

type trackedConn struct {
	mu      sync.Mutex
	idle    bool
	retired bool // its read was made to end
	http2   bool // drained by http.Server.Shutdown, which knows about streams
}

// serving notes the listener; false when the shutdown came first.
func (c *conns) serving(l net.Listener) (ok bool, done func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return false, nil
	}
	c.listener, c.served = l, make(chan struct{})
	return true, func() { close(c.served) }
}

// track notes a connection just accepted, which has no state yet.
func (c *conns) track(conn net.Conn) *trackedConn {
	t := new(trackedConn)
	c.all.Store(conn, t)
	return t
}

// state follows http.Server.ConnState. It is called by the goroutine that serves the connection, for the active state before
// the handler is called and the body read.
func (c *conns) state(conn net.Conn, state http.ConnState, readTimeout time.Duration) {
	switch state {
	case http.StateNew: // tracked by then
	case http.StateHijacked, http.StateClosed:
		c.all.Delete(conn)
	default:
		v, ok := c.all.Load(conn)
		if !ok {
			return
		}
		t := v.(*trackedConn)
		t.mu.Lock()
		defer t.mu.Unlock()
		t.idle = state == http.StateIdle
		if !t.idle && t.retired { // a request was faster
			t.retired = false
			var deadline time.Time
			if readTimeout > 0 {
				deadline = time.Now().Add(readTimeout)
			}
			_ = conn.SetReadDeadline(deadline) // fails on a closed connection only
		}
	}
}

// drain closes the listener and waits until all HTTP/1 connections have ended.
func (c *conns) drain(ctx context.Context) error {
	c.mu.Lock()
	c.closed = true
	listener, served := c.listener, c.served
	c.mu.Unlock()
	if listener == nil {
		return nil
	}
	_ = listener.Close() // its error changes nothing
	select {
	case <-served: // all connections accepted are known now
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	// net/http gives a connection that becomes idle its idle deadline after it says so: hence repeatedly.
	for wait := time.Millisecond; c.retire() > 0; wait = min(2*wait, 50*time.Millisecond) {
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return nil
}

var longAgo = time.Unix(1, 0)

// retire makes the reads of idle connections end and returns how many HTTP/1 connections are there.
func (c *conns) retire() (n int) {
	c.all.Range(func(key, value any) bool {
		t := value.(*trackedConn)
		t.mu.Lock()
		defer t.mu.Unlock()
		if t.http2 {
			return true
		}
		n++
		if t.idle {
			t.retired = true
			_ = key.(net.Conn).SetReadDeadline(longAgo) // fails on a closed connection only
		}
		return true
	})
	return n
}

type connKey struct{}

// isHTTP2 marks the connection of a request's context.
func (c *conns) isHTTP2(ctx context.Context) {
	if t, ok := ctx.Value(connKey{}).(*trackedConn); ok {
		t.mu.Lock()
		t.http2 = true
		t.mu.Unlock()
	}
}
