package wsx

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/coder/websocket"

	"github.com/genropy/genro-asgi-go/internal/problem"
	"github.com/genropy/genro-asgi-go/internal/stopping"
	"github.com/genropy/genro-asgi-go/internal/wsconn"
	"github.com/genropy/genro-asgi-go/wsx/internal/wire"
)

// ServerOptions configure a [Server]. nil and the zero value are valid: a field that is zero means its default, and a
// negative limit means none.
type ServerOptions struct {
	// AllowedOrigins are accepted beside the server's own, compared byte for byte: https://app.example. Default none.
	AllowedOrigins []string
	// Hosts are the host names, with a port or without, that the server goes by. When there are any, an origin is the
	// server's own only if the Host header names one of them, which stops DNS rebinding. Default: whatever Host says.
	Hosts []string
	// RequireOrigin refuses upgrades without an Origin header, which only programs send. Set it where the server
	// authenticates by cookie.
	RequireOrigin bool

	// Authenticate finds out who a client is, before its connection is upgraded and again in the method wsx.auth. nil lets everybody in,
	// as whom middleware has found ([WithIdentity]), and there is no wsx.auth.
	Authenticate Authenticator
	// AllowQueryToken takes the token from the query parameter token or access_token too. Access logs and browsers' histories keep it: allow it
	// for tokens only that are good once or for seconds. By default a request with one is refused with 401.
	AllowQueryToken bool

	MaxMessage     int64         // bytes a message; 64 KiB; over it close 1009
	MaxFrames      int           // frames a message; 1,024; over it close 1008
	MessageTimeout time.Duration // from a message's first byte to its last; 10 s; over it close 1008
	MaxDepth       int           // levels of nested JSON; 32; over it INVALID_REQUEST
	MaxPings       int           // WebSocket pings a second; 10; over it close 1008

	// MaxInFlight is how many requests and notifications of one connection may run at a time; 64. While there are as many,
	// the connection is not read. It has no "none": zero and less mean the default.
	MaxInFlight int
	// MaxCalls is how many calls of one client's methods may wait for their answers at a time; 256. It has no "none" either. Over it Call
	// and Stream return RESOURCE_EXHAUSTED. It is also how many requests may be in flight over MaxInFlight because they wait
	// for their own client; a request that comes then is RESOURCE_EXHAUSTED.
	MaxCalls int
	// RequestTimeout ends requests and notifications that take longer, whatever their meta.timeout_ms, tunnelled ones and streams
	// included: DEADLINE_EXCEEDED. None when zero.
	RequestTimeout time.Duration
	// MaxBatch is how many elements a JSON-RPC batch may have; 20; over it INVALID_REQUEST. Negative is no limit but the message's.
	MaxBatch int
	// MessageRate is how many messages a second one connection may send, as a long run's average. Zero, the default, is no limit.
	// Messages over it are refused with RESOURCE_EXHAUSTED, and the connection is closed with 4429 when that goes on.
	MessageRate float64
	// MessageBurst is how many may come at once; MessageRate rounded up, at least 1.
	MessageBurst int

	MaxQueueBytes    int           // the out-queue of a connection in bytes; 1 MiB
	MaxQueueMessages int           // and in messages; 1,024
	WriteTimeout     time.Duration // for a write to a peer that does not read; 5 s; then the connection is closed
	SendBuffer       int           // SO_SNDBUF in bytes; 64 KiB; negative leaves the system's

	KeepaliveAfter time.Duration // silence before a ping; 25 s; negative is no keepalive
	KeepaliveWait  time.Duration // more silence before close 4408; 10 s

	// Hub holds the channels that clients may subscribe to; without one every subscription is SUBSCRIPTION_DENIED.
	Hub *Hub
	// MaxSubscriptions is how many subscriptions one connection may have; 256. Zero and less mean the default.
	MaxSubscriptions int

	// HTTP answers the tunnelled requests (protocol section 7): any handler, such as the router that the server itself stands in. nil
	// is no tunnel. See the package's section on it.
	HTTP http.Handler
	// HTTPHeaders are the request headers that a client may send through the tunnel, in any case; a * at the end stands for any rest. When
	// nil: accept*, authorization, content-type, if-*, x-request-id, idempotency-key. Hop-by-hop headers, Host and Cookie never pass.
	HTTPHeaders []string
	// MaxHTTPBody is how many bytes one answer of the tunnel may hold: a whole body, or of one that is flushed what is between two
	// flushes. 1 MiB; a handler that writes more gets an error, and the client status 500. Negative is no limit.
	MaxHTTPBody int

	// Describe switches the methods wsx.describe and rpc.discover on, by which clients learn of all methods and channels what they take and give. They
	// are METHOD_NOT_FOUND when nil, the default: what an API has is for its operator to publish.
	Describe *DescribeOptions

	// DrainTimeout is how long Stop lets the requests in flight end; 10 s. Negative is not at all.
	DrainTimeout time.Duration
	// Compression offers permessage-deflate (RFC 7692) without context takeover. Off by default: it costs memory and time, and
	// what compresses well inflates well.
	Compression bool
	// Debug sends the text of internal errors to clients. Never in production.
	Debug bool
	// Logger gets what clients are not told; slog.Default() when nil.
	Logger *slog.Logger
}

