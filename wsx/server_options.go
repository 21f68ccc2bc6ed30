package wsx

import (
	"log/slog"
	"math"
	"net/http"
	"time"

	"github.com/genropy/genro-asgi-go/internal/wsconn"
	"github.com/genropy/genro-asgi-go/wsx/internal/wire"
)

// ServerOptions configure a [Server]. nil and the zero value are valid: a field that is zero means
// its default, and a negative limit means none.
type ServerOptions struct {
	// AllowedOrigins are accepted beside the server's own, compared byte for byte:
	// https://app.example. Default none.
	AllowedOrigins []string
	// Hosts are the host names, with a port or without, that the server goes by. When there are
	// any, an origin is the server's own only if the Host header names one of them, which stops DNS
	// rebinding. Default: whatever Host says.
	Hosts []string
	// RequireOrigin refuses upgrades without an Origin header, which only programs send. Set it
	// where the server authenticates by cookie.
	RequireOrigin bool

	// Authenticate finds out who a client is, before its connection is upgraded and again in the
	// method wsx.auth. nil lets everybody in, as whom middleware has found ([WithIdentity]), and
	// there is no wsx.auth.
	Authenticate Authenticator
	// AllowQueryToken takes the token from the query parameter token or access_token too. Access
	// logs and browsers' histories keep it: allow it for tokens only that are good once or for
	// seconds. By default a request with one is refused with 401.
	AllowQueryToken bool

	MaxMessage int64 // bytes a message; 64 KiB; over it close 1009
	MaxFrames  int   // frames a message; 1,024; over it close 1008
	// from a message's first byte to its last; 1 min; over it close 4420
	MessageTimeout time.Duration
	MaxDepth       int // levels of nested JSON; 32; over it INVALID_REQUEST
	// WebSocket pings a second, on average over a minute; 10; over it close 4420
	MaxPings int

	// MaxInFlight is how many requests and notifications of one connection may run at a time; 64.
	// While there are as many, those that come wait (MaxWaiting). It has no "none": zero and less
	// mean the default.
	MaxInFlight int
	// MaxWaiting is how many requests and notifications of one connection may wait for one that
	// runs to end; 1,024, of 1 MiB together. While there are as many, the connection is not read:
	// for a second, or for as long as notifications come and calls end. Requests that come then are
	// UNAVAILABLE, as they did not run; notifications that come while no call has ended for a
	// second are dropped, and that is logged. It has no "none": zero and less mean the default.
	MaxWaiting int
	// MaxCalls is how many calls of one client's methods may wait for their answers at a time; 256.
	// It has no "none" either. Over it Call and Stream return RESOURCE_EXHAUSTED. It is also how
	// many requests may be in flight over MaxInFlight because they wait for their own client; a
	// request that comes then is RESOURCE_EXHAUSTED.
	MaxCalls int
	// RequestTimeout ends requests and notifications that take longer, whatever their
	// meta.timeout_ms, tunnelled ones and streams included: DEADLINE_EXCEEDED. None when zero.
	RequestTimeout time.Duration
	// MaxBatch is how many elements a JSON-RPC batch may have; 100; over it each of its requests is
	// INVALID_REQUEST and none runs. Negative is no limit but the message's.
	MaxBatch int
	// MessageRate is how many messages a second one connection may send, as a long run's average.
	// Zero, the default, is no limit. Messages over it are refused with RESOURCE_EXHAUSTED, and the
	// connection is closed with 4429 when that goes on.
	MessageRate float64
	// MessageBurst is how many may come at once; MessageRate rounded up, at least 1.
	MessageBurst int

	// the out-queue of a connection in bytes, and again what its larger answers take until they are
	// in it; 1 MiB
	MaxQueueBytes    int
	MaxQueueMessages int // and in messages; 1,024
	// for a write to a peer that does not read; 5 s; then the connection is closed
	WriteTimeout time.Duration
	// MaxAnswerBytes is what answers of all connections together may take until their clients have
	// them; 256 MiB. When they do, larger ones wait before they are made, and a connection's
	// out-queue has room for 64 KiB of them; when one has waited for a second, the connection that
	// holds the most is closed with 4430. Negative is no limit.
	MaxAnswerBytes int64
	SendBuffer     int // SO_SNDBUF in bytes; 64 KiB; negative leaves the system's

	KeepaliveAfter time.Duration // silence before a ping; 25 s; negative is no keepalive
	KeepaliveWait  time.Duration // more silence before close 4408; 10 s

	// Hub holds the channels that clients may subscribe to; without one every subscription is
	// SUBSCRIPTION_DENIED.
	Hub *Hub
	// MaxSubscriptions is how many subscriptions one connection may have; 256. Zero and less mean
	// the default.
	MaxSubscriptions int
	// MaxPatterns is how many of them may be by pattern; 32. Zero and less mean the default.
	MaxPatterns int
	// MaxSubscriptionParams is how many bytes of params, as JSON, the subscriptions of one
	// connection may have together, which are kept as long as they are; 64 KiB. Zero and less mean
	// the default. Over each of the three a subscription is RESOURCE_EXHAUSTED.
	MaxSubscriptionParams int

	// HTTP answers the tunnelled requests (protocol section 7): any handler, such as the router
	// that the server itself stands in. nil is no tunnel. See the package's section on it.
	HTTP http.Handler
	// HTTPHeaders are the request headers that a client may send through the tunnel, in any case; a
	// * at the end stands for any rest. When nil: accept*, authorization, content-type, if-*,
	// x-request-id, idempotency-key. Hop-by-hop headers, Host and Cookie never pass.
	HTTPHeaders []string
	// MaxHTTPBody is how many bytes one answer of the tunnel may hold: a whole body, or of one that
	// is flushed what is between two flushes. 1 MiB; a handler that writes more gets an error, and
	// the client status 500. Negative is no limit.
	MaxHTTPBody int

	// Describe switches the methods wsx.describe and rpc.discover on, by which clients learn of all
	// methods and channels what they take and give. They are METHOD_NOT_FOUND when nil, the
	// default: what an API has is for its operator to publish.
	Describe *DescribeOptions

	// DrainTimeout is how long Stop lets the requests in flight end; 10 s. Negative is not at all.
	DrainTimeout time.Duration
	// Compression offers permessage-deflate (RFC 7692) without context takeover. Off by default: it
	// costs memory and time, and what compresses well inflates well.
	Compression bool
	// Debug sends the text of internal errors to clients. Never in production.
	Debug bool
	// Logger gets what clients are not told; slog.Default() when nil. Handshakes that are answered
	// with 500 and above go to the logger of problem.WithOptions, as all such requests.
	Logger *slog.Logger
}

