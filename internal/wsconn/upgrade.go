package wsconn

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"errors"
	"net"
	"net/http"
	"strings"
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
	hw := &hijackWriter{ResponseWriter: w, opts: &o, pings: &pings{}}
	ws, err := websocket.Accept(hw, r, &websocket.AcceptOptions{
		InsecureSkipVerify: true, // Policy checked it, and more
		Subprotocols:       o.Subprotocols,
		CompressionMode:    o.compressionMode(),
		OnPongReceived:     hw.pings.pong, // not of hw, which would keep net/http's buffers alive
	})
	if err != nil {
		if hw.link != nil {
			hw.link.cut()
		}
		return nil, err
	}
	return newConn(ws, hw.link, &o, false, w.Header().Get("Sec-WebSocket-Extensions") != ""), nil
}

func newConn(ws *websocket.Conn, l *link, o *Options, client, deflate bool) *Conn {
	ws.SetReadLimit(o.MaxMessage)
	c := &Conn{ws: ws, link: l, client: client, deflate: deflate}
	if o.KeepaliveAfter > 0 {
		c.alive = &keepalive{conn: c, after: o.KeepaliveAfter, wait: o.KeepaliveWait}
		c.alive.start()
	}
	return c
}

// hijackWriter gives coder/websocket our link and small buffers in place of the connection and net/http's.
type hijackWriter struct {
	http.ResponseWriter
	opts  *Options
	pings *pings
	link  *link
}

const (
	readBuffer  = 512 // larger reads go past it
	writeBuffer = 256 // one control frame
)

func (h *hijackWriter) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	nc, brw, err := http.NewResponseController(h.ResponseWriter).Hijack()
	if err != nil {
		return nil, nil, err
	}
	if err := nc.SetDeadline(time.Time{}); err != nil { // those of http.Server
		_ = nc.Close()
		return nil, nil, err
	}
	early, err := brw.Peek(brw.Reader.Buffered()) // the client did not wait for the answer
	if err != nil {
		return nil, nil, errors.Join(err, nc.Close())
	}
	h.link = newLink(nc, bytes.Clone(early), h.pings, h.opts)
	return h.link, bufio.NewReadWriter(bufio.NewReaderSize(h.link, readBuffer), bufio.NewWriterSize(h.link, writeBuffer)), nil
}
