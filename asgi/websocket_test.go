package asgi_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"

	"github.com/genropy/genro-asgi-go/asgi"
	"github.com/genropy/genro-asgi-go/asgi/asgitest"
)

// log collects what an app logs.
type log struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

type wsFunc = func(context.Context, *asgi.WebSocket) error

// accepted is a handler whose connection is accepted already.
func accepted(fn wsFunc) wsFunc {
	return func(ctx context.Context, ws *asgi.WebSocket) error {
		if err := ws.Accept(); err != nil {
			return err
		}
		return fn(ctx, ws)
	}
}

func echo(ctx context.Context, ws *asgi.WebSocket) error {
	for m, err := range ws.Messages(ctx) {
		if err != nil {
			return err
		}
		if err := ws.Send(ctx, m); err != nil {
			return err
		}
	}
	return nil
}

// memory serves fn in memory.
func memory(t testing.TB, fn wsFunc, opts *asgi.WebSocketOptions) (*asgitest.Client, *log) {
	app := asgi.New(asgi.HandleWebSocket(fn, opts))
	l := new(log)
	app.Logger = slog.New(slog.NewTextHandler(l, nil))
	return asgitest.New(t, app), l
}

func open(t testing.TB, c *asgitest.Client) *websocket.Conn {
	t.Helper()
	conn, _, err := c.Dial(t.Context(), "/", nil)
	if err != nil {
		t.Fatal(err)
	}
	return conn
}

