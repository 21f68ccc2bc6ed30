package wsx

import (
	"context"
	"crypto/rand"
	"log/slog"
	"maps"
	"math"
	"net"
	"net/http"
	"reflect"
	"slices"
	"sync"
	"time"

	"github.com/genropy/genro-asgi-go/internal/describe"
	"github.com/genropy/genro-asgi-go/internal/lockorder"
	"github.com/genropy/genro-asgi-go/internal/stopping"
	"github.com/genropy/genro-asgi-go/internal/wsconn"
	"github.com/genropy/genro-asgi-go/problem"
	"github.com/genropy/genro-asgi-go/wsx/internal/documents"
	"github.com/genropy/genro-asgi-go/wsx/internal/handover"
	"github.com/genropy/genro-asgi-go/wsx/internal/outstanding"
	"github.com/genropy/genro-asgi-go/wsx/internal/tunnel"
)

// Server serves the methods of a dispatcher over WebSockets: it is the http.Handler of the
// endpoint. It works in any router, under any middleware that passes http.Hijacker or Unwrap
// through, and its ServeHTTP returns as soon as the connection is upgraded: time-outs and throttles
// around it see only the handshake.
//
// Stop ends it. It is safe for concurrent use.
type Server struct {
	dispatcher    *Dispatcher
	opts          ServerOptions
	policy        wsconn.Policy
	transport     wsconn.Options
	log           *slog.Logger
	watcher       handover.Watcher
	attached      sync.Once
	stopping      context.Context // ends when Stop begins: what waits in a call does no more
	beginStopping context.CancelFunc
	// ends with the context of a Stop: connections that are left then are dropped
	dropped context.Context
	drop    context.CancelFunc

	subscribe, unsubscribe, http *method
	own                          map[string]*method // the protocol's own methods

	headers tunnel.AllowList // those that pass the tunnel

	answers   outstanding.Pool // what clients have not taken
	relieving lockorder.Mutex  // held by who looks for the connection that holds the most

	mu       lockorder.Mutex
	conns    map[*Conn]struct{}
	attempts map[*attempt]struct{}
	stopped  bool
	running  int           // connections, until their last handler has returned, and the watcher
	empty    chan struct{} // closed when running falls to 0; nil while nobody waits
}

// NewServer returns a server of d's methods; a nil d has none, as suits a server of channels or of
// the tunnel alone. It panics when an origin or host in opts could never match as it is written.
// opts may be nil.
func NewServer(d *Dispatcher, opts *ServerOptions) *Server {
	if d == nil {
		d = NewDispatcher()
	}
	s := &Server{
		dispatcher: d, conns: make(map[*Conn]struct{}),
		attempts: make(map[*attempt]struct{}), log: slog.Default(),
	}
	s.watcher.Go = func(watch func()) {
		s.addRunning()
		go func() {
			defer s.doneRunning()
			watch()
		}()
	}
	s.stopping, s.beginStopping = context.WithCancel(context.Background())
	s.dropped, s.drop = context.WithCancel(context.Background())
	if opts != nil {
		s.opts = *opts
	}
	o := &s.opts
	if o.Logger != nil {
		s.log = o.Logger
	}
	o.setDefaults()
	s.headers = tunnel.NewAllowList(o.HTTPHeaders)
	s.answers.Budget = &wsconn.Budget{Limit: o.MaxAnswerBytes}
	s.answers.Relieve = s.closeLargest
	switch s.answers.Limit = o.MaxQueueBytes; {
	case s.answers.Limit == 0:
		s.answers.Limit = 1 << 20
	case s.answers.Limit < 0:
		s.answers.Limit = math.MaxInt / 2
	}
	s.builtins()
	s.policy = wsconn.Policy{Origins: o.AllowedOrigins, Hosts: o.Hosts, Required: o.RequireOrigin}
	if err := s.policy.Validate(); err != nil {
		panic("wsx: NewServer: " + err.Error())
	}
	s.transport = o.transport(s.answers.Budget)
	return s
}

// ServeHTTP upgrades the request, or answers it by problem.Write: 403 for an origin that may not
// connect, 426, 405 or 400 for what is no handshake, 501 where the connection cannot be taken over,
// 503 after Stop, and what the [Authenticator] says.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if p, ok := w.(*describe.Probe); ok {
		p.Add(documents.WebSocket(s.opts.Authenticate != nil))
		return
	}
	if refusal := wsconn.Check(w, r, &s.policy); refusal != nil {
		for name, values := range refusal.Header {
			w.Header()[name] = values
		}
		if refusal.Err != nil && refusal.Status < http.StatusInternalServerError {
			// else problem.Write logs it
			s.log.LogAttrs(r.Context(), slog.LevelInfo, "wsx: a connection cannot be upgraded",
				errAttr(refusal.Err))
		}
		problem.Write(w, r,
			&problem.Error{Status: refusal.Status, Detail: refusal.Detail, Err: refusal.Err})
		return
	}
	under := s.attempt()
	r, id, err := s.opts.Authenticate.identify(r, s.opts.AllowQueryToken)
	if err != nil {
		s.endAttempt(under, "")
		refuse(w, r, err, s.opts.Debug, s.log)
		return
	}
	s.upgrade(w, r, id, under)
}

