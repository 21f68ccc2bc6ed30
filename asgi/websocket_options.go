package asgi

import (
	"time"

	"github.com/genropy/genro-asgi-go/internal/wsconn"
)

// WebSocketOptions bound the connections of one handler. Nil and the zero value are valid: a field
// that is zero means its default, and a negative limit means none. How deep JSON may nest is
// Limits.Depth.
type WebSocketOptions struct {
	// AllowedOrigins are accepted beside the server's own, compared byte for byte:
	// https://app.example. Default none.
	AllowedOrigins []string
	// Hosts are the host names, with a port or without, that the server goes by. When there are
	// any, an origin is the server's own only if the Host header names one of them, which stops DNS
	// rebinding. Default: whatever Host says.
	Hosts []string
	// RequireOrigin refuses handshakes without an Origin header, which only programs send. Set it
	// where the handler trusts a cookie.
	RequireOrigin bool
	// Subprotocols are what Accept offers, in the order of preference, when it is not told. Default
	// none.
	Subprotocols []string

	MaxMessage int64 // bytes a message; 64 KiB; over it close 1009
	MaxFrames  int   // frames a message; 1,024; over it close 1008
	// from a message's first byte to its last; 1 min; over it close 4420
	MessageTimeout time.Duration
	// pings a second, and pongs, on average over a minute; 10; over it close 4420
	MaxPings int

	MaxQueueBytes    int // what waits to be sent, in bytes; 1 MiB; a send waits for room
	MaxQueueMessages int // and in messages; 1,024
	// for a write to a peer that does not read; 5 s; then the connection is cut
	WriteTimeout time.Duration
	SendBuffer   int // SO_SNDBUF in bytes; 64 KiB; negative leaves the system's

	KeepaliveAfter time.Duration // silence before a ping; 25 s; negative is no keepalive
	KeepaliveWait  time.Duration // more silence before close 4408; 10 s

	// DrainTimeout is how long a handler may go on after the shutdown began, and its context ended,
	// before the connection is closed with 1001; 10 s, and never more than a third of
	// App.ShutdownTimeout. Negative is not at all.
	DrainTimeout time.Duration
	// Compression offers permessage-deflate (RFC 7692) without context takeover. Off by default: it
	// costs memory and time, and what compresses well inflates well.
	Compression bool
}

const defaultWebSocketDrain = 10 * time.Second

// endpoint is what all connections of one handler share.
type endpoint struct {
	policy    wsconn.Policy
	transport wsconn.Options
	drain     time.Duration
}

func newEndpoint(opts *WebSocketOptions) *endpoint {
	var o WebSocketOptions
	if opts != nil {
		o = *opts
	}
	e := &endpoint{
		policy: wsconn.Policy{Origins: o.AllowedOrigins, Hosts: o.Hosts, Required: o.RequireOrigin},
		transport: wsconn.Options{
			Subprotocols:     o.Subprotocols,
			MaxMessage:       o.MaxMessage,
			MaxFrames:        o.MaxFrames,
			MessageTimeout:   o.MessageTimeout,
			MaxControl:       o.MaxPings,
			MaxQueueBytes:    o.MaxQueueBytes,
			MaxQueueMessages: o.MaxQueueMessages,
			WriteTimeout:     o.WriteTimeout,
			SendBuffer:       o.SendBuffer,
			KeepaliveAfter:   o.KeepaliveAfter,
			KeepaliveWait:    o.KeepaliveWait,
			Compression:      o.Compression,
		},
		drain: o.DrainTimeout,
	}
	if e.drain == 0 {
		e.drain = defaultWebSocketDrain
	}
	if err := e.policy.Validate(); err != nil {
		panic("asgi: HandleWebSocket: " + err.Error())
	}
	return e
}
