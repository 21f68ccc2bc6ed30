package wsx

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"iter"
	"strconv"

	"github.com/coder/websocket"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/genropy/genro-asgi-go/wsx/internal/clientcall"
	"github.com/genropy/genro-asgi-go/wsx/internal/codes"
	"github.com/genropy/genro-asgi-go/wsx/internal/wire"
)

// ErrClosed is what calls of a client's methods return when its connection has ended before they
// were answered. What they return wraps the cause too.
var ErrClosed = errors.New("wsx: the connection has ended")

// Call calls a method of the client and decodes its result into an Out; members that Out lacks are
// ignored, and a jsontext.Value gets the result as it is. params are encoded as JSON; nil means
// none. Of a method with a stream it returns the result alone.
//
//	where, err := wsx.Call[Place](ctx, wsx.ConnFrom(ctx), "locate", nil)
//
// ctx governs all of it: when it ends, the client is sent rpc.cancel and Call returns ctx's cause;
// a deadline is sent along as meta.timeout_ms. A handler passes its own context on: its request
// then does not count as in flight while it waits for its client (ServerOptions.MaxInFlight), so
// that handlers that all wait for their client cannot keep the client from answering.
//
// A client that speaks JSON-RPC, as the request that ctx is of or, for another ctx, its last
// message did, is called in JSON-RPC: without the deadline, with params that are an object, an
// array or null, and given up by a notification rpc.cancel {id}.
//
// The error is a *[Error] where the client answered with one, its Details a jsontext.Value or nil;
// RESOURCE_EXHAUSTED where ServerOptions.MaxCalls calls are under way; CONFLICT where c is nil, as
// [ConnFrom] gives where a call came over no connection; and wraps [ErrClosed] where the connection
// ended.
func Call[Out any](ctx context.Context, c *Conn, method string, params any) (Out, error) {
	var out Out
	encoded, err := clientcall.EncodeParams(method, params)
	if err != nil {
		return out, err
	}
	table, err := c.clientCallTable()
	if err != nil {
		return out, err
	}
	call, request := &clientcall.Call{}, clientcall.Request(ctx, method, encoded, 0, false, nil)
	if c.dialect(ctx) == wire.JSONRPC {
		call.Cancel = clientcall.JSONRPCCancel
		if request, err = clientcall.JSONRPCRequest(method, encoded, nil); err != nil {
			return out, err
		}
	}
	defer c.waitsFor(ctx)()
	result, err := table.Do(ctx, call, request)
	if err == nil {
		err = clientcall.Decode("the result", method, result, &out)
	}
	return out, limited(err)
}

// StreamOptions configure [Stream]. nil and the zero value are valid.
type StreamOptions struct {
	// Result is a pointer that the method's result is decoded into before the loop ends, as Call
	// does it; nil drops it.
	Result any
	// Buffer is how many items may wait for the loop; 256 when zero. The producer is told, and
	// waits when it is full. One that goes on sending is not read until there is room, for 2 s at
	// most; then the stream ends with an error.
	Buffer int
	// OnProgress asks for the method's progress and gets its reports, in their order among the
	// items and in the loop's goroutine. The report is its to keep.
	OnProgress func(report jsontext.Value)
}

// Stream calls a method of the client that has a stream and yields its items, decoded as Call
// decodes results. The call begins and ends with the loop; leaving it early sends rpc.cancel. After
// an error, of the kinds that Call has, the loop ends.
//
//	var total Counted
//	opts := &wsx.StreamOptions{Result: &total}
//	for n, err := range wsx.Stream[int](ctx, conn, "count", Count{N: 3}, opts) {
//		if err != nil {
//			return err
//		}
//		// n
//	}
//	// total
//
// A loop that does not keep up makes the client's iterator wait: see StreamOptions.Buffer. With a
// client that speaks JSON-RPC, see [Call], there is only an error: it has no streams.
func Stream[Item any](ctx context.Context, c *Conn, method string, params any,
	opts *StreamOptions,
) iter.Seq2[Item, error] {
	if opts == nil {
		opts = &StreamOptions{}
	}
	return func(yield func(Item, error) bool) {
		if c != nil && c.dialect(ctx) == wire.JSONRPC {
			var none Item
			yield(none, clientcall.ErrNoStreams)
			return
		}
		defer c.waitsFor(ctx)()
		for item, err := range clientcall.Items[Item](ctx, c.clientCallTable, method, params, nil,
			clientcall.StreamOptions(*opts)) {
			if !yield(item, limited(err)) {
				return
			}
		}
	}
}

