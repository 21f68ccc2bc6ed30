package asgi

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"

	"github.com/genropy/genro-asgi-go/internal/httpconn"
)

// Run listens on the TCP address addr (as net.Listen takes it, such as ":8080") and serves as Serve
// does, until ctx ends or the process gets SIGINT or SIGTERM. A second such signal stops at once:
// what is under way is cut off and the components' contexts have ended. A third has its ordinary
// effect, the end of the process.
func (a *App) Run(ctx context.Context, addr string) error {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", addr)
	if err != nil {
		return fmt.Errorf("asgi: %w", err)
	}
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	defer signal.Stop(signals)
	return a.run(ctx, l, signals)
}

// Serve starts the components, serves on l until ctx ends or Stop is called, and shuts down. It
// closes l. The values of ctx are those of the requests' contexts unless Server.BaseContext is set.
// It handles no signals.
//
// The error is nil after a clean stop, and joined of all that went wrong otherwise: a component
// that did not start, requests cut off because they took too long, components that did not stop.
func (a *App) Serve(ctx context.Context, l net.Listener) error {
	if l == nil {
		return errors.New("asgi: Serve: the listener is nil")
	}
	return a.run(ctx, l, nil)
}

var errSecondSignal = errors.New("asgi: stopped by a second signal")

func (a *App) run(ctx context.Context, l net.Listener, signals chan os.Signal) error {
	defer l.Close() // done before by the shutdown; here for the ways out before it
	ctx, end := context.WithCancelCause(ctx)
	stopCtx, stopNow := context.WithCancelCause(context.WithoutCancel(ctx))
	returned := make(chan struct{})
	watcher := make(chan struct{})
	go func() {
		defer close(watcher)
		watchSignals(signals, returned, end, stopNow)
	}()
	defer func() { close(returned); <-watcher; end(nil); stopNow(nil) }()

	if err := a.Start(ctx); err != nil {
		return err
	}
	a.prepare(ctx)
	accepted := make(chan error, 1)
	if stopped, ok := a.conns.Serving(l); ok {
		a.logger().InfoContext(ctx, "asgi: serving", "address", l.Addr().String())
		go func() {
			defer stopped()
			accepted <- a.accept(l)
		}()
	} else {
		accepted <- nil
	}
	var failed error
	select {
	case <-ctx.Done():
		if err := context.Cause(ctx); !errors.Is(err, context.Canceled) {
			a.logger().InfoContext(ctx, "asgi: stopping", "cause", err)
		}
	case err := <-accepted:
		if !a.shutdown.unready.Load() { // else it is Stop that closed the listener
			failed = fmt.Errorf("asgi: serve: %w", err)
		}
	}
	return errors.Join(failed, a.Stop(stopCtx))
}

// accept serves until the listener ends. A panic here is that of a function in Server, such as a
// BaseContext that gives nil: it is an error of Serve, which stops the components, as net/http's
// own would end the process.
func (a *App) accept(l net.Listener) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = panicError(v)
		}
	}()
	if a.Server.TLSConfig != nil {
		return a.Server.ServeTLS(l, "", "")
	}
	return a.Server.Serve(l)
}

// watchSignals ends at the first signal and stops now at the second.
func watchSignals(signals chan os.Signal, returned <-chan struct{},
	end, stopNow context.CancelCauseFunc,
) {
	for _, cancel := range [...]func(os.Signal){
		func(s os.Signal) { end(fmt.Errorf("asgi: signal: %v", s)) },
		func(os.Signal) { stopNow(errSecondSignal) },
	} {
		select {
		case s := <-signals:
			cancel(s)
		case <-returned:
			return
		}
	}
	signal.Stop(signals)
}

// prepare completes the http.Server.
func (a *App) prepare(ctx context.Context) {
	srv := &a.Server
	srv.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		a.serve(w.(*httpconn.PacedWriter), r, true) // as Watch has it
	})
	srv.ReadHeaderTimeout = orDefault(srv.ReadHeaderTimeout, defaultReadHeaderTimeout)
	srv.ReadTimeout = orDefault(srv.ReadTimeout, defaultReadTimeout)
	srv.IdleTimeout = orDefault(srv.IdleTimeout, defaultIdleTimeout)
	if srv.MaxHeaderBytes == 0 {
		srv.MaxHeaderBytes = defaultMaxHeaderBytes
	}
	if srv.ErrorLog == nil {
		srv.ErrorLog = slog.NewLogLogger(a.logger().Handler(), slog.LevelWarn)
	}
	base := srv.BaseContext
	srv.BaseContext = func(l net.Listener) context.Context {
		parent := context.WithoutCancel(ctx)
		if base != nil {
			parent = base(l)
		}
		parent, cancel := context.WithCancelCause(parent)
		a.shutdown.cancelBase.Store(&cancel)
		return a.context(parent)
	}
	a.conns.Watch(srv, a.sendTimeout())
}
