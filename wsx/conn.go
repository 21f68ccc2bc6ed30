package wsx

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/coder/websocket"
	"github.com/go-json-experiment/json"

	"github.com/genropy/genro-asgi-go/internal/wsconn"
	"github.com/genropy/genro-asgi-go/wsx/internal/outcall"
	"github.com/genropy/genro-asgi-go/wsx/internal/wire"
)

// Conn is one client's connection to a [Server]. Handlers get theirs with [ConnFrom]. It is safe for concurrent use.
type Conn struct {
	ws   *wsconn.Conn
	subs subscriptions

	server  *Server
	id      string
	request *http.Request
	ctx     context.Context // what calls get values from; ends with the connection
	end     context.CancelCauseFunc

	lead leading

	out outcall.Table // calls of the client's methods

	identity atomic.Pointer[Identity] // nil where nobody authenticates; another one after each refresh

	mu       sync.Mutex
	calls    []*call       // running
	waiting  int           // of them, those that wait for something from this client: they do not count
	draining bool          // takes no new requests
	over     bool          // is closed, or about to be
	expiry   *time.Timer   // the end of the credentials; nil when they have none
	room     chan struct{} // closed when a call has ended; nil while the leader does not wait
	quiet    chan struct{} // closed when the last call has ended; nil while nobody waits
	state    map[any]any
	batches  []*batch // whose answer is not sent yet

	jsonrpc atomic.Bool // the client's last message was JSON-RPC

	rate    bucket // the leader's own, as what follows
	strikes int    // messages of no dialect in a row
}

// connKey is the key of the *Conn in a handler's context.
type connKey struct{}

// ConnFrom returns the connection whose request the handler that was given ctx answers. It is nil outside of a handler, and where the
// call did not come over a connection.
func ConnFrom(ctx context.Context) *Conn {
	c, _ := ctx.Value(connKey{}).(*Conn)
	return c
}

// ID identifies the connection: 26 random characters, A to Z and 2 to 7, no secret.
func (c *Conn) ID() string { return c.id }

// Request is the HTTP request that was upgraded: its URL, header, path values and, through its context, the values that
// middleware put there. The context ends with the connection. What belongs to the router and is used again for other requests (chi's
// RouteContext) is not in it; [http.Request.PathValue] is. Headers that serve the handshake only (Connection, Upgrade, Sec-WebSocket-Key,
// -Version and -Extensions) are left out.
func (c *Conn) Request() *http.Request { return c.request }

// Context ends with the connection; context.Cause tells why.
func (c *Conn) Context() context.Context { return c.ctx }

// Set keeps a value with the connection, under a key of the caller's own type as for context.WithValue. nil removes it.
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

// Notify sends the client an rpc.notify with an event's name and its payload as JSON. It waits for room in the out-queue until ctx ends.
// That it returns nil does not say that the client has it.
//
// A client that speaks JSON-RPC gets a notification with the event as its method and the payload as its params, in an array when it is neither
// object nor array. That is so where ctx is that of a JSON-RPC call, and otherwise where the client's last call was one.
func (c *Conn) Notify(ctx context.Context, event string, payload any) error {
	out := getBuffer()
	defer out.release()
	var err error
	if c.dialect(ctx) == wire.JSONRPC {
		encoded := getBuffer()
		defer encoded.release()
		params := appender(encoded.b)
		err = json.MarshalWrite(&params, payload)
		encoded.b = params
		out.b = appendNotification(out.b, event, params)
	} else {
		encoded := appender(wire.AppendServerNotifyStart(out.b, event))
		err = json.MarshalWrite(&encoded, payload)
		out.b = wire.AppendEnd(encoded, nil)
	}
	if err != nil {
		return fmt.Errorf("wsx: encode the payload of %q: %w", event, err)
	}
	return c.ws.Send(ctx, websocket.MessageText, out.b)
}

// Close ends the connection with a WebSocket close code, 1000 or from 3000 to 4999 as a rule, and a reason of at most 123 bytes, and
// returns when it has ended, after at most 10 s. Its calls are cancelled. A code that no frame may carry (RFC 6455 section 7.4.1) ends the connection without one, and is an error.
func (c *Conn) Close(code int, reason string) error {
	if len(reason) > 123 {
		reason = strings.ToValidUTF8(reason[:123], "") // a cut rune would make it a close frame that peers refuse
	}
	return c.ws.Close(websocket.StatusCode(code), reason)
}

