//go:build linux

package executor_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/genropy/genro-asgi-go/executor"
)

func post(h http.Handler, contentType, body string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(http.MethodPost, "/x", strings.NewReader(body))
	if contentType != "" {
		r.Header.Set("Content-Type", contentType)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func TestHandler_AnswersWithTheResult(t *testing.T) {
	ex := start(t, nil)
	body := `{"id":1,"name":"n","email":"e","tags":["t"],"score":0.5}`
	for _, contentType := range []string{"application/json; charset=utf-8", "application/vnd.x+json", ""} {
		w := post(executor.Handler(ex, echo, nil), contentType, body)
		if w.Code != 200 || w.Body.String() != body || w.Header().Get("Content-Type") != "application/json" {
			t.Errorf("%d %s %v", w.Code, w.Body, w.Header())
		}
	}
	w := post(executor.Handler(ex, echoBytes, &executor.HandlerOptions{ContentType: "image/png"}), "image/png", "raw \xff")
	if w.Code != 200 || w.Body.String() != "raw \xff" || w.Header().Get("Content-Type") != "image/png" || w.Header().Get("X-Content-Type-Options") != "nosniff" {
		t.Errorf("%d %q %v", w.Code, w.Body, w.Header())
	}
	double := func(_ context.Context, n int) (int, error) { return 2 * n, nil }
	if w := post(executor.BlockingHandler(ex, double, nil), "application/json", "21"); w.Code != 200 || w.Body.String() != "42" {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

func TestHandler_ErrorsAreProblems(t *testing.T) {
	var logs lockedBuffer
	ex := start(t, &executor.Options{Workers: 1, Blocking: executor.ClassOptions{Concurrency: 1, Queue: -1}})
	opts := &executor.HandlerOptions{MaxBody: 100, Timeout: 20 * time.Millisecond, RetryAfter: 1500 * time.Millisecond, Logger: slog.New(slog.NewTextHandler(&logs, nil))}
	slow := *opts
	slow.Timeout = time.Minute
	overloaded := executor.BlockingHandler(ex, func(context.Context, int) (int, error) {
		// The only place is taken while this runs.
		inner := post(executor.BlockingHandler(ex, func(context.Context, int) (int, error) { return 0, nil }, opts), "", "1")
		if inner.Header().Get("Retry-After") != "2" {
			return 0, fmt.Errorf("%v", inner.Header())
		}
		return inner.Code, nil
	}, &slow)
	never := make(chan none)
	ignores := executor.BlockingHandler(start(t, nil), func(context.Context, int) (int, error) {
		<-never
		return 0, nil
	}, opts)
	t.Cleanup(func() { close(never) }) // before the executor is stopped
	cases := map[string]struct {
		h        http.Handler
		media    string
		in       string
		status   int
		incident bool
	}{
		"syntax":         {executor.Handler(ex, echo, opts), "", `{`, 400, false},
		"unknown member": {executor.Handler(ex, echo, opts), "", `{"secret":1}`, 400, false},
		"empty":          {executor.Handler(ex, echo, opts), "", ``, 400, false},
		"too large":      {executor.Handler(ex, echo, opts), "", `"` + strings.Repeat("x", 100) + `"`, 413, false},
		"media type":     {executor.Handler(ex, echo, opts), "text/plain", `{}`, 415, false},
		"bad media type": {executor.Handler(ex, echo, opts), ";", `{}`, 415, false},
		"status":         {executor.Handler(ex, fails, &slow), "", `418`, 418, false},
		"no status":      {executor.Handler(ex, fails, &slow), "", `0`, 500, true},
		"panic":          {executor.Handler(ex, panics, &slow), "", `{}`, 500, true},
		"crash":          {executor.Handler(ex, exits, &slow), "", `3`, 500, true},
		"deadline":       {executor.Handler(ex, loops, opts), "", `false`, 504, false},
		"unencodable":    {executor.BlockingHandler(ex, func(context.Context, int) (func(), error) { return nil, nil }, &slow), "", `1`, 500, true},
		"not waited for": {ignores, "", `1`, 504, false},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			w := post(c.h, c.media, c.in)
			if w.Code != c.status || w.Header().Get("Content-Type") != "application/problem+json" {
				t.Fatalf("%d %s %v", w.Code, w.Body, w.Header())
			}
			found := regexp.MustCompile(`"incident":"([A-Z2-7]{26})"`).FindStringSubmatch(w.Body.String())
			if (found != nil) != c.incident {
				t.Fatalf("%s", w.Body)
			}
			if c.incident && !strings.Contains(logs.String(), found[1]) {
				t.Errorf("incident %s is not in the log", found[1])
			}
			for _, leak := range []string{"oh no", "wrapped", "secret", "worker", "main_test"} {
				if strings.Contains(w.Body.String(), leak) {
					t.Errorf("%q leaked: %s", leak, w.Body)
				}
			}
		})
	}
	if w := post(overloaded, "", "1"); w.Body.String() != "503" {
		t.Errorf("overloaded: %d %s", w.Code, w.Body)
	}
	if s := logs.String(); !strings.Contains(s, "oh no") || !strings.Contains(s, "kind=exit") {
		t.Errorf("%s", s)
	}
}

func TestHandler_ClientThatGoesEndsTheCall(t *testing.T) {
	ex := start(t, nil)
	begun := make(chan none, 1)
	server := httptest.NewServer(executor.Handler(ex, loops, &executor.HandlerOptions{Call: func(*http.Request) *executor.CallOptions {
		return &executor.CallOptions{Progress: func(jsontext.Value) { begun <- none{} }}
	}}))
	defer server.Close()
	defer server.Client().CloseIdleConnections()
	ctx, cancel := context.WithCancel(t.Context())
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, server.URL, strings.NewReader("false"))
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		<-begun
		cancel()
	}()
	if answer, err := server.Client().Do(r); err == nil {
		answer.Body.Close()
		t.Errorf("status %d", answer.StatusCode)
	}
	eventually(t, "the call killed", func() bool { return ex.Stats().Process.Killed == 1 })
}

