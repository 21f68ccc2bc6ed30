package wsconn

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"os"
	"time"

	"github.com/coder/websocket"
)

// DialOptions are a client's handshake. nil is valid.
type DialOptions struct {
	Client *http.Client // nil is http.DefaultClient; its Timeout bounds the handshake only
	Header http.Header
}

// Dial connects to a ws, wss, http or https URL. ctx governs the handshake only. The response is
// not nil when the server gave one, refusals included; the first KiB of a refusal's body can be
// read.
func Dial(ctx context.Context, url string, dial *DialOptions, opts *Options) (*Conn, *http.Response,
	error,
) {
	if dial == nil {
		dial = &DialOptions{}
	}
	o := opts.withDefaults()
	client := http.Client{}
	if dial.Client != nil {
		client = *dial.Client
	}
	wrap := &upgradeTripper{next: client.Transport}
	client.Transport = wrap
	ws, resp, err := websocket.Dial(ctx, url, &websocket.DialOptions{
		HTTPClient:      &client,
		HTTPHeader:      dial.Header,
		Subprotocols:    o.Subprotocols,
		CompressionMode: o.compressionMode(),
	})
	if err != nil {
		if wrap.lent != nil {
			_ = wrap.lent.Close()
		}
		return nil, resp, err
	}
	return newConn(ws, wrap.lent, wrap.early, &o, true,
		resp.Header.Get("Sec-WebSocket-Extensions") != ""), resp, nil
}

// upgradeTripper keeps the connection, and lends it where coder/websocket takes it from: the body
// of the 101 response.
type upgradeTripper struct {
	next  http.RoundTripper
	lent  *lent
	early []byte
}

var errNoDeadlines = errors.New(
	"websocket: the transport hides its connection: it calls no httptrace.GotConn and its " +
		"response body is no net.Conn")

func (t *upgradeTripper) RoundTrip(r *http.Request) (*http.Response, error) {
	next := t.next
	if next == nil {
		next = http.DefaultTransport
	}
	var nc net.Conn // an upgraded body has no deadlines, its connection does
	trace := &httptrace.ClientTrace{GotConn: func(info httptrace.GotConnInfo) { nc = info.Conn }}
	resp, err := next.RoundTrip(r.WithContext(httptrace.WithClientTrace(r.Context(), trace)))
	if err != nil || resp.StatusCode != http.StatusSwitchingProtocols {
		return resp, err
	}
	if body, ok := resp.Body.(net.Conn); ok {
		t.lent = &lent{Conn: body}
	} else if nc != nil {
		if t.early, err = buffered(nc, resp.Body); err != nil {
			return nil, errors.Join(err, resp.Body.Close())
		}
		t.lent = &lent{Conn: nc}
	} else {
		return nil, errors.Join(errNoDeadlines, resp.Body.Close())
	}
	resp.Body = t.lent
	return resp, nil
}

// buffered takes what the transport has read of nc beyond the response out of the body, and nothing
// else.
func buffered(nc net.Conn, body io.Reader) ([]byte, error) {
	if err := nc.SetDeadline(time.Unix(1, 0)); err != nil {
		return nil, err
	}
	early, err := io.ReadAll(body)
	if !errors.Is(err, os.ErrDeadlineExceeded) {
		return nil, errors.Join(errors.New("websocket: the connection ended with the handshake"),
			err)
	}
	return early, nc.SetDeadline(time.Time{})
}
