package wsxclient

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"sync"

	"github.com/coder/websocket"
	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/genropy/genro-asgi-go/internal/wsconn"
	"github.com/genropy/genro-asgi-go/wsx"
	"github.com/genropy/genro-asgi-go/wsx/internal/wire"
)

// Options configure [Dial]. nil and the zero value are valid.
type Options struct {
	// HTTPClient makes the handshake; http.DefaultClient when nil. Its Timeout bounds the handshake only.
	HTTPClient *http.Client
	// Header is sent with the handshake: Authorization, Cookie, Origin.
	Header http.Header
	// OnNotify gets the server's notifications in order, in a goroutine of its own. The payload is its to keep, nil when there
	// was none. nil ignores them. It must not call Close.
	OnNotify func(event string, payload jsontext.Value)
	// MaxMessage is the largest message accepted, in bytes; 1 MiB when zero, no limit when negative.
	MaxMessage int64
	// Compression offers permessage-deflate (RFC 7692).
	Compression bool
}

// maxDepth is how deep a message of the server may nest: what the JSON decoder takes. The protocol's 32 levels hold servers only.
const maxDepth = 10_000

// maxNotifications is how many of the server's notifications may wait for OnNotify.
const maxNotifications = 256

// Client is a connection to a server.
type Client struct {
	ws       *wsconn.Conn
	onNotify func(string, jsontext.Value)
	notes    chan note
	ended    chan struct{} // closed when the reader has ended; err is set before
	err      *ClosedError
	work     sync.WaitGroup

	mu      sync.Mutex
	next    uint64
	pending map[uint64]chan<- reply // nil when the connection has ended
}

type note struct {
	event   string
	payload jsontext.Value
}

// reply is the server's answer. Its bytes are the receiver's.
type reply struct {
	result []byte
	err    error
}

// ClosedError says that the connection has ended and how.
type ClosedError struct {
	// Code is the close code: the peer's, this side's, or 1006 when the connection broke without one (RFC 6455 section 7.1.5).
	Code int
	// Err is the cause. It may be nil.
	Err error
}

func (e *ClosedError) Error() string {
	if e.Err == nil {
		return fmt.Sprintf("wsx: connection closed (%d)", e.Code)
	}
	return fmt.Sprintf("wsx: connection closed (%d): %v", e.Code, e.Err)
}

// Unwrap returns the cause.
func (e *ClosedError) Unwrap() error { return e.Err }

// HandshakeError says that the server answered the handshake and did not upgrade.
type HandshakeError struct {
	Status int    // the HTTP status
	Body   []byte // the first KiB of the answer, a problem (RFC 9457) from a server of this package
	Err    error
}

func (e *HandshakeError) Error() string {
	return fmt.Sprintf("wsx: the server answered the handshake with %d %s", e.Status, http.StatusText(e.Status))
}

// Unwrap returns what the handshake made of it.
func (e *HandshakeError) Unwrap() error { return e.Err }

// StatusCode is the HTTP status.
func (e *HandshakeError) StatusCode() int { return e.Status }

// Dial connects to a ws, wss, http or https URL. ctx governs the handshake only. The error is a *HandshakeError when the server
// refused. opts may be nil.
func Dial(ctx context.Context, url string, opts *Options) (*Client, error) {
	if opts == nil {
		opts = &Options{}
	}
	limits := &wsconn.Options{Subprotocols: []string{wire.Subprotocol}, MaxMessage: opts.MaxMessage, Compression: opts.Compression}
	if limits.MaxMessage == 0 {
		limits.MaxMessage = 1 << 20
	}
	ws, resp, err := wsconn.Dial(ctx, url, &wsconn.DialOptions{Client: opts.HTTPClient, Header: opts.Header}, limits) //nolint:bodyclose // of a refusal it is in memory
	if err != nil {
		if resp != nil && resp.StatusCode != http.StatusSwitchingProtocols {
			body, _ := io.ReadAll(resp.Body) // what could be read of it
			return nil, &HandshakeError{Status: resp.StatusCode, Body: body, Err: err}
		}
		return nil, fmt.Errorf("wsx: dial: %w", err)
	}
	c := &Client{
		ws:       ws,
		onNotify: opts.OnNotify,
		notes:    make(chan note, maxNotifications),
		ended:    make(chan struct{}),
		pending:  make(map[uint64]chan<- reply),
	}
	c.work.Go(c.read)
	c.work.Go(c.deliver)
	return c, nil
}

