package wsconn

import (
	"net"
)

// offer is [Conn.Offer], and with force [Conn.Force]. With untilEmpty a frame is refused for want
// of room also when another was before and the queue has not been empty since: its caller then
// evicts what waits, so that only the latest does, however much room that makes. carried is how
// many lost events the frame tells of, which evict counts when the frame is lost too.
func (q *queue) offer(frame []byte, tag any, carried uint64, untilEmpty, force, now bool) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	switch {
	case q.err != nil:
		return q.err
	case q.closing:
		return net.ErrClosed
	case force:
	case untilEmpty && q.overflowed, !q.hasRoomLocked(len(frame), kept):
		q.overflowed = true
		return ErrQueueFull
	}
	q.addLocked(len(frame), false)
	r := run{b: frame, msgs: 1, tag: tag, carried: carried}
	switch {
	case now && q.raw != nil && !q.writing && len(q.runs) == 0:
		q.writeAtOnceUnlocking(r)
		return nil
	case tag == nil:
		q.appendLocked(frame, kept)
	default:
		q.runs = append(q.runs, r)
	}
	if now {
		q.flushUnlocking()
	}
	return nil
}

// writeAtOnceUnlocking writes what nothing waits before, from where it is: without a copy in the
// queue and a look for what else might go with it (BenchmarkFanOut: event beside wsconn). An event
// to a connection took 6.4 µs of processor time in place of 7.7 (bench/cmd/wsxbench, fan-out 1).
func (q *queue) writeAtOnceUnlocking(r run) {
	q.writing = true
	q.mu.Unlock()
	n, err := tryWrite(q.raw, r.b)
	q.mu.Lock()
	if n < len(r.b) || err != nil || len(q.runs) > 0 {
		q.out = r
		q.wroteUnlocking(n, err)
		q.writeUnlocking(1)
		return
	}
	q.subLocked(n, r.msgs, false)
	q.overflowed = q.overflowed && q.bytes > 0
	q.writing = false
	q.wakeLocked()
}

// evict is [Conn.Evict], from the oldest to the newest of the queue's runs. A run with a tag is one
// event. As many as n that match go: n = −1 is never reached and so is all of them. What they took
// along, themselves and what they carried, is lost until a later event is recounted, which carries
// it from then on; what no event carries is returned.
func (q *queue) evict(match func(tag any) bool, n int,
	recount func(tag any, lost uint64) []byte,
) (evicted int, lost uint64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	kept := q.runs[:0]
	for _, r := range q.runs {
		switch {
		case r.tag == nil:
		case evicted != n && match(r.tag):
			evicted++
			lost += 1 + r.carried
			q.subLocked(len(r.b), r.msgs, false)
			continue
		case lost > 0:
			if b := recount(r.tag, lost+r.carried); b != nil {
				q.bytes += len(b) - len(r.b)
				r.b = b
				r.carried += lost
				lost = 0
			}
		}
		kept = append(kept, r)
	}
	clear(q.runs[len(kept):])
	q.runs = kept
	return evicted, lost
}
