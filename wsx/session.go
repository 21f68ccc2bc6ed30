package wsx

import (
	"context"
	"errors"
	"log/slog"
	"unicode/utf8"

	"github.com/coder/websocket"

	"github.com/genropy/genro-asgi-go/internal/wsconn"
	"github.com/genropy/genro-asgi-go/wsx/internal/wire"
)

// maxStrikes is how many messages of no dialect in a row a connection survives (protocol section 1).
const maxStrikes = 10

// closeRate closes a connection that keeps sending over its rate (protocol section 5).
const closeRate = 4429

// serve is the leader of a connection: it reads until the connection ends, and stays until its handlers have; or until another
// leader was made.
func (c *Conn) serve() {
	var typ websocket.MessageType
	var err error
	for {
		if typ, err = c.ws.Next(context.Background()); errors.Is(err, wsconn.ErrRenew) {
			go c.serve()
			return
		}
		if err != nil {
			break
		}
		in := getBuffer()
		if in.b, err = c.ws.Message(in.b); err != nil {
			in.release()
			break
		}
		kept, leader := c.message(typ, in)
		if !kept {
			in.release()
		}
		if !leader {
			return
		}
	}
	c.isOver()
	c.end(err)
	ended := closedError(err)
	c.out.Fail(ended, ended)
	c.server.log.LogAttrs(context.Background(), levelQuiet, "wsx: connection ended", c.attr(), errAttr(err))
	c.cancelAll()
	if quiet := c.drain(); quiet != nil {
		<-quiet
	}
	c.subs.endAll()
	c.server.remove(c)
}

// message serves one message. It reports whether the buffer was handed on, and whether this goroutine is the leader still.
func (c *Conn) message(typ websocket.MessageType, in *buffer) (kept, leader bool) {
	if !c.rate.take() {
		return c.overRate(in), true
	}
	if typ == websocket.MessageBinary && !utf8.Valid(in.b) {
		c.strike(nil, CodeParseError, wire.NotJSON.Text())
		return false, true
	}
	var m wire.Message
	fault := m.Parse(in.b, wire.Rules{Depth: c.server.opts.MaxDepth})
	switch m.Dialect {
	case wire.Tunnel:
		if c.server.opts.HTTP == nil {
			c.strike(nil, CodeParseError, wire.NotJSON.Text()) // without a handler for it, it is just not JSON
			return false, true
		}
		c.strikes = 0
		return c.tunnel(&m, in)
	case wire.JSONRPC:
		c.strikes = 0
		c.jsonrpc.Store(true)
		if m.Batch() {
			return c.serveBatch(&m, fault, true), true
		}
		return c.serveJSONRPC(&m, fault, in, nil)
	case wire.None:
		c.strike(m.ID, fault.Code(), fault.Text())
		return false, true
	}
	c.strikes = 0
	if c.jsonrpc.Load() {
		c.jsonrpc.Store(false)
	}
	switch {
	case fault != wire.OK && m.Type == wire.Notify: // nothing is answered, also when it fails
	case fault != wire.OK && c.misanswered(&m, fault): // the caller knows
	case fault != wire.OK:
		c.answerError(wire.WSX, m.ID, NewError(fault.Code(), fault.Text()))
	case m.Type == wire.Request || m.Type == wire.Notify:
		method := c.server.method(m.Method)
		if method == nil {
			switch {
			case m.Type == wire.Request:
				c.answerError(wire.WSX, m.ID, methodNotFound(string(m.Method)))
			case string(m.Method) == wire.Ack:
				c.acknowledged(m.Params)
			}
			return false, true
		}
		return c.begin(method, &m, in, nil)
	case m.Type == wire.Subscribe:
		return c.begin(c.server.subscribe, &m, in, nil)
	case m.Type == wire.Unsubscribe:
		return c.begin(c.server.unsubscribe, &m, in, nil)
	case m.Type == wire.Response || m.Type == wire.Error || m.Type == wire.Stream:
		c.answered(&m)
	case m.Type == wire.Cancel:
		if k := c.find(m.ID); k != nil {
			k.endEarly(context.Canceled, CodeCancelled)
		}
	case m.Type == wire.Ping:
		n := len(in.b)
		in.b = wire.AppendPong(in.b, m.ID) // behind the message, which m.ID lies in
		c.answer(in.b[n:])
	}
	return false, true // pongs are nothing to it
}

