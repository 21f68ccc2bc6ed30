package asgi

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/genropy/genro-asgi-go/internal/stopping"
)

// shutdown is how far an App's shutdown has come. It needs no lock: each of its parts goes one way.
type shutdown struct {
	unready  atomic.Bool             // no more traffic is wanted
	begun    context.Context         // it ends when the shutdown begins: streams end then
	begin    context.CancelCauseFunc // of begun
	cut      context.Context         // it ends when nothing is waited for any more
	cutOff   context.CancelCauseFunc // of cut
	requests inflight
	attached atomic.Int64 // how many of requests are sockets

	// attach is attachSocket, as a func that is made once
	attach stopping.Attach

	// cancelBase ends the requests' contexts; nil when the App is not serving
	cancelBase atomic.Pointer[context.CancelCauseFunc]

	stopCalled atomic.Bool
	stopped    chan struct{} // closed when Stop has returned
	err        error         // what Stop returned; valid when stopped is closed
}

func (s *shutdown) init() {
	s.begun, s.begin = context.WithCancelCause(context.Background())
	s.cut, s.cutOff = context.WithCancelCause(context.Background())
	s.requests.idle = make(chan struct{}, 1)
	s.stopped = make(chan struct{})
	s.attach = s.attachSocket
}

// attachSocket tells the App of a connection that is about to leave net/http, such as a WebSocket,
// which calls it by stopping.To before it hijacks the connection. The shutdown waits for release,
// for as long as it waits for requests. begun and cut end with the cause ErrShutdown and outlive
// the request. It is false when the App takes nothing any more.
func (s *shutdown) attachSocket() (begun, cut context.Context, release func(), ok bool) {
	if !s.requests.acquire() {
		return nil, nil, nil, false
	}
	s.attached.Add(1)
	return s.begun, s.cut, func() {
		s.attached.Add(-1)
		s.requests.release()
	}, true
}

// inFlight is how many requests are under way, sockets that have left net/http apart.
func (s *shutdown) inFlight() int {
	attached := s.attached.Load()
	return int(max(0, s.requests.n.Load()-attached))
}

// state is AppStats.State.
func (s *shutdown) state(isStarted bool) string {
	select {
	case <-s.stopped:
		return "stopped"
	default:
	}
	switch {
	case s.begun.Err() != nil && s.stopCalled.Load():
		return "draining"
	case s.unready.Load():
		return "unready"
	case isStarted:
		return "running"
	}
	return "new"
}

// follow makes the signals of outer those of s too.
func (s *shutdown) follow(outer *shutdown) {
	context.AfterFunc(outer.begun, func() { s.begin(ErrShutdown) })
	context.AfterFunc(outer.cut, func() { s.cutOff(ErrShutdown) })
}

