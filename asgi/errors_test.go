package asgi_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/go-json-experiment/json"

	"github.com/genropy/genro-asgi-go/asgi"
	"github.com/genropy/genro-asgi-go/internal/respwriter"
)

const canary = "canary-7f3a"

type codedError int

func (codedError) Error() string     { return canary }
func (e codedError) StatusCode() int { return int(e) }

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

func TestWriteError_MapsErrors(t *testing.T) {
	for name, c := range map[string]struct {
		err    error
		status int
	}{
		"http error":            {asgi.NewHTTPError(404, "no such thing"), 404},
		"wrapped http error":    {fmt.Errorf("x: %w", asgi.NewHTTPError(409, "")), 409},
		"http error of no kind": {&asgi.HTTPError{Status: 200}, 500},
		"body too large":        {fmt.Errorf("x: %w", &http.MaxBytesError{Limit: 3}), 413},
		"coded":                 {fmt.Errorf("x: %w", codedError(429)), 429},
		"coded as a success":    {codedError(204), 500},
		"deadline":              {context.DeadlineExceeded, 504},
		"cancelled elsewhere":   {context.Canceled, 500},
		"shutdown":              {asgi.ErrShutdown, 503},
		"plain":                 {errors.New(canary), 500},
		"nil":                   {nil, 500},
	} {
		t.Run(name, func(t *testing.T) {
			w := writeError(quiet(t.Context()), c.err)
			p := problemOf(t, w)
			if w.Code != c.status || p["status"] != float64(c.status) {
				t.Errorf("status %d, %v, want %d", w.Code, p["status"], c.status)
			}
			if strings.Contains(w.Body.String(), canary) {
				t.Errorf("the error's own text is sent: %s", w.Body)
			}
		})
	}
}

func TestWriteError_SendsAllOfAnHTTPErrorButItsCause(t *testing.T) {
	err := &asgi.HTTPError{
		Status: 503, Type: "/busy", Title: "Busy", Detail: "Try later.", Instance: "/x/1",
		Extensions: map[string]any{"queue": 9}, Header: http.Header{"retry-after": {"3"}}, Err: errors.New(canary),
	}
	w := writeError(quiet(t.Context()), err)
	want := `{"type":"/busy","title":"Busy","status":503,"detail":"Try later.","instance":"/x/1","queue":9}`
	if got := w.Body.String(); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if got := w.Header().Get("Retry-After"); got != "3" {
		t.Errorf("Retry-After %q", got)
	}
	if got := err.Error(); got != "503 Busy: Try later.: "+canary {
		t.Errorf("Error() = %q", got)
	}
	if got := asgi.NewHTTPError(404, "").Error(); got != "404 Not Found" {
		t.Errorf("Error() = %q", got)
	}
}

func TestWriteError_MapperGoesFirst(t *testing.T) {
	ctx := asgi.ContextWithErrors(t.Context(), &asgi.ErrorOptions{Map: func(_ *http.Request, err error) *asgi.HTTPError {
		if errors.Is(err, io.EOF) {
			return asgi.NewHTTPError(418, "mapped")
		}
		return nil
	}})
	if w := writeError(ctx, io.EOF); w.Code != 418 {
		t.Errorf("status %d", w.Code)
	}
	if w := writeError(ctx, asgi.NewHTTPError(404, "")); w.Code != 404 {
		t.Errorf("status %d of an error that is not mapped", w.Code)
	}
}

func TestWriteError_DebugSendsTheText(t *testing.T) {
	w := writeError(asgi.ContextWithErrors(t.Context(), &asgi.ErrorOptions{
		Debug: true, Logger: slog.New(slog.DiscardHandler),
	}), errors.New(canary))
	if p := problemOf(t, w); p["debug"] != canary {
		t.Errorf("got %v", p)
	}
}

func TestWriteError_LogsServerErrorsWithTheRequestID(t *testing.T) {
	var log bytes.Buffer
	ctx := asgi.ContextWithErrors(t.Context(), &asgi.ErrorOptions{Logger: slog.New(slog.NewTextHandler(&log, nil))})
	r := httptest.NewRequestWithContext(ctx, "GET", "/x%0Alevel=forged", nil)
	r.Header.Set("X-Request-Id", "abc-1")
	w := httptest.NewRecorder()
	asgi.WriteError(w, r, errors.New(canary))
	line := log.String()
	for _, want := range []string{"level=ERROR", "status=500", "request_id=abc-1", canary} {
		if !strings.Contains(line, want) {
			t.Errorf("no %q in %s", want, line)
		}
	}
	if strings.Count(line, "\n") != 1 {
		t.Errorf("a path forged a line: %s", line)
	}
	if p := problemOf(t, w); p["request_id"] != "abc-1" {
		t.Errorf("got %v", p)
	}
	log.Reset()
	asgi.WriteError(httptest.NewRecorder(), r, asgi.NewHTTPError(404, ""))
	if log.Len() != 0 {
		t.Errorf("a 404 is logged: %s", &log)
	}
}

func TestWriteError_RequestID(t *testing.T) {
	for name, c := range map[string]struct{ request, response, want string }{
		"of the request":    {"a-1", "", "a-1"},
		"of the response":   {"a-1", "b-2", "b-2"},
		"too long":          {strings.Repeat("a", 65), "", ""},
		"as long as it may": {strings.Repeat("a", 64), "", strings.Repeat("a", 64)},
		"with other bytes":  {"a b", "", ""},
		"none":              {"", "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			r, w := httptest.NewRequest("GET", "/", nil), httptest.NewRecorder()
			r.Header.Set("X-Request-Id", c.request)
			w.Header().Set("X-Request-Id", c.response)
			asgi.WriteError(w, r, asgi.NewHTTPError(404, ""))
			if got, _ := problemOf(t, w)["request_id"].(string); got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

func TestWriteError_ClientGone(t *testing.T) {
	var log bytes.Buffer
	ctx := asgi.ContextWithErrors(t.Context(), &asgi.ErrorOptions{Logger: slog.New(slog.NewTextHandler(&log, nil))})
	ctx, cancel := context.WithCancel(ctx)
	cancel()
	w := writeError(ctx, fmt.Errorf("query: %w", context.Canceled))
	if w.Code != asgi.StatusClientClosedRequest || w.Body.Len() != 0 {
		t.Errorf("status %d, body %s", w.Code, w.Body)
	}
	if !strings.Contains(log.String(), "level=INFO") || !strings.Contains(log.String(), "status=499") {
		t.Errorf("log %s", &log)
	}
}

func TestWriteError_CancelledByShutdown(t *testing.T) {
	ctx, cancel := context.WithCancelCause(quiet(t.Context()))
	cancel(asgi.ErrShutdown)
	if w := writeError(ctx, ctx.Err()); w.Code != 503 {
		t.Errorf("status %d", w.Code)
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
	if asgi.Shutdown(t.Context()).Done() != nil {
		t.Error("a signal out of nowhere")
	}
	stopping, cancel := context.WithCancel(t.Context())
	ctx := asgi.ContextWithShutdown(t.Context(), stopping)
	if asgi.Shutdown(ctx).Err() != nil {
		t.Error("shut down at once")
	}
	cancel()
	<-asgi.Shutdown(ctx).Done()
}