// begin starts a request or notification, once there is room for one more: by itself when the method is quick and it is no part of a
// batch, else in a goroutine of its own.
func (c *Conn) begin(method *method, m *wire.Message, in *buffer, b *batch) (kept, leader bool) {
	k := &call{conn: c, method: method, text: in, batch: b}
	k.req = Request{Params: m.Params, Meta: m.Meta, Notify: m.Type == wire.Notify, dialect: m.Dialect}
	if !k.req.Notify {
		k.id = append(k.short[:0], m.ID...)
	}
	if method == c.server.subscribe || method == c.server.unsubscribe {
		k.channel, k.subscription, k.recover = string(m.Channel), string(m.Subscription), m.Recover
	}
	if !k.req.Notify && (method.stream || m.Progress != nil || m.Dialect == wire.Tunnel) {
		k.produce(m)
	}
	if err := c.add(k); err != nil { // from here on others may end the call
		if !k.req.Notify {
			k.fail(peerError(err, false))
		}
		return false, true
	}
	timeout := m.Timeout
	if most := c.server.opts.RequestTimeout; most > 0 && (timeout == 0 || most < timeout) {
		timeout = most
	}
	if timeout > 0 {
		k.expire(timeout)
	}
	if method.serial != nil {
		k.req.Method = method.Name
		k.req.turn = method.serial.enter(k, &k.req) // here, where requests are in their order
	}
	if b != nil || !method.pace.quick() || k.req.turn != nil && !k.req.turn.now() {
		go k.run(false)
		return true, true
	}
	state := c.lead.start()
	c.server.watcher.watch(c)
	returned := false
	defer func() {
		if !returned && c.lead.done(state) { // the handler ended this goroutine (runtime.Goexit): another one has to read
			go c.serve()
		}
	}()
	k.lead = state
	k.run(true)
	returned = true
	leader = c.lead.done(state)
	if !leader {
		c.ws.Flush() // its answer waits for a next read that is not this goroutine's any more
	}
	return true, leader
}

// strike answers a message of no dialect and closes the connection after too many in a row.
func (c *Conn) strike(id []byte, code, text string) {
	c.answerError(wire.WSX, id, NewError(code, text))
	if c.strikes++; c.strikes >= maxStrikes {
		_ = c.ws.Close(websocket.StatusPolicyViolation, "no WSX messages") // the next read tells how it went
	}
}

// overRate refuses a message that came too soon, and the connection when as many in a row did as a burst may hold. It reports whether the
// buffer was handed on.
func (c *Conn) overRate(in *buffer) (kept bool) {
	defer c.punish()
	var m wire.Message
	fault := m.Parse(in.b, wire.Rules{Depth: c.server.opts.MaxDepth})
	if m.Batch() {
		return c.serveBatch(&m, fault, false)
	}
	switch {
	case m.Dialect == wire.Tunnel && c.server.opts.HTTP != nil:
		var t wire.TunnelRequest
		t.Parse(m.Raw, c.server.opts.MaxDepth)
		c.answerError(wire.Tunnel, t.ID, c.tooSoon())
	case m.Dialect == wire.JSONRPC && m.Type == wire.Request:
		c.answerError(wire.JSONRPC, m.ID, c.tooSoon())
	case m.Type == wire.Request, m.Type == wire.Subscribe, m.Type == wire.Unsubscribe, m.Type == wire.Ping:
		c.answerError(wire.WSX, m.ID, c.tooSoon())
	}
	return false
}

// tooSoon is the error of a message over the rate.
func (c *Conn) tooSoon() *Error {
	return &Error{Code: CodeResourceExhausted, Details: retryDetails{RetryAfterMS: c.rate.wait().Milliseconds() + 1}}
}

// punish closes a connection that keeps sending over its rate.
func (c *Conn) punish() {
	if c.rate.refused > max(maxStrikes, c.server.opts.MessageBurst) {
		_ = c.ws.Close(closeRate, "too many messages") // the next read tells how it went
	}
}

type retryDetails struct {
	RetryAfterMS int64 `json:"retry_after_ms"`
}

// levelQuiet is for what a busy server sees all day.
const levelQuiet = slog.LevelDebug

// attr is the connection in a log line.
func (c *Conn) attr() slog.Attr { return slog.String("conn", c.id) }

func errAttr(err error) slog.Attr { return slog.String("error", err.Error()) }

// logError logs what a handler returned.
func (c *Conn) logError(method string, err error, coded *Error) {
	logCall(c.server.log, method, err, coded, c.attr())
}

// logCall logs what a handler returned: errors that the peer is not told of, with the stack of a panic, as errors, others quietly.
func logCall(log *slog.Logger, method string, err error, coded *Error, attrs ...slog.Attr) {
	level := levelQuiet
	if coded.Code == CodeInternalError {
		level = slog.LevelError
	}
	attrs = append(attrs, slog.String("method", method), slog.String("code", coded.Code), errAttr(err))
	if p, ok := errors.AsType[*panicError](err); ok {
		attrs = append(attrs, slog.String("stack", string(p.stack)))
	}
	log.LogAttrs(context.Background(), level, "wsx: call failed", attrs...)
}
