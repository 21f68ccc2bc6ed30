package wsconn

import (
	"errors"
	"os"
	"time"
)

// flush writes what is queued unless somebody is doing so already. It never blocks.
func (q *queue) flush() {
	q.mu.Lock()
	q.flushUnlocking()
	q.mu.Unlock()
}

func (q *queue) flushUnlocking() {
	if q.writing || q.err != nil || len(q.runs) == 0 {
		return
	}
	q.writing = true
	q.writeUnlocking(0)
}

// writeUnlocking is the writer's work, after so many tries. What is in out already goes first.
func (q *queue) writeUnlocking(tries int) {
	for i := tries; q.raw != nil && i < triesInARow && (i == 0 || len(q.out.b) == 0) &&
		q.nextWriteLocked(); i++ {
		q.mu.Unlock()
		n, err := tryWrite(q.raw, q.out.b)
		q.mu.Lock()
		q.wroteUnlocking(n, err)
	}
	if q.err == nil && (len(q.out.b) > 0 || len(q.runs) > 0) {
		// the socket is full, or others queue faster than this goroutine should write for them
		go q.drain()
		return
	}
	q.stopWritingLocked()
}

// stopWritingLocked is the writer's last act.
func (q *queue) stopWritingLocked() {
	q.subLocked(len(q.out.b), q.out.msgs, q.out.exempt) // lost with an error, if anything
	q.recycle(&q.out)
	q.writing = false
	q.wakeLocked()
}

// drain writes with deadlines until nothing is left.
func (q *queue) drain() {
	q.mu.Lock()
	defer q.mu.Unlock()
	for q.err == nil && q.nextWriteLocked() {
		p := q.out.b[:min(len(q.out.b), writeSize)]
		q.since = now()
		q.mu.Unlock()
		n, err := 0, q.dst.SetWriteDeadline(time.Now().Add(q.writeTimeout))
		if err == nil {
			n, err = q.dst.Write(p)
		}
		if errors.Is(err, os.ErrDeadlineExceeded) {
			err = errWriteTimeout
		}
		q.mu.Lock()
		q.since = 0
		q.wroteUnlocking(n, err)
	}
	if q.err == nil && q.raw != nil {
		_ = q.dst.SetWriteDeadline(time.Time{}) // it would hold for the next try too
	}
	q.stopWritingLocked()
}

// nextWriteLocked makes out the next write: what is left of the last one, one run as it is, or
// several copied together. It reports whether there is any.
func (q *queue) nextWriteLocked() bool {
	if len(q.out.b) > 0 {
		return true
	}
	if len(q.runs) == 0 {
		return false
	}
	if len(q.runs) == 1 || len(q.runs[0].b)+len(q.runs[1].b) > writeSize ||
		q.runs[0].exempt != q.runs[1].exempt {
		q.out = q.runs[0]
		q.runs[0] = run{}
		q.shiftLocked(1)
		return true
	}
	own := gathers.Get().(*[]byte)
	out, n := run{b: (*own)[:0], own: own, exempt: q.runs[0].exempt}, 0
	for ; n < len(q.runs) && len(out.b)+len(q.runs[n].b) <= writeSize &&
		q.runs[n].exempt == out.exempt; n++ {
		out.b = append(out.b, q.runs[n].b...)
		out.msgs += q.runs[n].msgs
		q.recycle(&q.runs[n])
	}
	q.out = out
	q.shiftLocked(n)
	return true
}

// wroteUnlocking accounts for n bytes of out written, and for the error that ended the write.
func (q *queue) wroteUnlocking(n int, err error) {
	q.out.b = q.out.b[n:]
	q.subLocked(n, 0, q.out.exempt)
	if err != nil {
		q.failUnlocking(err)
	}
	if len(q.out.b) == 0 {
		q.subLocked(0, q.out.msgs, q.out.exempt)
		q.recycle(&q.out)
		q.overflowed = q.overflowed && q.bytes > 0
	}
	q.wakeLocked()
}