// add takes a call in, unless its id is in flight or no more are taken. It waits while as many run as may: the leader does not
// read meanwhile.
func (c *Conn) add(k *call) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	for len(c.calls)-c.waiting >= c.server.opts.MaxInFlight {
		room := make(chan struct{})
		c.room = room
		c.mu.Unlock()
		c.ws.Flush() // the client may wait for just these answers
		select {
		case <-room:
		case <-c.ws.Done():
			c.mu.Lock()
			return net.ErrClosed
		}
		c.mu.Lock()
	}
	if c.over {
		return net.ErrClosed
	}
	if c.draining {
		return &Error{Code: CodeUnavailable, Message: "the server is shutting down"}
	}
	if len(c.calls) >= c.server.opts.MaxInFlight+c.server.opts.MaxCalls {
		return &Error{Code: CodeResourceExhausted, Message: "too many requests wait for this client"}
	}
	if c.findLocked(k.id) != nil || len(c.batches) > 0 && c.batchedLocked(k) {
		return NewError(CodeInvalidRequest, "a request with this id is in flight")
	}
	c.calls = append(c.calls, k)
	return nil
}

// find returns the call in flight with that id, or nil.
func (c *Conn) find(id []byte) *call {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.findLocked(id)
}

func (c *Conn) findLocked(id []byte) *call {
	if id == nil || id[0] == 'n' { // null, which JSON-RPC allows, tells no request from another
		return nil
	}
	for _, k := range c.calls { // at most 64: shorter than a map would take
		if !k.gone && string(k.id) == string(id) {
			return k
		}
	}
	return nil
}

// finished is the end of a call whose handler has returned.
func (c *Conn) finished(k *call) {
	if k.text != nil {
		k.text.release()
	}
	c.mu.Lock()
	if i := slices.Index(c.calls, k); i >= 0 {
		last := len(c.calls) - 1
		c.calls[i], c.calls[last] = c.calls[last], nil
		c.calls = c.calls[:last]
	}
	k.over = true
	if k.waits > 0 { // in a goroutine that the handler left behind
		c.waiting--
	}
	c.makeRoomLocked()
	if len(c.calls) == 0 && c.quiet != nil {
		close(c.quiet)
		c.quiet = nil
	}
	c.mu.Unlock()
}

// makeRoomLocked wakes the leader, if it waits for room for a call.
func (c *Conn) makeRoomLocked() {
	if c.room != nil {
		close(c.room)
		c.room = nil
	}
}

// drain takes no new requests from now on. It returns what is closed when the last one has ended, nil when there is none.
func (c *Conn) drain() <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.draining = true
	if len(c.calls) > 0 && c.quiet == nil {
		c.quiet = make(chan struct{})
	}
	return c.quiet
}

// cancelAll cancels what is in flight when the connection has ended: there is nobody left to answer.
func (c *Conn) cancelAll() {
	c.mu.Lock()
	calls := slices.Clone(c.calls)
	c.mu.Unlock()
	for _, k := range calls {
		k.cancel(context.Canceled)
	}
}

// answer sends a whole message. It waits for room: an answer is never dropped while the connection is up.
func (c *Conn) answer(b []byte) {
	c.answerLater(b)
	c.ws.Flush()
}

// answerLater is answer for the leader, whose next read sends what is queued before it waits.
func (c *Conn) answerLater(b []byte) {
	if err := c.ws.Queue(c.ctx, websocket.MessageText, b); err != nil {
		c.server.log.LogAttrs(context.Background(), levelQuiet, "wsx: answer not sent", c.attr(), errAttr(err))
	}
}

// answerError answers what is no call, or not yet; an id of nil is null.
func (c *Conn) answerError(d wire.Dialect, id []byte, e *Error) {
	out := getBuffer()
	defer out.release()
	out.b = c.appendError(d, out.b, id, e)
	c.answer(out.b)
}

// appendError appends the answer that is an error, and logs why when that goes without its details.
func (c *Conn) appendError(d wire.Dialect, dst, id []byte, e *Error) []byte {
	dst, err := appendError(d, dst, id, e)
	if err != nil {
		c.server.log.LogAttrs(context.Background(), slog.LevelError, "wsx: error sent without its details", c.attr(), slog.String("code", e.Code), errAttr(err))
	}
	return dst
}

// free makes a call's id free for the next request. It comes before the answer: who has read that may send the next at once.
func (c *Conn) free(k *call) {
	c.mu.Lock()
	k.gone = true
	c.mu.Unlock()
}
