package httpconn

import (
	"context"
	"net"
	"net/http"
	"time"
)

// halfCloseGrace is how long a request goes on whose client has ended its side of the connection in
// a way that may mean that it is gone, or that it has said all it had to say and waits for the
// answer.
const halfCloseGrace = 5 * time.Second

// halfCloseTick is how often meanwhile the connection is looked at, for a client that has gone
// after all.
const halfCloseTick = 50 * time.Millisecond

// holdHalfClosed gives a request that announced to be its connection's last a context that survives
// the end of what the client sends (see the package comment). The context ends with base, when the
// peer resets the connection, and a grace after the request's own. release must be called
// when the handler has returned.
func (c *conn) holdHalfClosed(r *http.Request) (held *http.Request, release func()) {
	nc, canHalfClose := c.nc.(interface{ CloseWrite() error })
	if !r.Close || r.ProtoMajor != 1 || !canHalfClose {
		return r, func() {}
	}
	ctx, cancel := context.WithCancelCause(context.WithoutCancel(r.Context()))
	answered, waited := make(chan struct{}), make(chan struct{})
	stop := context.AfterFunc(r.Context(), func() {
		defer close(waited)
		c.waitForReset(nc, answered)
		cancel(context.Cause(r.Context()))
	})
	return r.WithContext(ctx), func() {
		close(answered)
		if !stop() {
			<-waited
		}
		cancel(context.Canceled)
	}
}

// waitForReset waits until the client is gone for certain, the grace has passed, the server ends,
// or the request is answered.
func (c *conn) waitForReset(nc any, answered <-chan struct{}) {
	grace, tick := time.NewTimer(c.grace), time.NewTicker(halfCloseTick)
	defer grace.Stop()
	defer tick.Stop()
	for !isReset(nc) {
		select {
		case <-tick.C:
		case <-grace.C:
			return
		case <-c.base.Done():
			return
		case <-answered:
			return
		}
	}
}

// isReset reports whether a connection, one of TLS too, is known to be closed by the peer in both
// directions.
func isReset(nc any) bool {
	if secured, ok := nc.(interface{ NetConn() net.Conn }); ok {
		nc = secured.NetConn()
	}
	return socketIsReset(nc)
}
