package asgi_test

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/genropy/genro-asgi-go/asgi"
	"github.com/genropy/genro-asgi-go/asgi/asgitest"
)

// lenient takes an error of the client's second Close, which the test has seen before, for none.
type lenient struct{ testing.TB }

func (lenient) Errorf(string, ...any) {}

func TestWebSocket_Shutdown(t *testing.T) {
	const untilClose, untilCut = 10 * time.Second, 20 * time.Second
	cases := map[string]struct {
		fn      wsFunc
		opts    *asgi.WebSocketOptions
		timeout time.Duration // of the app
		took    time.Duration
		closed  string
		failed  string // in Serve's error
	}{
		"the loop ends by itself": {fn: echo, closed: "1001 server going away"},
		"nil": {fn: func(ctx context.Context, _ *asgi.WebSocket) error {
			<-ctx.Done()
			return nil
		}, closed: "1001 server going away"},
		"the context's error": {fn: func(ctx context.Context, _ *asgi.WebSocket) error {
			<-ctx.Done()
			return ctx.Err()
		}, closed: "1001 server going away"},
		"a word first": {fn: func(ctx context.Context, ws *asgi.WebSocket) error {
			<-ctx.Done()
			if !errors.Is(context.Cause(ctx), asgi.ErrShutdown) {
				t.Errorf("cause %v", context.Cause(ctx))
			}
			if _, err := ws.Receive(ctx); !errors.Is(err, asgi.ErrShutdown) {
				t.Errorf("receive: %v", err)
			}
			if err := ws.SendText(ctx, "bye"); err != nil {
				t.Error(err)
			}
			return ws.Close(4000, "moved")
		}, closed: "4000 moved"},
		"another error": {fn: func(ctx context.Context, _ *asgi.WebSocket) error {
			<-ctx.Done()
			return errors.New(canary)
		}, closed: "1011 internal error"},
		"a handler that does not listen": {fn: func(_ context.Context, ws *asgi.WebSocket) error {
			_, err := ws.Receive(context.Background())
			if !errors.Is(err, asgi.ErrShutdown) {
				t.Errorf("receive: %v", err)
			}
			if err := ws.SendText(context.Background(), "x"); !errors.Is(err, asgi.ErrShutdown) {
				t.Errorf("send: %v", err)
			}
			return err
		}, took: untilClose, closed: "1001 server going away"},
		"no drain": {fn: func(_ context.Context, ws *asgi.WebSocket) error {
			_, err := ws.Receive(context.Background())
			return err
		}, opts: &asgi.WebSocketOptions{DrainTimeout: -1}, closed: "1001 server going away"},
		"an app in a hurry": {fn: func(_ context.Context, ws *asgi.WebSocket) error {
			_, err := ws.Receive(context.Background())
			return err
		}, timeout: 3 * time.Second, took: time.Second, closed: "1001 server going away"},
		"a handler that does not end": {
			fn: func(_ context.Context, _ *asgi.WebSocket) error {
				<-time.After(time.Minute)
				return nil
			}, took: untilCut, closed: "1001 server going away",
			failed: "1 requests or sockets were cut off",
		},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				left := make(chan struct{})
				app := asgi.New(
					asgi.HandleWebSocket(
						accepted(func(ctx context.Context, ws *asgi.WebSocket) error {
							defer close(left)
							return c.fn(ctx, ws)
						}), c.opts))
				app.Logger, app.ShutdownTimeout = silent, c.timeout
				client := asgitest.New(lenient{t}, app)
				conn := open(t, client)
				ended := make(chan string, 1)
				go func() { ended <- closing(t, conn) }()
				synctest.Wait()
				from := time.Now()
				err := client.Close()
				if took := time.Since(from); took != c.took {
					t.Errorf("took %v, want %v", took, c.took)
				}
				if (err == nil) != (c.failed == "") || err != nil &&
					!strings.Contains(err.Error(), c.failed) {
					t.Errorf("serve: %v", err)
				}
				if err == nil {
					select {
					case <-left:
					default:
						t.Error("the App did not wait for the handler")
					}
				}
				if got := <-ended; got != c.closed {
					t.Errorf("closed with %q, want %q", got, c.closed)
				}
				<-left
			})
		})
	}
}

// A peer that is silent at the shutdown costs its 5 s and does not make it fail.
func TestWebSocket_ShutdownWithADeafPeer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		app := asgi.New(
			asgi.HandleWebSocket(accepted(func(_ context.Context, ws *asgi.WebSocket) error {
				_, err := ws.Receive(context.Background())
				return err
			}), nil))
		app.Logger = silent
		client := asgitest.New(t, app)
		resp, err := client.HTTP.Do(client.Request("GET", "/", nil, handshakeHeader()))
		if err != nil || resp.StatusCode != 101 {
			t.Fatal(resp, err)
		}
		from := time.Now()
		if err := client.Close(); err != nil || time.Since(from) > 20*time.Second {
			t.Errorf("%v after %v", err, time.Since(from))
		}
		_ = resp.Body.Close()
	})
}

func TestWebSocket_AHandshakeDuringTheShutdown(t *testing.T) {
	t.Run("waiting", func(t *testing.T) {
		entered := make(chan struct{})
		client, _ := memory(t, func(ctx context.Context, ws *asgi.WebSocket) error {
			close(entered)
			<-ctx.Done()
			return ws.Accept()
		}, nil)
		answer := make(chan int, 1)
		go func() { answer <- client.Send("GET", "/", nil, handshakeHeader()).Status }()
		<-entered
		if err := client.Close(); err != nil {
			t.Error(err)
		}
		if got := <-answer; got != 503 {
			t.Errorf("status %d", got)
		}
	})
	t.Run("late", func(t *testing.T) {
		stopping, stop := context.WithCancel(t.Context())
		h := asgi.HandleWebSocket(func(context.Context, *asgi.WebSocket) error {
			t.Error("the handler was called")
			return nil
		}, nil)
		app := newApp(func(w http.ResponseWriter, r *http.Request) {
			h(w, r.WithContext(asgi.ContextWithShutdown(r.Context(), stopping)))
		})
		stop()
		asgitest.New(t, app).Send("GET", "/", nil, handshakeHeader()).Want(503).Problem()
	})
}

// Without an App, ContextWithShutdown tells the WebSockets, and the handlers' own bookkeeping waits
// for them.
func TestWebSocket_ShutdownOfAPlainServer(t *testing.T) {
	stopping, stop := context.WithCancel(t.Context())
	var handlers sync.WaitGroup
	srv := httptest.NewUnstartedServer(
		asgi.HandleWebSocket(accepted(func(ctx context.Context, ws *asgi.WebSocket) error {
			handlers.Add(1)
			defer handlers.Done()
			if err := ws.SendText(ctx, "in"); err != nil {
				t.Error(err)
			}
			return echo(ctx, ws)
		}), nil))
	srv.Config.BaseContext = func(net.Listener) context.Context {
		return asgi.ContextWithShutdown(context.Background(), stopping)
	}
	srv.Config.RegisterOnShutdown(stop)
	srv.Start()
	defer srv.Close()
	conn := dial(t, srv.URL, nil)
	if _, _, err := conn.Read(t.Context()); err != nil {
		t.Error(err)
	}
	if err := srv.Config.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	handlers.Wait()
	if got := closing(t, conn); got != "1001 server going away" {
		t.Error(got)
	}
}