// socket serves h by an App on a socket of the loopback interface.
func socket(t testing.TB, h http.Handler) (url string) {
	t.Helper()
	app := asgi.New(h)
	app.Logger = silent
	l, url := listen(t)
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	served := make(chan error, 1)
	go func() { served <- app.Serve(ctx, l) }()
	t.Cleanup(func() {
		cancel()
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	return url
}

func dial(t testing.TB, url string, opts *websocket.DialOptions) *websocket.Conn {
	t.Helper()
	conn, _, err := websocket.Dial(t.Context(), url, opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.CloseNow() })
	return conn
}

// closing reads until the connection ends, and tells how: "1000 reason", or "cut" without a close
// frame.
func closing(t testing.TB, conn *websocket.Conn) string {
	t.Helper()
	for {
		_, _, err := conn.Read(context.WithoutCancel(t.Context()))
		var end websocket.CloseError
		switch {
		case errors.As(err, &end):
			return strings.TrimSpace(fmt.Sprintf("%d %s", end.Code, end.Reason))
		case err != nil:
			return "cut"
		}
	}
}

func TestWebSocket_Echo(t *testing.T) {
	run := func(t *testing.T, url string, opts *websocket.DialOptions) {
		conn := dial(t, url, opts)
		for i, text := range []string{"", "hello", "\x00", strings.Repeat("é", 20_000), "again"} {
			for _, typ := range []websocket.MessageType{
				websocket.MessageText,
				websocket.MessageBinary,
			} {
				if err := conn.Write(t.Context(), typ, []byte(text)); err != nil {
					t.Fatal(err)
				}
				conn.SetReadLimit(1 << 20)
				got, data, err := conn.Read(t.Context())
				if got != typ || string(data) != text || err != nil {
					t.Fatalf("%d: got %v of %d bytes, %v", i, got, len(data), err)
				}
			}
		}
		if err := conn.Close(websocket.StatusNormalClosure, ""); err != nil {
			t.Error(err)
		}
	}
	for name, opts := range map[string]*asgi.WebSocketOptions{
		"plain":      nil,
		"compressed": {Compression: true},
	} {
		t.Run(name, func(t *testing.T) {
			url := socket(t, asgi.HandleWebSocket(accepted(echo), opts))
			run(t, url,
				&websocket.DialOptions{CompressionMode: websocket.CompressionNoContextTakeover})
		})
	}
	t.Run("TLS", func(t *testing.T) {
		url, client := socketTLS(t, asgi.HandleWebSocket(accepted(echo), nil))
		run(t, url,
			&websocket.DialOptions{HTTPClient: client, HTTPHeader: http.Header{"Origin": {url}}})
	})
}

func TestWebSocket_ClosesAsTheHandlerReturns(t *testing.T) {
	secret := errors.New(canary)
	cases := map[string]struct {
		result func() error
		want   string
		logged string // empty: nothing
	}{
		"nil":      {func() error { return nil }, "1000", ""},
		"an error": {func() error { return secret }, "1011 internal error", canary},
		"an HTTPError": {func() error {
			return &asgi.HTTPError{Status: 404, Detail: canary}
		}, "1011 internal error", canary},
		"cancelled elsewhere": {
			func() error { return context.Canceled }, "1011 internal error",
			"canceled",
		},
		"ErrShutdown without": {
			func() error { return asgi.ErrShutdown }, "1011 internal error",
			"shutting down",
		},
		"a panic": {func() error { panic(canary) }, "1011 internal error", canary},
		"a panic of an error": {func() error {
			panic(&asgi.WebSocketError{Code: 4000, Reason: canary})
		}, "1011 internal error", canary},
		"an aborting panic": {func() error { panic(http.ErrAbortHandler) }, "cut", ""},
		"Goexit": {
			func() error { runtime.Goexit(); return nil },
			"1011 internal error", "Goexit",
		},
		"a WebSocketError": {func() error {
			return &asgi.WebSocketError{Code: 4403, Reason: "not you", Err: secret}
		}, "4403 not you", ""},
		"a wrapped one": {func() error {
			return fmt.Errorf("%s: %w", canary, &asgi.WebSocketError{Code: 1008})
		}, "1008", ""},
		"an internal one": {func() error {
			return &asgi.WebSocketError{Code: 1011, Reason: "sorry", Err: secret}
		}, "1011 sorry", canary},
		"a code not to send": {func() error {
			return &asgi.WebSocketError{Code: 1006, Reason: canary}
		}, "1011 internal error", canary},
		"no code": {
			func() error { return &asgi.WebSocketError{Reason: canary} },
			"1011 internal error", canary,
		},
		"a long reason": {func() error {
			return &asgi.WebSocketError{Code: 4000, Reason: "x" + strings.Repeat("é", 70)}
		}, "4000 x" + strings.Repeat("é", 61), ""},
		"a reason not UTF-8": {func() error {
			return &asgi.WebSocketError{Code: 4000, Reason: "a\xff"}
		}, "4000 a\uFFFD", ""},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			client, logged := memory(t,
				accepted(func(context.Context, *asgi.WebSocket) error { return c.result() }), nil)
			got := closing(t, open(t, client))
			if got != c.want || strings.Contains(got, canary) {
				t.Errorf("closed with %q, want %q", got, c.want)
			}
			if err := client.Close(); err != nil { // waits for the handler
				t.Error(err)
			}
			failed := strings.Contains(logged.String(), "level=ERROR")
			if failed != (c.logged != "") || !strings.Contains(logged.String(), c.logged) {
				t.Errorf("logged %s", logged)
			}
		})
	}
}

