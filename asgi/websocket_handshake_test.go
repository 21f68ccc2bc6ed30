package asgi_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/go-chi/chi/v5"

	"github.com/genropy/genro-asgi-go/asgi"
	"github.com/genropy/genro-asgi-go/asgi/asgitest"
	"github.com/genropy/genro-asgi-go/middleware"
)

// socketTLS is socket over TLS, with a client that trusts it.
func socketTLS(t *testing.T, h http.Handler) (url string, client *http.Client) {
	t.Helper()
	cert := httptest.NewUnstartedServer(nil) // for its certificate
	cert.StartTLS()
	t.Cleanup(cert.Close)
	app := asgi.New(h)
	app.Logger = silent
	app.Server.TLSConfig = &tls.Config{Certificates: cert.TLS.Certificates}
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
	return "https" + strings.TrimPrefix(url, "http"), cert.Client()
}

func TestWebSocket_Subprotocols(t *testing.T) {
	cases := map[string]struct {
		options, accept, offered []string
		want                     string
	}{
		"none":                        {nil, nil, nil, ""},
		"nothing offered":             {[]string{"a"}, []string{"a"}, nil, ""},
		"of the options":              {[]string{"a", "b"}, nil, []string{"c", "b", "a"}, "a"},
		"of Accept":                   {[]string{"a"}, []string{"b"}, []string{"a", "b"}, "b"},
		"unknown":                     {[]string{"a"}, []string{"b"}, []string{"c"}, ""},
		"offered but not wanted here": {nil, nil, []string{"a"}, ""},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			client, _ := memory(t, func(_ context.Context, ws *asgi.WebSocket) error {
				if got := ws.Subprotocols(); !slices.Equal(got, c.offered) {
					t.Errorf("offered %q", got)
				}
				if got := ws.Subprotocol(); got != "" {
					t.Errorf("before: %q", got)
				}
				err := ws.Accept(c.accept...)
				if got := ws.Subprotocol(); got != c.want {
					t.Errorf("got %q, want %q", got, c.want)
				}
				return err
			}, &asgi.WebSocketOptions{Subprotocols: c.options})
			conn, _, err := client.Dial(t.Context(), "/",
				&websocket.DialOptions{Subprotocols: c.offered})
			if err != nil {
				t.Fatal(err)
			}
			if conn.Subprotocol() != c.want {
				t.Errorf("the client got %q", conn.Subprotocol())
			}
			closing(t, conn)
		})
	}
}

func TestWebSocket_Denial(t *testing.T) {
	locked := &asgi.HTTPError{
		Status: 423, Detail: "Locked today.",
		Header: http.Header{"Retry-After": {"60"}},
	}
	cases := map[string]struct {
		err    error
		status int
		detail string
	}{
		"nil":          {nil, 403, ""},
		"an HTTPError": {locked, 423, "Locked today."},
		"any error":    {errors.New(canary), 500, ""},
		"a WebSocketError": {
			&asgi.WebSocketError{Code: 1008, Reason: "Not now.", Err: errors.New(canary)}, 403,
			"Not now.",
		},
		"one with a code of HTTP": {
			&asgi.WebSocketError{Code: 4401, Reason: "Who are you?"}, 401,
			"Who are you?",
		},
		"one without":              {&asgi.WebSocketError{Code: 4000}, 403, ""},
		"an internal one":          {&asgi.WebSocketError{Code: 1011}, 500, ""},
		"cancelled somewhere else": {context.Canceled, 500, ""},
	}
	for name, c := range cases {
		for how, fn := range map[string]wsFunc{
			"returned": func(context.Context, *asgi.WebSocket) error { return c.err },
			"denied": func(ctx context.Context, ws *asgi.WebSocket) error {
				if err := ws.Deny(c.err); err != nil {
					t.Error(err)
				}
				<-ctx.Done() // with the request
				return errors.New("too late to be answered")
			},
		} {
			t.Run(name+" "+how, func(t *testing.T) {
				client, _ := memory(t, fn, nil)
				resp := client.Send("GET", "/", nil, handshakeHeader()).Want(c.status)
				if p := resp.Problem(); p.Detail != c.detail ||
					strings.Contains(string(resp.Body), canary) {
					t.Errorf("got %s", resp.Body)
				}
				if c.err == error(locked) && resp.Header.Get("Retry-After") != "60" {
					t.Errorf("headers %v", resp.Header)
				}
			})
		}
	}
}

