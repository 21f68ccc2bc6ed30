package asgi

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"runtime/debug"
	"time"

	"github.com/genropy/genro-asgi-go/internal/counting"
	"github.com/genropy/genro-asgi-go/internal/describe"
	"github.com/genropy/genro-asgi-go/internal/stopping"
	"github.com/genropy/genro-asgi-go/internal/wsconn"
	"github.com/genropy/genro-asgi-go/problem"
)

// HandleWebSocket makes an http.HandlerFunc of a function that serves one WebSocket:
//
//	r.Get("/echo", asgi.HandleWebSocket(func(ctx context.Context, ws *asgi.WebSocket) error {
//		if err := ws.Accept(); err != nil {
//			return err
//		}
//		for message, err := range ws.Messages(ctx) {
//			if err != nil {
//				return err
//			}
//			if err := ws.Send(ctx, message); err != nil {
//				return err
//			}
//		}
//		return nil
//	}, nil))
//
// fn runs in a goroutine of its own. The http.HandlerFunc returns as soon as the handshake is
// answered, so that time-outs and throttles around it are for the handshake only, and net/http's
// buffers go. What is no handshake, or comes from an origin that may not connect, is answered with
// a problem before fn is called: 403, 405, 426, 400, 501, and 503 once the server is stopping.
//
// ctx has the values of the request's context, but those that a router reuses (chi's RouteContext:
// path values are in Request.PathValue), and RequestFrom finds the request by it. It ends with the
// request's context before Accept; after it, with the connection and with the cause ErrShutdown
// when the server begins to stop. A connection whose handshake had credentials that end
// (wsx.WithIdentity) is closed with 4401 then.
//
// What fn returns before it accepted is the answer, as of Deny. After that it closes the
// connection: nil with 1000, a *WebSocketError with its code and reason, any error during the
// shutdown that comes of it, and nil then, with 1001, anything else with 1011 and a fixed text,
// which is logged. A panic before Accept goes on in the goroutine of net/http, to the middleware
// outside, with the stack where it happened in its text; after it, it is logged and closes with
// 1011.
//
// HandleWebSocket panics if fn is nil or an origin or host of opts could never match as it is
// written. opts may be nil.
//
//go:noinline
func HandleWebSocket(fn func(ctx context.Context, ws *WebSocket) error,
	opts *WebSocketOptions,
) http.HandlerFunc {
	if fn == nil {
		panic("asgi: HandleWebSocket without a function")
	}
	e := newEndpoint(opts)
	return func(w http.ResponseWriter, r *http.Request) {
		if p, ok := w.(*describe.Probe); ok {
			p.Add(socketOperation())
			return
		}
		if refusal := wsconn.Check(w, r, &e.policy); refusal != nil {
			WriteError(w, r,
				&HTTPError{
					Status: refusal.Status, Detail: refusal.Detail, Header: refusal.Header,
					Err: refusal.Err,
				})
			return
		}
		begun := ShutdownContext(r.Context()) // also without an App
		_, cut, release, ok := stopping.To(r.Context())
		if ok && begun.Err() != nil {
			release()
			ok = false
		}
		if !ok {
			WriteError(w, r, ErrShutdown)
			return
		}
		ws := newWebSocket(e, w, r)
		go ws.run(begun, cut, fn, release)
		<-ws.answered
		ws.deny(w, r)
	}
}

func newWebSocket(e *endpoint, w http.ResponseWriter, r *http.Request) *WebSocket {
	lasting, cancel := wsconn.Lasting(r)
	ws := &WebSocket{
		endpoint: e, request: &Request{http: lasting, writer: w}, cancel: cancel,
		answered: make(chan struct{}), returned: make(chan struct{}),
		writer: w, http: r,
	}
	ws.depth = ws.request.limit().Depth
	ws.unfollow = context.AfterFunc(r.Context(), func() { cancel(context.Cause(r.Context())) })
	return ws
}

// deny writes the denial, if that is the answer.
func (ws *WebSocket) deny(w http.ResponseWriter, r *http.Request) {
	if ws.denial == nil {
		return
	}
	if p, ok := errors.AsType[*handlerPanicError](ws.denial); ok {
		if errors.Is(p, http.ErrAbortHandler) {
			panic(http.ErrAbortHandler)
		}
		panic(p)
	}
	WriteError(w, r, ws.denial)
}

