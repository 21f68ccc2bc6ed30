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

	"github.com/genropy/genro-asgi-go/internal/respwriter"
)

// Refusal is why a request cannot be upgraded: a plain HTTP answer.
type Refusal struct {
	Status int
	Detail string
	Header http.Header // to be set on the answer; may be nil
	// for the log, where it is not the client who can mend it, and says how; may be nil
	Err error
}

// Check looks at a handshake (RFC 6455 section 4.2.1) and its origin and returns nil when Upgrade
// would accept them. A nil policy is the zero one.
func Check(w http.ResponseWriter, r *http.Request, policy *Policy) *Refusal {
	if policy == nil {
		policy = &Policy{}
	}
	upgrade := http.Header{"Connection": {"Upgrade"}, "Upgrade": {"websocket"}}
	keys := r.Header.Values("Sec-WebSocket-Key")
	switch {
	case r.Method != http.MethodGet:
		return &Refusal{
			http.StatusMethodNotAllowed, "A WebSocket handshake is a GET request.",
			http.Header{"Allow": {"GET"}},
			nil,
		}
	case r.ProtoMajor != 1 || r.ProtoMinor < 1:
		return &Refusal{
			http.StatusUpgradeRequired, "A WebSocket handshake needs HTTP/1.1.",
			upgrade, nil,
		}
	case !hasToken(r.Header, "Connection", "upgrade") ||
		!hasToken(r.Header, "Upgrade", "websocket"):
		return &Refusal{
			http.StatusUpgradeRequired, "This endpoint speaks WebSocket only.", upgrade,
			nil,
		}
	case r.Header.Get("Sec-WebSocket-Version") != "13":
		return &Refusal{
			http.StatusUpgradeRequired, "Only WebSocket version 13 is supported.",
			http.Header{"Sec-Websocket-Version": {"13"}},
			nil,
		}
	case len(keys) != 1 || !validKey(keys[0]):
		return &Refusal{
			http.StatusBadRequest,
			"Sec-WebSocket-Key must be one base64 value of 16 bytes.", nil, nil,
		}
	case !policy.Allows(r):
		detail, err := policy.explain(r)
		return &Refusal{http.StatusForbidden, detail, nil, err}
	case r.ContentLength != 0:
		// net/http would wait for it before it lets the 101 out, and before it reads another
		// request.
		return &Refusal{
			http.StatusBadRequest, "A WebSocket handshake has no body.",
			http.Header{"Connection": {"close"}},
			nil,
		}
	}
	if err := respwriter.CanHijack(w); err != nil {
		return &Refusal{http.StatusNotImplemented, "This connection cannot be upgraded.", nil, err}
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

// Upgrade answers a request that Check accepted with 101 and takes the connection over. The handler
// may return after it, and should: its goroutine and its buffers are not needed any more. On an
// error the response has been used up.
func Upgrade(w http.ResponseWriter, r *http.Request, opts *Options) (*Conn, error) {
	if err := respwriter.CanHijack(w); err != nil { // the library would send its 101 first
		http.Error(w, http.StatusText(http.StatusNotImplemented), http.StatusNotImplemented)
		return nil, err
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
	return newConn(ws, hw.lent, hw.early, &o, false,
		w.Header().Get("Sec-WebSocket-Extensions") != ""), nil
}

// lent is the connection as coder/websocket gets it, for the handshake.
type lent struct {
	net.Conn
	returned atomic.Bool // the handshake has been done: Close closes nothing any more
}

func (l *lent) Close() error {
	if l.returned.Load() {
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
	// bytes of buffer, the least there is: after the handshake nothing is read or written through
	// it
	const none = 16
	return h.lent, bufio.NewReadWriter(bufio.NewReaderSize(nc, none),
		bufio.NewWriterSize(nc, none)), nil
}
