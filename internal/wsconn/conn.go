package wsconn

import (
	"context"
	"errors"
	"io"
	"net"
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
	ending  atomic.Pointer[violation] // why this side ended it
}

// linger is how long, and how much of, the rest of a peer that broke the rules is read, so that it gets the close frame and not a reset.
const (
	lingerTime  = time.Second
	lingerBytes = 4 << 20
)

// Subprotocol is what the handshake agreed on, empty for none.
func (c *Conn) Subprotocol() string { return c.ws.Subprotocol() }

// Done is closed when the connection is, also while nobody reads.
func (c *Conn) Done() <-chan struct{} { return c.link.closed }

// Read appends the next message to buf. When ctx ends between two messages the read gives up with its cause and the connection lives on;
// a message that has begun is waited for, at most the message time-out.
//
// Any other error ended the connection; a websocket.CloseError in it tells how the peer closed. Errors of the peer's
// making have been answered with their close code when Read returns.
func (c *Conn) Read(ctx context.Context, buf []byte) (websocket.MessageType, []byte, error) {
	if ctx.Done() != nil {
		if ctx.Err() != nil {
			return 0, buf, context.Cause(ctx)
		}
		fired := make(chan struct{})
		stop := context.AfterFunc(ctx, func() { c.link.setInterrupt(true); close(fired) })
		defer func() {
			if !stop() {
				<-fired
				c.link.setInterrupt(false)
			}
		}()
	}
	typ, r, err := c.ws.Reader(context.Background())
	if err != nil {
		if errors.Is(err, errInterrupted) {
			return 0, buf, context.Cause(ctx)
		}
		return 0, buf, c.fail(err)
	}
	from := len(buf)
	for {
		if len(buf) == cap(buf) {
			buf = append(buf, 0)[:len(buf)]
		}
		n, err := r.Read(buf[len(buf):cap(buf)])
		buf = buf[:len(buf)+n]
		if err == io.EOF {
			break
		}
		if err != nil {
			return 0, buf[:from], c.fail(err)
		}
	}
	if typ == websocket.MessageText && !utf8.Valid(buf[from:]) {
		return 0, buf[:from], c.fail(&violation{websocket.StatusInvalidFramePayloadData, "text that is not UTF-8"})
	}
	return typ, buf, nil
}

// fail ends the connection after a read error, tells the peer why where it broke a rule, and returns the error in its plainest form.
func (c *Conn) fail(err error) error {
	var bad *violation
	switch {
	case errors.As(err, &bad):
		err = bad
		c.sendClose(bad)
	case errors.Is(err, websocket.ErrMessageTooBig): // the library has sent its close frame
		c.ending.CompareAndSwap(nil, &violation{websocket.StatusMessageTooBig, "message too big"})
	case errors.Is(err, errEnded):
		err = errEnded
	case websocket.CloseStatus(err) != -1 || errors.Is(err, net.ErrClosed):
	default:
		c.sendClose(&violation{websocket.StatusProtocolError, "protocol error"}) // unless the library has sent its own
	}
	if !errors.Is(err, errEnded) && !errors.Is(err, net.ErrClosed) && websocket.CloseStatus(err) == -1 {
		c.linger()
	}
	lost := c.link.queue.lost()
	_ = c.CloseNow()
	switch ending := c.ending.Load(); {
	case errors.Is(err, net.ErrClosed) && ending != nil:
		return ending
	case errors.Is(err, net.ErrClosed) && lost != nil:
		return lost
	}
	return err
}

// sendClose queues a close frame as the last, in place of what still waits, and remembers why.
func (c *Conn) sendClose(v *violation) {
	if !c.ending.CompareAndSwap(nil, v) {
		return
	}
	payload := append([]byte{byte(v.code >> 8), byte(v.code)}, v.reason...)
	c.link.queue.discard()
	_ = c.link.control(appendFrame(nil, opClose, payload, false, c.client)) // closing or closed already: the same end
}

// linger ends the sending half and reads on for a moment: a socket closed with bytes unread sends a reset, which can
// overtake the close frame.
func (c *Conn) linger() {
	c.link.queue.settle()
	half, ok := c.link.nc.(interface {
		CloseWrite() error
		SetReadDeadline(time.Time) error
	})
	if !ok {
		return
	}
	_ = half.CloseWrite() // the peer may have gone first
	_ = half.SetReadDeadline(time.Now().Add(lingerTime))
	_, _ = io.CopyN(io.Discard, c.link.nc, lingerBytes) // however it ends, the connection is closed next
}

// Queue puts a message into the out-queue; Flush, the next Send or the next Read sends it. It waits for room until ctx ends, which
// leaves the connection as it is. The error is net.ErrClosed once a close frame is under way.
func (c *Conn) Queue(ctx context.Context, typ websocket.MessageType, p []byte) error {
	scratch := chunks.Get().(*[]byte)
	deflated := c.deflate && len(p) >= deflateThreshold
	if deflated {
		p = appendDeflated(nil, p)
	}
	frame := appendFrame((*scratch)[:0], byte(typ), p, deflated, c.client)
	err := c.link.queue.push(ctx, frame, false, false)
	if cap(frame) == chunkSize {
		*scratch = frame[:0]
	}
	chunks.Put(scratch)
	return err
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
	if err := c.link.queue.push(nil, f.wire(c.deflate), true, false); err != nil {
		return err
	}
	c.link.queue.flush()
	return nil
}

// Flush sends what is queued. It never blocks.
func (c *Conn) Flush() { c.link.queue.flush() }

// Queued is how much waits to be sent.
func (c *Conn) Queued() (bytes, messages int) { return c.link.queue.size() }

// Ping sends a ping and waits for its pong, which somebody must read, until ctx ends.
func (c *Conn) Ping(ctx context.Context) error { return c.ws.Ping(ctx) }

// Close sends a close frame behind what is queued, waits up to 5 s for the peer's, closes the connection and waits for its goroutines.
// A reader, if there is one, ends with it. reason is at most 123 bytes. Only the first Close has an effect.
func (c *Conn) Close(code websocket.StatusCode, reason string) error {
	c.ending.CompareAndSwap(nil, &violation{code, reason})
	err := c.ws.Close(code, reason)
	c.finish()
	if errors.Is(err, net.ErrClosed) || errors.Is(err, errEnded) {
		return nil // over is over, whoever was first
	}
	return err
}

// CloseNow closes the connection without a close frame, breaks off a Close under way, and waits for the connection's goroutines.
func (c *Conn) CloseNow() error {
	_ = c.link.Close() // first, so that nothing below waits for the peer
	err := c.ws.CloseNow()
	c.finish()
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

func (c *Conn) finish() {
	_ = c.link.Close() // the library has closed it, as a rule
	c.alive.stop()
	c.link.queue.settle()
}

// Ending tells whether this side ended the connection and with which code and reason.
func (c *Conn) Ending() (code websocket.StatusCode, reason string, ok bool) {
	v := c.ending.Load()
	if v == nil {
		return 0, "", false
	}
	return v.code, v.reason, true
}