// Server serves the methods of a dispatcher over WebSockets: it is the http.Handler of the endpoint. It works in any
// router, under any middleware that passes http.Hijacker or Unwrap through, and its ServeHTTP returns as soon as the
// connection is upgraded: time-outs and throttles around it see only the handshake.
//
// Stop ends it. It is safe for concurrent use.
type Server struct {
	dispatcher *Dispatcher
	opts       ServerOptions
	policy     wsconn.Policy
	transport  wsconn.Options
	log        *slog.Logger
	watcher    watcher
	attached   sync.Once
	dropped    context.Context // ends with the context of a Stop: connections that are left then are dropped
	drop       context.CancelFunc

	subscribe, unsubscribe, http *method
	own                          map[string]*method // the protocol's own methods

	headers allowList

	mu       sync.Mutex
	conns    map[*Conn]struct{}
	attempts map[*attempt]struct{}
	stopped  bool
	running  int           // connections, until their last handler has returned, and the watcher
	empty    chan struct{} // closed when running falls to 0; nil while nobody waits
}

// NewServer returns a server of d's methods. It panics when an origin or host in opts could never match as it is
// written. opts may be nil.
func NewServer(d *Dispatcher, opts *ServerOptions) *Server {
	s := &Server{dispatcher: d, conns: make(map[*Conn]struct{}), attempts: make(map[*attempt]struct{}), log: slog.Default()}
	s.watcher.server = s
	s.dropped, s.drop = context.WithCancel(context.Background())
	if opts != nil {
		s.opts = *opts
	}
	o := &s.opts
	if o.Logger != nil {
		s.log = o.Logger
	}
	if o.MaxInFlight <= 0 {
		o.MaxInFlight = 64
	}
	if o.MaxCalls <= 0 {
		o.MaxCalls = 256
	}
	if o.MaxSubscriptions <= 0 {
		o.MaxSubscriptions = 256
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
	s.headers = newAllowList(o.HTTPHeaders)
	if o.MaxDepth < 0 {
		o.MaxDepth = 1 << 20
	}
	if o.MessageBurst <= 0 {
		o.MessageBurst = max(1, int(o.MessageRate+0.999))
	}
	if o.DrainTimeout == 0 {
		o.DrainTimeout = 10 * time.Second
	}
	s.builtins()
	s.policy = wsconn.Policy{Origins: o.AllowedOrigins, Hosts: o.Hosts, Required: o.RequireOrigin}
	if err := s.policy.Validate(); err != nil {
		panic("wsx: NewServer: " + err.Error())
	}
	s.transport = wsconn.Options{
		Subprotocols:     []string{wire.Subprotocol},
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
	}
	return s
}

// ServeHTTP upgrades the request, or answers it with a problem (RFC 9457): 403 for an origin that may not connect, 426, 405 or 400 for
// what is no handshake, 501 where the connection cannot be taken over, 503 after Stop, and what the [Authenticator] says.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if refusal := wsconn.Check(w, r, &s.policy); refusal != nil {
		for name, values := range refusal.Header {
			w.Header()[name] = values
		}
		problem.Write(w, r, problem.Problem{Status: refusal.Status, Detail: refusal.Detail})
		return
	}
	under := s.attempt()
	r, id, err := s.opts.Authenticate.identify(r, s.opts.AllowQueryToken)
	if err != nil {
		s.settle(under, "")
		refuse(w, r, err, s.opts.Debug, s.log)
		return
	}
	s.upgrade(w, r, id, under)
}

// upgrade makes a connection of a request that was let in. id is nil where nobody authenticates.
func (s *Server) upgrade(w http.ResponseWriter, r *http.Request, id *Identity, under *attempt) {
	defer s.settle(under, "") // whatever happens
	c := &Conn{server: s, id: rand.Text()}
	c.identity.Store(id)
	c.rate = bucket{rate: s.opts.MessageRate, burst: float64(s.opts.MessageBurst)}
	c.subs.conn = c
	c.request, c.end = wsconn.Lasting(r)
	c.ctx = c.request.Context()
	if !s.attach(r.Context()) || !s.enter(under, c.Identity().Subject) {
		w.Header().Set("Retry-After", "1")
		problem.Write(w, r, problem.Problem{Status: http.StatusServiceUnavailable, Detail: "The server is shutting down."})
		return
	}
	ws, err := wsconn.Upgrade(w, r, &s.transport)
	if err != nil { // the client went away meanwhile, or the writer could not hijack after all
		s.log.LogAttrs(r.Context(), levelQuiet, "wsx: upgrade failed", errAttr(err))
		c.end(err)
		s.leave()
		return
	}
	c.ws = ws
	c.out.Peer, c.out.Limit, c.out.FromServer = (*peer)(c), s.opts.MaxCalls, true
	s.mu.Lock()
	late := s.stopped
	disconnected := s.settleLocked(under, c.Identity().Subject)
	if !late {
		s.conns[c] = struct{}{}
	}
	s.mu.Unlock()
	if late { // Stop came during the handshake and has not seen this connection; it waits for it
		s.goAway(c)
		c.end(net.ErrClosed)
		s.leave()
		return
	}
	if id != nil {
		c.mu.Lock()
		c.scheduleLocked(id)
		c.mu.Unlock()
	}
	if disconnected != 0 {
		c.expel(disconnected, "disconnected")
	}
	go c.serve()
}

