package wsconn

import (
	"context"
	"errors"
	"net"
	"sync"
	"syscall"
	"time"

	"github.com/genropy/genro-asgi-go/internal/lockorder"
)

// ErrQueueFull is what a send that may not wait gets when the out-queue has no room.
var ErrQueueFull = errors.New("websocket: the out-queue is full")

var errWriteTimeout = errors.New("websocket: the peer does not read: write timed out")

const (
	chunkSize = 4 << 10  // small messages of one connection are gathered in chunks of this size
	writeSize = 64 << 10 // one write takes at most this much
	// control frames may go over the queue's bounds by this: a full queue is no reason to leave a
	// ping unanswered
	controlRoom  = 16 << 10
	urgentRoom   = 1 << 20 // and so may what must not wait, see Urge
	triesInARow  = 4       // writes that a flush does itself before it hands over to the goroutine
	idleRunsKept = 4       // runs an empty queue keeps the memory of
	// bytes of its own that a queue may have while the budget of all is full
	leanQueue = 64 << 10
)

var (
	chunks  = sync.Pool{New: func() any { b := make([]byte, 0, chunkSize); return &b }}
	gathers = sync.Pool{New: func() any { b := make([]byte, 0, writeSize); return &b }}
)

// run is some whole frames, or what is left of them while they are being written.
type run struct {
	b    []byte
	msgs int
	own  *[]byte // what b lies in when that came from chunks or gathers; nil when it did not

	budgeted int    // bytes in the queue's budget
	exempt   bool   // does not count towards the bounds
	tag      any    // whose event it is, nil for what is never evicted
	carried  uint64 // how many lost events the event tells of
}

func (q *queue) recycle(r *run) {
	if r.budgeted > 0 {
		q.budget.Release(r.budgeted)
	}
	switch {
	case r.own == nil:
	case cap(*r.own) == chunkSize:
		chunks.Put(r.own)
	default:
		gathers.Put(r.own)
	}
	*r = run{}
}

// queue is the bounded out-queue of a connection. It has one writer at a time: the goroutine that
// found nobody writing, which never blocks, or drain, which is started when the socket takes no
// more and ends when the queue is empty.
//
// Methods whose names end in Locked need mu and keep it; those in Unlocking need it too, and let go
// of it while they write or tell of an error.
//
// The order of the fields is for an event on its way to a thousand connections: what it touches of
// each stands together, as the memory that it has to wait for is most of what it costs.
type queue struct {
	mu      lockorder.Mutex // guards what follows, to since
	writing bool            // somebody writes
	// a close frame is queued: nothing may follow it (RFC 6455 section 5.5.1)
	closing    bool
	overflowed bool // an event found no room, and the queue has not been empty since
	bytes      int  // queued and being written
	msgs       int
	exempt     struct{ bytes, msgs int } // of these, what does not count towards the bounds
	runs       []run
	err        error         // the end
	changed    chan struct{} // closed when something was written or failed; nil while nobody waits
	since      time.Duration // when the write began that waits for the peer; 0 when none does

	// these never change
	deflate  bool            // shared frames go compressed where they can
	raw      syscall.RawConn // dst for tryWrite, nil where it cannot be written without blocking
	maxBytes int
	maxMsgs  int
	budget   *Budget // may be nil

	out run // what is being written; it belongs to the writer

	dst          deadlineWriter
	writeTimeout time.Duration
	onError      func() // called once, without the lock
}

type deadlineWriter interface {
	Write(p []byte) (int, error)
	SetWriteDeadline(t time.Time) error
}

// kind is how a frame is queued.
type kind int

const (
	copied kind = iota // a message, copied
	kept               // a message, kept as it is: the caller will not change it
	owned              // a message, kept as it is, that nobody else has
	// a message, kept as it is, that does not count towards the bounds; its like have the same
	// among themselves
	replayed
	urgent   // a message that may go over the bounds, kept as it is
	control  // a ping or pong: small, copied
	last     // a close frame: always has room
	lastOnly // a close frame in place of what still waits
)

// push queues one frame without writing it, or returns ErrQueueFull at once.
func (q *queue) push(frame []byte, k kind) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.pushLocked(frame, k)
}

// sendControl queues one control frame and sends it at once, without waiting. After a close frame
// it is net.ErrClosed.
func (q *queue) sendControl(frame []byte) error {
	k := control
	if frame[0]&0x0f == opClose {
		k = last
	}
	if err := q.push(frame, k); err != nil {
		return err
	}
	q.flush()
	return nil
}

// pushWait is push that waits for room until ctx ends.
func (q *queue) pushWait(ctx context.Context, frame []byte, k kind) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	for {
		err := q.pushLocked(frame, k)
		if !errors.Is(err, ErrQueueFull) {
			return err
		}
		if !q.writing { // full of frames that somebody meant to flush later
			q.flushUnlocking()
			continue
		}
		changed := q.changedLocked()
		q.mu.Unlock()
		select {
		case <-changed:
			q.mu.Lock()
		case <-ctx.Done():
			q.mu.Lock()
			return context.Cause(ctx)
		}
	}
}

func (q *queue) pushLocked(frame []byte, k kind) error {
	switch {
	case q.err != nil:
		return q.err
	case q.closing:
		return net.ErrClosed
	case !q.hasRoomLocked(len(frame), k):
		return ErrQueueFull
	}
	if k == lastOnly {
		q.dropLocked(len(q.runs))
	}
	q.closing = k >= last
	q.addLocked(len(frame), k == replayed)
	q.appendLocked(frame, k)
	return nil
}

