package wsconn

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"github.com/coder/websocket"
)

// ended is a connection that broke off. Its cause is text only: coder/websocket takes an io.EOF inside a message, and under
// compression also the io.ErrUnexpectedEOF of a cut TLS connection, for the message's end.
type ended struct{ cause error }

func (e *ended) Error() string {
	if errors.Is(e.cause, io.EOF) {
		return "websocket: the connection ended without a close frame"
	}
	return "websocket: the connection broke: " + e.cause.Error()
}

// errInterrupted is what a read gets that was told to give up between two messages.
var errInterrupted = errors.New("websocket: read interrupted")

// link is the connection that coder/websocket gets in place of the real one. Its reads are accounted for and flush what was
// queued before they wait; its writes, which are whole control frames and nothing else, go through the queue.
//
// Fields without a comment on who else uses them belong to the reader, that is to whoever holds coder/websocket's read lock.
type link struct {
	net.Conn
	acct  account
	queue queue  // safe for concurrent use
	pings *pings // safe for concurrent use

	messageTimeout time.Duration
	done           chan struct{} // closed with the connection

	src    *source       // reads Conn
	avail  []byte        // read and not yet handed on
	bad    *violation    // to be returned by the next read
	silent time.Duration // how long the reads that brought nothing, since the last that did, waited

	messages atomic.Int64 // messages handed on whole
	since    atomic.Int64 // when the silence of the read under way began, in ns; 0 while nobody reads
	heard    atomic.Bool  // bytes came; the keepalive resets it

	mu          sync.Mutex // guards what follows, and the read deadline
	timed       int        // the unit that a deadline is set for, 0 for none
	watched     <-chan struct{}
	unwatch     func() bool
	turn        int // counts the contexts watched
	interrupted bool
	deaf        bool // to contexts
	closed      bool
	onDone      func() // called when closed; may be nil
}

// newLink puts a link on nc, of which the bytes in early have been read already.
func newLink(nc net.Conn, early []byte, p *pings, o *Options) *link {
	tcp := nc
	if t, ok := nc.(interface{ NetConn() net.Conn }); ok { // TLS
		tcp = t.NetConn()
	}
	if tcp, ok := tcp.(*net.TCPConn); ok && o.SendBuffer > 0 {
		_ = tcp.SetWriteBuffer(o.SendBuffer) // a wish: the system has its own bounds
	}
	l := &link{Conn: nc, pings: p, src: newSource(nc), avail: early, messageTimeout: o.MessageTimeout, done: make(chan struct{})}
	l.acct = account{maxFrames: o.MaxFrames, maxBytes: o.MaxMessage, maxControl: o.MaxControl}
	l.queue.dst, l.queue.try = nc, newTryWriter(nc)
	l.queue.writeTimeout = o.WriteTimeout
	l.queue.maxBytes, l.queue.maxMsgs = o.MaxQueueBytes, o.MaxQueueMessages
	l.queue.onError = l.cut
	return l
}

var start = time.Now()

func now() time.Duration { return time.Since(start) }

// Read hands on bytes that were accounted for. It never returns io.EOF.
func (l *link) Read(p []byte) (int, error) {
	if l.bad != nil {
		return 0, l.bad
	}
	n, err := l.fill(p)
	if err != nil {
		return 0, err
	}
	n, l.bad = l.acct.feed(p[:n])
	l.messages.Store(l.acct.messages)
	if n == 0 && l.bad != nil {
		return 0, l.bad
	}
	return n, nil
}

func (l *link) fill(p []byte) (int, error) {
	if len(l.avail) > 0 {
		return l.take(p), nil
	}
	l.queue.flush()
	for {
		if err := l.deadline(); err != nil {
			return 0, err
		}
		l.since.Store(int64(now() - l.silent))
		b, err := l.src.read()
		since := time.Duration(l.since.Swap(0))
		if len(b) > 0 {
			l.silent = 0
			l.heard.Store(true)
			l.avail = b
			return l.take(p), nil
		}
		l.silent = now() - since
		if err != nil {
			if err = l.readError(err); err != nil {
				return 0, err
			}
		}
	}
}

