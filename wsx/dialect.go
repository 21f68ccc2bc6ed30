package wsx

import (
	"context"

	"github.com/genropy/genro-asgi-go/wsx/internal/wire"
)

// What an answer looks like depends on the dialect that the request came in: this file is all that the serving of calls knows of it.

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

// appendError appends the answer that is an error; an id of nil is null. It always appends one that is whole; the error tells why it has no
// details.
func appendError(d wire.Dialect, dst, id []byte, e *Error) ([]byte, error) {
	details, err := e.details()
	switch d {
	case wire.JSONRPC:
		number := e.JSONRPCCode()
		return wire.AppendJSONRPCError(dst, id, number, e.Code, jsonrpcText(number, e), details), err
	case wire.Tunnel:
		return appendTunnelError(dst, id, e, details), err
	default:
		return wire.AppendError(dst, id, e.Code, e.text(), details), err
	}
}

// jsonrpcText is the message of a JSON-RPC error: for an error without one of its own, what the specification writes (section 5.1).
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

// dialect is what to speak to the client unasked: as the call that ctx is of came, else as the last message did.
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

// appendNotification appends a JSON-RPC notification. Params that are neither object nor array, which JSON-RPC does not have, go in
// an array.
func appendNotification(dst []byte, method string, params []byte) []byte {
	dst = wire.AppendJSONRPCStart(dst, nil, method)
	if len(params) > 0 && (params[0] == '{' || params[0] == '[') {
		return append(append(dst, params...), '}')
	}
	dst = append(append(dst, '['), params...)
	return append(dst, "]}"...)
}