func TestWebSocket_Close(t *testing.T) {
	cases := map[string]struct {
		code   int
		reason string
		ok     bool
	}{
		"normal":            {1000, "", true},
		"with a reason":     {4999, strings.Repeat("x", 123), true},
		"library":           {3000, "", true},
		"try again later":   {1013, "", true},
		"zero":              {0, "", false},
		"never sent":        {1005, "", false},
		"reserved":          {1004, "", false},
		"TLS":               {1015, "", false},
		"unassigned":        {2999, "", false},
		"too large":         {5000, "", false},
		"long reason":       {1000, strings.Repeat("x", 124), false},
		"reason not UTF-8":  {1000, "\xff", false},
		"negative":          {-1, "", false},
		"last of the first": {1014, "", true},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			client, logged := memory(t,
				accepted(func(ctx context.Context, ws *asgi.WebSocket) error {
					if err := ws.Close(c.code, c.reason); (err == nil) != c.ok {
						t.Errorf("error %v", err)
					}
					if !c.ok {
						if ws.State() != asgi.WebSocketOpen {
							t.Errorf("it is %v", ws.State())
						}
						return nil
					}
					if err := ws.Close(4000, "again"); err != nil {
						t.Errorf("again: %v", err)
					}
					_, err := ws.Receive(ctx)
					return err // of a connection closed by the handler: nothing that needs a log
				}), nil)
			want := "1000"
			if c.ok {
				want = strings.TrimSpace(fmt.Sprint(c.code, " ", c.reason))
			}
			if got := closing(t, open(t, client)); got != want {
				t.Errorf("closed with %q, want %q", got, want)
			}
			_ = client.Close()
			if strings.Contains(logged.String(), "level=ERROR") {
				t.Errorf("logged %s", logged)
			}
		})
	}
}

func TestWebSocket_CloseEndsAReaderElsewhere(t *testing.T) {
	client, _ := memory(t, accepted(func(ctx context.Context, ws *asgi.WebSocket) error {
		ended := make(chan error, 1)
		go func() {
			var last error
			for _, err := range ws.Messages(context.WithoutCancel(ctx)) {
				last = err
			}
			ended <- last
		}()
		if err := ws.Close(4001, "enough"); err != nil {
			t.Error(err)
		}
		if err := <-ended; err != nil {
			t.Errorf("the loop got %v", err)
		}
		<-ctx.Done()
		return nil
	}), nil)
	if got := closing(t, open(t, client)); got != "4001 enough" {
		t.Error(got)
	}
}

// A peer that never answers the close frame holds Close for 5 s and no longer.
func TestWebSocket_CloseGivesUpOnADeafPeer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, _ := memory(t, accepted(func(_ context.Context, ws *asgi.WebSocket) error {
			from := time.Now()
			if err := ws.Close(1000, ""); err == nil || time.Since(from) != 5*time.Second {
				t.Errorf("%v after %v", err, time.Since(from))
			}
			return nil
		}), nil)
		r := client.Request("GET", "/", nil, handshakeHeader())
		resp, err := client.HTTP.Do(r)
		if err != nil || resp.StatusCode != 101 {
			t.Fatal(resp, err)
		}
		buf := make([]byte, 10)
		_, _ = resp.Body.Read(buf)
		<-time.After(time.Minute)
		_ = resp.Body.Close()
	})
}

func handshakeHeader() http.Header {
	return http.Header{
		"Connection": {"Upgrade"}, "Upgrade": {"websocket"},
		"Sec-Websocket-Version": {"13"}, "Sec-Websocket-Key": {"dGhlIHNhbXBsZSBub25jZQ=="},
	}
}