// goingAway is the reason beside close code 1001.
const goingAway = "server going away"

// Start implements the Start of a component. It fails after Stop: a server runs once.
func (s *Server) Start(context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopped {
		return errors.New("wsx: a server that was stopped cannot start again")
	}
	return nil
}

// Stop takes no more connections and requests (UNAVAILABLE), lets the requests in flight end within DrainTimeout, closes
// every connection with 1001 and waits until all goroutines have ended. When ctx ends before, it drops the connections that
// are left and, when handlers that ignore their context are there 100 ms later, returns an error that says how many connections have
// some. It may be called more than once.
func (s *Server) Stop(ctx context.Context) error {
	defer context.AfterFunc(ctx, s.drop)()
	s.mu.Lock()
	s.stopped = true
	conns := make([]*Conn, 0, len(s.conns))
	for c := range s.conns {
		conns = append(conns, c)
	}
	s.mu.Unlock()

	var closing sync.WaitGroup
	for _, c := range conns {
		closing.Go(func() { s.close(c) })
	}
	closing.Wait()

	s.mu.Lock()
	if s.running > 0 && s.empty == nil {
		s.empty = make(chan struct{})
	}
	empty := s.empty
	s.mu.Unlock()
	if empty == nil {
		return nil
	}
	select {
	case <-empty:
		return nil
	case <-ctx.Done():
	}
	grace := time.NewTimer(dropGrace)
	defer grace.Stop()
	select {
	case <-empty:
		return nil
	case <-grace.C:
		s.mu.Lock()
		defer s.mu.Unlock()
		return fmt.Errorf("wsx: %d connections have handlers that do not end: %w", len(s.conns), context.Cause(ctx))
	}
}

// dropGrace is how long a handler may take to end when the end of Stop's context has dropped its connection: it learns only then.
const dropGrace = 100 * time.Millisecond

// close drains one connection and closes it with 1001.
func (s *Server) close(c *Conn) {
	if quiet := c.drain(); quiet != nil {
		timeout := time.NewTimer(max(0, s.opts.DrainTimeout))
		select {
		case <-quiet:
		case <-timeout.C:
		case <-s.dropped.Done():
		case <-c.ctx.Done():
		}
		timeout.Stop()
	}
	s.goAway(c)
}

// goAway closes a connection with 1001.
func (s *Server) goAway(c *Conn) {
	stop := context.AfterFunc(s.dropped, func() { _ = c.ws.CloseNow() }) // a peer that does not answer is dropped: there is no more to do
	_ = c.ws.Close(websocket.StatusGoingAway, goingAway)
	stop()
}

// method finds a method of the dispatcher or of the protocol's own.
func (s *Server) method(name []byte) *method {
	if m := s.dispatcher.lookup(name); m != nil {
		return m
	}
	return s.own[string(name)]
}

// attach makes the server that serves the first connection, if it is an asgi.App, stop this one when it shuts down, whether or not this
// one is among its components. It reports whether that has not happened yet.
func (s *Server) attach(ctx context.Context) bool {
	ok := true
	s.attached.Do(func() {
		begun, cut, release, ready := stopping.To(ctx)
		if ok = ready; !ok || begun.Done() == nil {
			return
		}
		context.AfterFunc(begun, func() {
			defer release()
			if err := s.Stop(cut); err != nil {
				s.log.LogAttrs(context.Background(), slog.LevelWarn, "wsx: shutdown", errAttr(err))
			}
		})
	})
	return ok
}

// enter counts a connection in, unless the server was stopped. From now on the client may learn that it has one.
func (s *Server) enter(under *attempt, subject string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopped {
		return false
	}
	s.running++
	under.subject = subject
	return true
}

// hold counts a goroutine of the server's own in.
func (s *Server) hold() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.running++
}

// leave counts a connection out.
func (s *Server) leave() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.running--
	if s.running == 0 && s.empty != nil {
		close(s.empty)
		s.empty = nil
	}
}

// remove is the end of a connection.
func (s *Server) remove(c *Conn) {
	s.mu.Lock()
	delete(s.conns, c)
	s.mu.Unlock()
	s.leave()
}
