package asgi

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"unicode/utf8"

	"github.com/coder/websocket"

	"github.com/genropy/genro-asgi-go/internal/counting"
	"github.com/genropy/genro-asgi-go/internal/requestid"
	"github.com/genropy/genro-asgi-go/internal/wsconn"
)

// WebSocketState is how far a WebSocket has come.
type WebSocketState int

// The states of a WebSocket, in their order; Denied and Closed are final.
const (
	WebSocketConnecting WebSocketState = iota // the handshake waits for Accept or Deny
	WebSocketOpen                             // accepted
	WebSocketDenied                           // answered with a problem
	WebSocketClosed                           // ended by either side or by the network
)

// String is the state in a word.
func (s WebSocketState) String() string {
	switch s {
	case WebSocketConnecting:
		return "not yet accepted"
	case WebSocketOpen:
		return "open"
	case WebSocketDenied:
		return "denied"
	case WebSocketClosed:
		return "closed"
	}
	return fmt.Sprintf("WebSocketState(%d)", int(s))
}

// WebSocket is one WebSocket connection (RFC 6455) as its handler sees it; see HandleWebSocket and
// the package comment.
//
// One goroutine at a time may receive. Accept and Deny are for the handler's own goroutine. All
// other methods are safe for concurrent use.
type WebSocket struct {
	endpoint *endpoint
	request  *Request
	depth    int                     // how deep JSON may nest
	cancel   context.CancelCauseFunc // of the handler's context
	unfollow func() bool             // the handler's context no longer ends with the request's
	answered chan struct{}           // closed when Accept has answered, or deny is to answer
	returned chan struct{}           // closed when handler and connection have ended

	// Of the handshake. writer and http are nil once answered is closed: they must not hold
	// net/http's memory.
	writer http.ResponseWriter
	http   *http.Request
	denial error  // what deny answers, nil if accepted; valid when answered is closed
	id     string // of the request, for the log

	scratch []byte // of the goroutine that receives

	mu       sync.Mutex     // guards what follows; held while the handshake is answered
	state    WebSocketState // never Closed: see State
	conn     *wsconn.Conn   // nil before it is open
	ended    func()         // counts it out; nil while conn is
	closeErr error          // why this side closed it (errClosedHere, ErrShutdown); nil if not
	readErr  error          // how the connection ended for who receives, nil if it has not
}

// errClosedHere marks a connection that the handler closed.
var errClosedHere = errors.New("asgi: closed by this side")

// Request is the handshake's request. It stays valid until the handler returns. Headers and cookies
// set on it before Accept go out with the handshake.
func (ws *WebSocket) Request() *Request { return ws.request }

// Subprotocols are those that the client offers, in its order of preference.
func (ws *WebSocket) Subprotocols() []string {
	var offered []string
	for _, line := range ws.request.http.Header.Values("Sec-WebSocket-Protocol") {
		for name := range strings.SplitSeq(line, ",") {
			if name = strings.TrimSpace(name); name != "" {
				offered = append(offered, name)
			}
		}
	}
	return offered
}

// Subprotocol is the one that Accept agreed on, empty for none.
func (ws *WebSocket) Subprotocol() string {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	if ws.conn == nil {
		return ""
	}
	return ws.conn.Subprotocol()
}

// State is how far the connection has come.
func (ws *WebSocket) State() WebSocketState {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	return ws.stateLocked()
}

func (ws *WebSocket) stateLocked() WebSocketState {
	if ws.state == WebSocketOpen && (ws.closeErr != nil || isDone(ws.conn)) {
		return WebSocketClosed
	}
	return ws.state
}

func isDone(conn *wsconn.Conn) bool {
	select {
	case <-conn.Done():
		return true
	default:
		return false
	}
}

// Accept answers the handshake with 101. Of subprotocols, or else WebSocketOptions.Subprotocols, it
// selects the first that the client offers too, or none, which is no error: see Subprotocol.
//
// The error is that of the request's context when that has ended (the client went away, the
// handshake took too long), a *WebSocketDisconnect when the connection broke meanwhile, and one
// that matches ErrWebSocketState when it was accepted or denied before.
func (ws *WebSocket) Accept(subprotocols ...string) error {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	if ws.state != WebSocketConnecting {
		return &stateError{"Accept", ws.stateLocked()}
	}
	if err := context.Cause(ws.request.Context()); err != nil {
		return err
	}
	if !ws.unfollow() { // ended this very moment
		return context.Cause(ws.http.Context())
	}
	opts := ws.endpoint.transport
	if len(subprotocols) > 0 {
		opts.Subprotocols = subprotocols
	}
	ws.id = requestid.Of(ws.writer.Header(), ws.http)
	conn, err := wsconn.Upgrade(ws.writer, ws.http, &opts)
	if err != nil { // the answer is used up
		ws.answerLocked(WebSocketDenied, nil)
		err = &WebSocketDisconnect{Code: closeAbnormal, Err: err}
		ws.cancel(err)
		return err
	}
	ws.conn = conn
	ws.ended = counting.Begin(ws.request.Context(), counting.WebSocket)
	conn.OnDone(func() { ws.cancel(nil) })
	ws.answerLocked(WebSocketOpen, nil)
	return nil
}

// Deny answers the handshake with an error, as WriteError does, instead of accepting it: an
// *HTTPError as it says, nil as 403. What a *WebSocketError means before there is a WebSocket is in
// the package comment. The answer is written when Deny has returned; the request's context ends
// with it. The error of Deny matches ErrWebSocketState when it was accepted or denied before.
func (ws *WebSocket) Deny(err error) error {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	if ws.state != WebSocketConnecting {
		return &stateError{"Deny", ws.stateLocked()}
	}
	ws.answerLocked(WebSocketDenied, denial(err))
	return nil
}

