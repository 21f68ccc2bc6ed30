package asgi_test

import (
	"context"
	"errors"
	"io"
	"iter"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/genropy/genro-asgi-go/asgi"
	"github.com/genropy/genro-asgi-go/asgi/asgitest"
)

type traceKey struct{}

// traces is a slog handler that has of each record what an instrumented one would add: the trace of
// its context.
type traces struct {
	slog.Handler

	mu   *sync.Mutex
	seen *[]string
}

func newTraces() traces { return traces{slog.DiscardHandler, new(sync.Mutex), new([]string)} }

func (h traces) Enabled(context.Context, slog.Level) bool { return true }

func (h traces) Handle(ctx context.Context, r slog.Record) error {
	trace, _ := ctx.Value(traceKey{}).(string)
	if ctx.Err() != nil {
		trace += " (ended)"
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	*h.seen = append(*h.seen, trace+": "+r.Message)
	return nil
}

// take returns what was logged since, in order.
func (h traces) take() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	defer func() { *h.seen = nil }()
	return slices.Sorted(slices.Values(*h.seen))
}

// Whatever is logged of a request has its context, so that a slog handler can add its trace.
func TestLog_HasTheRequestsContext(t *testing.T) {
	failing := func(context.Context) error { return errB }
	after := func(fn func(context.Context) error) http.HandlerFunc {
		return asgi.Respond(func(r *asgi.Request) (asgi.Response, error) {
			return asgi.NoContent(), asgi.After(r.Context(), fn)
		})
	}
	for name, c := range map[string]struct {
		h    http.HandlerFunc
		want string
	}{
		"an error": {asgi.Handle(func(context.Context, struct{}) (struct{}, error) {
			return struct{}{}, errB
		}), "request failed"},
		"an error of Respond": {asgi.Respond(func(*asgi.Request) (asgi.Response, error) {
			return nil, errB
		}), "request failed"},
		"a time-out": {func(w http.ResponseWriter, r *http.Request) {
			ctx, cancel := context.WithTimeout(r.Context(), time.Second)
			defer cancel()
			r = r.WithContext(ctx)
			asgi.Respond(func(r *asgi.Request) (asgi.Response, error) {
				<-r.Context().Done()
				return nil, r.Context().Err()
			})(w, r)
		}, "request failed"},
		"a stream": {asgi.Respond(func(*asgi.Request) (asgi.Response, error) {
			return asgi.StreamFunc("text/plain", func(_ context.Context, w io.Writer) error {
				_, err := io.WriteString(w, "begun")
				return errors.Join(err, errB)
			}), nil
		}), "request failed"},
		"server-sent events": {asgi.Respond(func(*asgi.Request) (asgi.Response, error) {
			return asgi.SSE(func(context.Context, string) iter.Seq2[asgi.Event, error] {
				return func(yield func(asgi.Event, error) bool) { yield(asgi.Event{}, errB) }
			}, nil), nil
		}), "request failed"},
		"work after the answer": {after(failing), "background work failed"},
		"work that panics": {
			after(func(context.Context) error { panic("boom") }), "background work failed",
		},
		"work that takes too long": {after(func(ctx context.Context) error {
			<-ctx.Done()
			return ctx.Err()
		}), "background work failed"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				log := newTraces()
				b := background(asgi.BackgroundOptions{Logger: slog.New(log)})
				app := newApp(func(w http.ResponseWriter, r *http.Request) {
					c.h(w, r.WithContext(context.WithValue(r.Context(), traceKey{}, "t1")))
				}, b)
				app.Errors.Logger = slog.New(log)
				client := asgitest.New(t, app)
				if resp, err := client.HTTP.Get(asgitest.BaseURL); err == nil {
					_, _ = io.Copy(io.Discard, resp.Body)
					_ = resp.Body.Close()
				}
				<-time.After(2 * time.Minute)
				if got := log.take(); !slices.Equal(got, []string{"t1: " + c.want}) {
					t.Errorf("logged %q", got)
				}
			})
		})
	}
}

func TestLog_HasTheContextOfTheHandshake(t *testing.T) {
	for name, fn := range map[string]wsFunc{
		"an error": func(context.Context, *asgi.WebSocket) error { return errB },
		"a panic":  func(context.Context, *asgi.WebSocket) error { panic("boom") },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				log := newTraces()
				h := asgi.HandleWebSocket(accepted(fn), nil)
				app := newApp(func(w http.ResponseWriter, r *http.Request) {
					h(w, r.WithContext(context.WithValue(r.Context(), traceKey{}, "t2")))
				})
				app.Errors.Logger = slog.New(log)
				conn, _, err := asgitest.New(t, app).Dial(t.Context(), "/", nil)
				if err != nil {
					t.Fatal(err)
				}
				_, _, _ = conn.Read(t.Context())
				_ = conn.CloseNow()
				synctest.Wait()
				if got := log.take(); !slices.Equal(got, []string{"t2: WebSocket failed"}) {
					t.Errorf("logged %q", got)
				}
			})
		})
	}
}

// A panic that no middleware catches is told by the App, where net/http would tell it without a
// context, and with the stack of where it happened.
func TestLog_OfAPanicThatNobodyCatches(t *testing.T) {
	log, text := newTraces(), new(log)
	app := newApp(func(w http.ResponseWriter, r *http.Request) { whereItHappened() })
	app.Server.ConnContext = func(ctx context.Context, _ net.Conn) context.Context {
		return context.WithValue(ctx, traceKey{}, "t3")
	}
	app.Server.ErrorLog = slog.NewLogLogger(log, slog.LevelError)
	log.Handler = slog.NewTextHandler(text, nil)
	app.Errors.Logger = slog.New(tee{log})
	synctest.Test(t, func(t *testing.T) {
		c := asgitest.New(t, app)
		r := c.Request("POST", "/path", nil, http.Header{"X-Request-Id": {"id-1"}})
		if _, err := c.HTTP.Do(r); err == nil {
			t.Error("the panic was answered")
		}
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	if got := log.take(); !slices.Equal(got, []string{"t3: asgi: a handler panicked"}) {
		t.Errorf("logged %q", got)
	}
	for _, want := range []string{
		"method=POST", "path=/path", `error="panic: boom"`, "request_id=id-1",
		"asgi_test.whereItHappened", "log_context_test.go",
	} {
		if !strings.Contains(text.String(), want) {
			t.Errorf("no %s in %s", want, text)
		}
	}
}

//go:noinline
func whereItHappened() { panic("boom") }

// tee writes the record too.
type tee struct{ traces }

func (h tee) Handle(ctx context.Context, r slog.Record) error {
	return errors.Join(h.traces.Handle(ctx, r), h.Handler.Handle(ctx, r))
}