func TestWebSocket_WhatIsNoHandshakeDoesNotReachTheHandler(t *testing.T) {
	cases := map[string]struct {
		opts   *asgi.WebSocketOptions
		method string
		change func(h http.Header)
		status int
		header string
	}{
		"no upgrade": {
			nil, "GET", func(h http.Header) { h.Del("Upgrade") }, 426,
			"Upgrade",
		},
		"another version": {
			nil, "GET",
			func(h http.Header) { h.Set("Sec-WebSocket-Version", "8") }, 426,
			"Sec-Websocket-Version",
		},
		"no key": {
			nil, "GET", func(h http.Header) { h.Del("Sec-WebSocket-Key") },
			400, "",
		},
		"another method": {nil, "POST", func(http.Header) {}, 405, "Allow"},
		"a foreign origin": {
			nil, "GET",
			func(h http.Header) { h.Set("Origin", "http://evil.test") }, 403, "",
		},
		"null": {
			nil, "GET", func(h http.Header) { h.Set("Origin", "null") },
			403, "",
		},
		"two origins": {
			nil, "GET",
			func(h http.Header) { h["Origin"] = []string{"http://app.test", "http://app.test"} },
			403, "",
		},
		"another port": {
			nil, "GET",
			func(h http.Header) { h.Set("Origin", "http://app.test:81") }, 403, "",
		},
		"no origin, though needed": {
			&asgi.WebSocketOptions{RequireOrigin: true}, "GET",
			func(http.Header) {}, 403, "",
		},
		"a host not ours": {
			&asgi.WebSocketOptions{Hosts: []string{"app.example"}}, "GET",
			func(h http.Header) { h.Set("Origin", "http://app.test") }, 403, "",
		},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			client, _ := memory(t, func(context.Context, *asgi.WebSocket) error {
				t.Error("the handler was called")
				return nil
			}, c.opts)
			h := handshakeHeader()
			c.change(h)
			h.Set("X-Request-Id", "abc-7")
			resp := client.Send(c.method, "/", nil, h).Want(c.status)
			if p := resp.Problem(); p.Extensions["request_id"] != "abc-7" {
				t.Errorf("got %s", resp.Body)
			}
			if c.header != "" && resp.Header.Get(c.header) == "" {
				t.Errorf("headers %v", resp.Header)
			}
		})
	}
	for name, c := range map[string]struct {
		opts   *asgi.WebSocketOptions
		origin string
	}{
		"the own origin": {nil, "http://app.test"},
		"behind a proxy": {nil, "https://app.test"},
		"a listed one": {
			&asgi.WebSocketOptions{AllowedOrigins: []string{"https://other.example"}},
			"https://other.example",
		},
		"required and own": {
			&asgi.WebSocketOptions{RequireOrigin: true, Hosts: []string{"app.test"}},
			"http://app.test",
		},
	} {
		t.Run(name, func(t *testing.T) {
			client, _ := memory(t,
				accepted(func(context.Context, *asgi.WebSocket) error { return nil }), c.opts)
			conn, _, err := client.Dial(t.Context(), "/",
				&websocket.DialOptions{HTTPHeader: http.Header{"Origin": {c.origin}}})
			if err != nil {
				t.Fatal(err)
			}
			closing(t, conn)
		})
	}
	t.Run("no hijacker", func(t *testing.T) {
		w := httptest.NewRecorder()
		r := httptest.NewRequest("GET", "/", nil)
		r.Header = handshakeHeader()
		asgi.HandleWebSocket(echo, nil)(w, r)
		if w.Code != 501 {
			t.Errorf("status %d", w.Code)
		}
	})
}