// clientCallTable is where calls of the client's methods are kept.
func (c *Conn) clientCallTable() (*clientcall.Table, error) {
	if c == nil {
		return nil, NewError(CodeConflict, "the call did not come over a connection")
	}
	return &c.clientCalls, nil
}

// limited is err as callers get it.
func limited(err error) error {
	if errors.Is(err, clientcall.ErrLimit) {
		return &Error{
			Code: CodeResourceExhausted, Message: "too many calls wait for this client",
			Err: err,
		}
	}
	return err
}

// waitsFor is the Waits of the request whose context ctx is, if it is one of this connection.
func (c *Conn) waitsFor(ctx context.Context) (done func()) {
	if k, ok := ctx.Value(clientcall.WaiterKey{}).(*call); ok && k.conn == c {
		return k.Waits()
	}
	return func() {}
}

// Waits implements clientcall.Waiter.
func (c *call) Waits() (done func()) {
	c.conn.calls.pause(c)
	if c.readerState != 0 {
		c.conn.handover.Replace(c.readerState) // another goroutine than this one has to read it
	}
	return func() { c.conn.calls.resume(c) }
}

// takeAnswer takes in an answer of the client, or an item.
func (c *Conn) takeAnswer(m *wire.Message) {
	switch m.Type {
	case wire.Response:
		c.clientCalls.Answer(answeredID(m), clientcall.Reply{Result: bytes.Clone(m.Result)})
	case wire.Error:
		c.clientCalls.Answer(answeredID(m), clientcall.Reply{Err: receivedError(m)})
	case wire.Stream:
		m.Item, m.Progress = bytes.Clone(m.Item), bytes.Clone(m.Progress)
		c.clientCalls.Item(m)
	}
}

// answeredID is the id of the call that a message answers: in JSON-RPC not all clients send it back
// byte for byte.
func answeredID(m *wire.Message) []byte {
	if m.Dialect == wire.JSONRPC {
		return clientcall.JSONRPCID(m.ID)
	}
	return m.ID
}

// takeBrokenAnswer reports whether a message that cannot be read was to be the answer to a call,
// which it ends.
func (c *Conn) takeBrokenAnswer(m *wire.Message, fault wire.Fault) bool {
	switch {
	case m.Type == wire.Response, m.Type == wire.Error, m.Type == wire.Stream:
		return c.clientCalls.Answer(answeredID(m),
			clientcall.Reply{
				Err: fmt.Errorf("wsx: the client's answer cannot be read: %s", fault.Text()),
			})
	// an id and nothing else: some leave out a result of null
	case m.Dialect == wire.JSONRPC && m.Type == wire.Unknown && m.ID != nil:
		return c.clientCalls.Answer(answeredID(m), clientcall.Reply{Result: []byte("null")})
	}
	return false
}

// receivedError is the error of an rpc.error.
func receivedError(m *wire.Message) *Error {
	e := &Error{Code: string(m.ErrorCode), Message: string(m.ErrorText)}
	if m.Dialect == wire.JSONRPC && e.Code == "" {
		number, _ := strconv.Atoi(string(m.ErrorNumber))
		e.Code = codes.FromJSONRPC(number)
	}
	if m.ErrorDetails != nil {
		e.Details = jsontext.Value(bytes.Clone(m.ErrorDetails))
	}
	if e.Code == CodeDeadlineExceeded {
		// the caller's, as a rule: it makes no difference which side saw it first
		e.Err = context.DeadlineExceeded
	}
	return e
}

// peer is a Conn as its calls see it.
type peer Conn

// Send implements clientcall.Peer.
func (p *peer) Send(ctx context.Context, b []byte) error {
	err := p.ws.Send(ctx, websocket.MessageText, b)
	if err == nil || ctx.Err() != nil {
		return err
	}
	return closedError(err)
}

// Urge implements clientcall.Peer.
func (p *peer) Urge(b []byte) {
	// without even that room the client does not read: the write time-out ends it
	_ = p.ws.Urge(websocket.MessageText, b)
}

// Done implements clientcall.Peer.
func (p *peer) Done() <-chan struct{} { return p.ws.Done() }

// NewReader implements handover.Owner.
func (p *peer) NewReader() {
	p.ws.Flush() // the answers that the old one meant to send with its next read
	go (*Conn)(p).serve()
}

func closedError(cause error) error { return fmt.Errorf("%w: %w", ErrClosed, cause) }
