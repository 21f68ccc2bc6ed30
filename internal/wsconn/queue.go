package wsconn

import (
	"context"
	"errors"
	"net"
	"os"
	"sync"
	"time"
)

// ErrQueueFull is what a send that may not wait gets when the out-queue has no room.
var ErrQueueFull = errors.New("websocket: the out-queue is full")

const (
	chunkSize = 4 << 10  // small messages of one connection are gathered in chunks of this size
	writeSize = 64 << 10 // one write takes about this much
)

var (
	chunks  = sync.Pool{New: func() any { b := make([]byte, 0, chunkSize); return &b }}
	gathers = sync.Pool{New: func() any { b := make([]byte, 0, writeSize); return &b }}
)

// entry is a run of whole frames in the queue.
type entry struct {
	b     []byte
	chunk *[]byte // owns b, from the pool and open for more; nil when b is shared
	msgs  int
}

// queue is the bounded out-queue of a connection. It has one writer at a time: the goroutine that found nobody writing,
// which never blocks, or drain, which is started when the socket takes no more and ends when the queue is empty.
type queue struct {
	dst          deadlineWriter
	try          *tryWriter // nil where dst cannot be written without blocking
	writeTimeout time.Duration
	maxBytes     int
	maxMsgs      int
	onError      func(error) // called once, without the lock

	mu       sync.Mutex
	entries  []entry
	bytes    int // queued and being written
	msgs     int
	writing  bool
	rest     []byte // what a try left over; drain writes it first
	closing  bool   // a close frame is queued: nothing may follow it (RFC 6455 section 5.5.1)
	err      error
	draining bool          // the goroutine is there
	changed  chan struct{} // closed when something was written or went wrong; nil while nobody waits
}

type deadlineWriter interface {
	Write(p []byte) (int, error)
	SetWriteDeadline(t time.Time) error
}

// push queues one frame by copying it behind the small ones before it, or as it is when shared. It does not write.
// With wait nil it returns ErrQueueFull when there is no room, otherwise it waits until wait ends.
func (q *queue) push(wait context.Context, frame []byte, shared, last bool) error {
	q.mu.Lock()
	for {
		if q.err != nil || q.closing {
			err := q.err
			q.mu.Unlock()
			if err == nil {
				err = net.ErrClosed
			}
			return err
		}
		// An empty queue takes any message: one larger than the queue has to get through somehow.
		if q.msgs == 0 || last || q.msgs < q.maxMsgs && q.bytes+len(frame) <= q.maxBytes {
			break
		}
		if wait == nil {
			q.mu.Unlock()
			return ErrQueueFull
		}
		if !q.writing { // full of frames that somebody meant to flush later
			q.flushLocked()
			continue
		}
		changed := q.changedLocked()
		q.mu.Unlock()
		select {
		case <-changed:
		case <-wait.Done():
			return context.Cause(wait)
		}
		q.mu.Lock()
	}
	q.closing = last
	q.bytes += len(frame)
	q.msgs++
	if shared && len(frame) > chunkSize/4 {
		q.entries = append(q.entries, entry{b: frame, msgs: 1})
	} else {
		q.appendLocked(frame)
	}
	q.mu.Unlock()
	return nil
}

func (q *queue) appendLocked(frame []byte) {
	if n := len(q.entries); n > 0 {
		if tail := &q.entries[n-1]; tail.chunk != nil && len(tail.b)+len(frame) <= cap(tail.b) {
			tail.b = append(tail.b, frame...)
			tail.msgs++
			return
		}
	}
	if len(frame) > chunkSize {
		q.entries = append(q.entries, entry{b: append([]byte(nil), frame...), msgs: 1})
		return
	}
	chunk := chunks.Get().(*[]byte)
	q.entries = append(q.entries, entry{b: append((*chunk)[:0], frame...), chunk: chunk, msgs: 1})
}

// flush writes what is queued unless somebody is doing so already. It never blocks.
func (q *queue) flush() {
	q.mu.Lock()
	q.flushLocked()
	q.mu.Unlock()
}

func (q *queue) flushLocked() {
	for !q.writing && len(q.entries) > 0 && q.err == nil {
		q.writing = true
		if q.try == nil {
			q.drainLocked()
			return
		}
		batch := q.takeLocked()
		q.mu.Unlock()
		n, err := q.try.write(batch.b)
		q.mu.Lock()
		switch {
		case err != nil || q.err != nil: // or somebody ended the queue meanwhile
			batch.release()
			q.failLocked(err)
		case n < len(batch.b):
			q.bytes -= n
			q.rest = append([]byte(nil), batch.b[n:]...)
			q.msgs -= batch.msgs
			batch.release()
			q.drainLocked()
			return
		default:
			q.writing = false
			q.wroteLocked(&batch, n)
		}
	}
}

