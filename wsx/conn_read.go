package wsx

import (
	"bytes"
	"context"
	"errors"
	"time"
	"unicode/utf8"

	"github.com/coder/websocket"

	"github.com/genropy/genro-asgi-go/internal/wsconn"
	"github.com/genropy/genro-asgi-go/wsx/internal/buffer"
	"github.com/genropy/genro-asgi-go/wsx/internal/wire"
)

// maxProtocolErrors is how many messages of no dialect in a row a connection survives (protocol
// section 1).
const maxProtocolErrors = 10

// reader is who reads a connection and serves what it reads: one goroutine at a time, whose own all
// of this is. Another one takes over where a handler is slow (package handover) or its stack has
// grown (wsconn.ErrRenew).
type reader struct {
	conn           *Conn
	rate           bucket
	subscribeCalls uint64 // calls that subscribe or unsubscribe
	protocolErrors int    // messages of no dialect in a row
}

// serve is the goroutine of a connection's reader: it reads until the connection ends, and stays
// until its handlers have; or until another reader was made. Its frame and those below it are kept
// small: a connection that does nothing costs what they take.
func (c *Conn) serve() {
	if err := c.reader.read(); err != nil {
		c.tearDown(err)
	}
}

// read reads until the connection ends; nil is that another reader was made.
func (r *reader) read() (err error) {
	defer r.recovered(&err)
	for {
		typ, err := r.conn.ws.Next(context.Background())
		if err != nil {
			return r.renewReader(err)
		}
		if reading, err := r.readMessage(typ); err != nil || !reading {
			return err
		}
	}
}

// recovered makes an error of a panic, which is a fault of this package: it ends the connection and
// not the process.
func (r *reader) recovered(err *error) {
	if v := recover(); v != nil {
		*err = r.conn.broken(v)
	}
}

// renewReader makes another reader where the error asks for one.
func (r *reader) renewReader(err error) error {
	if !errors.Is(err, wsconn.ErrRenew) {
		return err
	}
	go r.conn.serve()
	return nil
}

// readMessage reads and serves a message. It reports whether this goroutine is the reader still.
func (r *reader) readMessage(typ websocket.MessageType) (reading bool, err error) {
	in := buffer.Get()
	if in.B, err = r.conn.ws.Message(in.B); err != nil {
		in.Release()
		return true, err
	}
	if r.conn.calls.lastWaited { // it may be held for long: in no more memory than it needs
		exact := &buffer.Buffer{B: bytes.Clone(in.B)}
		in.Release()
		in = exact
	}
	kept, reading := r.serveMessage(typ, in)
	if !kept {
		in.Release()
	}
	return reading, nil
}

// serveMessage serves one message. It reports whether the buffer was handed on, and whether this
// goroutine is the reader still.
func (r *reader) serveMessage(typ websocket.MessageType, in *buffer.Buffer) (kept, reading bool) {
	if !r.rate.allow() {
		return r.overRate(in), true
	}
	if typ == websocket.MessageBinary && !utf8.Valid(in.B) {
		r.protocolError(nil, CodeParseError, wire.NotJSON.Text())
		return false, true
	}
	var m wire.Message
	fault := m.Parse(in.B, wire.Rules{Depth: r.conn.server.opts.MaxDepth})
	switch m.Dialect {
	case wire.Tunnel:
		if r.conn.server.opts.HTTP == nil {
			// without a handler for it, it is just not JSON
			r.protocolError(nil, CodeParseError, wire.NotJSON.Text())
			return false, true
		}
		return r.serveTunnel(&m, in)
	case wire.JSONRPC:
		r.conn.jsonrpc.Store(true)
		if m.Batch() {
			return r.serveBatch(&m, fault, true), true
		}
		r.protocolErrors = 0
		return r.serveJSONRPC(&m, fault, in, nil)
	case wire.None:
		r.protocolError(m.ID, fault.Code(), fault.Text())
		return false, true
	}
	r.protocolErrors = 0
	if r.conn.jsonrpc.Load() {
		r.conn.jsonrpc.Store(false)
	}
	return r.serveWSX(&m, fault, in)
}