// upgrade makes a connection of a request that was let in. id is nil where nobody authenticates.
func (s *Server) upgrade(w http.ResponseWriter, r *http.Request, id *Identity, under *attempt) {
	defer s.endAttempt(under, "") // whatever happens
	c := &Conn{server: s, id: rand.Text()}
	c.identity.Store(id)
	c.reader.rate = bucket{rate: s.opts.MessageRate, burst: float64(s.opts.MessageBurst)}
	c.subs.conn, c.calls.conn, c.reader.conn = c, c, c
	c.request, c.cancel = wsconn.Lasting(r)
	c.ctx = stopping.With(c.request.Context(), s.stopping)
	if !s.attach(r.Context()) || !s.admit(under, c.Identity().Subject) {
		problem.Write(w, r, problem.Unavailable(time.Second, "The server is shutting down."))
		return
	}
	ws, err := wsconn.Upgrade(w, r, &s.transport)
	if err != nil { // the client went away meanwhile, or the writer could not hijack after all
		s.log.LogAttrs(r.Context(), levelQuiet, "wsx: upgrade failed", errAttr(err))
		c.cancel(err)
		s.doneRunning()
		return
	}
	c.ws = ws
	c.handover.Open((*peer)(c), &s.watcher)
	c.outstanding.Open(&s.answers, ws.Done())
	c.clientCalls.Peer, c.clientCalls.Limit, c.clientCalls.FromServer = (*peer)(c), s.opts.MaxCalls,
		true
	s.mu.Lock()
	late := s.stopped
	disconnected := s.endAttemptLocked(under, c.Identity().Subject)
	if !late {
		s.conns[c] = struct{}{}
	}
	s.mu.Unlock()
	if late { // Stop came during the handshake and has not seen this connection; it waits for it
		s.goAway(c)
		c.cancel(net.ErrClosed)
		s.doneRunning()
		return
	}
	if id != nil {
		c.mu.Lock()
		c.scheduleLocked(id)
		c.mu.Unlock()
	}
	if disconnected != 0 {
		c.disconnect(disconnected, "disconnected")
	}
	go c.serve()
}

// method finds a method of the dispatcher or of the protocol's own.
func (s *Server) method(name []byte) *method {
	if m := s.dispatcher.lookup(name); m != nil {
		return m
	}
	return s.own[string(name)]
}

// attach makes the server that serves the first connection, if it is an asgi.App, stop this one
// when it shuts down, whether or not this one is among its components. It reports whether that has
// not happened yet.
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

// admit counts a connection in, unless the server was stopped. From now on the client may learn
// that it has one.
func (s *Server) admit(under *attempt, subject string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopped {
		return false
	}
	s.running++
	under.subject = subject
	return true
}

// addRunning counts a goroutine of the server's own in.
func (s *Server) addRunning() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.running++
}

// doneRunning counts a connection out.
func (s *Server) doneRunning() {
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
	s.doneRunning()
}

// The methods behind rpc.subscribe, rpc.unsubscribe and the HTTP tunnel, and those with names of
// the protocol. They run as any other.
func (s *Server) builtins() {
	s.subscribe = builtin("rpc.subscribe", reflect.TypeFor[subscribeParams](), s.serveSubscribe)
	s.unsubscribe = builtin("rpc.unsubscribe", reflect.TypeFor[unsubscribeParams](),
		s.serveUnsubscribe)
	s.http = builtin("http", nil, s.serveHTTP)
	s.own = describing(s.dispatcher, s.opts.Describe, s.opts.Hub)
	own := func(name string, in reflect.Type, handler Handler) {
		s.own[name] = builtin(name, in, handler)
	}
	own("wsx.presence", reflect.TypeFor[presenceParams](), s.servePresence)
	if s.opts.Authenticate != nil {
		own("wsx.auth", reflect.TypeFor[authParams](), s.serveAuth)
	}
}

func builtin(name string, in reflect.Type, handler Handler) *method {
	return &method{
		Method: Method{Name: name}, handler: handler, pace: new(pace),
		positional: positionalOf(in),
	}
}

// closeLargest closes the connection that holds the most and whose client does not read, or hardly,
// while all together have no room: those who do not read must not keep the others from it.
func (s *Server) closeLargest() {
	if !s.answers.Budget.Full() || !s.relieving.TryLock() {
		return
	}
	defer s.relieving.Unlock()
	s.mu.Lock()
	conns := slices.Collect(maps.Keys(s.conns))
	s.mu.Unlock()
	var worst *Conn
	most := 0
	for _, c := range conns {
		queued, _ := c.ws.Queued()
		held := queued + c.outstanding.Held()
		c.mu.Lock()
		closed := c.closed
		c.mu.Unlock()
		if !closed && held > most && c.ws.Waits() >= outstanding.MaxWait/2 {
			worst, most = c, held
		}
	}
	if worst != nil {
		worst.disconnect(closeSlow, slowConsumer)
	}
}
