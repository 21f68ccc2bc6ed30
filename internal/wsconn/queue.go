package wsconn

import (
	"context"
	"errors"
	"net"
	"os"
	"sync"
	"syscall"
	"time"
)

// ErrQueueFull is what a send that may not wait gets when the out-queue has no room.
var ErrQueueFull = errors.New("websocket: the out-queue is full")

var errWriteTimeout = errors.New("websocket: the peer does not read: write timed out")

const (
	chunkSize    = 4 << 10  // small messages of one connection are gathered in chunks of this size
	writeSize    = 64 << 10 // one write takes at most this much
	controlRoom  = 16 << 10 // control frames may go over the queue's bounds by this: a full queue is no reason to leave a ping unanswered
	triesInARow  = 4        // writes that a flush does itself before it hands over to the goroutine
	idleRunsKept = 4        // runs an empty queue keeps the memory of
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

	free    bool   // does not count towards the bounds
	tag     any    // whose event it is, nil for what is never evicted
	carried uint64 // how many lost events the event tells of
}

func (r *run) recycle() {
	switch {
	case r.own == nil:
	case cap(*r.own) == chunkSize:
		chunks.Put(r.own)
	default:
		gathers.Put(r.own)
	}
	*r = run{}
}

// queue is the bounded out-queue of a connection. It has one writer at a time: the goroutine that found nobody writing,
// which never blocks, or drain, which is started when the socket takes no more and ends when the queue is empty.
//
// What an event on its way to a thousand connections touches of each stands together: it costs what memory it has to wait for.
type queue struct {
	mu      sync.Mutex // guards what follows, to changed
	writing bool       // somebody writes
	closing bool       // a close frame is queued: nothing may follow it (RFC 6455 section 5.5.1)
	over    bool       // an event found no room, and the queue has not been empty since
	bytes   int        // queued and being written
	msgs    int
	free    struct{ bytes, msgs int } // of these, what does not count
	runs    []run
	err     error         // the end
	changed chan struct{} // closed when something was written or went wrong; nil while nobody waits

	deflate  bool            // shared frames go compressed where they can
	raw      syscall.RawConn // dst as tryWrite takes it, nil where it cannot be written without blocking
	maxBytes int
	maxMsgs  int

	out          run // what is being written; it belongs to the writer
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
	copied   kind = iota // a message, copied
	kept                 // a message, kept as it is: the caller will not change it
	replayed             // a message, kept as it is, that does not count towards the bounds; its like have the same among themselves
	control              // a ping or pong: small, copied
	last                 // a close frame: always has room
	lastOnly             // a close frame in place of what still waits
)

// push queues one frame without writing it, or returns ErrQueueFull at once.
func (q *queue) push(frame []byte, k kind) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.pushLocked(frame, k)
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
			q.flushLocked()
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

func (q *queue) addLocked(bytes int, free bool) {
	q.bytes += bytes
	q.msgs++
	if free {
		q.free.bytes += bytes
		q.free.msgs++
	}
}

// lessLocked accounts for what is in the queue no more.
func (q *queue) lessLocked(bytes, msgs int, free bool) {
	q.bytes -= bytes
	q.msgs -= msgs
	if free {
		q.free.bytes -= bytes
		q.free.msgs -= msgs
	}
}

// hasRoomLocked: an empty queue takes any message, as one larger than the queue has to get through somehow.
func (q *queue) hasRoomLocked(n int, k kind) bool {
	bytes, msgs := q.bytes-q.free.bytes, q.msgs-q.free.msgs
	if k == replayed {
		bytes, msgs = q.free.bytes, q.free.msgs
	}
	switch {
	case bytes == 0 || k >= last:
		return true
	case k == control:
		return bytes+n <= q.maxBytes+controlRoom
	}
	return msgs < q.maxMsgs && bytes+n <= q.maxBytes
}

