package wsconn_test

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/go-chi/chi/v5"
	"github.com/go-chi/chi/v5/middleware"

	"github.com/genropy/genro-asgi-go/internal/wsconn"
)

func TestUpgrade_KeepsWhatTheClientSentWithTheHandshake(t *testing.T) {
	url := serve(t, nil, echo(t))
	for _, size := range []int{1, 500, 3000, 20000} {
		p := dialRaw(t, url, string(join(frame(fin|opText, noise(size)), closing(1000, ""))))
		g, err := p.next()
		if err != nil || string(g.payload) != noise(size) {
			t.Fatalf("%d bytes: %d bytes, %v", size, len(g.payload), err)
		}
		if left := p.all(); !slices.Equal(left, []string{"close 1000"}) {
			t.Errorf("%q", left)
		}
	}
}

func TestUpgrade_OutlivesTheServersTimeouts(t *testing.T) {
	srv := newServer(t, nil, echo(t))
	srv.Config.ReadTimeout, srv.Config.WriteTimeout = 30*time.Millisecond, 30*time.Millisecond
	srv.Start()
	p := dialRaw(t, srv.URL, "")
	<-time.After(60 * time.Millisecond)
	if _, err := p.Write(frame(fin|opText, "still there?")); err != nil {
		t.Fatal(err)
	}
	if g, err := p.next(); string(g.payload) != "still there?" {
		t.Errorf("%v, %v", g, err)
	}
}

func TestUpgrade_WorksUnderChisMiddleware(t *testing.T) {
	var wg sync.WaitGroup
	r := chi.NewRouter()
	r.Use(middleware.RequestID, middleware.Recoverer, middleware.Compress(5),
		middleware.Throttle(10), middleware.Timeout(20*time.Millisecond))
	r.Get("/",
		upgrader(t, &wsconn.Options{Compression: true, Subprotocols: []string{"wsx.v1"}}, &wg,
			echo(t)))
	srv := httptest.NewServer(r)
	t.Cleanup(func() { srv.Close(); wg.Wait() })
	c, resp, err := wsconn.Dial(t.Context(), srv.URL,
		&wsconn.DialOptions{Header: http.Header{"Accept-Encoding": {"gzip"}}},
		&wsconn.Options{Compression: true, Subprotocols: []string{"other", "wsx.v1"}})
	if err != nil {
		t.Fatal(err)
	}
	if c.Subprotocol() != "wsx.v1" || resp.StatusCode != http.StatusSwitchingProtocols {
		t.Errorf("subprotocol %q, status %d", c.Subprotocol(), resp.StatusCode)
	}
	for range 3 {
		<-time.After(15 * time.Millisecond) // beyond the handler's time-out in the end
		if err := c.Send(t.Context(), text, []byte(noise(2000))); err != nil {
			t.Fatal(err)
		}
		if _, b, err := c.Read(t.Context(), nil); err != nil || string(b) != noise(2000) {
			t.Fatalf("%d bytes, %v", len(b), err)
		}
	}
	if err := c.Close(1000, ""); err != nil {
		t.Error(err)
	}
}

