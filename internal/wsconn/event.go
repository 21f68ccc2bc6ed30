package wsconn

import (
	"context"
	"net"

	"github.com/coder/websocket"
)

// Offer queues a shared frame without waiting and without sending it. When there is no room the error is ErrQueueFull; with untilEmpty
// that goes on until the queue has been empty. tag, a pointer, says whose event it is, for Evict; a nil tag is never evicted. carried is
// how many lost events the frame tells of.
func (c *Conn) Offer(f *Frame, tag any, carried uint64, untilEmpty bool) error {
	return c.link.queue.offer(f.wire(c.deflate), tag, carried, untilEmpty, false)
}

// Force is Offer that finds room. The caller sees to it that there are few such frames.
func (c *Conn) Force(f *Frame, tag any, carried uint64) error {
	return c.link.queue.offer(f.wire(c.deflate), tag, carried, false, true)
}

// Evict drops the n oldest frames with that tag that are not being written yet, all when n is negative. It returns how many events are
// lost by it: the frames, and those that they told of.
func (c *Conn) Evict(tag any, n int) (lost uint64) { return c.link.queue.evict(tag, n) }

// Replay queues and sends a shared frame that does not count towards the queue's bounds for others, and waits until its like have room.
func (c *Conn) Replay(ctx context.Context, f *Frame) error {
	if err := c.link.queue.pushWait(ctx, f.wire(c.deflate), replayed); err != nil {
		return err
	}
	c.link.queue.flush()
	return nil
}

// Drop is Close with the close frame in place of what still waits.
func (c *Conn) Drop(code websocket.StatusCode, reason string) error {
	v := &violation{code, reason}
	if c.ending.CompareAndSwap(nil, v) {
		_ = c.link.queue.push(closeFrame(v, c.client), lastOnly) // closing or closed already: the same end
	}
	return c.Close(code, reason)
}

func (q *queue) offer(frame []byte, tag any, carried uint64, untilEmpty, force bool) error {
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
	if tag == nil {
		q.appendLocked(frame, kept)
	} else {
		q.runs = append(q.runs, run{b: frame, msgs: 1, tag: tag, carried: carried})
	}
	return nil
}

func (q *queue) evict(tag any, n int) (lost uint64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	kept := q.runs[:0]
	for _, r := range q.runs {
		if n != 0 && r.tag == tag {
			n--
			lost += 1 + r.carried
			q.lessLocked(len(r.b), r.msgs, false)
			continue
		}
		kept = append(kept, r)
	}
	clear(q.runs[len(kept):])
	q.runs = kept
	return lost
}
