package wsconn

import (
	"errors"
	"net"
	"sync/atomic"
	"time"

	"github.com/coder/websocket"

	"github.com/genropy/genro-asgi-go/internal/lockorder"
)

// Conn is one WebSocket. Reads are for one goroutine; everything else is safe for concurrent use.
type Conn struct {
	queue queue // first: what sends to a thousand connections finds it where the Conn is

	nc          net.Conn
	subprotocol string
	client      bool // this side is the client: it masks what it sends

	closed  atomic.Bool               // nc is being closed, or is
	closing atomic.Bool               // Close was called
	ending  atomic.Pointer[violation] // why this side ended it
	done    chan struct{}             // closed when nc is

	mu     lockorder.Mutex // guards onDone
	onDone func()          // may be nil

	reading  readLock
	in       reader // belongs to the holder of reading
	deadline readDeadline

	pings     pings
	keepalive keepalive
}

// newConn takes the connection over after the handshake; ws, which has done it, goes.
func newConn(ws *websocket.Conn, nc *lent, early []byte, o *Options, client, deflate bool) *Conn {
	nc.returned.Store(true)
	_ = ws.CloseNow() // else it stays for its finalizer
	if tcp, ok := beneath(nc.Conn); ok && o.SendBuffer > 0 {
		_ = tcp.SetWriteBuffer(o.SendBuffer) // a wish: the system has its own bounds
	}
	c := &Conn{
		nc: nc.Conn, subprotocol: o.subprotocol(ws.Subprotocol()), client: client,
		reading:  make(readLock, 1),
		deadline: readDeadline{nc: nc.Conn, messageTimeout: o.MessageTimeout},
		done:     make(chan struct{}),
	}
	c.in = reader{
		conn: c, avail: early,
		parser: parser{
			maxFrames: o.MaxFrames, apart: time.Second / time.Duration(o.MaxControl),
			maxBytes: o.MaxMessage, acceptBig: o.TooBig != nil,
			fromServer: client, deflate: deflate,
		},
		tooBig: o.TooBig,
	}
	c.queue = queue{
		deflate: deflate, maxBytes: o.MaxQueueBytes, maxMsgs: o.MaxQueueMessages,
		budget: o.Budget, dst: c.nc, writeTimeout: o.WriteTimeout, onError: c.cut,
	}
	c.openSocket()
	if o.KeepaliveAfter > 0 {
		c.keepalive.start(c, o)
	}
	return c
}

// beneath is the socket of a connection.
func beneath(nc net.Conn) (*net.TCPConn, bool) {
	if t, ok := nc.(interface{ NetConn() net.Conn }); ok { // TLS
		nc = t.NetConn()
	}
	tcp, ok := nc.(*net.TCPConn)
	return tcp, ok
}

// Subprotocol is what the handshake agreed on, empty for none.
func (c *Conn) Subprotocol() string { return c.subprotocol }

// Done is closed when the connection is, also while nobody reads.
func (c *Conn) Done() <-chan struct{} { return c.done }

// OnDone calls f once the connection is closed, at once when it is already: Done without a
// goroutine that waits. f must return soon and not call the Conn. There is one f; a further call
// before the end replaces it.
func (c *Conn) OnDone(f func()) {
	c.mu.Lock()
	closed := c.closed.Load()
	c.onDone = f
	c.mu.Unlock()
	if closed {
		f()
	}
}

// cut closes the connection; what is still queued is lost.
func (c *Conn) cut() {
	c.mu.Lock()
	if c.closed.Swap(true) {
		c.mu.Unlock()
		return
	}
	onDone := c.onDone
	c.mu.Unlock()
	c.queue.fail(net.ErrClosed)
	if tcp, ok := beneath(c.nc); ok && errors.Is(c.queue.lost(), errWriteTimeout) {
		// a peer that does not read: what the system holds for it is let go at once, not after
		// minutes
		_ = tcp.SetLinger(0)
	}
	_ = c.nc.Close() // it is gone, whatever it says
	close(c.done)
	if onDone != nil {
		onDone()
	}
}

// lock takes the read lock. It reports false when the connection is closed.
func (c *Conn) lock() bool {
	if !c.reading.lock(c.done) {
		return false
	}
	if c.closed.Load() {
		c.unlock()
		return false
	}
	return true
}

func (c *Conn) unlock() { c.reading.unlock() }

// readLock is a mutex, of which a waiter hears that it need not wait any more. (The holder may wait
// for one that waits for the lock: for the keepalive, which closes the connection.)
type readLock chan struct{}

// lock reports false when it gave up because done was closed.
func (l readLock) lock(done <-chan struct{}) bool {
	select {
	case l <- struct{}{}:
		return true
	default:
		return l.wait(done)
	}
}

// wait is lock for one that has to wait. It is apart, as what it needs of the stack is not needed
// by a reader that waits for its peer.
//
//go:noinline
func (l readLock) wait(done <-chan struct{}) bool {
	select {
	case l <- struct{}{}:
		return true
	case <-done:
		return false
	}
}

func (l readLock) unlock() { <-l }

// start is what the package's times count from.
var start = time.Now()

func now() time.Duration { return time.Since(start) }
