package wsxclient

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/coder/websocket"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/genropy/genro-asgi-go/internal/lockorder"
	"github.com/genropy/genro-asgi-go/internal/wsconn"
	"github.com/genropy/genro-asgi-go/wsx"
	"github.com/genropy/genro-asgi-go/wsx/internal/clientcall"
	"github.com/genropy/genro-asgi-go/wsx/internal/wire"
)

// Options configure [Dial]. nil and the zero value are valid.
type Options struct {
	// HTTPClient makes the handshake; http.DefaultClient when nil. Its Timeout bounds the handshake
	// only.
	HTTPClient *http.Client
	// Header is sent with the handshake: Authorization, Cookie, Origin.
	Header http.Header
	// Token returns a bearer token, fresh enough to be used now. The client asks for one before
	// each handshake, where it is the Authorization header, with ctx as Dial's or DialTimeout; and
	// before the credentials expire, to refresh them by wsx.auth. An error fails Dial; later it is
	// tried again, after the waits of Reconnect. nil: Header is all there is.
	Token func(ctx context.Context) (string, error)
	// OnNotify gets the server's notifications in order, in a goroutine of its own. Its context is
	// for what it waits for: it ends with Close, and a call with it whose answer cannot come gets
	// ErrBacklog. The payload is OnNotify's to keep, nil when there was none. nil ignores
	// notifications. It must not call Close.
	OnNotify func(ctx context.Context, event string, payload jsontext.Value)
	// Methods are what the server may call; none when nil. Their handlers get the client with
	// [ClientFrom].
	Methods *wsx.Dispatcher
	// MaxInFlight is how many of them may run at a time; 64. Further calls wait for a place, up to
	// 1,024 of them and 4 MiB, and are UNAVAILABLE beyond that; nothing else waits with them.
	MaxInFlight int
	// Logger gets what the server is not told of a method's error, and what of the server's
	// messages is of no use; slog.Default() when nil.
	Logger *slog.Logger
	// MaxMessage is the largest message accepted, in bytes; 1 MiB when zero, no limit when
	// negative. A larger one is skipped, and whoever it was for told: see ErrTooBig.
	MaxMessage int64
	// MessageTimeout is how long a message of the server may take from its first byte to its last;
	// 5 min when zero, no limit when negative. Silence in the middle of one ends the connection
	// sooner, as any does. WriteTimeout is how long 64 KiB may take to be written; 30 s when zero,
	// no limit when negative.
	MessageTimeout, WriteTimeout time.Duration
	// KeepaliveAfter is the silence after which the server is sent a ping, and KeepaliveWait the
	// silence after that which ends the connection; 25 s and 20 s when zero. A negative
	// KeepaliveAfter sends no pings, and silence is borne.
	KeepaliveAfter, KeepaliveWait time.Duration
	// Compression offers permessage-deflate (RFC 7692).
	Compression bool

	// JSONRPC makes the client speak JSON-RPC 2.0 instead of WSX, for servers of others. See the
	// package's documentation.
	JSONRPC bool

	// Reconnect makes the client connect again when the connection is lost, unless the way it ended
	// is final. Without it a lost connection is the client's end.
	Reconnect bool
	// RetryMin and RetryMax bound the waits between attempts, 100 ms and 30 s by default. Before
	// attempt n the client waits a random time up to RetryMin doubled n times, RetryMax at most
	// (full jitter); more where the server said when to come back.
	RetryMin, RetryMax time.Duration
	// DialTimeout bounds each attempt to connect again, and each refresh of the token; 30 s.
	DialTimeout time.Duration
	// Final reports whether the client gives up, after the peer closed the connection (a
	// *ClosedError) or refused a handshake (a *HandshakeError), in a goroutine that must not wait.
	// When nil it is [Final], and 1008 is final at the third time in a row. It is not asked about
	// 401 and 4401, see Token, nor about what ended on this side or by the network, after which the
	// client always connects again.
	Final func(err error) bool
	// OfflineMessages is how many notifications and calls may wait for the next connection while
	// there is none, and OfflineBytes how many bytes of methods, params and middleware's meta they
	// may have together, 1 MiB when zero. They are sent in order, before anything later. Zero, the
	// default, lets none wait: they fail with a *ClosedError. It takes Reconnect.
	OfflineMessages, OfflineBytes int
	// OnDropped is told of each notification that waited until the client ended, in a goroutine of
	// the client's. It must not call Close.
	OnDropped func(method string, params jsontext.Value)

	// CallMiddleware is called around each Call, CallWith, Stream and Notify, the first of them
	// outermost; with Retry it is around all attempts together. What the client asks by itself,
	// such as subscriptions and wsx.auth, goes without. None is the default.
	CallMiddleware []CallMiddleware

	// OnState is told of every change of state, in order, in a goroutine of its own; err is how the
	// connection ended. While the client reconnects it is told of each attempt that failed as well.
	// Of more than 64 that wait for it the oldest are left out. It must not call Close.
	OnState func(s State, err error)
}

