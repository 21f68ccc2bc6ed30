package wire

import "time"

// The limits of the protocol that are a matter of one message's text.
const (
	// DefaultDepth is how deep a message may nest unless [Rules] say otherwise; the message itself
	// is level 1.
	DefaultDepth = 32
	// MaxMethod is the longest method in bytes, unescaped.
	MaxMethod = 256
	// TunnelPrefix starts a message of the HTTP tunnel.
	TunnelPrefix = "WSX://"
	// Subprotocol is the WebSocket subprotocol of this version.
	Subprotocol = "wsx.v1"
)

// Dialect is the language of one message (protocol section 1).
type Dialect uint8

// The dialects. Text of no dialect is answered with an rpc.error.
const (
	None Dialect = iota
	WSX
	JSONRPC
	Tunnel
)

// Type is the type of a WSX message (protocol section 2).
type Type uint8

// The message types. Unknown is every type that starts with "rpc." and is none of the others.
const (
	Unknown Type = iota
	Request
	Response
	Error
	Stream
	Cancel
	Notify
	Subscribe
	Unsubscribe
	Event
	Ping
	Pong
)

// Rules are what Parse holds a message to. The zero value is a server's rules.
type Rules struct {
	// Depth is how many levels of objects and arrays a message may nest, the message itself
	// included. Zero or less means DefaultDepth.
	Depth int
	// FromServer says that a server sent the message: rpc.notify names an event, and a server's own
	// types are known while a client's are not. False means that a client sent it.
	FromServer bool
	// JSONRPC says that nothing but JSON-RPC is spoken: a member named type and the tunnel's prefix
	// mean nothing, and what a server says needs no version.
	JSONRPC bool
}

// Message is one message, read. A field is nil or zero when the message has no such member or the
// type has no use for it. JSON values are as they stood in the message, without the white space
// around them.
type Message struct {
	Dialect Dialect
	Type    Type // in the JSON-RPC dialect Request, Notify, Response or Error; Unknown for a batch

	// ID is the id, a JSON string or number, byte for byte; nil when there is none that can be
	// echoed (absent, null, of another kind, or given twice). It is set also with a fault. In the
	// JSON-RPC dialect null is an id too.
	ID []byte

	Method       []byte // the method, unescaped
	Event        []byte // the event of a server's rpc.notify, unescaped
	Channel      []byte // the channel, unescaped; whether it is a channel name is not checked here
	Subscription []byte // the subscription of rpc.unsubscribe, unescaped

	Params  []byte // JSON, nil when absent
	Result  []byte // JSON
	Payload []byte // JSON, nil when absent
	Item    []byte // JSON
	Recover []byte // JSON object
	Meta    []byte // JSON object

	ErrorCode    []byte // the code of an rpc.error, unescaped
	ErrorText    []byte // its message, unescaped
	ErrorDetails []byte // JSON, nil when absent
	// the code of a JSON-RPC error, a number as a rule; ErrorCode is what its data names then
	ErrorNumber []byte

	// Seq is the seq of an rpc.stream.
	Seq uint64
	// Timeout is meta.timeout_ms, zero when absent. What exceeds a Duration is the longest one.
	Timeout time.Duration
	// Progress is meta.progress, JSON, nil when absent: true in a request asks for progress, and an
	// rpc.stream that has it reports progress and is no item.
	Progress []byte
	// Window is meta.window, zero when it is absent or no positive integer: how many rpc.stream the
	// sender of a request holds that it has not acknowledged.
	Window uint64

	// Raw is the whole message without white space around it; for the tunnel, what follows the
	// prefix.
	Raw []byte
}

// Fault is what is wrong with a message. The zero value, OK, means that it can be served.
type Fault uint8

// The faults.
const (
	OK Fault = iota
	NotJSON
	NotMessage
	TooDeep
	DuplicateName
	UnknownType
	BadID
	BadMethod
	BadMeta
	BadTimeout
	BadMember
)

// Code is the protocol's error code for the fault, "" for OK.
func (f Fault) Code() string {
	switch f {
	case OK:
		return ""
	case NotJSON:
		return "PARSE_ERROR"
	case UnknownType:
		return "UNSUPPORTED_TYPE"
	default:
		return "INVALID_REQUEST"
	}
}

// Text says what is wrong, for the peer to read. It is fixed and quotes nothing of the message.
func (f Fault) Text() string {
	switch f {
	case OK:
		return ""
	case NotJSON:
		return "the message is not JSON"
	case NotMessage:
		return "the message is neither a WSX message nor JSON-RPC 2.0"
	case TooDeep:
		return "the message is nested too deeply"
	case DuplicateName:
		return "a member name occurs twice"
	case UnknownType:
		return "the message type is not supported"
	case BadID:
		return "id must be a string or a number"
	case BadMethod:
		return "method must be a string of 1 to 256 bytes"
	case BadMeta:
		return "meta must be an object"
	case BadTimeout:
		return "meta.timeout_ms must be a positive integer"
	default:
		return "a member that this message type needs is missing or of the wrong kind"
	}
}
