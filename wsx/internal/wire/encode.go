package wire

import (
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/go-json-experiment/json/jsontext"
)

// AppendResponse appends an rpc.response. Of result and meta, both JSON, result nil is null and
// meta nil is absent.
func AppendResponse(dst, id, result, meta []byte) []byte {
	return AppendEnd(appendValue(AppendResponseStart(dst, id), result), meta)
}

// AppendResponseStart appends an rpc.response up to its result, which the caller appends and
// follows with AppendEnd.
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

// appendNotifyStart appends a client's rpc.notify up to its params, which the caller appends and
// follows with AppendEnd.
func appendNotifyStart(dst []byte, method string) []byte {
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

// AppendServerNotifyStart appends a server's rpc.notify up to its payload, which the caller appends
// and follows with AppendEnd.
func AppendServerNotifyStart(dst []byte, event string) []byte {
	dst = appendString(dst, `{"type":"rpc.notify","event":`, event)
	return append(dst, `,"payload":`...)
}

// AppendServerNotify appends a server's rpc.notify. Of payload and meta, both JSON, payload nil is
// null and meta nil is absent.
func AppendServerNotify(dst []byte, event string, payload, meta []byte) []byte {
	return AppendEnd(appendValue(AppendServerNotifyStart(dst, event), payload), meta)
}

// EventMembers are those of an rpc.event. Of its meta, an Epoch of "" leaves epoch and offset out,
// a Dropped of 0 dropped, and a TraceParent of "" what tells of the trace.
type EventMembers struct {
	Channel                 string
	Payload                 []byte // JSON
	SubID, Epoch            string
	Offset, Dropped         uint64
	TraceParent, TraceState string
}

// AppendEvent appends an rpc.event.
func AppendEvent(dst []byte, e *EventMembers) []byte {
	return e.appendTo(append(dst, `{"type":"rpc.event",`...))
}

func (e *EventMembers) appendTo(dst []byte) []byte {
	dst = appendString(dst, `"channel":`, e.Channel)
	dst = append(append(dst, `,"payload":`...), e.Payload...)
	dst = appendString(dst, `,"meta":{"sub_id":`, e.SubID)
	if e.Epoch != "" {
		dst = appendString(dst, `,"epoch":`, e.Epoch)
		dst = strconv.AppendUint(append(dst, `,"offset":`...), e.Offset, 10)
	}
	if e.Dropped > 0 {
		dst = strconv.AppendUint(append(dst, `,"dropped":`...), e.Dropped, 10)
	}
	if e.TraceParent != "" {
		dst = appendString(dst, `,"traceparent":`, e.TraceParent)
		if e.TraceState != "" {
			dst = appendString(dst, `,"tracestate":`, e.TraceState)
		}
	}
	return append(dst, '}', '}')
}

// AppendSubscribe appends an rpc.subscribe. Params and from, its recover member, both JSON, are
// absent when nil.
func AppendSubscribe(dst, id []byte, channel string, params, from []byte) []byte {
	dst = appendID(dst, "rpc.subscribe", id)
	dst = appendString(dst, `,"channel":`, channel)
	if params != nil {
		dst = append(append(dst, `,"params":`...), params...)
	}
	if from != nil {
		dst = append(append(dst, `,"recover":`...), from...)
	}
	return append(dst, '}')
}

// AppendUnsubscribe appends an rpc.unsubscribe of one subscription.
func AppendUnsubscribe(dst, id []byte, subscription string) []byte {
	dst = appendID(dst, "rpc.unsubscribe", id)
	return append(appendString(dst, `,"subscription":`, subscription), '}')
}

// AppendError appends an rpc.error. An id of nil is null; details, JSON, are absent when nil.
func AppendError(dst, id []byte, code, message string, details []byte) []byte {
	return append(AppendErrorObject(AppendErrorStart(dst, id), code, message, details), '}')
}

// AppendErrorObject appends the error object of an rpc.error. Details, JSON, are absent when nil.
func AppendErrorObject(dst []byte, code, message string, details []byte) []byte {
	dst = appendString(dst, `{"code":`, code)
	dst = appendString(dst, `,"message":`, message)
	if details != nil {
		dst = append(append(dst, `,"details":`...), details...)
	}
	return append(dst, '}')
}

// AppendErrorStart appends an rpc.error up to its error object, which the caller appends and
// follows with AppendEnd.
func AppendErrorStart(dst, id []byte) []byte {
	dst = append(dst, `{"type":"rpc.error","id":`...)
	return append(appendValue(dst, id), `,"error":`...)
}

// AppendStream appends an rpc.stream. Of item and meta, both JSON, item nil is null and meta nil is
// absent.
func AppendStream(dst, id, item []byte, seq uint64, meta []byte) []byte {
	dst = append(appendID(dst, "rpc.stream", id), `,"item":`...)
	dst = append(appendValue(dst, item), `,"seq":`...)
	return AppendEnd(strconv.AppendUint(dst, seq, 10), meta)
}

// Ack is the method, of a server the event, of the rpc.notify that acknowledges what came of a
// stream.
const Ack = "wsx.ack"

// AppendAck appends a client's, or a server's, rpc.notify that says that what comes before seq next
// of that request's stream was taken.
func AppendAck(dst, id []byte, next uint64, fromServer bool) []byte {
	if fromServer {
		dst = AppendServerNotifyStart(dst, Ack)
	} else {
		dst = appendNotifyStart(dst, Ack)
	}
	dst = append(append(dst, `{"id":`...), id...)
	dst = strconv.AppendUint(append(dst, `,"next":`...), next, 10)
	return append(dst, '}', '}')
}

// AppendCancel appends an rpc.cancel of the request with that id.
func AppendCancel(dst, id []byte) []byte {
	return append(appendID(dst, "rpc.cancel", id), '}')
}

// AppendPong appends an rpc.pong. An id of nil is absent.
func AppendPong(dst, id []byte) []byte { return append(appendID(dst, "rpc.pong", id), '}') }

// AppendEnd ends a message that a Start function began, after its value. Meta, a JSON object, is
// absent when nil.
func AppendEnd(dst, meta []byte) []byte {
	if meta != nil {
		dst = append(append(dst, `,"meta":`...), meta...)
	}
	return append(dst, '}')
}

// AppendRequestMeta appends the meta object of a request: timeout_ms, in milliseconds, rounded up
// and at least 1, unless timeout is zero; window unless that is zero; progress when it is asked
// for; and what more has under other names than these, in their order. It is nothing when all are
// absent.
func AppendRequestMeta(dst []byte, timeout time.Duration, window int, progress bool,
	more map[string]string,
) []byte {
	start := len(dst)
	if timeout != 0 {
		ms := max(1, int64((timeout-1)/time.Millisecond)+1)
		dst = strconv.AppendInt(append(dst, `,"timeout_ms":`...), ms, 10)
	}
	if window != 0 {
		dst = strconv.AppendInt(append(dst, `,"window":`...), int64(window), 10)
	}
	if progress {
		dst = append(dst, `,"progress":true`...)
	}
	if len(more) > 0 {
		dst = appendMore(dst, more)
	}
	if len(dst) == start {
		return dst
	}
	dst[start] = '{'
	return append(dst, '}')
}

// AppendMeta appends a meta object with what more has, as AppendRequestMeta does; it is nothing
// when that is nothing.
func AppendMeta(dst []byte, more map[string]string) []byte {
	if len(more) == 0 {
		return dst
	}
	return AppendRequestMeta(dst, 0, 0, false, more)
}

func appendMore(dst []byte, more map[string]string) []byte {
	for _, name := range slices.Sorted(maps.Keys(more)) {
		switch name {
		case "timeout_ms", "window", "progress": // they have a meaning, and are no strings
			continue
		}
		dst = appendString(dst, ",", name)
		dst = appendString(dst, ":", more[name])
	}
	return dst
}

// AppendProgress appends a meta object that holds only progress, which is JSON.
func AppendProgress(dst, progress []byte) []byte {
	return append(append(append(dst, `{"progress":`...), progress...), '}')
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
	// the error tells of bytes that were replaced
	dst, _ = jsontext.AppendQuote(append(dst, before...), value)
	return dst
}

func appendValue(dst, value []byte) []byte {
	if value == nil {
		return append(dst, "null"...)
	}
	return append(dst, value...)
}