func TestCheck_RefusesWhatUpgradeWould(t *testing.T) {
	for name, tt := range map[string]struct {
		change func(*http.Request)
		status int
		header string
	}{
		"POST": {
			func(r *http.Request) { r.Method = http.MethodPost }, 405,
			"Allow",
		},
		"HTTP/1.0": {func(r *http.Request) { r.ProtoMinor = 0 }, 426, "Upgrade"},
		"HTTP/2": {
			func(r *http.Request) { r.ProtoMajor, r.ProtoMinor = 2, 0 }, 426,
			"Upgrade",
		},
		"no Connection": {
			func(r *http.Request) { r.Header.Del("Connection") }, 426,
			"Upgrade",
		},
		"no Upgrade": {
			func(r *http.Request) { r.Header.Set("Upgrade", "h2c") }, 426,
			"Upgrade",
		},
		"version 8": {func(r *http.Request) {
			r.Header.Set("Sec-WebSocket-Version", "8")
		}, 426, "Sec-Websocket-Version"},
		"no key": {
			func(r *http.Request) { r.Header.Del("Sec-WebSocket-Key") }, 400,
			"",
		},
		"two keys": {func(r *http.Request) {
			r.Header.Add("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==")
		}, 400, ""},
		"short key": {func(r *http.Request) {
			r.Header.Set("Sec-WebSocket-Key", "dGhl")
		}, 400, ""},
		"key that is no base64": {
			func(r *http.Request) { r.Header.Set("Sec-WebSocket-Key", "!") },
			400, "",
		},
		"foreign origin": {func(r *http.Request) {
			r.Header.Set("Origin", "http://evil.test")
		}, 403, ""},
		"no hijacker": {func(*http.Request) {}, 501, ""},
		"a body":      {func(r *http.Request) { r.ContentLength = 5 }, 400, "Connection"},
		"a body in chunks": {
			func(r *http.Request) { r.ContentLength = -1 }, 400,
			"Connection",
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := handshake()
			tt.change(r)
			ref := wsconn.Check(httptest.NewRecorder(), r, nil)
			if ref == nil || ref.Status != tt.status || ref.Detail == "" || tt.header != "" &&
				ref.Header.Get(tt.header) == "" {
				t.Errorf("%+v", ref)
			}
		})
	}
	r := handshake()
	r.Header["Connection"] = []string{"keep-alive", "foo, UPGRADE"}
	r.Header.Set("Upgrade", "h2c, WebSocket")
	if ref := wsconn.Check(hijacked{}, r, nil); ref != nil {
		t.Errorf("%+v", ref)
	}
	if ref := wsconn.Check(struct{ unwrapper }{unwrapper{hijacked{}}}, r, nil); ref != nil {
		t.Errorf("wrapped: %+v", ref)
	}
}

type unwrapper struct{ http.ResponseWriter }

func (u unwrapper) Unwrap() http.ResponseWriter { return u.ResponseWriter }

func TestUpgrade_FailsWhereTheConnectionCannotBeHad(t *testing.T) {
	rec := httptest.NewRecorder()
	if _, err := wsconn.Upgrade(rec, handshake(), nil); err == nil ||
		rec.Code != http.StatusNotImplemented {
		t.Errorf("status %d, %v", rec.Code, err)
	}
	server, client := net.Pipe()
	_ = client.Close()
	_ = server.Close() // so that deadlines fail
	if _, err := wsconn.Upgrade(hijacked{httptest.NewRecorder(), server}, handshake(), nil); err ==
		nil {
		t.Error("upgraded a closed connection")
	}
}

func TestServer_HTTP2IsRefused(t *testing.T) {
	srv := newServer(t, nil, echo(t))
	srv.EnableHTTP2 = true
	srv.StartTLS()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, srv.URL, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := srv.Client().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.ProtoMajor != 2 || resp.StatusCode != http.StatusUpgradeRequired {
		t.Errorf("%s %s", resp.Proto, resp.Status)
	}
}