func TestWebSocket_StatesAreEnforced(t *testing.T) {
	client, _ := memory(t, func(ctx context.Context, ws *asgi.WebSocket) error {
		all := func(state asgi.WebSocketState) {
			t.Helper()
			if ws.State() != state {
				t.Errorf("it is %v, want %v", ws.State(), state)
			}
			_, receive := ws.Receive(ctx)
			_, text := ws.ReceiveText(ctx)
			_, data := ws.ReceiveBytes(ctx)
			for name, err := range map[string]error{
				"receive": receive, "text": text, "bytes": data,
				"JSON": ws.ReceiveJSON(ctx, new(any)), "ping": ws.Ping(ctx),
				"send": ws.Send(ctx, asgi.WebSocketMessage{}), "send JSON": ws.SendJSON(ctx, 1),
				"send text": ws.SendText(ctx, ""), "send bytes": ws.SendBytes(ctx, nil),
			} {
				if !errors.Is(err, asgi.ErrWebSocketState) ||
					!strings.Contains(err.Error(), state.String()) {
					t.Errorf("%v: %s: %v", state, name, err)
				}
			}
			for _, err := range ws.Messages(ctx) {
				if state == asgi.WebSocketClosed || !errors.Is(err, asgi.ErrWebSocketState) {
					t.Errorf("%v: messages: %v", state, err)
				}
			}
		}
		all(asgi.WebSocketConnecting)
		if err := ws.Close(1000, ""); !errors.Is(err, asgi.ErrWebSocketState) {
			t.Errorf("close before accept: %v", err)
		}
		if ws.Request().Query().Get("deny") != "" {
			if err := ws.Deny(asgi.NewHTTPError(401, "")); err != nil {
				t.Error(err)
			}
			all(asgi.WebSocketDenied)
			if err := ws.Close(1000, ""); !errors.Is(err, asgi.ErrWebSocketState) {
				t.Errorf("close after deny: %v", err)
			}
		} else {
			if err := ws.Accept(); err != nil {
				t.Error(err)
			}
			if err := ws.SendText(ctx, "in between"); err != nil {
				t.Error(err)
			}
		}
		for range 2 {
			for name, err := range map[string]error{"accept": ws.Accept(), "deny": ws.Deny(nil)} {
				if !errors.Is(err, asgi.ErrWebSocketState) {
					t.Errorf("%s: %v", name, err)
				}
			}
			if ws.State() == asgi.WebSocketDenied {
				return errors.New("too late to be answered")
			}
			if err := ws.Close(1000, ""); err != nil {
				t.Error(err)
			}
			all(asgi.WebSocketClosed)
		}
		return nil
	}, nil)
	if got := closing(t, open(t, client)); got != "1000" {
		t.Error(got)
	}
	if _, resp, err := client.Dial(t.Context(), "/?deny=1", nil); err == nil ||
		resp.StatusCode != 401 {
		t.Errorf("%v, %v", resp, err)
	}
	if got := asgi.WebSocketState(9).String(); got != "WebSocketState(9)" {
		t.Error(got)
	}
}

func TestWebSocket_Ping(t *testing.T) {
	client, _ := memory(t, accepted(func(ctx context.Context, ws *asgi.WebSocket) error {
		reader := make(chan error, 1)
		go func() { _, err := ws.Receive(ctx); reader <- err }()
		if err := ws.Ping(ctx); err != nil {
			t.Errorf("ping: %v", err)
		}
		ended, cancel := context.WithCancel(ctx)
		cancel()
		if err := ws.Ping(ended); !errors.Is(err, context.Canceled) {
			t.Errorf("ping: %v", err)
		}
		if err := ws.SendText(ctx, "ponged"); err != nil {
			t.Error(err)
		}
		var gone *asgi.WebSocketDisconnect
		if err := <-reader; !errors.As(err, &gone) || gone.Code != 4321 {
			t.Error(err)
		}
		if err := ws.Ping(context.Background()); !errors.As(err, &gone) {
			t.Errorf("ping at the end: %v", err)
		}
		return nil
	}), nil)
	conn := open(t, client)
	if _, data, err := conn.Read(t.Context()); string(data) != "ponged" || err != nil {
		t.Error(err)
	}
	_ = conn.Close(4321, "")
}

func TestHandleWebSocket_PanicsWhenItCannotWork(t *testing.T) {
	for name, fn := range map[string]func(){
		"no function": func() { asgi.HandleWebSocket(nil, nil) },
		"no origin": func() {
			asgi.HandleWebSocket(echo,
				&asgi.WebSocketOptions{AllowedOrigins: []string{"https://app.example/"}})
		},
		"no host": func() {
			asgi.HandleWebSocket(echo,
				&asgi.WebSocketOptions{Hosts: []string{"https://app.example"}})
		},
	} {
		t.Run(name, func(t *testing.T) {
			defer func() {
				if recover() == nil {
					t.Error("no panic")
				}
			}()
			fn()
		})
	}
}