// run is the goroutine of one connection.
func (ws *WebSocket) run(begun, cut context.Context, fn func(context.Context, *WebSocket) error,
	release func(),
) {
	defer release()
	drained := make(chan struct{})
	stopDrain := context.AfterFunc(begun, func() {
		defer close(drained)
		ws.drain()
	})
	stopCut := context.AfterFunc(cut, func() {
		if conn := ws.connection(); conn != nil {
			_ = conn.CloseNow() // there is no time left to hear of an error
		}
	})
	stopExpiry := ws.atExpiry()
	err := errHandlerGoexit
	defer func() {
		if p := recover(); p != nil {
			err = &handlerPanicError{p, debug.Stack()}
		}
		ws.finish(err, begun.Err() != nil)
		close(ws.returned)
		stopCut() // a CloseNow that runs already has nothing to do
		stopExpiry()
		if !stopDrain() {
			<-drained
		}
		ws.cancel(nil)
		if err == nil {
			ws.request.after.start()
		}
		ws.request.close()
	}()
	err = fn(ws.request.Context(), ws)
}

// errWebSocketExpired is the end of a connection that had credentials which have ended.
var errWebSocketExpired = &WebSocketError{
	Code:   closeExpired,
	Reason: "the credentials have expired",
}

// atExpiry ends the connection with the credentials of its handshake (stopping.Expiry). stop waits
// for an end under way.
func (ws *WebSocket) atExpiry() (stop func()) {
	at := stopping.Expiry(ws.request.Context())
	if at.IsZero() {
		return func() {}
	}
	done := make(chan struct{})
	timer := time.AfterFunc(time.Until(at), func() {
		defer close(done)
		ws.cancel(errWebSocketExpired)
		if conn := ws.connection(); conn != nil {
			// a peer that does not answer is cut off
			_ = ws.close(conn, closeExpired, errWebSocketExpired.Reason, errWebSocketExpired)
		}
	})
	return func() {
		if !timer.Stop() {
			<-done
		}
	}
}

func (ws *WebSocket) connection() *wsconn.Conn {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	return ws.conn
}

// drain tells the handler that the server is stopping and, when that does not help, closes the
// connection.
func (ws *WebSocket) drain() {
	ws.cancel(ErrShutdown)
	limit := ws.endpoint.drain
	if app := appOf(ws.request.Context()); app != nil {
		// The App waits for two thirds of its time. One of them is left for a peer that does not
		// answer the close frame.
		limit = min(limit, orDefault(app.ShutdownTimeout, defaultShutdownTimeout)/3)
	}
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case <-ws.returned:
		return
	case <-timer.C:
	}
	if conn := ws.connection(); conn != nil {
		// a peer that does not answer is cut off
		_ = ws.close(conn, closeGoingAway, goingAway, ErrShutdown)
	}
}

// finish answers the handshake or ends the connection, as err, the handler's result, says.
// draining tells that the server has begun to stop.
func (ws *WebSocket) finish(err error, draining bool) {
	ws.mu.Lock()
	if ws.state == WebSocketConnecting {
		ws.answerLocked(WebSocketDenied, denial(err))
	}
	conn, closed, ended := ws.conn, ws.stateLocked() == WebSocketClosed, ws.ended
	ws.mu.Unlock()
	if conn == nil {
		return
	}
	defer ended()
	code, reason := closeNormal, ""
	raised, isRaised := errors.AsType[*WebSocketError](err)
	_, gone := errors.AsType[*WebSocketDisconnect](err)
	_, panicked := errors.AsType[*handlerPanicError](err)
	aborted := panicked && errors.Is(err, http.ErrAbortHandler)
	if panicked && !aborted {
		counting.Panicked(ws.request.Context())
	}
	switch {
	case aborted:
		_ = conn.CloseNow() // as asked for: without a word
	case !panicked && isRaised && maySend(raised.Code):
		code, reason = raised.Code, fitReason(raised.Reason)
	case !panicked && draining &&
		(err == nil || gone || errors.Is(err, ErrShutdown) || errors.Is(err, context.Canceled)):
		code, reason = closeGoingAway, goingAway
	case err == nil,
		!panicked &&
			(gone || closed &&
				(errors.Is(err, context.Canceled) || errors.Is(err, ErrWebSocketState))):
	default:
		code, reason = closeInternal, internalError
	}
	if code == closeInternal {
		level := slog.LevelError
		if closed && !panicked { // whatever came of it: the connection had ended before
			level = slog.LevelInfo
		}
		ws.log(level, err)
	}
	_ = ws.close(conn, code, reason, errClosedHere) // a peer that does not answer is cut off
	_ = conn.CloseNow()
}

// log tells of an error that the peer sees as 1011 only.
func (ws *WebSocket) log(level slog.Level, err error) {
	ctx := ws.request.Context()
	attrs := []slog.Attr{slog.String("path", ws.request.http.URL.Path), slog.Any("error", err)}
	if ws.id != "" {
		attrs = append(attrs, slog.String("request_id", ws.id))
	}
	problem.LoggerFrom(ctx).LogAttrs(context.WithoutCancel(ctx), level, "WebSocket failed",
		attrs...)
}
