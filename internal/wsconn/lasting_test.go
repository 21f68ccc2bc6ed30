package wsconn_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/go-chi/chi/v5"

	"github.com/genropy/genro-asgi-go/internal/wsconn"
)

type valueKey struct{}

func TestLasting_OutlivesTheHandler(t *testing.T) {
	var kept *http.Request
	var end context.CancelCauseFunc
	r := chi.NewRouter()
	r.Get("/rooms/{id}", func(_ http.ResponseWriter, r *http.Request) {
		kept, end = wsconn.Lasting(r)
		if chi.URLParam(r, "id") != "7" {
			t.Error("the request itself was changed")
		}
	})
	ctx, cancel := context.WithTimeout(context.WithValue(t.Context(), valueKey{}, "kept"),
		time.Hour)
	req := httptest.NewRequestWithContext(ctx, http.MethodGet, "/rooms/7",
		strings.NewReader("body"))
	for _, name := range []string{
		"Connection", "Upgrade", "Sec-WebSocket-Key",
		"Sec-WebSocket-Version", "Sec-WebSocket-Extensions",
	} {
		req.Header.Set(name, "of the handshake")
	}
	req.Header.Set("Authorization", "Bearer x")
	r.ServeHTTP(httptest.NewRecorder(), req)
	cancel()
	if len(kept.Header) != 1 || kept.Header.Get("Authorization") != "Bearer x" ||
		len(req.Header) != 6 {
		t.Errorf("kept %v of %v", kept.Header, req.Header)
	}

	ctx = kept.Context()
	if _, ok := ctx.Deadline(); ok || ctx.Err() != nil {
		t.Errorf("it ended with the handler: %v", ctx.Err())
	}
	if chi.RouteContext(ctx) != nil {
		t.Error("chi's pooled RouteContext can be reached")
	}
	if got := ctx.Value(valueKey{}); got != "kept" {
		t.Errorf("value %v", got)
	}
	if got := kept.PathValue("id"); got != "7" {
		t.Errorf("path value %q", got)
	}
	if body, err := io.ReadAll(kept.Body); len(body) > 0 || err != nil {
		t.Errorf("body %q, %v", body, err)
	}
	gone := errors.New("gone")
	end(gone)
	if context.Cause(ctx) != gone {
		t.Errorf("cause %v", context.Cause(ctx))
	}
}

func TestConn_OnDone(t *testing.T) {
	c, _ := tcp(t, nil)
	called := make(chan string, 2)
	c.OnDone(func() { called <- "at the end" })
	select {
	case <-called:
		t.Error("called while it was open")
	default:
	}
	if err := c.CloseNow(); err != nil {
		t.Error(err)
	}
	if got := <-called; got != "at the end" {
		t.Error(got)
	}
	c.OnDone(func() { called <- "at once" })
	if got := <-called; got != "at once" {
		t.Error(got)
	}
}