// A panic of the handler's goroutine is one of the request's.
func TestWebSocket_APanicBeforeAccept(t *testing.T) {
	var j journal
	var caught any
	recoverer := func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			defer func() {
				if caught = recover(); caught != nil {
					j.note("recovered")
					w.WriteHeader(http.StatusTeapot)
				}
			}()
			next.ServeHTTP(w, r)
		})
	}
	serve := func(t *testing.T, fn wsFunc, wrap func(http.Handler) http.Handler) *asgitest.Client {
		app := asgi.New(wrap(asgi.HandleWebSocket(fn, nil)))
		app.Logger = silent
		return asgitest.New(t, app)
	}
	secret := errors.New(canary)
	fn := func(context.Context, *asgi.WebSocket) error { panic(secret) }

	serve(t, fn, recoverer).Send("GET", "/", nil, handshakeHeader()).Want(http.StatusTeapot)
	err, _ := caught.(error)
	if !errors.Is(err, secret) || !strings.Contains(err.Error(), "websocket_handshake_test.go") {
		t.Errorf("recovered %v", caught)
	}
	j.want(t, "recovered")

	resp := serve(t, fn, middleware.Errors(&asgi.ErrorOptions{Logger: silent})).Send("GET", "/",
		nil, handshakeHeader()).Want(500)
	if resp.Problem(); strings.Contains(string(resp.Body), canary) {
		t.Errorf("got %s", resp.Body)
	}

	serve(t, func(context.Context, *asgi.WebSocket) error { panic("text") }, recoverer).Send("GET",
		"/", nil, handshakeHeader()).Want(http.StatusTeapot)
	if err, _ := caught.(error); err == nil || !strings.HasPrefix(err.Error(), "text\n") ||
		errors.Unwrap(err) != nil {
		t.Errorf("recovered %v", caught)
	}

	serve(t, func(context.Context, *asgi.WebSocket) error { panic(http.ErrAbortHandler) },
		recoverer).Send("GET", "/", nil, handshakeHeader()).Want(http.StatusTeapot)
	if caught != http.ErrAbortHandler {
		t.Errorf("recovered %v", caught)
	}

	serve(t, func(context.Context, *asgi.WebSocket) error { runtime.Goexit(); return nil },
		recoverer).Send("GET", "/", nil, handshakeHeader()).Want(500).Problem()
}

