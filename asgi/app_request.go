package asgi

import (
	"bufio"
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"runtime/debug"
	"sync"
	"time"

	"github.com/genropy/genro-asgi-go/internal/describe"
	"github.com/genropy/genro-asgi-go/internal/httpconn"
	"github.com/genropy/genro-asgi-go/internal/requestid"
)

// ServeHTTP serves a request by the App's handler, with the App's error options and shutdown signal
// in its context. It works before Start too; once Stop has drained the App, it answers 503.
func (a *App) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if p, ok := w.(*describe.Probe); ok {
		p.Enter(a.handler)
		return
	}
	timeout := a.sendTimeout()
	if appOf(r.Context()) != nil { // whoever put the App there has seen to it
		timeout = -1
	}
	answer := httpconn.Pace(w, r, timeout)
	defer answer.Extend()
	a.serve(answer, r, false)
}

// serve serves a request. outermost says that no middleware is around the App, but the server of
// its own.
func (a *App) serve(w *httpconn.PacedWriter, r *http.Request, outermost bool) {
	a.configure()
	began := time.Now()
	if !a.shutdown.requests.acquire() {
		w.Header().Set("Connection", "close")
		WriteError(w, r.WithContext(a.context(r.Context())),
			NewHTTPError(http.StatusServiceUnavailable, ""))
		a.requests.count(w, began, false)
		return
	}
	if outer := appOf(r.Context()); outer != a {
		if outer != nil { // what ends the outer one's streams ends those of the inner
			a.linked.Do(func() { a.shutdown.follow(&outer.shutdown) })
		}
		r = r.WithContext(a.context(r.Context()))
	}
	if a.shutdown.unready.Load() {
		w.Header().Set("Connection", "close") // in HTTP/2 too: net/http turns it into GOAWAY
	}
	if r.ProtoMajor == 1 && r.Header["Upgrade"] != nil {
		a.serveUpgrade(w, r, began, outermost)
		return
	}
	defer func() {
		v := recover()
		a.end(w, began, v != nil)
		a.pass(v, w, r, outermost)
	}()
	a.handler.ServeHTTP(w, r)
}

// end counts a request that is over and lets the shutdown go on.
func (a *App) end(w *httpconn.PacedWriter, began time.Time, panicked bool) {
	a.requests.count(w, began, panicked)
	a.shutdown.requests.release()
}

// serveUpgrade serves a request whose connection may be hijacked.
func (a *App) serveUpgrade(w *httpconn.PacedWriter, r *http.Request, began time.Time,
	outermost bool,
) {
	var once sync.Once
	end := func(panicked bool) { once.Do(func() { a.end(w, began, panicked) }) }
	defer func() {
		v := recover()
		end(v != nil)
		a.pass(v, w, r, outermost)
	}()
	a.handler.ServeHTTP(&upgradeWriter{w, func() { end(false) }}, r)
}

// pass lets a panic of the handler go on. It is told here, with the context of its request, where
// nobody but net/http would tell it, without one.
func (a *App) pass(v any, w http.ResponseWriter, r *http.Request, outermost bool) {
	switch v {
	case nil:
		return
	case http.ErrAbortHandler:
		panic(v)
	}
	a.counts.Panicked()
	if !outermost {
		panic(v)
	}
	a.logPanic(v, w, r)
	panic(http.ErrAbortHandler)
}

func (a *App) logPanic(v any, w http.ResponseWriter, r *http.Request) {
	attrs := []slog.Attr{
		slog.String("method", r.Method), slog.String("path", r.URL.Path),
		slog.String("error", fmt.Sprintf("panic: %v", v)),
		slog.String("stack", string(debug.Stack())),
	}
	if id := requestid.Of(w.Header(), r); id != "" {
		attrs = append(attrs, slog.String("request_id", id))
	}
	a.Errors.Logger.LogAttrs(context.WithoutCancel(r.Context()), slog.LevelError,
		"asgi: a handler panicked", attrs...)
}

// upgradeWriter stops counting a request whose connection is hijacked: as with
// http.Server.Shutdown, who hijacked it sees to its end. A WebSocket of this module holds the App
// by itself (see attach).
type upgradeWriter struct {
	*httpconn.PacedWriter
	hijacked func()
}

func (w *upgradeWriter) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, rw, err := w.PacedWriter.Hijack()
	if err == nil {
		w.hijacked()
	}
	return conn, rw, err
}