func (q *queue) appendLocked(frame []byte, k kind) {
	if k == replayed || k == kept && len(frame) > chunkSize/4 {
		q.runs = append(q.runs, run{b: frame, msgs: 1, free: k == replayed})
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
	q.runs = append(q.runs, run{b: append((*chunk)[:0], frame...), own: chunk, msgs: 1})
}

// flush writes what is queued unless somebody is doing so already. It never blocks.
func (q *queue) flush() {
	q.mu.Lock()
	q.flushLocked()
	q.mu.Unlock()
}

func (q *queue) flushLocked() {
	if q.writing || q.err != nil || len(q.runs) == 0 {
		return
	}
	q.writing = true
	q.writeLocked(0)
}

// writeLocked is the writer's work, after so many tries. What is in out already goes first.
func (q *queue) writeLocked(tries int) {
	for i := tries; q.raw != nil && i < triesInARow && (i == 0 || len(q.out.b) == 0) && q.takeLocked(); i++ {
		q.mu.Unlock()
		n, err := tryWrite(q.raw, q.out.b)
		q.mu.Lock()
		q.wroteLocked(n, err)
	}
	if q.err == nil && (len(q.out.b) > 0 || len(q.runs) > 0) {
		go q.drain() // the socket is full, or others queue faster than this goroutine should write for them
		return
	}
	q.leaveLocked()
}

// leaveLocked is the writer's last act.
func (q *queue) leaveLocked() {
	q.lessLocked(len(q.out.b), q.out.msgs, q.out.free) // lost with an error, if anything
	q.out.recycle()
	q.writing = false
	q.wakeLocked()
}

// drain writes with deadlines until nothing is left.
func (q *queue) drain() {
	q.mu.Lock()
	defer q.mu.Unlock()
	for q.err == nil && q.takeLocked() {
		p := q.out.b[:min(len(q.out.b), writeSize)]
		q.mu.Unlock()
		n, err := 0, q.dst.SetWriteDeadline(time.Now().Add(q.writeTimeout))
		if err == nil {
			n, err = q.dst.Write(p)
		}
		if errors.Is(err, os.ErrDeadlineExceeded) {
			err = errWriteTimeout
		}
		q.mu.Lock()
		q.wroteLocked(n, err)
	}
	if q.err == nil && q.raw != nil {
		_ = q.dst.SetWriteDeadline(time.Time{}) // it would hold for the next try too
	}
	q.leaveLocked()
}

// takeLocked makes out the next write: what is left of the last one, one run as it is, or several copied together. It reports
// whether there is any.
func (q *queue) takeLocked() bool {
	if len(q.out.b) > 0 {
		return true
	}
	if len(q.runs) == 0 {
		return false
	}
	if len(q.runs) == 1 || len(q.runs[0].b)+len(q.runs[1].b) > writeSize || q.runs[0].free != q.runs[1].free {
		q.out = q.runs[0]
		q.runs[0] = run{}
		q.shiftLocked(1)
		return true
	}
	own := gathers.Get().(*[]byte)
	out, n := run{b: (*own)[:0], own: own, free: q.runs[0].free}, 0
	for ; n < len(q.runs) && len(out.b)+len(q.runs[n].b) <= writeSize && q.runs[n].free == out.free; n++ {
		out.b = append(out.b, q.runs[n].b...)
		out.msgs += q.runs[n].msgs
		q.runs[n].recycle()
	}
	q.out = out
	q.shiftLocked(n)
	return true
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
		q.lessLocked(len(q.runs[i].b), q.runs[i].msgs, q.runs[i].free)
		q.runs[i].recycle()
	}
	q.shiftLocked(n)
}

// wroteLocked accounts for n bytes of out written, and for the error that ended the write.
func (q *queue) wroteLocked(n int, err error) {
	q.out.b = q.out.b[n:]
	q.lessLocked(n, 0, q.out.free)
	if err != nil {
		q.failLocked(err)
	}
	if len(q.out.b) == 0 {
		q.lessLocked(0, q.out.msgs, q.out.free)
		q.out.recycle()
		q.over = q.over && q.bytes > 0
	}
	q.wakeLocked()
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

func (q *queue) failLocked(err error) {
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
	q.failLocked(err)
	q.mu.Unlock()
}

// settle waits until what was queued is written or lost and nobody writes, but no longer than atMost when that is not nil.
func (q *queue) settle(atMost <-chan time.Time) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.flushLocked()
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

// ended reports whether the queue has failed or was closed.
func (q *queue) ended() bool {
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