func (l *link) take(p []byte) int {
	n := copy(p, l.avail)
	l.avail = l.avail[n:]
	if len(l.avail) == 0 {
		l.avail = nil
		l.src.release()
	}
	return n
}

// deadline sets the deadline of a read: that of the message or control frame under way, none between two.
func (l *link) deadline() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	unit := l.acct.unit()
	switch {
	case unit == 0 && l.interrupted:
		return errInterrupted
	case unit == l.timed:
		return nil
	}
	l.timed = unit
	var t time.Time
	if unit != 0 {
		t = time.Now().Add(l.messageTimeout)
	}
	return l.readError(l.SetReadDeadline(t))
}

// readError tells what an error of the connection means; nil is to try again.
func (l *link) readError(err error) error {
	switch {
	case err == nil:
		return nil
	case !errors.Is(err, os.ErrDeadlineExceeded):
		if l.queue.ended() { // by this side; a pipe has an error of its own for that
			return net.ErrClosed
		}
		return &ended{err}
	case l.acct.unit() != 0:
		return &violation{websocket.StatusPolicyViolation, "message took too long"}
	}
	return nil // interrupted, which deadline sees
}

// watch makes reads give up between two messages once ctx has ended, and no longer for the context watched before. A loop that
// reads with one context pays once.
func (l *link) watch(ctx context.Context) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.deaf || ctx.Done() == l.watched {
		return
	}
	l.unwatchLocked()
	if l.watched = ctx.Done(); l.watched != nil {
		turn := l.turn
		l.unwatch = context.AfterFunc(ctx, func() { l.interrupt(turn) })
	}
}

func (l *link) unwatchLocked() {
	l.turn++
	if l.unwatch != nil {
		l.unwatch()
		l.unwatch = nil
	}
	if l.interrupted {
		l.interrupted = false
		if l.timed == 0 {
			_ = l.SetReadDeadline(time.Time{}) // a closed connection needs none
		}
	}
}

func (l *link) interrupt(turn int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if turn != l.turn {
		return
	}
	l.interrupted = true
	if l.timed == 0 {
		_ = l.SetReadDeadline(time.Unix(1, 0)) // a closed connection needs no waking
	}
}

// deafen makes reads wait whatever becomes of their context: the connection is being closed.
func (l *link) deafen() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.deaf {
		l.deaf = true
		l.unwatchLocked()
	}
}

// Write queues one control frame of coder/websocket and sends it at once, without waiting. After a close frame more are dropped.
func (l *link) Write(p []byte) (int, error) {
	frame := p
	if p[0]&0x0f == opClose && p[1]&0x80 == 0 && len(p) > 4 && !utf8.Valid(p[4:]) { // it repeats the peer's reason
		frame = closeFrame(&violation{websocket.StatusInvalidFramePayloadData, "close reason that is not UTF-8"}, false)
	}
	switch err := l.control(frame); {
	case errors.Is(err, ErrQueueFull):
		return 0, &violation{websocket.StatusPolicyViolation, "too many control frames"}
	case err != nil && !errors.Is(err, net.ErrClosed): // a close frame on its way already needs no second
		return 0, err
	}
	return len(p), nil
}

func (l *link) control(frame []byte) error {
	k := control
	if frame[0]&0x0f == opClose {
		k = last
	}
	if err := l.queue.push(frame, k); err != nil {
		return err
	}
	l.queue.flush()
	return nil
}

// Close is coder/websocket's: it closes the connection once a close frame that is on its way is out, at most the write time-out later.
func (l *link) Close() error {
	if l.queue.closeUnsent() {
		t := time.NewTimer(l.queue.writeTimeout)
		l.queue.settle(t.C)
		t.Stop()
	}
	l.cut()
	return nil
}

// cut closes the connection; what is still queued is lost.
func (l *link) cut() {
	l.mu.Lock()
	closed, onDone := l.closed, l.onDone
	l.closed = true
	l.mu.Unlock()
	if closed {
		return
	}
	l.queue.fail(net.ErrClosed)
	_ = l.Conn.Close() // it is gone, whatever it says
	close(l.done)
	if onDone != nil {
		onDone()
	}
}