// setDefaults replaces what is zero by its default, and what says that there is no limit by one
// that nothing reaches.
func (o *ServerOptions) setDefaults() {
	if o.MaxInFlight <= 0 {
		o.MaxInFlight = 64
	}
	if o.MaxWaiting <= 0 {
		o.MaxWaiting = 1024
	}
	if o.MaxCalls <= 0 {
		o.MaxCalls = 256
	}
	if o.MaxSubscriptions <= 0 {
		o.MaxSubscriptions = 256
	}
	if o.MaxPatterns <= 0 {
		o.MaxPatterns = 32
	}
	if o.MaxSubscriptionParams <= 0 {
		o.MaxSubscriptionParams = 64 << 10
	}
	if o.MaxBatch == 0 {
		o.MaxBatch = maxBatch
	}
	if o.MaxBatch < 0 {
		o.MaxBatch = math.MaxInt
	}
	if o.MaxHTTPBody == 0 {
		o.MaxHTTPBody = maxHTTPBody
	}
	if o.MaxHTTPBody < 0 {
		o.MaxHTTPBody = math.MaxInt
	}
	if o.MaxDepth < 0 {
		o.MaxDepth = 1 << 20
	}
	if o.MessageBurst <= 0 {
		o.MessageBurst = max(1, int(o.MessageRate+0.999))
	}
	if o.DrainTimeout == 0 {
		o.DrainTimeout = 10 * time.Second
	}
	if o.MaxAnswerBytes == 0 {
		o.MaxAnswerBytes = 256 << 20
	}
}

// transport is what of the options is the WebSocket's affair.
func (o *ServerOptions) transport(budget *wsconn.Budget) wsconn.Options {
	return wsconn.Options{
		Subprotocols:     []string{wire.Subprotocol},
		MaxMessage:       o.MaxMessage,
		MaxFrames:        o.MaxFrames,
		MessageTimeout:   o.MessageTimeout,
		MaxControl:       o.MaxPings,
		MaxQueueBytes:    o.MaxQueueBytes,
		MaxQueueMessages: o.MaxQueueMessages,
		Budget:           budget,
		WriteTimeout:     o.WriteTimeout,
		SendBuffer:       o.SendBuffer,
		KeepaliveAfter:   o.KeepaliveAfter,
		KeepaliveWait:    o.KeepaliveWait,
		Compression:      o.Compression,
	}
}
