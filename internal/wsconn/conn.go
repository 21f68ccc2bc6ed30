package wsconn

import (
	"context"
	"errors"
	"io"
	"net"
	"sync/atomic"
	"unicode/utf8"

	"github.com/coder/websocket"
)

// Conn is one WebSocket. Reads are for one goroutine; everything else is safe for concurrent use.
type Conn struct {
	link        link
	frames      reader
	pings       pings
	alive       keepalive
	subprotocol string
	closing     atomic.Bool               // Close was called
	ending      atomic.Pointer[violation] // why this side ended it
}

// Subprotocol is what the handshake agreed on, empty for none.
func (c *Conn) Subprotocol() string { return c.subprotocol }

// Done is closed when the connection is, also while nobody reads.
func (c *Conn) Done() <-chan struct{} { return c.link.ends() }

// OnDone calls f once the connection is closed, at once when it is already: Done without a goroutine that waits. f must return soon
// and not call the Conn. There is one f; a further call before the end replaces it.
func (c *Conn) OnDone(f func()) {
	c.link.mu.Lock()
	closed := c.link.closed.Load()
	c.link.onDone = f
	c.link.mu.Unlock()
	if closed {
		f()
	}
}

// Read is Next and Message.
func (c *Conn) Read(ctx context.Context, buf []byte) (websocket.MessageType, []byte, error) {
	typ, err := c.begin(ctx, false)
	if err == nil {
		buf, err = c.Message(buf)
	}
	return typ, buf, err
}

// ErrRenew is what Next returns in place of waiting on a stack that has grown.
var ErrRenew = errors.New("websocket: the next read should be a new goroutine's")

// Next waits until a message begins, without holding a buffer; Message must follow. When ctx ends between two messages the read gives up with
// its cause and the connection lives on; a message that has begun is waited for, at most the message time-out, and so is a Close under way.
//
// ErrRenew asks the caller to go on in a new goroutine and to end this one: what a goroutine's stack has once grown by, it keeps for as long as
// it waits. It comes only after a long silence was broken, so a busy connection never pays for it.
//
// Any other error ended the connection; a websocket.CloseError tells how the peer closed. Errors of the peer's
// making have been answered with their close code when Next, or Message, returns.
func (c *Conn) Next(ctx context.Context) (websocket.MessageType, error) {
	return c.begin(ctx, true)
}

func (c *Conn) begin(ctx context.Context, renew bool) (websocket.MessageType, error) {
	if ctx.Err() != nil {
		return 0, context.Cause(ctx)
	}
	c.link.watch(ctx)
	if !c.link.lock() {
		return 0, c.fail(net.ErrClosed)
	}
	err := c.wait(renew)
	if err == nil {
		opcode := c.frames.opcode // a Close reads on as soon as the lock is free
		c.link.unlock()
		return websocket.MessageType(opcode), nil
	}
	return 0, c.gaveUp(ctx, err)
}

// wait reads on until a message has begun.
func (c *Conn) wait(renew bool) error {
	for {
		if len(c.link.avail) == 0 {
			if renew && c.link.stale && c.frames.unit() == 0 {
				c.link.stale = false
				return ErrRenew
			}
			if err := c.fill(); err != nil {
				return err
			}
		}
		if err := c.frame(); err != nil {
			return err
		}
		if c.frames.opcode < opClose {
			return nil
		}
		if err := c.control(); err != nil {
			return err
		}
	}
}

// gaveUp gives the read lock back and tells what an error of wait means.
func (c *Conn) gaveUp(ctx context.Context, err error) error {
	defer c.link.unlock()
	switch {
	case errors.Is(err, ErrRenew):
		return err
	case errors.Is(err, errInterrupted):
		return context.Cause(ctx)
	}
	c.link.src.release()
	return c.fail(err)
}

// Message appends the message that Next found to buf. Every error ended the connection.
func (c *Conn) Message(buf []byte) ([]byte, error) {
	if !c.link.lock() {
		return buf, c.fail(net.ErrClosed)
	}
	defer c.link.unlock()
	from, text := len(buf), c.frames.opcode == opText
	var err error
	if c.frames.deflated {
		buf, err = c.inflate(buf)
	} else {
		for err == nil {
			var p []byte
			p, err = c.next()
			buf = append(buf, p...)
		}
	}
	if len(c.link.avail) == 0 || err != io.EOF { //nolint:errorlint // the very value is the message's end
		c.link.src.release()
	}
	if err == io.EOF { //nolint:errorlint // the very value is the message's end
		if !text || utf8.Valid(buf[from:]) {
			return buf, nil
		}
		err = &violation{websocket.StatusInvalidFramePayloadData, "text that is not UTF-8"}
	}
	return buf[:from], c.fail(err)
}

// Queue puts a message into the out-queue; Flush, the next Send or the next Read sends it. It waits for room until ctx ends, which
// leaves the connection as it is. The error is net.ErrClosed once a close frame is under way.
func (c *Conn) Queue(ctx context.Context, typ websocket.MessageType, p []byte) error {
	deflated := c.link.queue.deflate && len(p) >= deflateThreshold
	if deflated {
		p = appendDeflated(nil, p)
	}
	if n := maxHeader + len(p); n > chunkSize {
		return c.link.queue.pushWait(ctx, appendFrame(make([]byte, 0, n), byte(typ), p, deflated, c.frames.client), kept)
	}
	scratch := chunks.Get().(*[]byte)
	defer chunks.Put(scratch)
	return c.link.queue.pushWait(ctx, appendFrame(*scratch, byte(typ), p, deflated, c.frames.client), copied)
}

// Send is Queue and Flush.
func (c *Conn) Send(ctx context.Context, typ websocket.MessageType, p []byte) error {
	if err := c.Queue(ctx, typ, p); err != nil {
		return err
	}
	c.link.queue.flush()
	return nil
}

// SendFrame queues a shared frame and sends it. It never waits: the error is ErrQueueFull when there is no room. It is for servers.
func (c *Conn) SendFrame(f *Frame) error {
	if err := c.link.queue.push(f.wire(c.link.queue.deflate), kept); err != nil {
		return err
	}
	c.link.queue.flush()
	return nil
}

// Flush sends what is queued. It never blocks.
func (c *Conn) Flush() { c.link.queue.flush() }

// Queued is how much waits to be sent.
func (c *Conn) Queued() (bytes, messages int) { return c.link.queue.size() }
