package wsx

import (
	"context"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/genropy/genro-asgi-go/wsx/internal/wire"
)

// jsonrpcFault is the error for JSON that cannot be served. What is no request object at all is told in the specification's own words.
func jsonrpcFault(f wire.Fault) *Error {
	e := &Error{Code: f.Code()}
	switch f {
	case wire.TooDeep, wire.DuplicateName, wire.BadMeta, wire.BadTimeout:
		e.Message = f.Text()
	}
	return e
}

// serveJSONRPC serves one JSON-RPC message: one by itself or, with b, one of a batch.
func (c *Conn) serveJSONRPC(m *wire.Message, fault wire.Fault, in *buffer, b *batch) (kept, leader bool) {
	if fault != wire.OK {
		if !c.misanswered(m, fault) && m.Type != wire.Response && m.Type != wire.Error { // an answer to an answer could go on forever
			c.refuse(m, b, jsonrpcFault(fault))
		}
		return false, true
	}
	if m.Type != wire.Request && m.Type != wire.Notify {
		c.answered(m)
		return false, true
	}
	method := c.server.jsonrpcMethod(m.Method)
	switch {
	case method != nil:
		return c.begin(method, m, in, b)
	case m.Type == wire.Request:
		c.refuse(m, b, methodNotFound(string(m.Method)))
	case string(m.Method) == "rpc.cancel":
		c.cancelJSONRPC(m.Params)
	}
	return false, true
}

// refuse answers a message that is not served.
func (c *Conn) refuse(m *wire.Message, b *batch, e *Error) {
	if b == nil {
		c.answerError(wire.JSONRPC, m.ID, e)
		return
	}
	b.add(m.ID, c.appendError(wire.JSONRPC, nil, m.ID, e), nil)
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

// serveBatch serves a JSON-RPC batch; allowed says whether its first element is within the rate. Its elements run side by side, as far as
// there is room in flight: each gives its place back when its handler has returned, so that a batch may be longer than there are places. It
// reports whether the buffer was handed on.
func (c *Conn) serveBatch(m *wire.Message, fault wire.Fault, allowed bool) (kept bool) {
	elements, err := readBatch(m, fault, c.server.opts.MaxBatch, c.server.opts.MaxDepth)
	if err != nil {
		if !allowed {
			err = c.tooSoon()
		}
		c.answerError(wire.JSONRPC, nil, err)
		return false
	}
	b := newBatch(elements)
	b.send = func(answer []byte) {
		c.closeBatch(b)
		c.answer(answer)
	}
	b.then = func(all []func(bool)) { // whoever was last must not wait for the client to take what its subscription missed
		c.server.hold()
		go func() {
			defer c.server.leave()
			for _, then := range all {
				then(true)
			}
		}()
	}
	if len(b.ids) > 0 {
		c.mu.Lock()
		c.batches = append(c.batches, b)
		c.mu.Unlock()
	}
	for i := range elements {
		e := &elements[i]
		switch {
		case i > 0 && !c.rate.take() || i == 0 && !allowed:
			if e.answered() {
				c.refuse(&e.Message, b, c.tooSoon())
			}
		case e.fault == wire.OK && e.Type == wire.Request && b.twice(e.ID, elements[:i]):
			c.refuse(&e.Message, b, NewError(CodeInvalidRequest, "a request with this id is in flight"))
		default:
			c.serveJSONRPC(&e.Message, e.fault, nil, b)
		}
	}
	c.punish()
	return true // the elements lie in it until the last handler has returned, and then it is the garbage collector's
}

// twice reports whether an earlier element is a request with that id.
func (*batch) twice(id []byte, earlier []element) bool {
	for i := range earlier {
		if earlier[i].Type == wire.Request && string(earlier[i].ID) == string(id) && string(id) != "null" {
			return true
		}
	}
	return false
}

// closeBatch makes the ids of a batch free again: its answer follows.
func (c *Conn) closeBatch(b *batch) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i, open := range c.batches {
		if open == b {
			c.batches = append(c.batches[:i], c.batches[i+1:]...)
			return
		}
	}
}

// batchedLocked reports whether the id of k is that of a request in a batch, another than its own, that is not answered yet.
func (c *Conn) batchedLocked(k *call) bool {
	for _, b := range c.batches {
		if k.id != nil && b != k.batch && b.has(k.id) {
			return true
		}
	}
	return false
}

// cancelJSONRPC serves the notification rpc.cancel, with params {"id":…} or an array of ids.
func (c *Conn) cancelJSONRPC(params []byte) {
	var ids []jsontext.Value
	if len(params) > 0 && params[0] == '[' {
		for id := range wire.Elements(params) {
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
		if k := c.find(id); k != nil {
			k.endEarly(context.Canceled, CodeCancelled)
		}
	}
}

// subscribeParams are the params of rpc.subscribe in JSON-RPC, unsubscribeParams those of rpc.unsubscribe.
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
	c.channel, c.recover, c.req.Params = in.Channel, in.Recover, in.Params
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
	if err := json.Unmarshal(params, in, decodeOptions...); err != nil {
		return invalidParams(err)
	}
	return nil
}
