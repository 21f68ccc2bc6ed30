package wsx

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"github.com/coder/websocket"

	"github.com/genropy/genro-asgi-go/internal/lockorder"
	"github.com/genropy/genro-asgi-go/internal/stopping"
	"github.com/genropy/genro-asgi-go/internal/typed"
	"github.com/genropy/genro-asgi-go/internal/wsconn"
	"github.com/genropy/genro-asgi-go/wsx/internal/buffer"
	"github.com/genropy/genro-asgi-go/wsx/internal/clientcall"
	"github.com/genropy/genro-asgi-go/wsx/internal/handover"
	"github.com/genropy/genro-asgi-go/wsx/internal/outstanding"
	"github.com/genropy/genro-asgi-go/wsx/internal/wire"
)

// Conn is one client's connection to a [Server]. Handlers get theirs with [ConnFrom]. It is safe
// for concurrent use.
type Conn struct {
	ws   *wsconn.Conn
	subs subscriptions

	server  *Server
	id      string
	request *http.Request
	ctx     context.Context // what calls get values from; ends with the connection
	cancel  context.CancelCauseFunc

	handover handover.Reader // what the reader and its watcher share

	clientCalls clientcall.Table    // calls of the client's methods
	outstanding outstanding.Account // what the client has not taken

	// nil where nobody authenticates; another one after each refresh
	identity atomic.Pointer[Identity]

	calls callTable

	// While the lock is held, those of calls, outstanding and the server may be taken.
	mu     lockorder.Mutex
	closed bool        // is closed, or about to be
	expiry *time.Timer // the end of the credentials; nil when they have none
	state  map[any]any // what Set keeps

	jsonrpc atomic.Bool // the client's last message was JSON-RPC

	reader reader // its state is that of the goroutine that reads
}

// connKey is the key of the *Conn in a handler's context.
type connKey struct{}

// ConnFrom returns the connection whose request the handler that was given ctx answers, or whose
// [Conn.Context] ctx is. It is nil elsewhere, and where the call did not come over a connection.
func ConnFrom(ctx context.Context) *Conn {
	c, _ := ctx.Value(connKey{}).(*Conn)
	return c
}

// ID identifies the connection: 26 random characters, A to Z and 2 to 7, no secret.
func (c *Conn) ID() string { return c.id }

// Request is the HTTP request that was upgraded: its URL, header, path values and, through its
// context, the values that middleware put there. The context ends with the connection. What belongs
// to the router and is used again for other requests (chi's RouteContext) is not in it;
// [http.Request.PathValue] is. Headers that serve the handshake only (Connection, Upgrade,
// Sec-WebSocket-Key, -Version and -Extensions) are left out.
func (c *Conn) Request() *http.Request { return c.request }

// Context ends with the connection; context.Cause tells why. [ConnFrom] and [IdentityFrom] know it,
// as handlers' contexts.
func (c *Conn) Context() context.Context { return connContext{c.ctx, c} }

// connContext is a connection's context outside of a call.
type connContext struct {
	context.Context
	conn *Conn
}

func (c connContext) Value(key any) any {
	switch key.(type) {
	case connKey:
		return c.conn
	case identityKey:
		return c.conn.identity.Load()
	case stopping.ExpiryKey:
		return nil // it ends with the connection, and a new token may put that off
	}
	return c.Context.Value(key)
}

// Set keeps a value with the connection, under a key of the caller's own type as for
// context.WithValue. nil removes it.
func (c *Conn) Set(key, value any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if value == nil {
		delete(c.state, key)
		return
	}
	if c.state == nil {
		c.state = make(map[any]any)
	}
	c.state[key] = value
}

// Get returns the value that was Set under key, or nil.
func (c *Conn) Get(key any) any {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.state[key]
}

// Notify sends the client an rpc.notify with an event's name and its payload as JSON. It waits for
// room in the out-queue until ctx ends. That it returns nil does not say that the client has it.
// The error wraps [ErrClosed] where the connection has ended. Events that begin with wsx. or rpc.
// are refused: they are the protocol's, and a client believes them.
//
// A client that speaks JSON-RPC gets a notification with the event as its method and the payload as
// its params, in an array when it is neither object nor array. That is so where ctx is that of a
// JSON-RPC call, and otherwise where the client's last call was one.
func (c *Conn) Notify(ctx context.Context, event string, payload any) error {
	if reserved(event) {
		return fmt.Errorf(
			"wsx: Notify(%q): events that begin with rpc. and wsx. are the protocol's",
			shortened(event))
	}
	out := buffer.Get()
	defer out.Release()
	var err error
	if c.dialect(ctx) == wire.JSONRPC {
		encoded := buffer.Get()
		defer encoded.Release()
		params := appender{b: encoded.B}
		err = typed.MarshalWrite(&params, payload)
		encoded.B = params.b
		out.B = appendNotification(out.B, event, params.b)
	} else {
		encoded := appender{b: wire.AppendServerNotifyStart(out.B, event)}
		err = typed.MarshalWrite(&encoded, payload)
		out.B = wire.AppendEnd(encoded.b, nil)
	}
	if err != nil {
		return fmt.Errorf("wsx: encode the payload of %q: %w", event, err)
	}
	return (*peer)(c).Send(ctx, out.B)
}