// State is what a client is doing.
type State int

// The states.
const (
	Connected State = iota // calls go through
	// until the client is connected again, calls wait where they were told to and fail otherwise
	Reconnecting
	Closed // for good
)

func (s State) String() string {
	switch s {
	case Connected:
		return "connected"
	case Reconnecting:
		return "reconnecting"
	default:
		return "closed"
	}
}

const (
	// maxDepth is how deep a message of the server may nest: what the JSON decoder takes. The
	// protocol's 32 levels hold servers only.
	maxDepth = 10_000
)

// Client is a connection to a server, and with Options.Reconnect the next one when that is lost.
type Client struct {
	url  string
	opts Options
	ctx  context.Context    // ends with Close
	stop context.CancelFunc // ends ctx
	work sync.WaitGroup     // the client's goroutines

	notes      backlog       // the server's notifications, for OnNotify
	delivering atomic.Uint64 // the number of the one that OnNotify has, 0 between two
	states     states        // for OnState
	pace       pacer         // of what the client repeats by itself

	// these belong to run
	waits    backoff // between attempts to connect again
	denials  int     // in a row: tokens that the server did not take
	refusals int     // in a row: connections that the server closed with 1008, of which none held

	done    chan struct{} // closed when the client has ended; the next two are set before
	err     *ClosedError
	dropped []*waiting // the notifications that were never sent

	mu      lockorder.Mutex // guards what follows, and what offline points to
	link    *link           // the connection, or the last one
	changed chan struct{}   // closed when link is another one, or the last has ended
	offline *offline        // nil without; the pointer never changes
}

// Dial connects to a ws, wss, http or https URL. ctx governs the first handshake only. The error is
// a *HandshakeError when the server refused. opts may be nil.
func Dial(ctx context.Context, url string, opts *Options) (*Client, error) {
	c := &Client{
		url:     url,
		notes:   backlog{wake: make(chan struct{}, 1), room: make(chan struct{}, 1)},
		states:  states{wake: make(chan struct{}, 1)},
		done:    make(chan struct{}),
		changed: make(chan struct{}),
	}
	if opts != nil {
		c.opts = *opts
	}
	if c.opts.MaxMessage == 0 {
		c.opts.MaxMessage = 1 << 20
	}
	if c.opts.RetryMin <= 0 {
		c.opts.RetryMin = 100 * time.Millisecond
	}
	if c.opts.RetryMax <= 0 {
		c.opts.RetryMax = 30 * time.Second
	}
	if c.opts.DialTimeout <= 0 {
		c.opts.DialTimeout = 30 * time.Second
	}
	if c.opts.MaxInFlight <= 0 {
		c.opts.MaxInFlight = 64
	}
	if slices.ContainsFunc(c.opts.CallMiddleware, func(m CallMiddleware) bool { return m == nil }) {
		panic("wsx: Dial: a CallMiddleware is nil")
	}
	if c.opts.Logger == nil {
		c.opts.Logger = slog.Default()
	}
	if c.opts.Reconnect && c.opts.OfflineMessages > 0 {
		if c.opts.OfflineBytes <= 0 {
			c.opts.OfflineBytes = 1 << 20
		}
		c.offline = &offline{room: c.opts.OfflineMessages, bytes: c.opts.OfflineBytes}
	}
	l, err := c.dial(ctx)
	if err != nil {
		return nil, err
	}
	c.ctx, c.stop = context.WithCancel(context.Background())
	c.link = l
	c.work.Go(c.run)
	c.work.Go(c.deliver)
	c.work.Go(c.tell)
	return c, nil
}