// Stop shuts the App down as the package comment says under "Shutdown", and makes a Serve under way
// return. It takes no longer than ShutdownDelay and ShutdownTimeout together; the end of ctx cuts
// it short: what is under way is cut off and the components are stopped with an ended context. All
// errors are returned joined. Further calls wait for the first and return what it returned, or the
// end of their ctx. A Stop without a Start makes Start impossible.
func (a *App) Stop(ctx context.Context) error {
	a.configure()
	s := &a.shutdown
	if !s.stopCalled.CompareAndSwap(false, true) {
		select {
		case <-s.stopped:
			return s.err
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	defer close(s.stopped)
	s.unready.Store(true)
	if a.isStarted.Load() && a.ShutdownDelay > 0 {
		a.logger().InfoContext(ctx, "asgi: unready", "delay", a.ShutdownDelay)
		select {
		case <-time.After(a.ShutdownDelay):
		case <-ctx.Done():
		}
	}
	a.logger().InfoContext(ctx, "asgi: shutting down")
	s.begin(ErrShutdown)
	limit := orDefault(a.ShutdownTimeout, defaultShutdownTimeout)
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	defer context.AfterFunc(ctx, a.cutOff)()

	drained := a.drain(ctx, limit*2/3)
	s.err = errors.Join(drained, a.life.Stop(ctx))
	a.cutOff()
	a.logger().InfoContext(ctx, "asgi: stopped", "error", s.err)
	return s.err
}

// cutOff ends all that is left.
func (a *App) cutOff() {
	a.shutdown.cutOff(ErrShutdown)
	if cancel := a.shutdown.cancelBase.Load(); cancel != nil {
		// before the connections are closed, which would be the cause otherwise
		(*cancel)(ErrShutdown)
	}
	_ = a.Server.Close() // its error is that of a listener closed before
}

// drain waits for the connections and requests under way to end.
func (a *App) drain(ctx context.Context, limit time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	requests := &a.shutdown.requests
	err := a.conns.Drain(ctx, limit)
	if err == nil {
		err = requests.wait(ctx)
	}
	if err == nil {
		err = a.Server.Shutdown(ctx) // HTTP/2 connections, all idle by now
	}
	requests.closed.Store(true)
	if err == nil {
		err = requests.wait(ctx) // for one that came in meanwhile, where another server serves
	}
	if err != nil {
		return fmt.Errorf("asgi: %d requests or sockets were cut off by the shutdown: %w",
			max(requests.n.Load(), 1), err)
	}
	return nil
}

// inflight counts the requests and WebSockets under way. A sync.WaitGroup would not do: it may not
// be added to while it is waited for, and requests go on coming meanwhile.
type inflight struct {
	n       atomic.Int64
	waiting atomic.Bool   // somebody waits, one at most
	closed  atomic.Bool   // nothing is let in any more
	idle    chan struct{} // of room for one: n came to 0 while somebody waited
}

// acquire counts one more, or returns false when nothing is let in any more.
func (f *inflight) acquire() bool {
	f.n.Add(1)
	if f.closed.Load() {
		f.release()
		return false
	}
	return true
}

func (f *inflight) release() {
	if f.n.Add(-1) == 0 && f.waiting.Load() {
		select {
		case f.idle <- struct{}{}:
		default:
		}
	}
}

// wait returns nil once nothing is under way.
func (f *inflight) wait(ctx context.Context) error {
	f.waiting.Store(true) // before n is read: release reads them in the other order
	for f.n.Load() != 0 {
		select {
		case <-f.idle:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return nil
}

// ErrShutdown is the cause with which contexts of streams are cancelled when the server stops. Its
// status is 503.
var ErrShutdown error = shutdownError{}

type shutdownError struct{}

func (shutdownError) Error() string { return "asgi: the server is shutting down" }

func (shutdownError) StatusCode() int { return http.StatusServiceUnavailable }

// ContextWithShutdown makes begun the ShutdownContext of the requests with this context: begun is
// to be cancelled when the server begins to stop. What may last for ever (Stream, StreamFunc, SSE)
// ends at once then, with the cause ErrShutdown; other requests go on to their end. An App does
// this for its own requests.
func ContextWithShutdown(ctx, begun context.Context) context.Context {
	return stopping.With(ctx, begun)
}

// ShutdownContext is a context that is cancelled when the server of the request with the context
// ctx begins to stop. Outside of a request it is never cancelled. It carries no values of use.
func ShutdownContext(ctx context.Context) context.Context {
	return stopping.From(ctx)
}

// errExpired is the cause with which contexts of streams are cancelled when the credentials of
// their request end: see stopping.Expiry.
var errExpired = NewHTTPError(http.StatusUnauthorized, "The credentials have expired.")

// lasting is ctx for what may last for ever: cancelled with the cause ErrShutdown when the server
// begins to stop, and with errExpired when the credentials end. stop must be called.
func lasting(ctx context.Context) (_ context.Context, stop context.CancelCauseFunc) {
	begun, expiry := ShutdownContext(ctx), stopping.Expiry(ctx)
	expire := func() {}
	if !expiry.IsZero() {
		ctx, expire = context.WithDeadlineCause(ctx, expiry, errExpired)
	}
	ctx, cancel := context.WithCancelCause(ctx)
	unwatch := context.AfterFunc(begun, func() { cancel(ErrShutdown) })
	return ctx, func(cause error) {
		unwatch()
		cancel(cause)
		expire()
	}
}
