package wsconn

import (
	"context"
	"time"

	"github.com/coder/websocket"
)

// Queue puts a message into the out-queue; Flush, the next Send or the next Read sends it. It waits
// for room until ctx ends, which leaves the connection as it is. The error is net.ErrClosed once a
// close frame is under way.
func (c *Conn) Queue(ctx context.Context, typ websocket.MessageType, p []byte) error {
	deflated := c.queue.deflate && len(p) >= deflateThreshold
	if deflated {
		p = appendDeflated(nil, p)
	}
	if n := maxHeader + len(p); n > chunkSize {
		return c.queue.pushWait(ctx,
			appendFrame(make([]byte, 0, n), byte(typ), p, deflated, c.client), owned)
	}
	scratch := chunks.Get().(*[]byte)
	defer chunks.Put(scratch)
	return c.queue.pushWait(ctx,
		appendFrame(*scratch, byte(typ), p, deflated, c.client), copied)
}

// Send is Queue and Flush.
func (c *Conn) Send(ctx context.Context, typ websocket.MessageType, p []byte) error {
	if err := c.Queue(ctx, typ, p); err != nil {
		return err
	}
	c.queue.flush()
	return nil
}

// Urge sends a message that must not wait: an answer of the goroutine that reads, or word that
// something is given up. It never waits and may go 1 MiB over the queue's bounds; beyond that the
// error is ErrQueueFull, and the caller had better end the connection.
func (c *Conn) Urge(typ websocket.MessageType, p []byte) error {
	frame := appendFrame(make([]byte, 0, maxHeader+len(p)), byte(typ), p, false, c.client)
	if err := c.queue.push(frame, urgent); err != nil {
		return err
	}
	c.queue.flush()
	return nil
}

// SendFrame queues a shared frame and sends it. It never waits: the error is ErrQueueFull when
// there is no room. It is for servers.
func (c *Conn) SendFrame(f *Frame) error {
	if err := c.queue.push(f.wire(c.queue.deflate), kept); err != nil {
		return err
	}
	c.queue.flush()
	return nil
}

// Offer queues a shared frame without waiting. With now it is sent too, straight from the frame
// when nothing waits before it. When there is no room the error is ErrQueueFull; with untilEmpty
// that goes on until the queue has been empty. tag says whose event it is, for Evict; a nil tag is
// never evicted. carried is how many lost events the frame tells of.
func (c *Conn) Offer(f *Frame, tag any, carried uint64, untilEmpty, now bool) error {
	return c.queue.offer(f.wire(c.queue.deflate), tag, carried, untilEmpty, false, now)
}

// Force is Offer that finds room. The caller sees to it that there are few such frames.
func (c *Conn) Force(f *Frame, tag any, carried uint64) error {
	return c.queue.offer(f.wire(c.queue.deflate), tag, carried, false, true, false)
}

// Evict drops the n oldest frames with a tag that match is true for and that are not being written
// yet, all when n is negative. What is lost by it, the frames and those that they told of, is told
// by the next frame behind them for which recount makes one that does; where there is none it is
// returned.
func (c *Conn) Evict(match func(tag any) bool, n int,
	recount func(tag any, lost uint64) *Frame,
) (evicted int, lost uint64) {
	return c.queue.evict(match, n, func(tag any, lost uint64) []byte {
		if f := recount(tag, lost); f != nil {
			return f.wire(c.queue.deflate)
		}
		return nil
	})
}

// Replay queues and sends a shared frame that does not count towards the queue's bounds for others,
// and waits until its like have room.
func (c *Conn) Replay(ctx context.Context, f *Frame) error {
	if err := c.queue.pushWait(ctx, f.wire(c.queue.deflate), replayed); err != nil {
		return err
	}
	c.queue.flush()
	return nil
}

// HasRoom reports whether a message of n bytes would not wait now.
func (c *Conn) HasRoom(n int) bool {
	q := &c.queue
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.hasRoomLocked(n+maxHeader, owned)
}

// Flush sends what is queued. It never blocks.
func (c *Conn) Flush() { c.queue.flush() }

// Waits is how long the write under way has waited for the peer to read; 0 when none has to.
func (c *Conn) Waits() time.Duration {
	q := &c.queue
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.since == 0 {
		return 0
	}
	return now() - q.since
}

// Queued is how much waits to be sent.
func (c *Conn) Queued() (bytes, messages int) { return c.queue.size() }
