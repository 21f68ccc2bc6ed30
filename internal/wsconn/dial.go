package wsconn

import (
	"context"
	"errors"
	"io"
	"net/http"
	"sync"
	"time"

	"github.com/coder/websocket"
)

// DialOptions are a client's handshake. nil is valid.
type DialOptions struct {
	Client *http.Client // nil is http.DefaultClient; its Timeout bounds the handshake only
	Header http.Header
}

// Dial connects to a ws, wss, http or https URL. ctx governs the handshake only. The response is not nil when the server gave one, refusals
// included; the first KiB of a refusal's body can be read.
func Dial(ctx context.Context, url string, dial *DialOptions, opts *Options) (*Conn, *http.Response, error) {
	if dial == nil {
		dial = &DialOptions{}
	}
	o := opts.withDefaults()
	client := http.Client{}
	if dial.Client != nil {
		client = *dial.Client
	}
	wrap := &upgradeTripper{next: client.Transport, opts: &o}
	client.Transport = wrap
	mode := websocket.CompressionDisabled
	if o.Compression {
		mode = websocket.CompressionNoContextTakeover
	}
	ws, resp, err := websocket.Dial(ctx, url, &websocket.DialOptions{
		HTTPClient:      &client,
		HTTPHeader:      dial.Header,
		Subprotocols:    o.Subprotocols,
		CompressionMode: mode,
	})
	if err != nil {
		if wrap.link != nil {
			err = errors.Join(err, wrap.link.Close())
		}
		return nil, resp, err
	}
	c := newConn(ws, wrap.link, &o, true)
	c.deflate = resp.Header.Get("Sec-WebSocket-Extensions") != ""
	return c, resp, nil
}

// upgradeTripper puts a link where coder/websocket takes the connection from: the body of the 101 response.
type upgradeTripper struct {
	next http.RoundTripper
	opts *Options
	link *link
}

func (t *upgradeTripper) RoundTrip(r *http.Request) (*http.Response, error) {
	next := t.next
	if next == nil {
		next = http.DefaultTransport
	}
	resp, err := next.RoundTrip(r)
	if err != nil || resp.StatusCode != http.StatusSwitchingProtocols {
		return resp, err
	}
	if rwc, ok := resp.Body.(io.ReadWriteCloser); ok {
		t.link = newLink(rwc, t.opts)
		t.link.queue.dst = &closingWriter{ReadWriteCloser: rwc}
		resp.Body = t.link
	}
	return resp, nil
}

// closingWriter gives a connection without deadlines one for writing: it closes it.
type closingWriter struct {
	io.ReadWriteCloser
	mu    sync.Mutex
	timer *time.Timer
}

func (w *closingWriter) SetWriteDeadline(t time.Time) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.timer != nil {
		w.timer.Stop()
		w.timer = nil
	}
	if !t.IsZero() {
		w.timer = time.AfterFunc(time.Until(t), func() { _ = w.Close() }) // the write under way reports it
	}
	return nil
}
