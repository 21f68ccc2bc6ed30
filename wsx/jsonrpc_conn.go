package wsx

import (
	"context"
	"slices"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/genropy/genro-asgi-go/internal/typed"
	"github.com/genropy/genro-asgi-go/wsx/internal/buffer"
	"github.com/genropy/genro-asgi-go/wsx/internal/wire"
)

// jsonrpcFault is the error for JSON that cannot be served. What is no request object at all is
// told in the specification's own words.
func jsonrpcFault(f wire.Fault) *Error {
	e := &Error{Code: f.Code()}
	switch f {
	case wire.TooDeep, wire.DuplicateName, wire.BadMeta, wire.BadTimeout:
		e.Message = f.Text()
	}
	return e
}

// serveJSONRPC serves one JSON-RPC message: one by itself or, with b, one of a batch.
func (r *reader) serveJSONRPC(m *wire.Message, fault wire.Fault, in *buffer.Buffer,
	b *batch,
) (kept, reading bool) {
	if fault != wire.OK {
		if r.conn.takeBrokenAnswer(m, fault) {
			if b != nil && m.Type == wire.Unknown {
				b.skip(m.ID)
			}
			return false, true
		}
		if m.Type != wire.Response && m.Type != wire.Error {
			// an answer to an answer could go on forever
			r.refuse(m, b, jsonrpcFault(fault))
		}
		return false, true
	}
	if m.Type != wire.Request && m.Type != wire.Notify {
		r.conn.takeAnswer(m)
		return false, true
	}
	method := r.conn.server.jsonrpcMethod(m.Method)
	switch {
	case method != nil:
		return r.startCall(method, m, in, b)
	case m.Type == wire.Request:
		r.refuse(m, b, methodNotFound(string(m.Method)))
	case string(m.Method) == "rpc.cancel":
		r.cancelJSONRPC(m.Params)
	}
	return false, true
}

// refuse answers a message that is not served.
func (r *reader) refuse(m *wire.Message, b *batch, e *Error) {
	if b == nil {
		r.conn.answerError(wire.JSONRPC, m.ID, e)
		return
	}
	b.add(m.ID, r.conn.appendError(wire.JSONRPC, nil, m.ID, e), nil, true)
}

// jsonrpcMethod finds a method: in JSON-RPC, subscribing is one too.
func (s *Server) jsonrpcMethod(name []byte) *method {
	switch string(name) {
	case s.subscribe.Name:
		return s.subscribe
	case s.unsubscribe.Name:
		return s.unsubscribe
	}
	return s.method(name)
}

// serveBatch serves a JSON-RPC batch; allowed says whether its first element is within the rate.
// Its elements run side by side, as far as there is room in flight: each gives its place back when
// its handler has returned, so that a batch may be longer than there are places. It reports whether
// the buffer was handed on.
func (r *reader) serveBatch(m *wire.Message, fault wire.Fault, allowed bool) (kept bool) {
	opts := &r.conn.server.opts
	elements, refused := readBatch(m, fault, opts.MaxBatch, opts.MaxDepth)
	if refused != nil {
		if !allowed {
			refused.err = r.tooSoon()
		}
		r.conn.tell(refused.answer(func(dst, id []byte, e *Error) []byte {
			return r.conn.appendError(wire.JSONRPC, dst, id, e)
		}))
		if len(refused.ids) == 0 {
			r.countProtocolError()
		}
		return false
	}
	if slices.ContainsFunc(elements, func(e element) bool { return e.fault == wire.OK }) {
		r.protocolErrors = 0
	} else {
		r.countProtocolError()
	}
	b := r.conn.openBatch(elements)
	for i := range elements {
		e := &elements[i]
		switch {
		case i > 0 && !r.rate.allow() || i == 0 && !allowed:
			if e.answered() {
				r.refuse(&e.Message, b, r.tooSoon())
			}
		case e.fault == wire.OK && e.Type == wire.Request && b.twice(e.ID, elements[:i]):
			r.refuse(&e.Message, b,
				NewError(CodeInvalidRequest, "a request with this id is in flight"))
		default:
			r.serveJSONRPC(&e.Message, e.fault, nil, b)
		}
	}
	r.closeOverRate()
	// the elements lie in it until the last handler has returned, and then it is the garbage
	// collector's
	return true
}

// openBatch makes what gathers the answers to a batch and sends them when the last is there.
func (c *Conn) openBatch(elements []element) *batch {
	b := newBatch(elements)
	b.conn = c
	b.send = func(answer []byte, urgent bool) {
		c.calls.closeBatch(b)
		if len(answer) == 0 {
			return
		}
		if urgent {
			c.tell(answer)
		} else {
			c.answer(answer)
		}
	}
	b.runAfter = func(all []func(bool)) {
		// whoever was last must not wait for the client to take what its subscription missed
		c.server.addRunning()
		go func() {
			defer c.server.doneRunning()
			for _, then := range all {
				then(true)
			}
		}()
	}
	if b.left > 0 {
		c.calls.openBatch(b)
	}
	return b
}

