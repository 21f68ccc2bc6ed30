package wsconn

import (
	"context"
	"net"

	"github.com/coder/websocket"
)

// Offer queues a shared frame without waiting. With now it is sent too, straight from the frame when nothing waits before it. When there is no room the error is ErrQueueFull; with untilEmpty
// that goes on until the queue has been empty. tag says whose event it is, for Evict; a nil tag is never evicted. carried is
// how many lost events the frame tells of.
func (c *Conn) Offer(f *Frame, tag any, carried uint64, untilEmpty, now bool) error {
	return c.link.queue.offer(f.wire(c.link.queue.deflate), tag, carried, untilEmpty, false, now)
}

// Force is Offer that finds room. The caller sees to it that there are few such frames.
func (c *Conn) Force(f *Frame, tag any, carried uint64) error {
	return c.link.queue.offer(f.wire(c.link.queue.deflate), tag, carried, false, true, false)
}

// Evict drops the n oldest frames with a tag that match is true for and that are not being written yet, all when n is negative. What is lost
// by it, the frames and those that they told of, is told by the next frame behind them for which recount makes one that does; where there
// is none it is returned.
func (c *Conn) Evict(match func(tag any) bool, n int, recount func(tag any, lost uint64) *Frame) (evicted int, lost uint64) {
	return c.link.queue.evict(match, n, func(tag any, lost uint64) []byte {
		if f := recount(tag, lost); f != nil {
			return f.wire(c.link.queue.deflate)
		}
		return nil
	})
}

// Replay queues and sends a shared frame that does not count towards the queue's bounds for others, and waits until its like have room.
func (c *Conn) Replay(ctx context.Context, f *Frame) error {
	if err := c.link.queue.pushWait(ctx, f.wire(c.link.queue.deflate), replayed); err != nil {
		return err
	}
	c.link.queue.flush()
	return nil
}

// Drop puts a close frame in place of what still waits, without waiting: nothing is queued any more once it has returned. Close does the
// rest.
func (c *Conn) Drop(code websocket.StatusCode, reason string) {
	c.ending.CompareAndSwap(nil, &violation{code, reason})
	_ = c.link.queue.push(closeFrame(c.ending.Load(), c.frames.client), lastOnly) // closing or closed already: the same end
	c.link.queue.flush()
}

func (q *queue) offer(frame []byte, tag any, carried uint64, untilEmpty, force, now bool) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	switch {
	case q.err != nil:
		return q.err
	case q.closing:
		return net.ErrClosed
	case force:
	case untilEmpty && q.over, !q.hasRoomLocked(len(frame), kept):
		q.over = true
		return ErrQueueFull
	}
	q.addLocked(len(frame), false)
	r := run{b: frame, msgs: 1, tag: tag, carried: carried}
	switch {
	case now && q.raw != nil && !q.writing && len(q.runs) == 0:
		q.writeAtOnceLocked(r)
		return nil
	case tag == nil:
		q.appendLocked(frame, kept)
	default:
		q.runs = append(q.runs, r)
	}
	if now {
		q.flushLocked()
	}
	return nil
}

// writeAtOnceLocked writes what nothing waits before, from where it is.
func (q *queue) writeAtOnceLocked(r run) {
	q.writing = true
	q.mu.Unlock()
	n, err := tryWrite(q.raw, r.b)
	q.mu.Lock()
	if n < len(r.b) || err != nil || len(q.runs) > 0 {
		q.out = r
		q.wroteLocked(n, err)
		q.writeLocked(1)
		return
	}
	q.lessLocked(n, r.msgs, false)
	q.over = q.over && q.bytes > 0
	q.writing = false
	q.wakeLocked()
}

func (q *queue) evict(match func(tag any) bool, n int, recount func(tag any, lost uint64) []byte) (evicted int, lost uint64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	kept := q.runs[:0]
	for _, r := range q.runs {
		switch {
		case r.tag == nil:
		case evicted != n && match(r.tag):
			evicted++
			lost += 1 + r.carried
			q.lessLocked(len(r.b), r.msgs, false)
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
