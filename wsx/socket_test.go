package wsx_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/genropy/genro-asgi-go/problem"
	"github.com/genropy/genro-asgi-go/wsx"
	"github.com/genropy/genro-asgi-go/wsx/wsxtest"
)

// stopTimeout is how long a server may take to stop.
const stopTimeout = 30 * time.Second

// socket is a client that knows nothing of the protocol: tests see what goes over the wire, byte
// for byte.
type socket struct {
	t testing.TB
	c *websocket.Conn
}

func dialSocket(t testing.TB, client *http.Client, url string) *socket {
	t.Helper()
	c, _, err := websocket.Dial(t.Context(), url,
		&websocket.DialOptions{HTTPClient: client, Subprotocols: []string{"wsx.v1"}})
	if err != nil {
		t.Fatal(err)
	}
	c.SetReadLimit(-1)
	t.Cleanup(func() { _ = c.CloseNow() })
	return &socket{t, c}
}

func (s *socket) send(messages ...string) {
	s.t.Helper()
	for _, m := range messages {
		if err := s.c.Write(s.t.Context(), websocket.MessageText, []byte(m)); err != nil {
			s.t.Fatal(err)
		}
	}
}

func (s *socket) read() string {
	s.t.Helper()
	typ, b, err := s.c.Read(s.t.Context())
	if err != nil {
		s.t.Fatal(err)
	}
	if typ != websocket.MessageText {
		s.t.Errorf("the server sent a binary message: %s", b)
	}
	return string(b)
}

// expect reads as many messages as are wanted, in that order.
func (s *socket) expect(want ...string) {
	s.t.Helper()
	for _, w := range want {
		if got := s.read(); got != w {
			s.t.Fatalf("got  %s\nwant %s", got, w)
		}
	}
}

// closedAnyhow reads on until the connection ends and returns the close frame, if there was one.
func (s *socket) closedAnyhow() (websocket.CloseError, bool) {
	for {
		if _, _, err := s.c.Read(context.WithoutCancel(s.t.Context())); err != nil {
			return errors.AsType[websocket.CloseError](err)
		}
	}
}

func (s *socket) expectClosed(code websocket.StatusCode) {
	s.t.Helper()
	if ce, ok := s.closedAnyhow(); !ok || ce.Code != code {
		s.t.Errorf("closed with %v, %v, want %d", ce, ok, code)
	}
}

func request(id, method, params string) string {
	if params != "" {
		params = `,"params":` + params
	}
	return `{"type":"rpc.request","id":` + id + `,"method":"` + method + `"` + params + `}`
}

func response(id, result string) string {
	return `{"type":"rpc.response","id":` + id + `,"result":` + result + `}`
}

func fault(id, code, message string) string {
	return `{"type":"rpc.error","id":` + id + `,"error":{"code":"` + code + `","message":"` +
		message + `"}}`
}

const (
	ping = `{"type":"rpc.ping"}`
	pong = `{"type":"rpc.pong"}`
)

// serve serves d in memory. The server is stopped, and the test fails when that does not work,
// before the test ends. logged is h in an app whose problems are logged to log.
func logged(h http.Handler, log *logBuffer) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h.ServeHTTP(w,
			r.WithContext(problem.WithOptions(r.Context(), &problem.Options{Logger: log.logger()})))
	})
}

func serve(t testing.TB, d *wsx.Dispatcher, opts *wsx.ServerOptions) (*wsx.Server, *http.Client) {
	t.Helper()
	if opts == nil {
		opts = &wsx.ServerOptions{}
	}
	if opts.Logger == nil {
		opts.Logger = slog.New(slog.DiscardHandler)
	}
	s := wsx.NewServer(d, opts)
	client := wsxtest.Serve(t, s)
	t.Cleanup(func() { stop(t, s) })
	return s, client
}

func stop(t testing.TB, s *wsx.Server) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), stopTimeout)
	defer cancel()
	if err := s.Stop(ctx); err != nil {
		t.Error(err)
	}
}

// dial serves d in memory and connects a socket to it.
func dial(t testing.TB, d *wsx.Dispatcher, opts *wsx.ServerOptions) *socket {
	t.Helper()
	_, client := serve(t, d, opts)
	return dialSocket(t, client, "ws://wsx.test/")
}

// dialRaw makes a handshake and returns the bytes after it: a peer whose WebSocket library answers
// nothing by itself.
func dialRaw(t testing.TB, client *http.Client, url string) io.ReadWriteCloser {
	t.Helper()
	resp, err := client.Do(handshake(t, url))
	if err != nil {
		t.Fatal(err)
	}
	rwc, ok := resp.Body.(io.ReadWriteCloser)
	if !ok {
		t.Fatal(resp.Status)
	}
	t.Cleanup(func() { _ = rwc.Close() })
	return rwc
}

// handshake is a WebSocket handshake as a program sends it.
func handshake(t testing.TB, url string) *http.Request {
	t.Helper()
	r, err := http.NewRequestWithContext(context.WithoutCancel(t.Context()), http.MethodGet, url,
		nil)
	if err != nil {
		t.Fatal(err)
	}
	for name, value := range map[string]string{
		"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13",
		"Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA==",
	} {
		r.Header.Set(name, value)
	}
	return r
}

// logBuffer is a log that tests read while others write it.
type logBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func (l *logBuffer) logger() *slog.Logger {
	return slog.New(slog.NewTextHandler(l, &slog.HandlerOptions{Level: slog.LevelDebug}))
}