func TestHandler_StreamsProgress(t *testing.T) {
	ex := start(t, nil)
	server := httptest.NewServer(executor.Handler(ex, note, &executor.HandlerOptions{Stream: true}))
	defer server.Close()
	defer server.Client().CloseIdleConnections()
	get := func(h string, body string) (int, string, string) {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, server.URL, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Accept", h)
		answer, err := server.Client().Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer answer.Body.Close()
		b, _ := io.ReadAll(answer.Body)
		return answer.StatusCode, answer.Header.Get("Content-Type"), string(b)
	}
	status, media, body := get("text/event-stream", "2")
	want := "event: progress\ndata: 0\n\nevent: progress\ndata: 1\n\nevent: progress\ndata: \"last\"\n\nevent: result\ndata: {}\n\n"
	if status != 200 || media != "text/event-stream" || body != want {
		t.Errorf("%d %s %q", status, media, body)
	}
	if status, media, body = get("application/json", "2"); status != 200 || media != "application/json" || body != "{}" {
		t.Errorf("%d %s %q", status, media, body)
	}
	if status, media, _ = get("text/event-stream", "bad"); status != 400 || media != "application/problem+json" {
		t.Errorf("%d %s", status, media)
	}
}

func TestHandler_StreamEndsWithTheProblem(t *testing.T) {
	ex := start(t, nil)
	r := httptest.NewRequest(http.MethodPost, "/", strings.NewReader("false"))
	r.Header.Set("Accept", "text/event-stream")
	w := httptest.NewRecorder()
	var seen bytes.Buffer
	executor.Handler(ex, loops, &executor.HandlerOptions{Stream: true, Timeout: 100 * time.Millisecond, Call: func(*http.Request) *executor.CallOptions {
		return &executor.CallOptions{Progress: func(v jsontext.Value) { seen.Write(v) }}
	}}).ServeHTTP(w, r)
	if !strings.HasSuffix(w.Body.String(), "\n\nevent: error\ndata: {\"title\":\"Gateway Timeout\",\"status\":504}\n\n") || seen.Len() == 0 {
		t.Errorf("%q, progress %q", w.Body, &seen)
	}
	r = httptest.NewRequest(http.MethodPost, "/", strings.NewReader("0"))
	r.Header.Set("Accept", "text/event-stream")
	w = httptest.NewRecorder()
	executor.Handler(ex, fails, &executor.HandlerOptions{Stream: true}).ServeHTTP(w, r)
	if w.Code != 500 || w.Header().Get("Content-Type") != "application/problem+json" {
		t.Errorf("before the first event: %d %s", w.Code, w.Body)
	}
}

func TestHandler_StreamThatIsNotTakenEndsTheCall(t *testing.T) {
	ex := start(t, nil)
	r := httptest.NewRequest(http.MethodPost, "/", strings.NewReader("false"))
	r.Header.Set("Accept", "text/event-stream")
	executor.Handler(ex, loops, &executor.HandlerOptions{Stream: true}).ServeHTTP(&deafWriter{header: http.Header{}}, r)
	if s := ex.Stats().Process; s.Killed != 1 {
		t.Errorf("%+v", s)
	}
}

type deafWriter struct{ header http.Header }

func (w *deafWriter) Header() http.Header       { return w.header }
func (w *deafWriter) WriteHeader(int)           {}
func (w *deafWriter) Write([]byte) (int, error) { return 0, io.ErrClosedPipe }
