package wsconn

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"github.com/coder/websocket"
)

const (
	closeTimeout = 5 * time.Second // for the answer to a close frame
	maxReason    = maxSmall - 2

	// The rest of a peer that broke the rules is read for so long, and so much of it, so that it
	// gets the close frame and not a reset: a message over the limit may be on its way as a whole,
	// over a link that takes its time.
	lingerTime  = 5 * time.Second
	lingerGap   = time.Second // of silence, which ends it earlier
	lingerBytes = 64 << 20
)

// Close sends a close frame behind what is queued, waits up to 5 s for the peer's, closes the
// connection and waits for its goroutines. A reader, if there is one, ends with it. reason is at
// most 123 bytes of UTF-8. A code that no frame may carry (RFC 6455 section 7.4.1), or such a
// reason, ends the connection without a close frame, and is an error. Only the first Close has an
// effect.
func (c *Conn) Close(code websocket.StatusCode, reason string) error {
	err := c.close(code, reason)
	c.cleanUp()
	return err
}

// close is Close without waiting for the keepalive, which calls it too.
func (c *Conn) close(code websocket.StatusCode, reason string) error {
	if c.closing.Swap(true) {
		<-c.done
		return nil
	}
	v := &violation{code, reason}
	c.ending.CompareAndSwap(nil, v)
	c.deadline.stopWatching()
	if !validCode(code) || len(reason) > maxReason || !utf8.ValidString(reason) {
		c.cut()
		return fmt.Errorf("websocket: no close frame may carry code %d with the reason %q", code,
			reason)
	}
	var late atomic.Bool
	timer := time.AfterFunc(closeTimeout, func() {
		late.Store(!c.closed.Load())
		c.cut()
	})
	defer timer.Stop()
	_ = c.queue.sendControl(closeFrame(v, c.client)) // one may be on its way already
	if c.lock() {                                    // else whoever reads has seen the end
		_ = c.in.discard() // its error is the end
		c.queue.settleClose()
		c.cut()
		c.unlock()
	}
	if late.Load() {
		return fmt.Errorf("websocket: no answer to the close frame: %w", context.DeadlineExceeded)
	}
	return nil
}

// CloseNow closes the connection without a close frame, breaks off a Close under way, and waits for
// the connection's goroutines.
func (c *Conn) CloseNow() error {
	c.cut()
	c.cleanUp()
	return nil
}

// Drop puts a close frame in place of what still waits, without waiting: nothing is queued any more
// once it has returned. Close does the rest.
func (c *Conn) Drop(code websocket.StatusCode, reason string) {
	c.ending.CompareAndSwap(nil, &violation{code, reason})
	// closing or closed already: the same end
	_ = c.queue.push(closeFrame(c.ending.Load(), c.client), lastOnly)
	c.queue.flush()
}

func (c *Conn) cleanUp() {
	c.cut()
	c.deadline.stopWatching()
	c.keepalive.stop()
	c.queue.settle(nil)
}

// fail ends the connection after a read error, tells the peer why where it broke a rule, and
// returns the error that the reader gets. The read lock is held, unless the connection was closed
// before.
func (c *Conn) fail(err error) error {
	var bad *violation
	switch {
	case errors.As(err, &bad):
		c.refuse(bad)
	case websocket.CloseStatus(err) != -1:
		c.queue.settleClose()
	}
	lost := c.queue.lost()
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

// refuse sends a close frame, unless one is on its way: behind what still waits after a protocol
// error, in its place where a limit was broken. Then it ends the sending half and reads on for a
// moment: a socket closed with bytes unread sends a reset, which can overtake the close frame.
func (c *Conn) refuse(v *violation) {
	c.ending.CompareAndSwap(nil, v)
	k := lastOnly
	if v.code == websocket.StatusProtocolError {
		k = last
	}
	// closing or closed already: the same end
	_ = c.queue.push(closeFrame(v, c.client), k)
	t := time.NewTimer(c.queue.writeTimeout)
	defer t.Stop()
	c.queue.settle(t.C)
	half, ok := c.nc.(interface{ CloseWrite() error })
	if !ok {
		return
	}
	_ = half.CloseWrite() // the peer may have gone first
	linger(c.nc)
}

// linger reads on. However it ends, the connection is closed next.
func linger(nc net.Conn) {
	buf := buffers.Get().(*[]byte)
	defer buffers.Put(buf)
	until := time.Now().Add(lingerTime)
	for left := lingerBytes; left > 0; {
		next := time.Now().Add(lingerGap)
		if next.After(until) {
			next = until
		}
		_ = nc.SetReadDeadline(next)
		n, err := nc.Read(*buf)
		if err != nil {
			return
		}
		left -= n
	}
}

// Ending tells whether this side ended the connection and with which code and reason.
func (c *Conn) Ending() (code websocket.StatusCode, reason string, ok bool) {
	v := c.ending.Load()
	if v == nil {
		return 0, "", false
	}
	return v.code, v.reason, true
}
