package asgi_test

import (
	"context"
	"errors"
	"io"
	"iter"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"

	"github.com/genropy/genro-asgi-go/asgi"
	"github.com/genropy/genro-asgi-go/asgi/asgitest"
	"github.com/genropy/genro-asgi-go/internal/stopping"
)

// expiring lets every request in with credentials that last for an hour.
func expiring(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h.ServeHTTP(w, r.WithContext(stopping.WithExpiry(r.Context(), time.Now().Add(time.Hour))))
	})
}

func TestStreams_EndWithTheCredentials(t *testing.T) {
	wait := func(ctx context.Context) error {
		<-ctx.Done()
		return context.Cause(ctx)
	}
	for name, c := range map[string]struct {
		reply func() *asgi.Reply
		whole bool // the answer ends as if nothing were missing
	}{
		"events that never come": {func() *asgi.Reply {
			return asgi.SSE(func(ctx context.Context, _ string) iter.Seq2[asgi.Event, error] {
				return func(func(asgi.Event, error) bool) { _ = wait(ctx) }
			}, &asgi.SSEOptions{Heartbeat: -1})
		}, true},
		"events of a sequence that does not listen": {func() *asgi.Reply {
			return asgi.SSE(func(context.Context, string) iter.Seq2[asgi.Event, error] {
				return func(yield func(asgi.Event, error) bool) {
					for yield(asgi.Event{Data: "x"}, nil) {
						<-time.After(time.Minute)
					}
				}
			}, nil)
		}, true},
		"a function": {func() *asgi.Reply {
			return asgi.StreamFunc("text/plain", func(ctx context.Context, w io.Writer) error {
				_, _ = io.WriteString(w, "x")
				return wait(ctx)
			})
		}, false},
		"chunks": {func() *asgi.Reply {
			return asgi.Stream("text/plain", func(yield func([]byte, error) bool) {
				for yield([]byte("x"), nil) {
					<-time.After(time.Minute)
				}
			})
		}, false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				app := asgi.New(
					expiring(asgi.Respond(func(*asgi.Request) (asgi.Response, error) {
						return c.reply(), nil
					})))
				app.Logger = silent
				client := asgitest.New(t, app)
				began := time.Now()
				resp, err := client.HTTP.Get(asgitest.BaseURL)
				if err != nil {
					t.Fatal(err)
				}
				defer resp.Body.Close()
				_, err = io.Copy(io.Discard, resp.Body)
				if took := time.Since(began); took < time.Hour || took > time.Hour+time.Minute ||
					(err == nil) != c.whole {
					t.Errorf("ended after %v: %v", took, err)
				}
			})
		})
	}
}

func TestHandle_GoesOnWhenTheCredentialsEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client := asgitest.New(t,
			expiring(asgi.Handle(func(ctx context.Context, _ struct{}) (string, error) {
				select {
				case <-ctx.Done():
					return "", ctx.Err()
				case <-time.After(2 * time.Hour):
					return "done", nil
				}
			})))
		client.Get("/").Want(http.StatusOK)
	})
}

func TestWebSocket_EndsWithTheCredentials(t *testing.T) {
	for name, fn := range map[string]wsFunc{
		"a loop": echo,
		"a sleep": func(context.Context, *asgi.WebSocket) error {
			<-time.After(2 * time.Hour)
			return nil
		},
		"the context": func(ctx context.Context, ws *asgi.WebSocket) error {
			<-ctx.Done()
			if _, err := ws.Receive(context.Background()); err == nil ||
				!errors.Is(context.Cause(ctx), err) {
				t.Errorf("received %v, cause %v", err, context.Cause(ctx))
			}
			return ctx.Err()
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				client := asgitest.New(t,
					expiring(
						asgi.HandleWebSocket(func(ctx context.Context, ws *asgi.WebSocket) error {
							if err := ws.Accept(); err != nil {
								return err
							}
							return fn(ctx, ws)
						}, &asgi.WebSocketOptions{KeepaliveAfter: -1})))
				began := time.Now()
				c, _, err := client.Dial(t.Context(), "/", nil)
				if err != nil {
					t.Fatal(err)
				}
				_, _, err = c.Read(t.Context())
				if took := time.Since(began); websocket.CloseStatus(err) != 4401 ||
					took != time.Hour {
					t.Errorf("%v after %v", err, took)
				}
				<-time.After(2 * time.Hour) // the handler's
			})
		})
	}
	t.Run("before it is accepted", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			client := asgitest.New(t,
				expiring(asgi.HandleWebSocket(func(_ context.Context, ws *asgi.WebSocket) error {
					<-time.After(2 * time.Hour)
					return ws.Accept()
				}, nil)))
			_, resp, err := client.Dial(t.Context(), "/", nil)
			if err == nil || resp == nil || resp.StatusCode != http.StatusUnauthorized {
				t.Errorf("%v %v", resp, err)
			}
		})
	})
}

// hiding is a middleware's writer as they are often written: Flush and Hijack are gone.
type hiding struct{ http.ResponseWriter }

func TestStreams_SayWhenTheyCannotFlush(t *testing.T) {
	for name, reply := range map[string]*asgi.Reply{
		"SSE": asgi.SSE(func(context.Context, string) iter.Seq2[asgi.Event, error] {
			return nil
		}, nil),
		"Stream": asgi.Stream("text/plain", func(func([]byte, error) bool) {}),
	} {
		t.Run(name, func(t *testing.T) {
			h := asgi.Respond(func(*asgi.Request) (asgi.Response, error) { return reply, nil })
			logged := new(log)
			app := asgi.New(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				h(hiding{w}, r)
			}))
			app.Logger = slog.New(slog.NewTextHandler(logged, nil))
			asgitest.New(t, app).Get("/").Want(http.StatusInternalServerError).Problem()
			if text := logged.String(); !strings.Contains(text, "asgi_test.hiding") ||
				!strings.Contains(text, "Unwrap") {
				t.Errorf("the log does not say what hides Flush: %s", text)
			}
		})
	}
}