// twice reports whether an earlier element is a request with that id.
func (*batch) twice(id []byte, earlier []element) bool {
	for i := range earlier {
		if earlier[i].Type == wire.Request && string(earlier[i].ID) == string(id) &&
			string(id) != "null" {
			return true
		}
	}
	return false
}

// cancelJSONRPC serves the notification rpc.cancel, with params {"id":…} or an array of ids.
func (r *reader) cancelJSONRPC(params []byte) {
	var ids []jsontext.Value
	if len(params) > 0 && params[0] == '[' {
		for id := range wire.Elements(params) {
			// each counts as a message, and as an element of a batch
			if len(ids) == r.conn.server.opts.MaxBatch || len(ids) > 0 && !r.rate.allow() {
				break
			}
			ids = append(ids, id)
		}
	} else {
		var in struct {
			ID jsontext.Value `json:"id"`
		}
		if json.Unmarshal(params, &in) != nil {
			return // a notification: nobody is told
		}
		ids = append(ids, in.ID)
	}
	for _, id := range ids {
		if k := r.conn.calls.find(id); k != nil {
			k.endEarly(context.Canceled, errCancelled)
		}
	}
}

// subscribeParams are the params of rpc.subscribe in JSON-RPC, unsubscribeParams those of
// rpc.unsubscribe.
type subscribeParams struct {
	Channel string         `json:"channel"`
	Params  jsontext.Value `json:"params"`
	Recover jsontext.Value `json:"recover"`
}

type unsubscribeParams struct {
	Subscription string `json:"subscription"`
	Channel      string `json:"channel"`
}

// readSubscribe takes the subscription from the params, as WSX has it in the message.
func (c *call) readSubscribe() error {
	var in subscribeParams
	if err := c.readParams(&in); err != nil {
		return err
	}
	c.recover, c.req.Params = in.Recover, in.Params
	c.mu.Lock()
	defer c.mu.Unlock()
	c.channel = in.Channel
	return nil
}

func (c *call) readUnsubscribe() error {
	var in unsubscribeParams
	if err := c.readParams(&in); err != nil {
		return err
	}
	if in.Subscription == "" && in.Channel == "" {
		return NewError(CodeInvalidParams, "subscription or channel is missing")
	}
	c.subscription, c.channel = in.Subscription, in.Channel
	return nil
}

func (c *call) readParams(in any) error {
	params := c.req.Params
	if len(params) == 0 {
		params = jsontext.Value("{}")
	}
	if err := typed.Decode(params, in); err != nil {
		return invalidParams(err)
	}
	return nil
}

// What an answer looks like depends on the dialect that the request came in: what follows is all
// that the serving of calls knows of it.

// appendResultStart appends an answer up to its result, which is followed by the message's end.
func appendResultStart(d wire.Dialect, dst, id []byte) []byte {
	switch d {
	case wire.JSONRPC:
		return wire.AppendJSONRPCResultStart(dst, id)
	case wire.Tunnel:
		return wire.AppendTunnelStart(dst, id)
	default:
		return wire.AppendResponseStart(dst, id)
	}
}

// appendError appends the answer that is an error, but for the tunnel's; an id of nil is null. It
// always appends one that is whole; the error tells why it has no details.
func appendError(d wire.Dialect, dst, id []byte, e *Error) ([]byte, error) {
	details, err := e.details()
	if d == wire.JSONRPC {
		number := e.JSONRPCCode()
		return wire.AppendJSONRPCError(dst, id, number, e.Code, jsonrpcText(number, e),
			details), err
	}
	return wire.AppendError(dst, id, e.Code, e.text(), details), err
}

// jsonrpcText is the message of a JSON-RPC error: for an error without one of its own, what the
// specification writes (section 5.1).
func jsonrpcText(number int, e *Error) string {
	if e.Message == "" {
		switch number {
		case -32700:
			return "Parse error"
		case -32600:
			return "Invalid Request"
		case -32601:
			return "Method not found"
		case -32602:
			return "Invalid params"
		case -32603:
			return "Internal error"
		}
	}
	return e.text()
}

// dialect is what to speak to the client unasked: as the call that ctx is of came, else as the last
// message did.
func (c *Conn) dialect(ctx context.Context) wire.Dialect {
	if r := RequestFrom(ctx); r != nil && ConnFrom(ctx) == c {
		if r.dialect == wire.JSONRPC {
			return wire.JSONRPC
		}
		return wire.WSX
	}
	if c.jsonrpc.Load() {
		return wire.JSONRPC
	}
	return wire.WSX
}

// appendNote is what the server tells by itself, with a payload that is an object.
func appendNote(d wire.Dialect, event string, payload []byte) []byte {
	if d == wire.JSONRPC {
		return appendNotification(nil, event, payload)
	}
	return wire.AppendServerNotify(nil, event, payload, nil)
}

// appendNotification appends a JSON-RPC notification. Params that are neither object nor array,
// which JSON-RPC does not have, go in an array.
func appendNotification(dst []byte, method string, params []byte) []byte {
	dst = wire.AppendJSONRPCStart(dst, nil, method)
	if len(params) > 0 && (params[0] == '{' || params[0] == '[') {
		return append(append(dst, params...), '}')
	}
	dst = append(append(dst, '['), params...)
	return append(dst, "]}"...)
}