func (q *queue) addLocked(bytes int, exempt bool) {
	q.bytes += bytes
	q.msgs++
	if exempt {
		q.exempt.bytes += bytes
		q.exempt.msgs++
	}
}

// subLocked accounts for what is in the queue no more.
func (q *queue) subLocked(bytes, msgs int, exempt bool) {
	q.bytes -= bytes
	q.msgs -= msgs
	if exempt {
		q.exempt.bytes -= bytes
		q.exempt.msgs -= msgs
	}
}

// hasRoomLocked: an empty queue takes any message, as one larger than the queue has to get through
// somehow.
func (q *queue) hasRoomLocked(n int, k kind) bool {
	bytes, msgs := q.bytes-q.exempt.bytes, q.msgs-q.exempt.msgs
	if k == replayed {
		bytes, msgs = q.exempt.bytes, q.exempt.msgs
	}
	switch {
	case bytes == 0 || k >= last:
		return true
	case k == control:
		return bytes+n <= q.maxBytes+controlRoom
	case k == urgent:
		return bytes+n <= q.maxBytes+urgentRoom
	}
	most := q.maxBytes
	if (k == copied || k == owned) && q.budget != nil && q.budget.Full() {
		most = min(most, leanQueue)
	}
	return msgs < q.maxMsgs && bytes+n <= most
}

func (q *queue) appendLocked(frame []byte, k kind) {
	if k == replayed || (k == kept || k == urgent || k == owned) && len(frame) > chunkSize/4 {
		r := run{b: frame, msgs: 1, exempt: k == replayed}
		if k == owned || k == urgent {
			r.budgeted = q.hold(len(frame))
		}
		q.runs = append(q.runs, r)
		return
	}
	if n := len(q.runs); n > 0 {
		if tail := &q.runs[n-1]; tail.own != nil && len(tail.b)+len(frame) <= cap(tail.b) {
			tail.b = append(tail.b, frame...)
			tail.msgs++
			return
		}
	}
	chunk := chunks.Get().(*[]byte)
	r := run{b: append((*chunk)[:0], frame...), own: chunk, msgs: 1}
	if len(q.runs) > 0 { // the first is for what is written at once
		r.budgeted = q.hold(chunkSize)
	}
	q.runs = append(q.runs, r)
}

// hold takes bytes from the budget, if there is one.
func (q *queue) hold(n int) int {
	if q.budget == nil {
		return 0
	}
	q.budget.Add(n)
	return n
}

// shiftLocked forgets the first n runs and, when none is left, the memory of many.
func (q *queue) shiftLocked(n int) {
	left := copy(q.runs, q.runs[n:])
	clear(q.runs[left:])
	q.runs = q.runs[:left]
	if left == 0 && cap(q.runs) > idleRunsKept {
		q.runs = nil
	}
}

// dropLocked loses the first n runs.
func (q *queue) dropLocked(n int) {
	for i := range q.runs[:n] {
		q.subLocked(len(q.runs[i].b), q.runs[i].msgs, q.runs[i].exempt)
		q.recycle(&q.runs[i])
	}
	q.shiftLocked(n)
}

func (q *queue) wakeLocked() {
	if q.changed != nil {
		close(q.changed)
		q.changed = nil
	}
}

func (q *queue) changedLocked() <-chan struct{} {
	if q.changed == nil {
		q.changed = make(chan struct{})
	}
	return q.changed
}

func (q *queue) failUnlocking(err error) {
	if q.err != nil {
		return
	}
	q.err = err
	q.dropLocked(len(q.runs))
	q.wakeLocked()
	q.mu.Unlock()
	q.onError()
	q.mu.Lock()
}

// fail ends the queue: what is in it is lost, and everyone who waits or comes later gets err.
func (q *queue) fail(err error) {
	q.mu.Lock()
	q.failUnlocking(err)
	q.mu.Unlock()
}

// settle waits until what was queued is written or lost and nobody writes, but no longer than
// atMost when that is not nil.
func (q *queue) settle(atMost <-chan time.Time) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.flushUnlocking()
	for q.writing {
		changed := q.changedLocked()
		q.mu.Unlock()
		select {
		case <-changed:
			q.mu.Lock()
		case <-atMost:
			q.mu.Lock()
			return
		}
	}
}

// closed reports whether the queue has failed or was closed.
func (q *queue) closed() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.err != nil
}

// closeUnsent reports whether a close frame waits to be written.
func (q *queue) closeUnsent() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.closing && q.bytes > 0 && q.err == nil
}

// settleClose waits until a close frame that is on its way has been written, at most the write
// time-out.
func (q *queue) settleClose() {
	if q.closeUnsent() {
		t := time.NewTimer(q.writeTimeout)
		defer t.Stop()
		q.settle(t.C)
	}
}

// lost is the error that ended the queue, nil when it was only closed.
func (q *queue) lost() error {
	q.mu.Lock()
	defer q.mu.Unlock()
	if errors.Is(q.err, net.ErrClosed) {
		return nil
	}
	return q.err
}

// size is what is queued or being written.
func (q *queue) size() (bytes, msgs int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.bytes, q.msgs
}
