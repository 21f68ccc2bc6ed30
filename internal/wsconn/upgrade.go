package wsconn

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"github.com/coder/websocket"
)

// Options are the limits of a connection. nil and the zero value are valid; a zero field means its default, a negative one
// no limit (for KeepaliveAfter: no keepalive).
type Options struct {
	Subprotocols []string // in the server's order of preference

	MaxMessage     int64         // bytes a message, also after inflating; 64 KiB
	MaxFrames      int           // frames a message; 1,024
	MessageTimeout time.Duration // from a message's first byte to its last; 10 s
	MaxControl     int           // pings a second, and pongs a second; 10

	MaxQueueBytes    int           // out-queue in bytes; 1 MiB
	MaxQueueMessages int           // out-queue in messages; 1,024
	WriteTimeout     time.Duration // for one write of at most 64 KiB; 5 s
	SendBuffer       int           // SO_SNDBUF in bytes; 64 KiB, negative leaves the system's

	KeepaliveAfter time.Duration // silence before a ping; 25 s
	KeepaliveWait  time.Duration // silence after it before the end; 10 s

	Compression bool // permessage-deflate (RFC 7692) without context takeover, where the peer offers it
}

func orDefault[T int | int64 | time.Duration](v, def, none T) T {
	switch {
	case v == 0:
		return def
	case v < 0:
		return none
	}
	return v
}

func (o *Options) withDefaults() Options {
	var d Options
	if o != nil {
		d = *o
	}
	const most = 1 << 30 // no limit, and still far from overflowing
	d.MaxMessage = orDefault(d.MaxMessage, 64<<10, 1<<40)
	d.MaxFrames = orDefault(d.MaxFrames, 1024, most)
	d.MessageTimeout = orDefault(d.MessageTimeout, 10*time.Second, 1000*time.Hour)
	d.MaxControl = orDefault(d.MaxControl, 10, most)
	d.MaxQueueBytes = orDefault(d.MaxQueueBytes, 1<<20, most)
	d.MaxQueueMessages = orDefault(d.MaxQueueMessages, 1024, most)
	d.WriteTimeout = orDefault(d.WriteTimeout, 5*time.Second, 1000*time.Hour)
	d.SendBuffer = orDefault(d.SendBuffer, 64<<10, -1)
	d.KeepaliveAfter = orDefault(d.KeepaliveAfter, 25*time.Second, -1)
	d.KeepaliveWait = orDefault(d.KeepaliveWait, 10*time.Second, 1000*time.Hour)
	return d
}

func (o *Options) compressionMode() websocket.CompressionMode {
	if o.Compression {
		return websocket.CompressionNoContextTakeover
	}
	return websocket.CompressionDisabled
}

// Refusal is why a request cannot be upgraded: a plain HTTP answer.
type Refusal struct {
	Status int
	Detail string
	Header http.Header // to be set on the answer; may be nil
}

// Check looks at a handshake (RFC 6455 section 4.2.1) and its origin and returns nil when Upgrade would accept them. A nil policy is
// the zero one.
func Check(w http.ResponseWriter, r *http.Request, policy *Policy) *Refusal {
	if policy == nil {
		policy = &Policy{}
	}
	upgrade := http.Header{"Connection": {"Upgrade"}, "Upgrade": {"websocket"}}
	keys := r.Header.Values("Sec-WebSocket-Key")
	switch {
	case r.Method != http.MethodGet:
		return &Refusal{http.StatusMethodNotAllowed, "A WebSocket handshake is a GET request.", http.Header{"Allow": {"GET"}}}
	case r.ProtoMajor != 1 || r.ProtoMinor < 1:
		return &Refusal{http.StatusUpgradeRequired, "A WebSocket handshake needs HTTP/1.1.", upgrade}
	case !hasToken(r.Header, "Connection", "upgrade") || !hasToken(r.Header, "Upgrade", "websocket"):
		return &Refusal{http.StatusUpgradeRequired, "This endpoint speaks WebSocket only.", upgrade}
	case r.Header.Get("Sec-WebSocket-Version") != "13":
		return &Refusal{http.StatusUpgradeRequired, "Only WebSocket version 13 is supported.", http.Header{"Sec-Websocket-Version": {"13"}}}
	case len(keys) != 1 || !validKey(keys[0]):
		return &Refusal{http.StatusBadRequest, "Sec-WebSocket-Key must be one base64 value of 16 bytes.", nil}
	case !policy.Allows(r):
		return &Refusal{http.StatusForbidden, "This origin may not connect.", nil}
	case !canHijack(w):
		return &Refusal{http.StatusNotImplemented, "This connection cannot be upgraded.", nil}
	}
	return nil
}

