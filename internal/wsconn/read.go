package wsconn

import (
	"context"
	"errors"
	"net"

	"github.com/coder/websocket"
)

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

// Next waits until a message begins, without holding a buffer; Message must follow. When ctx ends
// between two messages the read gives up with its cause and the connection lives on; a message that
// has begun is waited for, at most the message time-out, and so is a Close under way.
//
// ErrRenew asks the caller to go on in a new goroutine and to end this one: what a goroutine's
// stack has once grown by, it keeps for as long as it waits. It comes only after a long silence was
// broken, so a busy connection never pays for it.
//
// Any other error ended the connection; a websocket.CloseError tells how the peer closed. Errors of
// the peer's making have been answered with their close code when Next, or Message, returns.
func (c *Conn) Next(ctx context.Context) (websocket.MessageType, error) {
	return c.begin(ctx, true)
}

func (c *Conn) begin(ctx context.Context, renew bool) (websocket.MessageType, error) {
	if ctx.Err() != nil {
		return 0, context.Cause(ctx)
	}
	c.deadline.watch(ctx)
	if !c.lock() {
		return 0, c.fail(net.ErrClosed)
	}
	err := c.in.begin(renew)
	if err == nil {
		opcode := c.in.parser.opcode // a Close reads on as soon as the lock is free
		c.unlock()
		return websocket.MessageType(opcode), nil
	}
	return 0, c.gaveUp(ctx, err)
}

// gaveUp gives the read lock back and tells what an error of the reader means.
func (c *Conn) gaveUp(ctx context.Context, err error) error {
	defer c.unlock()
	switch {
	case errors.Is(err, ErrRenew):
		return err
	case errors.Is(err, errInterrupted):
		return context.Cause(ctx)
	}
	c.in.src.release()
	return c.fail(err)
}

// ErrSkipped is what Message returns of a message over MaxMessage that Options.TooBig was given.
// The connection lives on.
var ErrSkipped = errors.New("websocket: message too big: skipped")

// Message appends the message that Next found to buf. Every error but ErrSkipped ended the
// connection.
func (c *Conn) Message(buf []byte) ([]byte, error) {
	if !c.lock() {
		return buf, c.fail(net.ErrClosed)
	}
	buf, err := c.in.message(buf)
	if err != nil && !errors.Is(err, ErrSkipped) {
		err = c.fail(err)
	}
	c.unlock()
	return buf, err
}