// serveWSX serves one message of the dialect that is the protocol's own.
func (r *reader) serveWSX(m *wire.Message, fault wire.Fault, in *buffer.Buffer,
) (kept, reading bool) {
	switch {
	case fault != wire.OK && m.Type == wire.Notify: // nothing is answered, also when it fails
	case fault != wire.OK && r.conn.takeBrokenAnswer(m, fault): // the caller knows
	case fault != wire.OK && answers(m.Type): // an answer to an answer could go on forever
	case fault != wire.OK:
		r.conn.answerError(wire.WSX, m.ID, NewError(fault.Code(), fault.Text()))
	case m.Type == wire.Request || m.Type == wire.Notify:
		method := r.conn.server.method(m.Method)
		if method == nil {
			switch {
			case m.Type == wire.Request:
				r.conn.answerError(wire.WSX, m.ID, methodNotFound(string(m.Method)))
			case string(m.Method) == wire.Ack:
				r.takeAck(m.Params)
			}
			return false, true
		}
		return r.startCall(method, m, in, nil)
	case m.Type == wire.Subscribe:
		return r.startCall(r.conn.server.subscribe, m, in, nil)
	case m.Type == wire.Unsubscribe:
		return r.startCall(r.conn.server.unsubscribe, m, in, nil)
	case m.Type == wire.Response || m.Type == wire.Error || m.Type == wire.Stream:
		r.conn.takeAnswer(m)
	case m.Type == wire.Cancel:
		if k := r.conn.calls.find(m.ID); k != nil {
			k.endEarly(context.Canceled, errCancelled)
		}
	case m.Type == wire.Ping:
		n := len(in.B)
		in.B = wire.AppendPong(in.B, m.ID) // behind the message, which m.ID lies in
		r.conn.tell(in.B[n:])
	}
	return false, true // pongs are nothing to it
}

// answers reports whether a message of that type is said in answer to another.
func answers(t wire.Type) bool {
	switch t {
	case wire.Response, wire.Error, wire.Stream, wire.Pong:
		return true
	}
	return false
}

// protocolError answers a message of no dialect and closes the connection after too many in a row.
func (r *reader) protocolError(id []byte, code, text string) {
	r.conn.answerError(wire.WSX, id, NewError(code, text))
	r.countProtocolError()
}

// countProtocolError counts a message of which nothing could be served.
func (r *reader) countProtocolError() {
	if r.protocolErrors++; r.protocolErrors >= maxProtocolErrors {
		// the next read tells how it went
		_ = r.conn.ws.Close(websocket.StatusPolicyViolation, "no WSX messages")
	}
}

// bucket is a token bucket for one goroutine. The zero value lets everything pass.
type bucket struct {
	rate    float64 // tokens a second; 0 and less is no limit
	burst   float64
	tokens  float64
	last    time.Time
	refused int // in a row
}

// allow takes a token, if there is one.
func (b *bucket) allow() bool {
	if b.rate <= 0 {
		return true
	}
	now := time.Now()
	if b.last.IsZero() {
		b.tokens = b.burst
	} else {
		b.tokens = min(b.burst, b.tokens+now.Sub(b.last).Seconds()*b.rate)
	}
	b.last = now
	if b.tokens < 1 {
		b.refused++
		return false
	}
	b.tokens--
	b.refused = 0
	return true
}

// wait is how long until there is a token.
func (b *bucket) wait() time.Duration {
	return time.Duration((1 - b.tokens) / b.rate * float64(time.Second))
}

// closeRate closes a connection that keeps sending over its rate (protocol section 5).
const closeRate = 4429

// overRate refuses a message that came too soon, and the connection when as many in a row did as a
// burst may hold. It reports whether the buffer was handed on.
func (r *reader) overRate(in *buffer.Buffer) (kept bool) {
	defer r.closeOverRate()
	var m wire.Message
	fault := m.Parse(in.B, wire.Rules{Depth: r.conn.server.opts.MaxDepth})
	if m.Batch() {
		return r.serveBatch(&m, fault, false)
	}
	switch {
	case m.Dialect == wire.Tunnel && r.conn.server.opts.HTTP != nil:
		var t wire.TunnelRequest
		t.Parse(m.Raw, r.conn.server.opts.MaxDepth)
		r.conn.refuseTunnel(&t, r.tooSoon())
	case m.Dialect == wire.JSONRPC && m.Type == wire.Request:
		r.conn.answerError(wire.JSONRPC, m.ID, r.tooSoon())
	case m.Type == wire.Request, m.Type == wire.Subscribe, m.Type == wire.Unsubscribe,
		m.Type == wire.Ping:
		r.conn.answerError(wire.WSX, m.ID, r.tooSoon())
	}
	return false
}

// tooSoon is the error of a message over the rate.
func (r *reader) tooSoon() *Error {
	return &Error{
		Code:    CodeResourceExhausted,
		Details: retryDetails{RetryAfterMS: r.rate.wait().Milliseconds() + 1},
	}
}

// closeOverRate closes a connection that keeps sending over its rate.
func (r *reader) closeOverRate() {
	if r.rate.refused > max(maxProtocolErrors, r.conn.server.opts.MessageBurst) {
		_ = r.conn.ws.Close(closeRate, "too many messages") // the next read tells how it went
	}
}

type retryDetails struct {
	RetryAfterMS int64 `json:"retry_after_ms"`
}
