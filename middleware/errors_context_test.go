package middleware_test

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	chimiddleware "github.com/go-chi/chi/v5/middleware"

	"github.com/genropy/genro-asgi-go/asgi"
	"github.com/genropy/genro-asgi-go/middleware"
)

type traceKey struct{}

// traces has of each record what an instrumented slog handler would add: the trace of its context.
type traces struct {
	slog.Handler
	seen *[]string
}

func (h traces) Enabled(context.Context, slog.Level) bool { return true }

func (h traces) Handle(ctx context.Context, r slog.Record) error {
	trace, _ := ctx.Value(traceKey{}).(string)
	if ctx.Err() != nil {
		trace += " (ended)"
	}
	*h.seen = append(*h.seen, trace+": "+r.Message)
	return nil
}

// Errors logs with the context that middleware further out has made, such as that of a tracer, and
// counts panics for the App around it.
func TestErrors_LogsWithTheRequestsContext(t *testing.T) {
	failed := []string{"t: request failed"}
	for name, c := range map[string]struct {
		h      http.HandlerFunc
		want   []string
		panics uint64
	}{
		"a panic": {func(http.ResponseWriter, *http.Request) { panic("boom") }, failed, 1},
		"a plain answer": {func(w http.ResponseWriter, _ *http.Request) {
			http.Error(w, "x", http.StatusInternalServerError)
		}, failed, 0},
		"an error": {asgi.Respond(func(*asgi.Request) (asgi.Response, error) {
			return nil, errors.New("no")
		}), failed, 0},
		"a time-out": {
			func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }, failed, 0,
		},
		"a panic within the answer": {func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusOK)
			panic("boom")
		}, failed, 1},
		"an abort": {
			func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, nil, 0,
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				log := traces{slog.DiscardHandler, new([]string)}
				traced := func(next http.Handler) http.Handler {
					return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
						next.ServeHTTP(w,
							r.WithContext(context.WithValue(r.Context(), traceKey{}, "t")))
					})
				}
				app := asgi.New(traced(middleware.Errors(nil)(
					chimiddleware.Timeout(time.Second)(c.h))))
				app.Logger = slog.New(log)
				func() {
					defer func() { _ = recover() }()
					app.ServeHTTP(httptest.NewRecorder(), get())
				}()
				if !slices.Equal(*log.seen, c.want) {
					t.Errorf("logged %q", *log.seen)
				}
				if got := app.Stats().Panics; got != c.panics {
					t.Errorf("%d panics", got)
				}
			})
		})
	}
}
