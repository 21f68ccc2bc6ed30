package asgi

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"
)

// attach registers a connection that leaves net/http (a WebSocket) with the App that serves ctx, to be called before it is
// hijacked. The shutdown waits for release within its drain deadline. begun ends when the shutdown begins: say good-bye and
// release. cut ends when there is no more time: close the connection. Both have the cause ErrShutdown and outlive the request; without an
// App neither ever ends. ok is false when the App has been drained already: refuse.
func attach(ctx context.Context) (begun, cut context.Context, release func(), ok bool) {
	a := appOf(ctx)
	if a == nil {
		return context.Background(), context.Background(), func() {}, true
	}
	if !a.shutdown.requests.enter() {
		return nil, nil, nil, false
	}
	return a.shutdown.begun, a.shutdown.cut, a.shutdown.requests.leave, true
}

// shutdown is how far an App's shutdown has come.
type shutdown struct {
	unready  atomic.Bool // no more traffic is wanted
	begun    context.Context
	begin    context.CancelCauseFunc
	cut      context.Context // nothing is waited for any more
	cutOff   context.CancelCauseFunc
	requests inflight

	cancelBase atomic.Pointer[context.CancelCauseFunc] // of the requests' contexts, nil when not serving

	called atomic.Bool
	over   chan struct{}
	err    error // valid when over is closed
}

func (s *shutdown) init() {
	s.begun, s.begin = context.WithCancelCause(context.Background())
	s.cut, s.cutOff = context.WithCancelCause(context.Background())
	s.requests.idle = make(chan struct{}, 1)
	s.over = make(chan struct{})
}

// follow makes the signals of outer those of s too.
func (s *shutdown) follow(outer *shutdown) {
	context.AfterFunc(outer.begun, func() { s.begin(ErrShutdown) })
	context.AfterFunc(outer.cut, func() { s.cutOff(ErrShutdown) })
}

// Stop shuts the App down as the package comment says under "Shutdown", and makes a Serve under way return. It takes no longer
// than ShutdownDelay and ShutdownTimeout together; the end of ctx cuts it short: what is under way is cut off and the
// components are stopped with an ended context. All errors are returned joined. Further calls wait for the first and return what
// it returned, or the end of their ctx. A Stop without a Start makes Start impossible.
func (a *App) Stop(ctx context.Context) error {
	s := &a.shutdown
	if !s.called.CompareAndSwap(false, true) {
		select {
		case <-s.over:
			return s.err
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	defer close(s.over)
	a.configure()
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
		(*cancel)(ErrShutdown) // before the connections are closed, which would be the cause otherwise
	}
	_ = a.Server.Close() // its error is that of a listener closed before
}

// drain waits for the connections and requests under way to end.
func (a *App) drain(ctx context.Context, limit time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	requests := &a.shutdown.requests
	err := a.conns.drain(ctx)
	if err == nil {
		err = requests.wait(ctx)
	}
	if err == nil {
		err = a.Server.Shutdown(ctx) // HTTP/2 connections, all idle by now
	}
	requests.closed.Store(true)
	if err == nil {
		err = requests.wait(ctx) // one that came in meanwhile, where another server serves
	}
	if err != nil {
		return fmt.Errorf("asgi: %d requests or sockets were cut off by the shutdown: %w", max(requests.n.Load(), 1), err)
	}
	return nil
}

// inflight counts what is under way.
type inflight struct {
	n       atomic.Int64
	waiting atomic.Bool
	closed  atomic.Bool
	idle    chan struct{} // buffered; one waiter
}

// enter counts one more, or returns false when nothing is let in any more.
func (f *inflight) enter() bool {
	f.n.Add(1)
	if f.closed.Load() {
		f.leave()
		return false
	}
	return true
}

func (f *inflight) leave() {
	if f.n.Add(-1) == 0 && f.waiting.Load() {
		select {
		case f.idle <- struct{}{}:
		default:
		}
	}
}

// wait returns nil once nothing is under way.
func (f *inflight) wait(ctx context.Context) error {
	f.waiting.Store(true) // before n is read: leave reads them in the other order
	for f.n.Load() != 0 {
		select {
		case <-f.idle:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return nil
}
