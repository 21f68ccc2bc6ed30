package httpconn

import (
	"context"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// conn is a connection of the server and how far it has come. Errors of its deadlines are ignored
// throughout: they fail on a closed connection only.
type conn struct {
	nc       net.Conn
	base     context.Context // of all connections: it ends with the server, not with this one
	grace    time.Duration   // how long a request goes on whose client has half-closed
	accepted time.Time

	mu      sync.Mutex   // guards what follows; no other lock is taken while it is held
	used    bool         // it has sent a request, or part of one
	serving bool         // a handler runs, or is about to
	idle    bool         // the last answer is out
	retired bool         // its read was made to end
	muted   bool         // its writes fail
	hurried bool         // the write of the request being served has little time left
	http2   bool         // it is http.Server.Shutdown's to end
	body    *watchedBody // of the request being served, nil if it has none
	answer  *PacedWriter // of the request being served, nil until its handler is called
}

// longAgo is a deadline that has passed.
var longAgo = time.Unix(1, 0)

// deadline is that of a time-out that begins now, none if it is not above 0.
func deadline(timeout time.Duration) time.Time {
	if timeout <= 0 {
		return time.Time{}
	}
	return time.Now().Add(timeout)
}

// follow notes that the connection is active or idle.
func (c *conn) follow(state http.ConnState, readTimeout time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.used, c.serving, c.idle = true, state == http.StateActive, state == http.StateIdle
	if c.serving && c.retired { // a request was faster than the shutdown, or half a header
		c.retired, c.muted = false, true
		_ = c.nc.SetReadDeadline(deadline(readTimeout))
		_ = c.nc.SetWriteDeadline(longAgo)
	}
}

// begin notes that a handler is about to answer r and returns the request for it. finish must
// follow.
func (c *conn) begin(r *http.Request, answer *PacedWriter,
	writeTimeout time.Duration,
) *http.Request {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.muted || c.hurried {
		c.muted, c.hurried = false, false
		_ = c.nc.SetWriteDeadline(deadline(writeTimeout))
	}
	if r.ProtoMajor != 1 {
		c.http2 = true
		return r
	}
	c.answer = answer
	if r.Body != http.NoBody {
		c.body = &watchedBody{ReadCloser: r.Body}
		r = r.WithContext(r.Context()) // a copy: net/http looks at the body of its own
		r.Body = c.body
	}
	return r
}

// finish notes that the handler has returned.
func (c *conn) finish() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.serving, c.hurried, c.body, c.answer = false, false, nil, nil
}

// retire ends what the connection waits for, as far as the shutdown's patience has gone. It is
// false where the connection is not waited for, because it is of HTTP/2.
func (c *conn) retire(began time.Time, patience time.Duration) (counts bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.http2 {
		return false
	}
	impatient := time.Since(began) >= patience
	switch {
	case c.serving && !impatient, !c.used && time.Since(c.accepted) < patience:
		return true
	case !c.serving:
		// It is idle, or net/http is about to end the last answer: it may wait for a body that
		// nobody wants.
		c.retired = true
		if c.idle { // net/http does not say when it fails on what it has read by now
			c.muted = true
			_ = c.nc.SetWriteDeadline(longAgo)
		}
		_ = c.nc.SetReadDeadline(longAgo)
	case c.body != nil && !c.body.complete.Load():
		_ = c.nc.SetReadDeadline(longAgo)
	}
	if impatient && !c.muted && !c.hurried && (!c.serving || c.answer.hurry(patience)) {
		c.hurried = true
		_ = c.nc.SetWriteDeadline(time.Now().Add(patience))
	}
	return true
}

// watchedBody knows when there is no more of it to come.
type watchedBody struct {
	io.ReadCloser
	complete atomic.Bool
}

func (b *watchedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err != nil {
		b.complete.Store(true)
	}
	return n, err
}

func (b *watchedBody) Close() error {
	b.complete.Store(true)
	return b.ReadCloser.Close()
}