func (c *Client) dial(ctx context.Context) (*link, error) {
	l := &link{client: c}
	limits := &wsconn.Options{
		MaxMessage: c.opts.MaxMessage, TooBig: l.outline.Write,
		MessageTimeout: cmp.Or(c.opts.MessageTimeout, 5*time.Minute),
		MaxFrames:      -1, MaxControl: -1, // of one's own server; bytes and time are limits enough
		WriteTimeout: cmp.Or(c.opts.WriteTimeout, 30*time.Second), Compression: c.opts.Compression,
		KeepaliveAfter: c.opts.KeepaliveAfter,
		KeepaliveWait:  cmp.Or(c.opts.KeepaliveWait, 20*time.Second),
	}
	if !c.opts.JSONRPC {
		limits.Subprotocols = []string{wire.Subprotocol}
	}
	if c.offline != nil { // room for all that waits, however its methods are escaped, and the usual
		limits.MaxQueueMessages = 1024 + c.opts.OfflineMessages
		limits.MaxQueueBytes = 1<<20 + 6*c.opts.OfflineBytes + c.opts.OfflineMessages*overhead
	}
	header, token, err := c.handshakeHeader(ctx)
	if err != nil {
		return nil, err
	}
	handshake := &wsconn.DialOptions{Client: c.opts.HTTPClient, Header: header}
	//nolint:bodyclose // of a refusal it is in memory
	ws, resp, err := wsconn.Dial(ctx, c.url, handshake, limits)
	if err != nil {
		return nil, dialError(resp, err, token)
	}
	l.token = token
	l.open(ws)
	return l, nil
}

// Close ends the connection with 1000 and waits for the client's goroutines, OnNotify and OnState
// included. What is under way gets a *ClosedError. It may be called more than once; the error is
// nil unless the closing itself went wrong.
func (c *Client) Close() error {
	c.stop()
	err := c.current().ws.Close(websocket.StatusNormalClosure, "")
	c.work.Wait()
	if n := len(c.dropped); n > 0 {
		return fmt.Errorf("wsx: closed with %d notifications that were never sent", n)
	}
	if websocket.CloseStatus(err) != -1 {
		return nil // the server was closing as well
	}
	return err
}

// Done is closed when the client has ended; then Err tells how.
func (c *Client) Done() <-chan struct{} { return c.done }

// Err is nil while the client is connected or connects again, and then how it ended.
func (c *Client) Err() error {
	select {
	case <-c.done:
		return c.err
	default:
		return nil
	}
}

// run reads one connection after the other.
func (c *Client) run() {
	defer c.notes.close()
	c.states.add(Connected, nil)
	l := c.current()
	for {
		if c.opts.Token != nil && !c.opts.JSONRPC {
			fresh := l
			c.work.Go(func() { fresh.keepFresh(fresh.token) })
		}
		l.read()
		next := c.reconnect(l)
		if next == nil {
			close(c.done)
			c.states.add(Closed, c.err)
			return
		}
		l = next
		c.states.add(Connected, nil)
	}
}

// current is the connection, or the last one.
func (c *Client) current() *link {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.link
}

// Notify sends a notification and does not wait for anything but room in the out-queue. That it
// returns nil does not say that the server has it. params are encoded as JSON; nil means none.
func (c *Client) Notify(ctx context.Context, method string, params any) error {
	encoded, err := clientcall.EncodeParams(method, params)
	if err != nil {
		return err
	}
	if len(c.opts.CallMiddleware) > 0 {
		return c.through(ctx, &CallInfo{Method: method, Notify: true},
			func(ctx context.Context, meta map[string]string) error {
				return c.notify(ctx, method, encoded, meta)
			})
	}
	return c.notify(ctx, method, encoded, nil)
}

// notify sends a notification whose params are JSON, nil for none.
func (c *Client) notify(ctx context.Context, method string, params []byte,
	meta map[string]string,
) error {
	message, err := c.encodeNotify(method, params, meta)
	if err != nil {
		return err
	}
	if c.offline != nil {
		return c.offlineNotify(ctx,
			&waiting{
				size: waitingSize(method, params, meta), method: method, params: params,
				message: message,
			})
	}
	return c.current().send(ctx, message)
}