func hasToken(h http.Header, name, token string) bool {
	for _, line := range h.Values(name) {
		for t := range strings.SplitSeq(line, ",") {
			if strings.EqualFold(strings.TrimSpace(t), token) {
				return true
			}
		}
	}
	return false
}

func validKey(key string) bool {
	b, err := base64.StdEncoding.DecodeString(strings.TrimSpace(key))
	return err == nil && len(b) == 16
}

func canHijack(w http.ResponseWriter) bool {
	for {
		switch t := w.(type) {
		case http.Hijacker:
			return true
		case interface{ Unwrap() http.ResponseWriter }:
			w = t.Unwrap()
		default:
			return false
		}
	}
}

// Upgrade answers a request that Check accepted with 101 and takes the connection over. The handler may return after it, and should:
// its goroutine and its buffers are not needed any more. On an error the response has been used up.
func Upgrade(w http.ResponseWriter, r *http.Request, opts *Options) (*Conn, error) {
	if !canHijack(w) { // the library would send its 101 first
		http.Error(w, http.StatusText(http.StatusNotImplemented), http.StatusNotImplemented)
		return nil, http.ErrNotSupported
	}
	o := opts.withDefaults()
	hw := &hijackWriter{ResponseWriter: w}
	ws, err := websocket.Accept(hw, r, &websocket.AcceptOptions{
		InsecureSkipVerify: true, // Policy checked it, and more
		Subprotocols:       o.Subprotocols,
		CompressionMode:    o.compressionMode(),
	})
	if err != nil {
		if hw.lent != nil {
			_ = hw.lent.Close()
		}
		return nil, err
	}
	return newConn(ws, hw.lent, hw.early, &o, false, w.Header().Get("Sec-WebSocket-Extensions") != ""), nil
}

// newConn takes the connection over after the handshake; ws, which has done it, goes.
func newConn(ws *websocket.Conn, nc *lent, early []byte, o *Options, client, deflate bool) *Conn {
	c := &Conn{subprotocol: ws.Subprotocol()}
	nc.over.Store(true)
	_ = ws.CloseNow() // else it stays for its finalizer
	c.frames = reader{maxFrames: o.MaxFrames, maxControl: o.MaxControl, maxBytes: o.MaxMessage, client: client, deflate: deflate}
	c.link.queue.deflate = deflate
	c.link.open(nc.Conn, early, o)
	if o.KeepaliveAfter > 0 {
		c.alive.start(c, o)
	}
	return c
}

// lent is the connection as coder/websocket gets it, for the handshake.
type lent struct {
	net.Conn
	over atomic.Bool // the handshake has been done: the connection is another's
}

func (l *lent) Close() error {
	if l.over.Load() {
		return nil
	}
	return l.Conn.Close()
}

// hijackWriter lends coder/websocket the connection, and keeps net/http's buffers from it.
type hijackWriter struct {
	http.ResponseWriter
	lent  *lent
	early []byte
}

func (h *hijackWriter) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	nc, brw, err := http.NewResponseController(h.ResponseWriter).Hijack()
	if err != nil {
		return nil, nil, err
	}
	h.lent = &lent{Conn: nc}
	if err := nc.SetDeadline(time.Time{}); err != nil { // those of http.Server
		return nil, nil, err
	}
	early, err := brw.Peek(brw.Reader.Buffered()) // the client did not wait for the answer
	if err != nil {
		return nil, nil, err
	}
	h.early = bytes.Clone(early)
	const none = 16 // bytes of buffer, the least there is: after the handshake nothing is read or written through it
	return h.lent, bufio.NewReadWriter(bufio.NewReaderSize(nc, none), bufio.NewWriterSize(nc, none)), nil
}