// Close ends the connection with 1000 and waits for the client's goroutines, OnNotify included. What is under way gets a *ClosedError.
// It may be called more than once; the error is nil unless the closing itself went wrong.
func (c *Client) Close() error {
	err := c.ws.Close(websocket.StatusNormalClosure, "")
	c.work.Wait()
	if websocket.CloseStatus(err) != -1 {
		return nil // the server was closing as well
	}
	return err
}

// Done is closed when the connection has ended; then Err tells how.
func (c *Client) Done() <-chan struct{} { return c.ended }

// Err is nil while the connection is up, and then how it ended.
func (c *Client) Err() error {
	select {
	case <-c.ended:
		return c.err
	default:
		return nil
	}
}

// read serves what the server sends until the connection ends.
func (c *Client) read() {
	defer close(c.notes)
	for {
		_, b, err := c.ws.Read(context.Background(), nil)
		if err != nil {
			c.fail(err)
			return
		}
		c.message(b)
	}
}

func (c *Client) message(b []byte) {
	var m wire.Message
	fault := m.Parse(b, wire.Rules{FromServer: true, Depth: maxDepth})
	if m.Dialect != wire.WSX {
		return // a server that speaks something else too
	}
	if fault != wire.OK {
		if m.Type == wire.Response || m.Type == wire.Error {
			c.settle(m.ID, reply{err: fmt.Errorf("wsx: the server's answer cannot be read: %s", fault.Text())})
		}
		return
	}
	switch m.Type {
	case wire.Response:
		c.settle(m.ID, reply{result: m.Result})
	case wire.Error:
		e := &wsx.Error{Code: string(m.ErrorCode), Message: string(m.ErrorText)}
		if m.ErrorDetails != nil {
			e.Details = jsontext.Value(m.ErrorDetails)
		}
		if e.Code == wsx.CodeDeadlineExceeded {
			e.Err = context.DeadlineExceeded // the caller's, as a rule: it makes no difference which side saw it first
		}
		c.settle(m.ID, reply{err: e})
	case wire.Notify:
		if c.onNotify != nil {
			select {
			case c.notes <- note{string(m.Event), m.Payload}:
			case <-c.ws.Done():
			}
		}
	case wire.Ping:
		c.send(context.Background(), wire.AppendPong(nil, m.ID))
	case wire.Request: // this client has no methods
		e := &wsx.Error{Code: wsx.CodeMethodNotFound}
		c.send(context.Background(), wire.AppendError(nil, m.ID, e.Code, "this client has no methods", nil))
	}
}

// send is for what nobody waits for: when it fails, the reader learns of it.
func (c *Client) send(ctx context.Context, b []byte) {
	_ = c.ws.Send(ctx, websocket.MessageText, b)
}

func (c *Client) deliver() {
	for n := range c.notes {
		c.onNotify(n.event, n.payload)
	}
}

// settle hands an answer to the call that waits for it, if it still does.
func (c *Client) settle(id []byte, r reply) {
	n, ok := parseID(id)
	if !ok {
		return
	}
	c.mu.Lock()
	ch := c.pending[n]
	delete(c.pending, n)
	c.mu.Unlock()
	if ch != nil {
		ch <- r // it has room for the one
	}
}

// fail ends everything that waits.
func (c *Client) fail(err error) {
	c.err = &ClosedError{Code: int(websocket.StatusAbnormalClosure), Err: err}
	if code := websocket.CloseStatus(err); code >= 0 {
		c.err.Code = int(code)
	} else if code, _, ok := c.ws.Ending(); ok {
		c.err.Code = int(code)
	}
	c.mu.Lock()
	pending := c.pending
	c.pending = nil
	c.mu.Unlock()
	for _, ch := range pending {
		ch <- reply{err: c.err}
	}
	close(c.ended)
}

// Notify sends a notification and does not wait for anything but room in the out-queue. That it returns nil does not say that the
// server has it. params are encoded as JSON; nil means none.
func (c *Client) Notify(ctx context.Context, method string, params any) error {
	encoded, err := encodeParams(method, params)
	if err != nil {
		return err
	}
	return c.sendOr(ctx, wire.AppendNotify(nil, method, encoded, nil))
}

func (c *Client) sendOr(ctx context.Context, b []byte) error {
	err := c.ws.Send(ctx, websocket.MessageText, b)
	if err == nil || ctx.Err() != nil {
		return err
	}
	select { // the connection is ending
	case <-c.ended:
		return c.err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func encodeParams(method string, params any) ([]byte, error) {
	if params == nil {
		return nil, nil
	}
	var b bytes.Buffer
	if err := json.MarshalWrite(&b, params); err != nil {
		return nil, fmt.Errorf("wsx: encode the params of %q: %w", method, err)
	}
	return b.Bytes(), nil
}
