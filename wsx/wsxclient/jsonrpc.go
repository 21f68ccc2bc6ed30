package wsxclient

import (
	"context"
	"fmt"
	"log/slog"
	"strconv"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/genropy/genro-asgi-go/wsx"
	"github.com/genropy/genro-asgi-go/wsx/internal/clientcall"
	"github.com/genropy/genro-asgi-go/wsx/internal/codes"
	"github.com/genropy/genro-asgi-go/wsx/internal/wire"
)

// JSONRPCError is in the *wsx.Error that stands for a JSON-RPC error whose data names no code of
// WSX: what a server of others sent.
type JSONRPCError struct {
	Code    int
	Message string
	Data    jsontext.Value // nil when there was none
}

func (e *JSONRPCError) Error() string { return fmt.Sprintf("JSON-RPC error %d", e.Code) }

// This file is what the rest of the package knows of dialects.

// encodeCall returns what makes a call's message. params are JSON, nil for none.
func (c *Client) encodeCall(ctx context.Context, method string, params []byte,
	meta map[string]string,
) (func(id []byte) []byte, error) {
	if !c.opts.JSONRPC {
		return clientcall.Request(ctx, method, params, 0, false, meta), nil
	}
	return clientcall.JSONRPCRequest(method, params, meta)
}

func (c *Client) encodeNotify(method string, params []byte,
	meta map[string]string,
) ([]byte, error) {
	if !c.opts.JSONRPC {
		return wire.AppendNotify(nil, method, params, wire.AppendMeta(nil, meta)), nil
	}
	params, err := clientcall.JSONRPCParams(method, params)
	return wire.AppendJSONRPC(nil, nil, method, params, wire.AppendMeta(nil, meta)), err
}

func (c *Client) appendSubscribe(id []byte, channel string, params, from []byte) []byte {
	if !c.opts.JSONRPC {
		return wire.AppendSubscribe(nil, id, channel, params, from)
	}
	p, _ := json.Marshal(struct { // it cannot fail, but for invalid UTF-8, which the server refuses
		Channel string         `json:"channel"`
		Params  jsontext.Value `json:"params,omitempty"`
		Recover jsontext.Value `json:"recover,omitempty"`
	}{channel, params, from})
	return wire.AppendJSONRPC(nil, id, "rpc.subscribe", p, nil)
}

func (c *Client) appendUnsubscribe(id []byte, subscription string) []byte {
	if !c.opts.JSONRPC {
		return wire.AppendUnsubscribe(nil, id, subscription)
	}
	p, _ := json.Marshal(map[string]string{"subscription": subscription}) // the server's own id
	return wire.AppendJSONRPC(nil, id, "rpc.unsubscribe", p, nil)
}

// appendResult is the answer to a call of this client's methods.
func (c *Client) appendResult(id, result []byte) []byte {
	if !c.opts.JSONRPC {
		return wire.AppendResponse(nil, id, result, nil)
	}
	if result == nil {
		result = []byte("null")
	}
	return wire.AppendEnd(append(wire.AppendJSONRPCResultStart(nil, id), result...), nil)
}

// appendRefusal is the answer that is an error, encoded as JSON.
func (c *Client) appendRefusal(id []byte, e *wsx.Error, encoded []byte) []byte {
	if !c.opts.JSONRPC {
		return wire.AppendEnd(append(wire.AppendErrorStart(nil, id), encoded...), nil)
	}
	var in struct {
		Message string         `json:"message"`
		Details jsontext.Value `json:"details"`
	}
	_ = json.Unmarshal(encoded, &in) // it was just encoded
	return wire.AppendJSONRPCError(nil, id, e.JSONRPCCode(), e.Code, in.Message, in.Details)
}

// jsonrpc serves a message of the JSON-RPC dialect.
func (l *link) jsonrpc(m *wire.Message, fault wire.Fault) {
	switch {
	case fault != wire.OK && (m.Type == wire.Response || m.Type == wire.Error):
		l.calls.Answer(clientcall.JSONRPCID(m.ID), unreadable(fault))
	case fault != wire.OK && m.Type == wire.Request:
		l.served.refuse(m.ID, wsx.NewError(fault.Code(), fault.Text()))
	case fault != wire.OK:
		l.log(slog.LevelDebug, fault.Text())
	case string(m.ID) == "null" && m.Type == wire.Error:
		l.log(slog.LevelWarn, "an error of no call: "+string(m.ErrorNumber)+" "+string(m.ErrorText))
	case m.Batch():
		for element := range wire.Elements(m.Raw) {
			var one wire.Message
			if fault := one.Parse(element, l.rules()); one.Dialect == wire.JSONRPC && !one.Batch() {
				l.jsonrpc(&one, fault)
			}
		}
	case m.Type == wire.Response:
		l.calls.Answer(clientcall.JSONRPCID(m.ID), clientcall.Reply{Result: m.Result})
	case m.Type == wire.Error:
		l.calls.Answer(clientcall.JSONRPCID(m.ID), clientcall.Reply{Err: jsonrpcError(m)})
	case m.Type == wire.Request:
		l.served.accept(m)
	case m.Type == wire.Notify:
		l.jsonrpcNotify(m)
	}
}

func (l *link) jsonrpcNotify(m *wire.Message) {
	switch string(m.Method) {
	case jsonrpcEvent:
		l.jsonrpcEvent(m, nil)
		return
	case "rpc.cancel":
		var in struct {
			ID jsontext.Value `json:"id"`
		}
		if json.Unmarshal(m.Params, &in) == nil {
			l.served.cancelCall(in.ID)
		}
		return
	case "wsx.unsubscribed":
		l.revoked(m.Params)
	}
	l.notify(note{event: string(m.Method), payload: m.Params})
}

// jsonrpcEvent is the method of the notification that an event is in JSON-RPC.
const jsonrpcEvent = "rpc.event"

// jsonrpcEvent takes in an rpc.event.
func (l *link) jsonrpcEvent(m *wire.Message, err error) {
	var in struct {
		Channel string         `json:"channel"`
		Payload jsontext.Value `json:"payload"`
		Meta    jsontext.Value `json:"meta"`
	}
	if json.Unmarshal(m.Params, &in) == nil {
		l.event(&wire.Message{Channel: []byte(in.Channel), Payload: in.Payload, Meta: in.Meta}, err)
	}
}

func jsonrpcError(m *wire.Message) *wsx.Error {
	e := &wsx.Error{Code: string(m.ErrorCode), Message: string(m.ErrorText)}
	if m.ErrorDetails != nil {
		e.Details = jsontext.Value(m.ErrorDetails)
	}
	switch e.Code {
	case wsx.CodeDeadlineExceeded:
		e.Err = context.DeadlineExceeded
	case "":
		number, _ := strconv.Atoi(string(m.ErrorNumber)) // what is no integer is no code: 0
		e.Code = codes.FromJSONRPC(number)
		e.Err = &JSONRPCError{Code: number, Message: e.Message, Data: m.ErrorDetails}
	}
	return e
}