// Close ends the connection with a WebSocket close code, 1000 or from 3000 to 4999 as a rule, and a
// reason of at most 123 bytes, and returns when it has ended, after at most 10 s. Its calls are
// cancelled. A code that no frame may carry (RFC 6455 section 7.4.1) ends the connection without
// one, and is an error.
func (c *Conn) Close(code int, reason string) error {
	if len(reason) > 123 {
		// a cut rune would make it a close frame that peers refuse
		reason = strings.ToValidUTF8(reason[:123], "")
	}
	return c.ws.Close(websocket.StatusCode(code), reason)
}

// tell sends a whole message that must not wait for room: it is the goroutine that reads who has
// it. A client that lets so much of that pile up that even the room for it is full is closed.
func (c *Conn) tell(b []byte) {
	if errors.Is(c.ws.Urge(websocket.MessageText, b), wsconn.ErrQueueFull) {
		c.disconnect(closeSlow, slowConsumer)
	}
}

// answer sends a whole message. It waits for room: an answer is never dropped while the connection
// is up.
func (c *Conn) answer(b []byte) {
	c.answerLater(b)
	c.ws.Flush()
}

// answerLater is answer for the reader, whose next read sends what is queued before it waits.
func (c *Conn) answerLater(b []byte) {
	if len(b) > smallAnswer && !c.ws.HasRoom(len(b)) {
		defer c.outstanding.Block()()
	}
	if err := c.ws.Queue(c.ctx, websocket.MessageText, b); err != nil {
		c.server.log.LogAttrs(context.Background(), levelQuiet, "wsx: answer not sent", c.attr(),
			errAttr(err))
	}
}

// answerError answers what is no call, or not yet; an id of nil is null.
func (c *Conn) answerError(d wire.Dialect, id []byte, e *Error) {
	out := buffer.Get()
	defer out.Release()
	out.B = c.appendError(d, out.B, id, e)
	c.tell(out.B)
}

// appendError appends the answer that is an error, and logs why when that goes without its details.
func (c *Conn) appendError(d wire.Dialect, dst, id []byte, e *Error) []byte {
	dst, err := appendError(d, dst, id, e)
	if err != nil {
		c.server.log.LogAttrs(context.Background(), slog.LevelError,
			"wsx: error sent without its details", c.attr(), slog.String("code", e.Code),
			errAttr(err))
	}
	return dst
}

// Identity is who the client is. Without authentication it is the zero Identity.
func (c *Conn) Identity() Identity {
	if id := c.identity.Load(); id != nil {
		return *id
	}
	return Identity{}
}

// attr is the connection in a log line.
func (c *Conn) attr() slog.Attr { return slog.String("conn", c.id) }

// logError logs what a handler returned. That its client has gone is no fault of a handler that
// waited for it. The request id is that of the answer, empty where it has none.
func (c *Conn) logError(method string, err error, coded *Error, requestID string) {
	level := levelOf(coded)
	if c.ctx.Err() != nil && errors.Is(err, ErrClosed) {
		level = levelQuiet
	}
	attrs := []slog.Attr{c.attr()}
	if requestID != "" {
		attrs = append(attrs, slog.String("request_id", requestID))
	}
	logCall(c.server.log, level, method, err, coded, attrs...)
}

// tearDown is the end of a connection: its reader has an error in place of a message.
func (c *Conn) tearDown(err error) {
	c.markClosed()
	c.cancel(err)
	ended := closedError(err)
	c.clientCalls.Fail(ended, ended, ended)
	c.server.log.LogAttrs(context.Background(), levelQuiet, "wsx: connection ended", c.attr(),
		errAttr(err))
	c.calls.cancel()
	if quiet := c.calls.drain(); quiet != nil {
		<-quiet
	}
	for _, b := range c.calls.takeBatches() {
		c.outstanding.Release(&b.held)
	}
	c.subs.endAll()
	c.server.remove(c)
}

// broken ends a connection with 1011 whose serving panicked.
func (c *Conn) broken(v any) error {
	p := caught(v)
	c.server.log.LogAttrs(context.Background(), slog.LevelError, "wsx: connection broken", c.attr(),
		errAttr(p), slog.String("stack", string(p.stack)))
	c.disconnect(int(websocket.StatusInternalError), "internal error")
	return p
}

// disconnect closes a connection at once, without waiting for its client. It reports whether it was
// not over before.
func (c *Conn) disconnect(code int, reason string) bool {
	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		return false
	}
	c.markClosedLocked()
	c.server.addRunning() // the connection still counts, so the server has not stopped
	c.mu.Unlock()

	c.ws.Drop(websocket.StatusCode(code), reason)
	c.cancel(NewError(CodeUnauthenticated, reason))
	c.calls.cancel()
	go func() {
		defer c.server.doneRunning()
		// it ends either way, and the reader logs how
		_ = c.ws.Close(websocket.StatusCode(code), reason)
	}()
	return true
}

// markClosedLocked ends what a connection may do.
func (c *Conn) markClosedLocked() {
	c.closed = true
	c.calls.close()
	c.outstanding.Close()
	if c.expiry != nil {
		c.expiry.Stop()
	}
}

// markClosed is the end of a connection that has come by itself.
func (c *Conn) markClosed() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.markClosedLocked()
}
