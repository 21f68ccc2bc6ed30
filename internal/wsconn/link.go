package wsconn

import (
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/coder/websocket"
)

// errEnded stands for io.EOF: coder/websocket takes an EOF inside a message for the message's end.
var errEnded = errors.New("websocket: the connection ended without a close frame")

// errInterrupted is what a read gets that was told to give up between two messages.
var errInterrupted = errors.New("websocket: read interrupted")

// link is the connection that coder/websocket gets in place of the real one. Its reads are accounted for and flush what was
// queued before they wait; its writes, which are whole control frames and nothing else, go through the queue.
type link struct {
	nc    io.ReadWriteCloser
	read  readDeadliner // nc, or nil where it has no deadlines
	acct  account
	queue queue

	messageTimeout time.Duration

	src       *source    // reads nc
	avail     []byte     // read and not yet handed on
	bad       *violation // to be returned by the next read
	timed     bool       // a deadline for the open message is set
	closeOnce sync.Once
	closed    chan struct{}

	mu        sync.Mutex // guards the deadline against interrupt
	interrupt bool

	reading  atomic.Bool
	lastRead atomic.Int64 // when bytes came last, in ns since start
}

type readDeadliner interface{ SetReadDeadline(t time.Time) error }

var start = time.Now()

func now() int64 { return int64(time.Since(start)) }

// Read hands on bytes that were accounted for. It never returns io.EOF.
func (l *link) Read(p []byte) (int, error) {
	if l.bad != nil {
		return 0, l.bad
	}
	n, err := l.fill(p)
	if n > 0 {
		good, bad := l.acct.feed(p[:n])
		if bad != nil {
			l.bad = bad
			if good == 0 {
				return 0, bad
			}
			return good, nil
		}
	}
	return n, err
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
		l.reading.Store(true)
		b, err := l.src.read()
		l.reading.Store(false)
		if len(b) > 0 {
			l.lastRead.Store(now())
			l.avail = b
			return l.take(p), nil
		}
		switch {
		case err == nil:
			continue
		case errors.Is(err, io.EOF):
			return 0, errEnded
		case errors.Is(err, os.ErrDeadlineExceeded):
			if err := l.expired(); err != nil {
				return 0, err
			}
			continue
		}
		return 0, err
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

// deadline sets the deadline of a read: the message's while one is open, none between messages.
func (l *link) deadline() error {
	if l.read == nil {
		return nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	switch between := l.acct.between(); {
	case between && l.interrupt:
		return errInterrupted
	case between == !l.timed:
		return nil
	case between:
		l.timed = false
		return l.read.SetReadDeadline(time.Time{})
	default:
		l.timed = true
		return l.read.SetReadDeadline(time.Now().Add(l.messageTimeout))
	}
}

// expired tells what a read deadline that passed meant.
func (l *link) expired() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case !l.acct.between():
		return &violation{websocket.StatusPolicyViolation, "message took too long"}
	case l.interrupt:
		return errInterrupted
	default:
		return nil // the interrupt was taken back just now
	}
}

// setInterrupt makes the read under way, and later ones, give up between two messages, or takes that back.
func (l *link) setInterrupt(on bool) {
	if l.read == nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.interrupt = on
	switch {
	case on && !l.timed:
		_ = l.read.SetReadDeadline(time.Unix(1, 0)) // a closed connection needs no waking
	case !on && !l.timed:
		_ = l.read.SetReadDeadline(time.Time{})
	}
}

// Write queues one control frame of coder/websocket and sends it at once, without waiting. After a close frame more are dropped.
func (l *link) Write(p []byte) (int, error) {
	err := l.control(p)
	if errors.Is(err, net.ErrClosed) {
		err = nil // a close frame is on its way already: the library's own answer to it is not needed
	}
	if err != nil {
		return 0, err
	}
	return len(p), nil
}

func (l *link) control(frame []byte) error {
	if err := l.queue.push(nil, frame, false, frame[0]&0x0f == opClose); err != nil {
		return err
	}
	l.queue.flush()
	return nil
}

// Close closes the real connection; what is still queued is lost.
func (l *link) Close() error {
	l.queue.fail(net.ErrClosed)
	var err error
	l.closeOnce.Do(func() {
		err = l.nc.Close()
		close(l.closed)
	})
	return err
}