func TestDial_WorksOverTLS(t *testing.T) {
	srv := newServer(t, &wsconn.Options{MaxMessage: 1 << 20}, echo(t))
	srv.EnableHTTP2 = true
	srv.StartTLS()
	c, _, err := wsconn.Dial(t.Context(), strings.Replace(srv.URL, "https", "wss", 1),
		&wsconn.DialOptions{Client: srv.Client()}, &wsconn.Options{MaxMessage: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range []int{1, 2000, 20000, 1 << 20} {
		if err := c.Send(t.Context(), text, []byte(noise(n))); err != nil {
			t.Fatal(err)
		}
		if _, b, err := c.Read(t.Context(), nil); err != nil || string(b) != noise(n) {
			t.Fatalf("%d bytes, %v", len(b), err)
		}
	}
	if err := c.Close(1000, ""); err != nil {
		t.Error(err)
	}
}

func TestDial_KeepsWhatTheServerSentWithTheHandshake(t *testing.T) {
	for _, compression := range []bool{false, true} {
		url := serve(t, &wsconn.Options{Compression: compression}, func(c *wsconn.Conn) {
			for range 3 {
				if err := c.Send(context.Background(), text, []byte(noise(1500))); err != nil {
					t.Error(err)
				}
			}
			_, _ = readAll(c)
		})
		for range 50 {
			c, _, err := wsconn.Dial(t.Context(), url, nil,
				&wsconn.Options{Compression: compression})
			if err != nil {
				t.Fatal(err)
			}
			for range 3 {
				if _, b, err := c.Read(t.Context(), nil); err != nil || string(b) != noise(1500) {
					t.Fatalf("%d bytes, %v", len(b), err)
				}
			}
			_ = c.CloseNow()
		}
	}
}

func TestDial_ContextsAndTimeoutsHoldOnTheClientToo(t *testing.T) {
	url := serve(t, nil, func(c *wsconn.Conn) {
		if err := c.Send(context.Background(), text, []byte("hello")); err != nil {
			t.Error(err)
		}
		_, _ = readAll(c)
	})
	c, _, err := wsconn.Dial(t.Context(), url, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, b, err := c.Read(t.Context(), nil); string(b) != "hello" {
		t.Error(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if _, _, err := c.Read(ctx, nil); err != context.DeadlineExceeded {
		t.Error(err)
	}
	if err := c.Send(t.Context(), text, []byte("alive")); err != nil {
		t.Error(err)
	}
	if err := c.Close(1000, ""); err != nil {
		t.Error(err)
	}
}

func TestDial_ARefusalCanBeRead(t *testing.T) {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, "go away", http.StatusForbidden)
	}))
	defer srv.Close()
	_, resp, err := wsconn.Dial(t.Context(), srv.URL, nil, nil)
	if err == nil || resp == nil || resp.StatusCode != http.StatusForbidden {
		t.Fatalf("%v, %v", resp, err)
	}
	if b, err := io.ReadAll(resp.Body); string(b) != "go away\n" {
		t.Errorf("%q, %v", b, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, _, err := wsconn.Dial(ctx, srv.URL, nil, nil); err == nil {
		t.Error("dialled with an ended context")
	}
	if _, _, err := wsconn.Dial(t.Context(), "ftp://app.example", nil, nil); err == nil {
		t.Error("dialled ftp")
	}
}

func TestDial_ABadHandshakeIsAnError(t *testing.T) {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		nc, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		_, _ = io.WriteString(nc,
			"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: "+
				"websocket\r\nSec-WebSocket-Accept: wrong\r\n\r\n")
		_ = nc.Close()
	}))
	defer srv.Close()
	if c, _, err := wsconn.Dial(t.Context(), srv.URL, nil, nil); err == nil {
		t.Error("connected")
		_ = c.CloseNow()
	}
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func TestDial_TransportsOfOnesOwn(t *testing.T) {
	url := serve(t, nil, echo(t))
	next := http.DefaultTransport
	hidden := &wsconn.DialOptions{
		Client: &http.Client{Transport: roundTripper(func(r *http.Request) (*http.Response, error) {
			return next.RoundTrip(r.WithContext(context.Background())) // loses the trace
		})},
	}
	if _, _, err := wsconn.Dial(t.Context(), url, hidden, nil); err == nil ||
		!strings.Contains(err.Error(), "hides its connection") {
		t.Error(err)
	}
	var served sync.WaitGroup
	defer served.Wait()
	own := &wsconn.DialOptions{
		Client: &http.Client{Transport: roundTripper(func(r *http.Request) (*http.Response, error) {
			resp, err := next.RoundTrip(r)
			if err == nil {
				server, client := net.Pipe()
				_ = resp.Body.Close()
				sc := upgradeConn(t, server, nil)
				served.Go(func() { echo(t)(sc) })
				resp.Body = client
			}
			return resp, err
		})},
	}
	c, _, err := wsconn.Dial(t.Context(), url, own, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Send(t.Context(), text, []byte("hello")); err != nil {
		t.Error(err)
	}
	if _, b, err := c.Read(t.Context(), nil); string(b) != "hello" {
		t.Error(err)
	}
	if err := c.Close(websocket.StatusNormalClosure, ""); err != nil {
		t.Error(err)
	}
}