// batch is what one write carries.
type batch struct {
	b      []byte
	msgs   int
	chunk  *[]byte
	gather *[]byte
}

func (b *batch) release() {
	if b.chunk != nil {
		chunks.Put(b.chunk)
	}
	if b.gather != nil {
		*b.gather = (*b.gather)[:0]
		gathers.Put(b.gather)
	}
	*b = batch{}
}

// takeLocked takes the next write off the queue: one entry as it is, or several copied together.
func (q *queue) takeLocked() batch {
	first := q.entries[0]
	if len(q.entries) == 1 || len(first.b) >= writeSize {
		q.dropLocked(1)
		return batch{b: first.b, msgs: first.msgs, chunk: first.chunk}
	}
	gather := gathers.Get().(*[]byte)
	out := batch{gather: gather}
	buf := (*gather)[:0]
	taken := 0
	for _, e := range q.entries {
		if len(buf)+len(e.b) > writeSize {
			break
		}
		buf = append(buf, e.b...)
		out.msgs += e.msgs
		if e.chunk != nil {
			chunks.Put(e.chunk)
		}
		taken++
	}
	*gather = buf
	out.b = buf
	q.dropLocked(taken)
	return out
}

// dropLocked forgets the first n entries and, when none is left, the memory of many.
func (q *queue) dropLocked(n int) {
	left := copy(q.entries, q.entries[n:])
	clear(q.entries[left:])
	q.entries = q.entries[:left]
	if left == 0 && cap(q.entries) > 4 {
		q.entries = nil
	}
}

func (q *queue) wroteLocked(b *batch, n int) {
	q.bytes -= n
	q.msgs -= b.msgs
	b.release()
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
	q.writing = false
	for i := range q.entries {
		if c := q.entries[i].chunk; c != nil {
			chunks.Put(c)
		}
	}
	q.entries, q.rest, q.bytes, q.msgs = nil, nil, 0, 0
	q.wakeLocked()
	if q.onError != nil {
		q.mu.Unlock()
		q.onError(err)
		q.mu.Lock()
	}
}

// fail ends the queue: what is in it is lost, and everyone who waits or comes later gets err.
func (q *queue) fail(err error) {
	q.mu.Lock()
	q.failLocked(err)
	q.mu.Unlock()
}

// drainLocked starts the goroutine that writes with deadlines until nothing is left. writing is true and stays so until then.
func (q *queue) drainLocked() {
	q.draining = true
	go q.drain()
}

// settle waits until what was queued is written or lost, at most the write time-out, and drain has ended.
func (q *queue) settle() {
	q.mu.Lock()
	defer q.mu.Unlock()
	for q.draining || q.err == nil && (q.writing || len(q.entries) > 0) {
		changed := q.changedLocked()
		q.mu.Unlock()
		<-changed
		q.mu.Lock()
	}
}

func (q *queue) drain() {
	q.mu.Lock()
	defer func() {
		q.draining = false
		q.wakeLocked()
		q.mu.Unlock()
	}()
	for q.err == nil {
		var next batch
		switch {
		case q.rest != nil:
			next, q.rest = batch{b: q.rest}, nil
		case len(q.entries) > 0:
			next = q.takeLocked()
		default:
			_ = q.dst.SetWriteDeadline(time.Time{}) // it would hold for the next try too
			q.writing = false
			return
		}
		q.mu.Unlock()
		err := q.dst.SetWriteDeadline(time.Now().Add(q.writeTimeout))
		if err == nil {
			_, err = q.dst.Write(next.b)
		}
		q.mu.Lock()
		if err != nil {
			next.release()
			if errors.Is(err, os.ErrDeadlineExceeded) {
				err = errWriteTimeout
			}
			q.failLocked(err)
			return
		}
		q.wroteLocked(&next, len(next.b))
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

// discard drops what is queued and not yet being written, to make the next frame the next to go.
func (q *queue) discard() {
	q.mu.Lock()
	defer q.mu.Unlock()
	for i := range q.entries {
		q.bytes -= len(q.entries[i].b)
		q.msgs -= q.entries[i].msgs
		if c := q.entries[i].chunk; c != nil {
			chunks.Put(c)
		}
	}
	q.dropLocked(len(q.entries))
	q.wakeLocked()
}

var errWriteTimeout = errors.New("websocket: the peer does not read: write timed out")
