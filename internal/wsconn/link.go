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

	"github.com/coder/websocket"
)

// ended is a connection that broke off.
type ended struct{ cause error }

func (e *ended) Error() string {
	if errors.Is(e.cause, io.EOF) {
		return "websocket: the connection ended without a close frame"
	}
	return "websocket: the connection broke: " + e.cause.Error()
}

// errInterrupted is what a read gets that was told to give up between two messages.
var errInterrupted = errors.New("websocket: read interrupted")

// link is the connection beneath a Conn: its reads, with their deadlines, and what is to be written.
//
// Fields without a comment on who else uses them belong to the holder of the read lock.
type link struct {
	queue queue // safe for concurrent use

	net.Conn

	messageTimeout time.Duration

	src   source // reads Conn
	avail []byte // read and not yet handed on
	stale bool   // the reading goroutine has used its stack since it last waited for long
	yield yielding

	heard  atomic.Bool // bytes came; the keepalive resets it
	closed atomic.Bool // set under mu

	reading atomic.Uint32 // the read lock: 0 is free, 1 held, 2 held and waited for

	mu          sync.Mutex // guards what follows, and the read deadline
	free        chan struct{}
	timed       int // the unit that a deadline is set for, 0 for none
	watched     <-chan struct{}
	unwatch     func() bool
	turn        int // counts the contexts watched
	interrupted bool
	deaf        bool          // to contexts
	gone        bool          // closed, and nothing waits for it any more
	done        chan struct{} // closed then; nil until somebody asks
	onDone      func()        // called when closed; may be nil
}

// open puts a link on nc, of which the bytes in early have been read already.
func (l *link) open(nc net.Conn, early []byte, o *Options) {
	if tcp, ok := beneath(nc); ok && o.SendBuffer > 0 {
		_ = tcp.SetWriteBuffer(o.SendBuffer) // a wish: the system has its own bounds
	}
	l.Conn, l.avail, l.messageTimeout = nc, early, o.MessageTimeout
	l.queue.dst = nc
	l.openSocket()
	l.queue.writeTimeout = o.WriteTimeout
	l.queue.maxBytes, l.queue.maxMsgs = o.MaxQueueBytes, o.MaxQueueMessages
	l.queue.onError = l.cut
}

// beneath is the socket of a connection.
func beneath(nc net.Conn) (*net.TCPConn, bool) {
	if t, ok := nc.(interface{ NetConn() net.Conn }); ok { // TLS
		nc = t.NetConn()
	}
	tcp, ok := nc.(*net.TCPConn)
	return tcp, ok
}

var start = time.Now()

func now() time.Duration { return time.Since(start) }

// lock takes the read lock. It reports false when the connection is closed.
func (l *link) lock() bool {
	if l.reading.CompareAndSwap(0, 1) {
		return l.heldOpen()
	}
	l.mu.Lock()
	for l.reading.Swap(2) != 0 {
		if l.closed.Load() { // its holder may wait for the waiting one
			l.mu.Unlock()
			return false
		}
		if l.free == nil {
			l.free = make(chan struct{})
		}
		free := l.free
		l.mu.Unlock()
		<-free
		l.mu.Lock()
	}
	l.mu.Unlock()
	return l.heldOpen()
}

func (l *link) heldOpen() bool {
	if l.closed.Load() {
		l.unlock()
		return false
	}
	return true
}

func (l *link) unlock() {
	if l.reading.CompareAndSwap(1, 0) {
		return
	}
	l.mu.Lock()
	l.reading.Store(0)
	l.wakeLocked()
	l.mu.Unlock()
}

func (l *link) wakeLocked() {
	if l.free != nil {
		close(l.free)
		l.free = nil
	}
}

// longSilence is how long a wait has to be for its goroutine's stack to be worth saving.
const longSilence = time.Second

// silence is the peer's. Only the holder of the read lock uses it, but for since.
type silence struct {
	since  atomic.Int64  // when it began, in ns, while somebody waits for its end; else 0
	lasted time.Duration // over all waits since bytes last came
}

// begin is the beginning of a wait, and nothing during one. Reads that need not wait never look at the clock.
func (s *silence) begin() {
	if s.since.Load() == 0 {
		s.since.Store(int64(now() - s.lasted))
	}
}

// end is the end of a wait, if there was one, which it reports.
func (s *silence) end() (waited bool) {
	since := s.since.Load()
	if since != 0 {
		s.since.Store(0)
		s.lasted = now() - time.Duration(since)
	}
	return since != 0
}

// fill waits for bytes. It sends what was queued before it waits. Its frames, and those above it, are kept small: a connection that does
// nothing costs what they take.
func (c *Conn) fill() error {
	l := &c.link
	l.src.release()
	l.queue.flush()
	l.yield.before()
	for {
		if err := c.deadline(); err != nil {
			return err
		}
		b, err := l.src.read()
		l.yield.after(l.src.quiet.end())
		if len(b) > 0 {
			l.stale = l.stale || l.src.quiet.lasted >= longSilence || c.frames.units == 0
			l.src.quiet.lasted = 0
			if !l.heard.Load() {
				l.heard.Store(true)
			}
			l.avail = b
			return nil
		}
		if err != nil {
			if err = c.readError(err); err != nil {
				return err
			}
		}
	}
}

// deadline sets the deadline of a read: that of the message or control frame under way, none between two.
func (c *Conn) deadline() error {
	l := &c.link
	l.mu.Lock()
	defer l.mu.Unlock()
	unit := c.frames.unit()
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
	return c.readError(l.SetReadDeadline(t))
}

// readError tells what an error of the connection means; nil is to try again.
func (c *Conn) readError(err error) error {
	switch {
	case err == nil:
		return nil
	case !errors.Is(err, os.ErrDeadlineExceeded):
		if c.link.queue.ended() { // by this side; a pipe has an error of its own for that
			return net.ErrClosed
		}
		return &ended{err}
	case c.frames.unit() != 0:
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

// control queues one control frame and sends it at once, without waiting. After a close frame it is net.ErrClosed.
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

// ends is closed with the connection.
func (l *link) ends() <-chan struct{} {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.done == nil {
		l.done = make(chan struct{})
		if l.gone {
			close(l.done)
		}
	}
	return l.done
}

// cut closes the connection; what is still queued is lost.
func (l *link) cut() {
	l.mu.Lock()
	if l.closed.Swap(true) {
		l.mu.Unlock()
		return
	}
	onDone := l.onDone
	l.wakeLocked()
	l.mu.Unlock()
	l.queue.fail(net.ErrClosed)
	if tcp, ok := beneath(l.Conn); ok && errors.Is(l.queue.lost(), errWriteTimeout) {
		_ = tcp.SetLinger(0) // a peer that does not read: what the system holds for it is let go at once, not after minutes
	}
	_ = l.Close() // it is gone, whatever it says
	l.mu.Lock()
	l.gone = true
	if l.done != nil {
		close(l.done)
	}
	l.mu.Unlock()
	if onDone != nil {
		onDone()
	}
}
