package asgi_test

import (
	"bufio"
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"
	"github.com/go-chi/chi/v5"
	chimiddleware "github.com/go-chi/chi/v5/middleware"

	"github.com/genropy/genro-asgi-go/asgi"
	"github.com/genropy/genro-asgi-go/asgi/asgitest"
	"github.com/genropy/genro-asgi-go/middleware"
)

// chi's middlewares around the handshake, in any order: each sees one that is over at once.
func TestWebSocket_UnderChisMiddlewares(t *testing.T) {
	all := map[string]func(http.Handler) http.Handler{
		"RequestID": chimiddleware.RequestID, "Recoverer": chimiddleware.Recoverer,
		"Timeout":  chimiddleware.Timeout(50 * time.Millisecond),
		"Compress": chimiddleware.Compress(5), "Throttle": chimiddleware.Throttle(1),
		"Errors": middleware.Errors(nil),
		"Base": middleware.Base(func(w *middleware.Writer, r *http.Request, next http.Handler) {
			next.ServeHTTP(w, r)
		}),
	}
	names := slices.Sorted(func(yield func(string) bool) {
		for name := range all {
			if !yield(name) {
				return
			}
		}
	})
	orders := [][]string{names, slices.Clone(names)}
	slices.Reverse(orders[1])
	for i := range names { // every one outermost and innermost once
		orders = append(orders, slices.Concat(names[i:], names[:i]))
	}
	for _, order := range orders {
		t.Run(strings.Join(order, " "), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := chi.NewRouter()
				for _, name := range order {
					r.Use(all[name])
				}
				r.Get("/", asgi.HandleWebSocket(accepted(echo), nil))
				r.Get("/denied",
					asgi.HandleWebSocket(func(context.Context, *asgi.WebSocket) error {
						return asgi.NewHTTPError(401, "no")
					}, nil))
				app := asgi.New(r)
				app.Logger = silent
				client := asgitest.New(t, app)
				first := open(t, client)
				synctest.Wait() // Throttle(1) lets one in at a time
				second := open(t, client)
				<-time.After(time.Second)
				for range 2 {
					for _, conn := range []*websocket.Conn{first, second} {
						_ = conn.Write(t.Context(), websocket.MessageText, []byte("still here"))
						if _, data, err := conn.Read(t.Context()); string(data) != "still here" ||
							err != nil {
							t.Errorf("%s, %v", data, err)
						}
					}
					<-time.After(time.Second)
				}
				client.Send("GET", "/denied", nil, handshakeHeader()).Want(401)
				for _, conn := range []*websocket.Conn{first, second} {
					if err := conn.Close(1000, ""); err != nil {
						t.Error(err)
					}
				}
			})
		})
	}
}

func TestWebSocket_TheHandshakesContextEndsTheWaitForAccept(t *testing.T) {
	t.Run("a time-out", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			app := asgi.New(
				middleware.Errors(nil)(
					chimiddleware.Timeout(time.Second)(
						asgi.HandleWebSocket(func(ctx context.Context, ws *asgi.WebSocket) error {
							<-ctx.Done()
							err := ws.Accept()
							if !errors.Is(err, context.DeadlineExceeded) ||
								!errors.Is(context.Cause(ctx), context.DeadlineExceeded) {
								t.Errorf("accept: %v", err)
							}
							return err
						}, nil))))
			app.Logger = silent
			asgitest.New(t, app).Send("GET", "/", nil, handshakeHeader()).Want(504).Problem()
		})
	})
	t.Run("the client goes away", func(t *testing.T) {
		entered, left := make(chan struct{}), make(chan error, 1)
		client, _ := memory(t, func(ctx context.Context, ws *asgi.WebSocket) error {
			close(entered)
			<-ctx.Done()
			err := ws.Accept()
			left <- err
			return err
		}, nil)
		ctx, cancel := context.WithCancel(t.Context())
		go func() {
			<-entered
			cancel()
		}()
		if _, _, err := client.Dial(ctx, "/", nil); err == nil {
			t.Error("it was accepted")
		}
		if err := <-left; !errors.Is(err, context.Canceled) {
			t.Errorf("accept: %v", err)
		}
	})
}

// brokenWriter can be hijacked, it says.
type brokenWriter struct{ http.ResponseWriter }

func (brokenWriter) Hijack() (_ net.Conn, _ *bufio.ReadWriter, err error) {
	return nil, nil, errors.New("broken")
}

func TestWebSocket_AnUpgradeThatFails(t *testing.T) {
	left := make(chan error, 2)
	h := asgi.HandleWebSocket(func(ctx context.Context, ws *asgi.WebSocket) error {
		err := ws.Accept()
		left <- err
		if ws.State() != asgi.WebSocketDenied || ctx.Err() == nil {
			t.Errorf("it is %v, %v", ws.State(), ctx.Err())
		}
		return err
	}, nil)
	r := httptest.NewRequest("GET", "/", nil)
	r.Header = handshakeHeader()
	h(brokenWriter{httptest.NewRecorder()}, r)
	var gone *asgi.WebSocketDisconnect
	if err := <-left; !errors.As(err, &gone) || gone.Code != 1006 ||
		!strings.Contains(err.Error(), "broken") {
		t.Errorf("accept: %v", err)
	}
}

// After runs what it is given once the handler has ended well.
// promising has Hijack, as this module's writers have, whatever is beneath it.
type promising struct{ http.ResponseWriter }

func (p promising) Unwrap() http.ResponseWriter { return p.ResponseWriter }

func (p promising) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	return http.NewResponseController(p.ResponseWriter).Hijack()
}

func TestWebSocket_SaysWhatHidesTheConnection(t *testing.T) {
	h := asgi.HandleWebSocket(accepted(echo), nil)
	app := asgi.New(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h(promising{hiding{w}}, r)
	}))
	logged := new(log)
	app.Logger = slog.New(slog.NewTextHandler(logged, nil))
	_, resp, err := asgitest.New(t, app).Dial(t.Context(), "/", nil)
	if err == nil || resp == nil || resp.StatusCode != http.StatusNotImplemented {
		t.Fatalf("%v, %v", resp, err)
	}
	if text := logged.String(); !strings.Contains(text, "asgi_test.hiding") ||
		!strings.Contains(text, "Unwrap") {
		t.Errorf("the log does not say what hides Hijack: %s", text)
	}
}