// The request stays: its headers, path values and state. What its owners take back is out of reach.
func TestWebSocket_TheRequestOutlivesTheHandshake(t *testing.T) {
	key := asgi.NewKey[string]("user")
	var returned sync.WaitGroup
	r := chi.NewRouter()
	r.Use(func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			state := new(asgi.State)
			key.Set(state, "gio")
			ctx, cancel := context.WithTimeout(asgi.ContextWithState(r.Context(), state), time.Hour)
			defer cancel()
			defer returned.Done()
			next.ServeHTTP(w, r.WithContext(ctx))
		})
	})
	r.Get("/rooms/{id}/{name}",
		asgi.HandleWebSocket(func(ctx context.Context, ws *asgi.WebSocket) error {
			if err := ws.Request().SetCookie(asgi.Cookie{
				Name:  "seat",
				Value: ws.Request().PathValue("id"),
			}); err != nil {
				t.Error(err)
			}
			if err := ws.Accept(); err != nil {
				return err
			}
			returned.Wait() // chi's RouteContext is in its pool, and may be another request's
			if err := ws.Request().SetCookie(asgi.Cookie{Name: "late", Value: "no matter"}); err !=
				nil {
				t.Error(err)
			}
			if _, ok := ctx.Deadline(); ok || ctx.Err() != nil {
				t.Errorf("the context ended with the handshake: %v", ctx.Err())
			}
			if chi.RouteContext(ctx) != nil ||
				chi.RouteContext(ws.Request().HTTP().Context()) != nil {
				t.Error("chi's RouteContext can be reached")
			}
			req, ok := asgi.RequestFrom(ctx)
			if !ok || req != ws.Request() {
				t.Error("RequestFrom finds another request")
			}
			user, _ := key.Get(asgi.StateFrom(ctx))
			return ws.SendText(ctx, strings.Join([]string{
				req.PathValue("id"), req.PathValue("name"), req.Query().Get("q"), user,
				req.Headers().Get("X-Test"), fmt.Sprint(req.Client().Port > 0),
			}, " "))
		}, nil))
	url := socket(t, r)
	for i := range 20 {
		returned.Add(1)
		conn, resp, err := websocket.Dial(t.Context(),
			fmt.Sprintf("%s/rooms/%d/n%d?q=%d", url, i, i, i),
			&websocket.DialOptions{HTTPHeader: http.Header{"X-Test": {"yes"}}})
		if err != nil {
			t.Fatal(err)
		}
		if got := resp.Header.Values("Set-Cookie"); len(got) != 1 ||
			!strings.HasPrefix(got[0], fmt.Sprintf("seat=%d;", i)) {
			t.Errorf("cookies %q", got)
		}
		want := fmt.Sprintf("%d n%d %d gio yes true", i, i, i)
		if _, data, err := conn.Read(t.Context()); string(data) != want {
			t.Errorf("got %s, %v, want %s", data, err, want)
		}
		closing(t, conn)
	}
}

func TestWebSocket_CompressesOnlyWhereBothWantIt(t *testing.T) {
	for _, c := range []struct {
		opts    *asgi.WebSocketOptions
		offered websocket.CompressionMode
		agreed  bool
	}{
		{nil, websocket.CompressionNoContextTakeover, false},
		{&asgi.WebSocketOptions{}, websocket.CompressionContextTakeover, false},
		{&asgi.WebSocketOptions{Compression: true}, websocket.CompressionDisabled, false},
		{&asgi.WebSocketOptions{Compression: true}, websocket.CompressionNoContextTakeover, true},
	} {
		client, _ := memory(t, accepted(echo), c.opts)
		_, resp, err := client.Dial(t.Context(), "/",
			&websocket.DialOptions{CompressionMode: c.offered})
		if err != nil {
			t.Fatal(err)
		}
		if got := resp.Header.Get("Sec-WebSocket-Extensions"); strings.Contains(got,
			"permessage-deflate") != c.agreed {
			t.Errorf("%+v, offered %v: agreed on %q", c.opts, c.offered, got)
		}
	}
}

func TestWebSocket_BackgroundWork(t *testing.T) {
	for name, fail := range map[string]error{
		"ended well":        nil,
		"ended in an error": errors.New("no"),
	} {
		t.Run(name, func(t *testing.T) {
			background := asgi.NewBackground(nil)
			var ran atomic.Bool
			h := asgi.HandleWebSocket(accepted(func(ctx context.Context, _ *asgi.WebSocket) error {
				if err := asgi.After(ctx,
					func(context.Context) error { ran.Store(true); return nil }); err != nil {
					t.Error(err)
				}
				if ran.Load() {
					t.Error("it ran before")
				}
				return fail
			}), nil)
			app := asgi.New(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				h(w, r.WithContext(asgi.ContextWithBackground(r.Context(), background)))
			}), background)
			app.Logger = slog.New(slog.DiscardHandler)
			client := asgitest.New(t, app)
			closing(t, open(t, client))
			if err := client.Close(); err != nil {
				t.Error(err)
			}
			if ran.Load() != (fail == nil) {
				t.Errorf("ran: %v", ran.Load())
			}
		})
	}
}
