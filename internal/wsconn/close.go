package wsconn

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"github.com/coder/websocket"
)

const (
	closeTimeout = 5 * time.Second // for the answer to a close frame
	maxReason    = maxSmall - 2

	// The rest of a peer that broke the rules is read for so long, and so much of it, so that it gets the close frame and not a reset.
	lingerTime  = time.Second
	lingerBytes = 4 << 20
)

// Close sends a close frame behind what is queued, waits up to 5 s for the peer's, closes the connection and waits for its goroutines.
// A reader, if there is one, ends with it. reason is at most 123 bytes of UTF-8. A code that no frame may carry (RFC 6455 section 7.4.1), or
// such a reason, ends the connection without a close frame, and is an error. Only the first Close has an effect.
func (c *Conn) Close(code websocket.StatusCode, reason string) error {
	err := c.close(code, reason)
	c.finish()
	return err
}

// close is Close without waiting for the keepalive, which calls it too.
func (c *Conn) close(code websocket.StatusCode, reason string) error {
	if c.closing.Swap(true) {
		<-c.link.ends()
		return nil
	}
	v := &violation{code, reason}
	c.ending.CompareAndSwap(nil, v)
	c.link.deafen()
	if !validCode(code) || len(reason) > maxReason || !utf8.ValidString(reason) {
		c.link.cut()
		return fmt.Errorf("websocket: no close frame may carry code %d with the reason %q", code, reason)
	}
	var late atomic.Bool
	timer := time.AfterFunc(closeTimeout, func() {
		late.Store(!c.link.closed.Load())
		c.link.cut()
	})
	defer timer.Stop()
	_ = c.link.control(closeFrame(v, c.frames.client)) // one may be on its way already
	if c.link.lock() {                                 // else whoever reads has seen the end
		_ = c.discard() // its error is the end
		c.settle()
		c.link.cut()
		c.link.unlock()
	}
	if late.Load() {
		return fmt.Errorf("websocket: no answer to the close frame: %w", context.DeadlineExceeded)
	}
	return nil
}

// discard reads on to the peer's close frame, or what else ends the connection.
func (c *Conn) discard() error {
	for {
		for c.frames.payload > 0 {
			if _, err := c.piece(); err != nil {
				return err
			}
		}
		if err := c.frame(); err != nil {
			return err
		}
		if c.frames.opcode >= opClose {
			if err := c.control(); err != nil {
				return err
			}
		}
	}
}

// settle waits until a close frame that is on its way has been written, at most the write time-out.
func (c *Conn) settle() {
	if c.link.queue.closeUnsent() {
		t := time.NewTimer(c.link.queue.writeTimeout)
		defer t.Stop()
		c.link.queue.settle(t.C)
	}
}

// CloseNow closes the connection without a close frame, breaks off a Close under way, and waits for the connection's goroutines.
func (c *Conn) CloseNow() error {
	c.link.cut()
	c.finish()
	return nil
}

func (c *Conn) finish() {
	c.link.cut()
	c.link.deafen()
	c.alive.stop()
	c.link.queue.settle(nil)
}

// fail ends the connection after a read error, tells the peer why where it broke a rule, and returns the error that the reader gets. The
// read lock is held, unless the connection was closed before.
func (c *Conn) fail(err error) error {
	var bad *violation
	switch {
	case errors.As(err, &bad):
		c.refuse(bad)
	case websocket.CloseStatus(err) != -1:
		c.settle()
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

// refuse sends a close frame, unless one is on its way: behind what still waits after a protocol error, in its place where a limit was
// broken. Then it ends the sending half and reads on for a moment: a socket closed with bytes unread sends a reset, which can overtake
// the close frame.
func (c *Conn) refuse(v *violation) {
	c.ending.CompareAndSwap(nil, v)
	k := lastOnly
	if v.code == websocket.StatusProtocolError {
		k = last
	}
	_ = c.link.queue.push(closeFrame(v, c.frames.client), k) // closing or closed already: the same end
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

// Ending tells whether this side ended the connection and with which code and reason.
func (c *Conn) Ending() (code websocket.StatusCode, reason string, ok bool) {
	v := c.ending.Load()
	if v == nil {
		return 0, "", false
	}
	return v.code, v.reason, true
}
