package wsconn

import (
	"context"
	"errors"
	"io"
	"net"
	"slices"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"github.com/coder/websocket"
)

// Conn is one WebSocket. Reads are for one goroutine; everything else is safe for concurrent use.
type Conn struct {
	ws      *websocket.Conn
	link    *link
	client  bool
	deflate bool
	alive   *keepalive
	read    int64                     // messages read
	ending  atomic.Pointer[violation] // why this side ended it
}

// smallMessage is how far at least Read lets its buffer grow at a time.
const smallMessage = 512

// linger is how long, and how much of, the rest of a peer that broke the rules is read, so that it gets the close frame and not a reset.
const (
	lingerTime  = time.Second
	lingerBytes = 4 << 20
)

// Subprotocol is what the handshake agreed on, empty for none.
func (c *Conn) Subprotocol() string { return c.ws.Subprotocol() }

// Done is closed when the connection is, also while nobody reads.
func (c *Conn) Done() <-chan struct{} { return c.link.done }

// OnDone calls f once the connection is closed, at once when it is already: Done without a goroutine that waits. f must return soon
// and not call the Conn. There is one f; a further call before the end replaces it.
func (c *Conn) OnDone(f func()) {
	c.link.mu.Lock()
	closed := c.link.closed
	c.link.onDone = f
	c.link.mu.Unlock()
	if closed {
		f()
	}
}

// Read appends the next message to buf. When ctx ends between two messages the read gives up with its cause and the connection lives on;
// a message that has begun is waited for, at most the message time-out, and so is a Close under way.
//
// Any other error ended the connection; a websocket.CloseError in it tells how the peer closed. Errors of the peer's
// making have been answered with their close code when Read returns.
func (c *Conn) Read(ctx context.Context, buf []byte) (websocket.MessageType, []byte, error) {
	if ctx.Err() != nil {
		return 0, buf, context.Cause(ctx)
	}
	c.link.watch(ctx)
	typ, r, err := c.ws.Reader(context.Background())
	if err != nil {
		if errors.Is(err, errInterrupted) {
			return 0, buf, context.Cause(ctx)
		}
		return 0, buf, c.fail(err)
	}
	from := len(buf)
	for err == nil {
		if len(buf) == cap(buf) {
			buf = slices.Grow(buf, smallMessage)
		}
		var n int
		n, err = r.Read(buf[len(buf):cap(buf)])
		buf = buf[:len(buf)+n]
	}
	c.read++
	switch {
	case err != io.EOF: //nolint:errorlint // a reader's end is the very value
	case c.read > c.link.messages.Load(): // compressed data may end before its message does
		err = &violation{websocket.StatusProtocolError, "message ends before its last frame"}
	case typ == websocket.MessageText && !utf8.Valid(buf[from:]):
		err = &violation{websocket.StatusInvalidFramePayloadData, "text that is not UTF-8"}
	default:
		return typ, buf, nil
	}
	return 0, buf[:from], c.fail(err)
}

// fail ends the connection after a read error, tells the peer why where it broke a rule, and returns the error in its plainest form.
func (c *Conn) fail(err error) error {
	var bad *violation
	var broke *ended
	switch {
	case errors.As(err, &bad):
		err = bad
		c.refuse(bad)
	case errors.As(err, &broke):
		err = broke
	case errors.Is(err, websocket.ErrMessageTooBig): // the library has sent its close frame
		c.refuse(&violation{websocket.StatusMessageTooBig, "message too big"})
	case websocket.CloseStatus(err) != -1 || errors.Is(err, net.ErrClosed):
	default: // the library has sent its close frame, as a rule
		c.refuse(&violation{websocket.StatusProtocolError, "protocol error"})
	}
	lost := c.link.queue.lost()
	_ = c.CloseNow()
	if errors.Is(err, net.ErrClosed) {
		if ending := c.ending.Load(); ending != nil {
			return ending
		}
		if lost != nil {
			return lost
		}
	}
	return err
}

// refuse sends a close frame in place of what still waits, unless one is on its way. Then it ends the sending half and reads on for a
// moment: a socket closed with bytes unread sends a reset, which can overtake the close frame.
func (c *Conn) refuse(v *violation) {
	c.ending.CompareAndSwap(nil, v)
	_ = c.link.queue.push(closeFrame(v, c.client), lastOnly) // closing or closed already: the same end
	t := time.NewTimer(c.link.queue.writeTimeout)
	defer t.Stop()
	c.link.queue.settle(t.C)
	half, ok := c.link.Conn.(interface{ CloseWrite() error })
	if !ok {
		return
	}
	_ = half.CloseWrite() // the peer may have gone first
	_ = c.link.SetReadDeadline(time.Now().Add(lingerTime))
	_, _ = io.CopyN(io.Discard, c.link.Conn, lingerBytes) // however it ends, the connection is closed next
}

// Queue puts a message into the out-queue; Flush, the next Send or the next Read sends it. It waits for room until ctx ends, which
// leaves the connection as it is. The error is net.ErrClosed once a close frame is under way.
func (c *Conn) Queue(ctx context.Context, typ websocket.MessageType, p []byte) error {
	deflated := c.deflate && len(p) >= deflateThreshold
	if deflated {
		p = appendDeflated(nil, p)
	}
	if n := maxHeader + len(p); n > chunkSize {
		return c.link.queue.pushWait(ctx, appendFrame(make([]byte, 0, n), byte(typ), p, deflated, c.client), kept)
	}
	scratch := chunks.Get().(*[]byte)
	defer chunks.Put(scratch)
	return c.link.queue.pushWait(ctx, appendFrame(*scratch, byte(typ), p, deflated, c.client), copied)
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
	if err := c.link.queue.push(f.wire(c.deflate), kept); err != nil {
		return err
	}
	c.link.queue.flush()
	return nil
}

// Flush sends what is queued. It never blocks.
func (c *Conn) Flush() { c.link.queue.flush() }

// Queued is how much waits to be sent.
func (c *Conn) Queued() (bytes, messages int) { return c.link.queue.size() }

// Close sends a close frame behind what is queued, waits up to 5 s for the peer's, closes the connection and waits for its goroutines.
// A reader, if there is one, ends with it. reason is at most 123 bytes. Only the first Close has an effect.
func (c *Conn) Close(code websocket.StatusCode, reason string) error {
	err := c.close(code, reason)
	c.finish()
	return err
}

// close is Close without waiting for the keepalive, which calls it too.
func (c *Conn) close(code websocket.StatusCode, reason string) error {
	c.ending.CompareAndSwap(nil, &violation{code, reason})
	c.link.deafen()
	err := c.ws.Close(code, reason)
	var bad *violation
	var broke *ended
	if errors.Is(err, net.ErrClosed) || errors.As(err, &bad) || errors.As(err, &broke) {
		return nil // over is over, whoever was first
	}
	return err
}

// CloseNow closes the connection without a close frame, breaks off a Close under way, and waits for the connection's goroutines.
func (c *Conn) CloseNow() error {
	c.link.cut() // first, so that nothing below waits for the peer
	err := c.ws.CloseNow()
	c.finish()
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

func (c *Conn) finish() {
	c.link.cut() // the library has closed it, as a rule
	c.link.deafen()
	c.alive.stop()
	c.link.queue.settle(nil)
}

// Ending tells whether this side ended the connection and with which code and reason.
func (c *Conn) Ending() (code websocket.StatusCode, reason string, ok bool) {
	v := c.ending.Load()
	if v == nil {
		return 0, "", false
	}
	return v.code, v.reason, true
}
