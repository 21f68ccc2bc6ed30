package wire

import (
	"strconv"
	"time"

	"github.com/go-json-experiment/json/jsontext"
)

// AppendResponse appends an rpc.response. Of result and meta, both JSON, result nil is null and meta nil is absent.
func AppendResponse(dst, id, result, meta []byte) []byte {
	return AppendEnd(appendValue(AppendResponseStart(dst, id), result), meta)
}

// AppendResponseStart appends an rpc.response up to its result, which the caller appends and follows with AppendEnd.
func AppendResponseStart(dst, id []byte) []byte {
	dst = appendID(dst, "rpc.response", id)
	return append(dst, `,"result":`...)
}

// AppendRequest appends an rpc.request. Params and meta, both JSON, are absent when nil.
func AppendRequest(dst, id []byte, method string, params, meta []byte) []byte {
	dst = appendID(dst, "rpc.request", id)
	dst = appendString(dst, `,"method":`, method)
	if params != nil {
		dst = append(append(dst, `,"params":`...), params...)
	}
	return AppendEnd(dst, meta)
}

// AppendRequestStart appends an rpc.request up to its params, which the caller appends and follows with AppendEnd.
func AppendRequestStart(dst, id []byte, method string) []byte {
	dst = appendID(dst, "rpc.request", id)
	dst = appendString(dst, `,"method":`, method)
	return append(dst, `,"params":`...)
}

// AppendNotifyStart appends a client's rpc.notify up to its params, which the caller appends and follows with AppendEnd.
func AppendNotifyStart(dst []byte, method string) []byte {
	dst = appendString(dst, `{"type":"rpc.notify","method":`, method)
	return append(dst, `,"params":`...)
}

// AppendNotify appends a client's rpc.notify. Params and meta, both JSON, are absent when nil.
func AppendNotify(dst []byte, method string, params, meta []byte) []byte {
	dst = appendString(dst, `{"type":"rpc.notify","method":`, method)
	if params != nil {
		dst = append(append(dst, `,"params":`...), params...)
	}
	return AppendEnd(dst, meta)
}

// AppendServerNotifyStart appends a server's rpc.notify up to its payload, which the caller appends and follows with
// AppendEnd.
func AppendServerNotifyStart(dst []byte, event string) []byte {
	dst = appendString(dst, `{"type":"rpc.notify","event":`, event)
	return append(dst, `,"payload":`...)
}

// AppendServerNotify appends a server's rpc.notify. Of payload and meta, both JSON, payload nil is null and meta nil
// is absent.
func AppendServerNotify(dst []byte, event string, payload, meta []byte) []byte {
	return AppendEnd(appendValue(AppendServerNotifyStart(dst, event), payload), meta)
}

// AppendError appends an rpc.error. An id of nil is null; details, JSON, are absent when nil.
func AppendError(dst, id []byte, code, message string, details []byte) []byte {
	dst = append(dst, `{"type":"rpc.error","id":`...)
	dst = appendValue(dst, id)
	dst = appendString(dst, `,"error":{"code":`, code)
	dst = appendString(dst, `,"message":`, message)
	if details != nil {
		dst = append(append(dst, `,"details":`...), details...)
	}
	return append(dst, '}', '}')
}

// AppendCancel appends an rpc.cancel of the request with that id.
func AppendCancel(dst, id []byte) []byte {
	return append(appendID(dst, "rpc.cancel", id), '}')
}

// AppendPing appends an rpc.ping. An id of nil is absent.
func AppendPing(dst, id []byte) []byte { return append(appendID(dst, "rpc.ping", id), '}') }

// AppendPong appends an rpc.pong. An id of nil is absent.
func AppendPong(dst, id []byte) []byte { return append(appendID(dst, "rpc.pong", id), '}') }

// AppendEnd ends a message that a Start function began, after its value. Meta, a JSON object, is absent when nil.
func AppendEnd(dst, meta []byte) []byte {
	if meta != nil {
		dst = append(append(dst, `,"meta":`...), meta...)
	}
	return append(dst, '}')
}

// AppendTimeout appends a meta object that holds only timeout_ms: d in milliseconds, rounded up, at least 1.
func AppendTimeout(dst []byte, d time.Duration) []byte {
	ms := max(1, int64((d-1)/time.Millisecond)+1)
	dst = append(dst, `{"timeout_ms":`...)
	dst = strconv.AppendInt(dst, ms, 10)
	return append(dst, '}')
}

// appendID begins a message of that type; an id of nil is absent.
func appendID(dst []byte, name string, id []byte) []byte {
	dst = append(append(append(dst, `{"type":"`...), name...), '"')
	if id != nil {
		dst = append(append(dst, `,"id":`...), id...)
	}
	return dst
}

func appendString(dst []byte, before, value string) []byte {
	dst, _ = jsontext.AppendQuote(append(dst, before...), value) // the error tells of bytes that were replaced
	return dst
}

func appendValue(dst, value []byte) []byte {
	if value == nil {
		return append(dst, "null"...)
	}
	return append(dst, value...)
}