// answerLocked lets the goroutine of net/http go on.
func (ws *WebSocket) answerLocked(state WebSocketState, denial error) {
	ws.state, ws.denial = state, denial
	ws.writer, ws.http = nil, nil
	ws.request.writer = headersOnly{}
	close(ws.answered)
}

// headersOnly takes the place of a response that has been written: what is set on it has no effect.
type headersOnly http.Header

func (h headersOnly) Header() http.Header         { return http.Header(h) }
func (h headersOnly) Write(p []byte) (int, error) { return 0, http.ErrHijacked }
func (h headersOnly) WriteHeader(int)             {}

// denial is the answer to a handshake that was not accepted because of err.
func denial(err error) error {
	if err == nil {
		return NewHTTPError(http.StatusForbidden, "")
	}
	raised, ok := errors.AsType[*WebSocketError](err)
	if _, panicked := errors.AsType[*handlerPanicError](err); panicked || !ok {
		return err
	}
	answer := &HTTPError{Status: http.StatusForbidden, Detail: raised.Reason, Err: err}
	if status := raised.Code - 4000; status >= 400 && status <= 599 {
		answer.Status = status
	} else if raised.Code == closeInternal {
		answer.Status = http.StatusInternalServerError
	}
	return answer
}

// Close sends a close frame behind what waits to be sent, waits up to 5 s for the peer's and ends
// the connection. code is 1000 to 1014 without 1004 to 1006, or 3000 to 4999, and reason, which may
// be empty, at most 123 bytes of UTF-8; else nothing happens but the error. It matches
// ErrWebSocketState before Accept. A connection that is closed already stays as it is, without an
// error. Any other error tells that the peer did not answer.
//
// A handler need not call it: what it returns closes the connection.
func (ws *WebSocket) Close(code int, reason string) error {
	if !maySend(code) {
		return fmt.Errorf("asgi: WebSocket.Close: %d is no close code", code)
	}
	if len(reason) > maxCloseReason || !utf8.ValidString(reason) {
		return fmt.Errorf("asgi: WebSocket.Close: the reason is not UTF-8 of at most %d bytes",
			maxCloseReason)
	}
	ws.mu.Lock()
	state, conn := ws.stateLocked(), ws.conn
	ws.mu.Unlock()
	switch state {
	case WebSocketConnecting, WebSocketDenied:
		return &stateError{"Close", state}
	case WebSocketClosed:
		return nil
	}
	if err := ws.close(conn, code, reason, errClosedHere); err != nil {
		return fmt.Errorf("asgi: WebSocket.Close: %w", err)
	}
	return nil
}

// close closes the connection unless it is closed, and waits for a close under way.
func (ws *WebSocket) close(conn *wsconn.Conn, code int, reason string, why error) error {
	ws.mu.Lock()
	if ws.closeErr == nil && !isDone(conn) {
		ws.closeErr = why
	}
	ws.mu.Unlock()
	return conn.Close(websocket.StatusCode(code), reason)
}

// Ping sends a ping and waits for its pong until ctx ends, which leaves the connection as it is.
// Somebody must be receiving meanwhile. Other errors are those of Send. Connections are kept alive
// without it.
func (ws *WebSocket) Ping(ctx context.Context) error {
	conn, err := ws.opened("Ping")
	if err != nil {
		return err
	}
	return ws.failed(ctx, conn, "Ping", conn.Ping(ctx))
}

// opened is the connection while it is open.
func (ws *WebSocket) opened(op string) (*wsconn.Conn, error) {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	switch {
	case ws.state != WebSocketOpen:
		return nil, &stateError{op, ws.state}
	case ws.closeErr != nil:
		return nil, ws.endErrorLocked(op, nil)
	case ws.readErr != nil:
		return nil, ws.readErr
	}
	return ws.conn, nil
}

// failed is the error of a call that failed with err: its context's, or the end of the connection
// as far as it is known.
func (ws *WebSocket) failed(ctx context.Context, conn *wsconn.Conn, op string, err error) error {
	if err == nil || isCause(ctx, err) && !isDone(conn) {
		return err
	}
	ws.mu.Lock()
	defer ws.mu.Unlock()
	if ws.readErr != nil {
		return ws.readErr
	}
	return ws.endErrorLocked(op, err)
}

// isCause tells whether err is that ctx has ended.
func isCause(ctx context.Context, err error) bool {
	cause := context.Cause(ctx)
	return cause != nil && errors.Is(err, cause)
}

// endErrorLocked tells why the connection ended, of which err is the sign.
func (ws *WebSocket) endErrorLocked(op string, err error) error {
	if errors.Is(ws.closeErr, errClosedHere) {
		return &stateError{op, WebSocketClosed}
	}
	if ws.closeErr != nil {
		return ws.closeErr
	}
	if peer, ok := errors.AsType[websocket.CloseError](err); ok {
		return &WebSocketDisconnect{Code: int(peer.Code), Reason: peer.Reason}
	}
	code, reason, ok := ws.conn.Ending()
	switch {
	case !ok:
		return &WebSocketDisconnect{Code: closeAbnormal, Err: err}
	// the network's doing as a rule
	case code == wsconn.StatusKeepalive, code == wsconn.StatusTiming:
		return &WebSocketDisconnect{Code: int(code), Reason: reason, Err: err}
	}
	return &WebSocketError{Code: int(code), Reason: reason, Err: err}
}
