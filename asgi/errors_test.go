package asgi_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/go-json-experiment/json"

	"github.com/genropy/genro-asgi-go/asgi"
	"github.com/genropy/genro-asgi-go/internal/respwriter"
)

const canary = "canary-7f3a"

// quiet makes WriteError log to nobody.
func quiet(ctx context.Context) context.Context {
	return asgi.ContextWithErrors(ctx, &asgi.ErrorOptions{Logger: slog.New(slog.DiscardHandler)})
}

func writeError(ctx context.Context, err error) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	asgi.WriteError(w, httptest.NewRequestWithContext(ctx, "GET", "/things/1", nil), err)
	return w
}

func problemOf(t *testing.T, w *httptest.ResponseRecorder) map[string]any {
	t.Helper()
	if got := w.Header().Get("Content-Type"); got != "application/problem+json" {
		t.Fatalf("Content-Type %q, body %s", got, w.Body)
	}
	var p map[string]any
	if err := json.Unmarshal(w.Body.Bytes(), &p); err != nil {
		t.Fatal(err)
	}
	return p
}

func TestWriteError_ShutdownIs503(t *testing.T) {
	ctx, cancel := context.WithCancelCause(quiet(t.Context()))
	cancel(asgi.ErrShutdown)
	for _, err := range []error{
		ctx.Err(), asgi.ErrShutdown,
		&asgi.HTTPError{Status: 503, Err: asgi.NewHTTPError(404, "")},
	} {
		if w := writeError(ctx, err); w.Code != 503 {
			t.Errorf("%v: status %d", err, w.Code)
		}
	}
}

func TestWriteError_AbortsWhatHasBegun(t *testing.T) {
	r := httptest.NewRequestWithContext(quiet(t.Context()), "GET", "/", nil)
	aborts := func(w http.ResponseWriter, err error) (aborted bool) {
		defer func() { aborted = recover() == http.ErrAbortHandler }()
		asgi.WriteError(w, r, err)
		return false
	}
	rec := httptest.NewRecorder()
	w := respwriter.New(respwriter.New(rec, nil), nil)
	if aborts(w, io.EOF) || rec.Code != 500 {
		t.Errorf("status %d: a fresh response was cut", rec.Code)
	}
	if !aborts(w, io.EOF) {
		t.Error("a committed response was not cut")
	}
	if !aborts(w.Unwrap(), io.EOF) {
		t.Error("a response committed by an inner writer was not cut")
	}
	if !aborts(httptest.NewRecorder(), fmt.Errorf("x: %w", http.ErrAbortHandler)) {
		t.Error("ErrAbortHandler was answered")
	}
}

func TestShutdown_IsWhatWasInstalled(t *testing.T) {
	if asgi.ShutdownContext(t.Context()).Done() != nil {
		t.Error("a signal out of nowhere")
	}
	stopping, cancel := context.WithCancel(t.Context())
	ctx := asgi.ContextWithShutdown(t.Context(), stopping)
	if asgi.ShutdownContext(ctx).Err() != nil {
		t.Error("shut down at once")
	}
	cancel()
	<-asgi.ShutdownContext(ctx).Done()
}
