//go:build linux

package executor_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/genropy/genro-asgi-go/executor"
	"github.com/genropy/genro-asgi-go/problem"
)

func post(h http.Handler, contentType, body string) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, request(contentType, body))
	return w
}

func request(contentType, body string) *http.Request {
	r := httptest.NewRequest(http.MethodPost, "/x", strings.NewReader(body))
	if contentType != "" {
		r.Header.Set("Content-Type", contentType)
	}
	return r
}

const asJSON = "application/json"

func TestHandler_AnswersWithTheResult(t *testing.T) {
	ex := start(t, nil)
	body := `{"id":1,"name":"n","email":"e","tags":["t"],"score":0.5}`
	for _, contentType := range []string{
		"application/json; charset=utf-8",
		"application/vnd.x+json",
	} {
		w := post(executor.Handler(ex, echo, nil), contentType, body)
		if w.Code != 200 || w.Body.String() != body ||
			w.Header().Get("Content-Type") != "application/json" {
			t.Errorf("%d %s %v", w.Code, w.Body, w.Header())
		}
	}
	w := post(executor.Handler(ex, echoBytes, &executor.HandlerOptions{ContentType: "image/png"}),
		"image/png", "raw \xff")
	if w.Code != 200 || w.Body.String() != "raw \xff" ||
		w.Header().Get("Content-Type") != "image/png" ||
		w.Header().Get("X-Content-Type-Options") != "nosniff" {
		t.Errorf("%d %q %v", w.Code, w.Body, w.Header())
	}
	double := func(_ context.Context, n int) (int, error) { return 2 * n, nil }
	if w := post(executor.BlockingHandler(ex, double, nil), "application/json", "21"); w.Code !=
		200 || w.Body.String() != "42" {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

func TestHandler_ErrorsAreProblems(t *testing.T) {
	ex := start(t,
		&executor.Options{Workers: 1, Blocking: executor.ClassOptions{Concurrency: 1, Queue: -1}})
	opts := &executor.HandlerOptions{
		MaxBody: 100, Timeout: 20 * time.Millisecond,
		RetryAfter: 1500 * time.Millisecond,
	}
	slow := *opts
	slow.Timeout = time.Minute
	overloaded := executor.BlockingHandler(ex, func(context.Context, int) (int, error) {
		// The only place is taken while this runs.
		inner := post(executor.BlockingHandler(ex,
			func(context.Context, int) (int, error) { return 0, nil }, &slow), asJSON, "1")
		if inner.Header().Get("Retry-After") != "2" ||
			!strings.Contains(inner.Body.String(), `"retry_after":1.5`) {
			return 0, fmt.Errorf("%v %s", inner.Header(), inner.Body)
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
		h      http.Handler
		media  string
		in     string
		status int
	}{
		"syntax":         {executor.Handler(ex, echo, opts), asJSON, `{`, 400},
		"unknown member": {executor.Handler(ex, echo, opts), asJSON, `{"unknown":1}`, 422},
		"empty":          {executor.Handler(ex, echo, opts), asJSON, ``, 400},
		"too large": {
			executor.Handler(ex, echo, opts), asJSON,
			`"` + strings.Repeat("x", 100) + `"`, 413,
		},
		"media type":     {executor.Handler(ex, echo, opts), "text/plain", `{}`, 415},
		"bad media type": {executor.Handler(ex, echo, opts), ";", `{}`, 415},
		"status":         {executor.Handler(ex, fails, &slow), asJSON, `418`, 418},
		"no status":      {executor.Handler(ex, fails, &slow), asJSON, `0`, 500},
		"panic":          {executor.Handler(ex, panics, &slow), asJSON, `{}`, 500},
		"crash":          {executor.Handler(ex, exits, &slow), asJSON, `3`, 500},
		"deadline":       {executor.Handler(ex, loops, opts), asJSON, `false`, 504},
		"unencodable": {
			executor.BlockingHandler(ex,
				func(context.Context, int) (float64, error) { return math.NaN(), nil }, &slow),
			asJSON, `1`, 500,
		},
		"not waited for": {ignores, asJSON, `1`, 504},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			var logs lockedBuffer
			w := httptest.NewRecorder()
			c.h.ServeHTTP(w, logged(request(c.media, c.in), &logs))
			if w.Code != c.status || w.Header().Get("Content-Type") != "application/problem+json" {
				t.Fatalf("%d %s %v", w.Code, w.Body, w.Header())
			}
			found := regexp.MustCompile(`"request_id":"([A-Z2-7]{26})"`).
				FindStringSubmatch(w.Body.String())
			if (found != nil) != (c.status >= 500) {
				t.Fatalf("%s", w.Body)
			}
			if lines := strings.Count(logs.String(), "\n"); found != nil &&
				(lines != 1 || !strings.Contains(logs.String(), "request_id="+found[1])) {
				t.Errorf("request %s has %d lines in the log: %s", found[1], lines, &logs)
			}
			for _, leak := range []string{"oh no", "wrapped", "secret", "worker", "main_test"} {
				if strings.Contains(w.Body.String(), leak) {
					t.Errorf("%q leaked: %s", leak, w.Body)
				}
			}
		})
	}
	if w := post(overloaded, asJSON, "1"); w.Body.String() != "503" {
		t.Errorf("overloaded: %d %s", w.Code, w.Body)
	}
}

func TestHandler_LogsWhatClientsMustNotKnow(t *testing.T) {
	ex := start(t, nil)
	for name, c := range map[string]struct {
		h    http.Handler
		in   string
		want []string
	}{
		"crash": {
			executor.Handler(ex, saysAndExits, nil), `{}`,
			[]string{"error.kind=exit", "error.exit_code=3", `error.stderr="last words`},
		},
		"panic": {
			executor.Handler(ex, panics, nil), `{}`,
			[]string{`error.message="executor: panic: oh no"`, "main_test.go"},
		},
		"error": {
			executor.Handler(ex, fails, nil), `0`,
			[]string{`error.message="wrapped: status 0"`, "error.func=fails"},
		},
		"blocking panic": {
			executor.BlockingHandler(ex,
				func(context.Context, none) (none, error) { panic("oh no") }, nil), `{}`,
			[]string{"oh no", "handler_test.go"},
		},
		"wrapped": {executor.BlockingHandler(ex, func(ctx context.Context, in none) (none, error) {
			_, err := panics.Run(ctx, ex, in)
			return none{}, fmt.Errorf("outer: %w", err)
		}, nil), `{}`, []string{`error.message="outer: executor: panic: oh no"`, "main_test.go"}},
	} {
		var logs lockedBuffer
		w := httptest.NewRecorder()
		c.h.ServeHTTP(w, logged(request(asJSON, c.in), &logs))
		for _, want := range c.want {
			if !strings.Contains(logs.String(), want) || w.Code != 500 {
				t.Errorf("%s: %d, no %q in %s", name, w.Code, want, &logs)
			}
		}
	}
}

// logged is r with an app's problems logged to logs.
func logged(r *http.Request, logs io.Writer) *http.Request {
	return r.WithContext(problem.WithOptions(r.Context(),
		&problem.Options{Logger: slog.New(slog.NewTextHandler(logs, nil))}))
}

func TestHandler_ClientThatGoesEndsTheCall(t *testing.T) {
	ex := start(t, nil)
	begun := make(chan none, 1)
	server := httptest.NewServer(executor.Handler(ex, loops,
		&executor.HandlerOptions{Call: func(*http.Request) *executor.CallOptions {
			return &executor.CallOptions{Progress: func(jsontext.Value) { begun <- none{} }}
		}}))
	defer server.Close()
	defer server.Client().CloseIdleConnections()
	ctx, cancel := context.WithCancel(t.Context())
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, server.URL,
		strings.NewReader("false"))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", asJSON)
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
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, server.URL,
			strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Accept", h)
		r.Header.Set("Content-Type", asJSON)
		answer, err := server.Client().Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer answer.Body.Close()
		b, _ := io.ReadAll(answer.Body)
		return answer.StatusCode, answer.Header.Get("Content-Type"), string(b)
	}
	status, media, body := get("text/event-stream", "2")
	want := "event: progress\ndata: 0\n\nevent: progress\ndata: 1\n\nevent: progress\ndata: " +
		"\"last\"\n\nevent: result\ndata: {}\n\n"
	if status != 200 || media != "text/event-stream" || body != want {
		t.Errorf("%d %s %q", status, media, body)
	}
	if status, media, body = get("application/json", "2"); status != 200 ||
		media != "application/json" || body != "{}" {
		t.Errorf("%d %s %q", status, media, body)
	}
	if status, media, _ = get("text/event-stream", "bad"); status != 400 ||
		media != "application/problem+json" {
		t.Errorf("%d %s", status, media)
	}
}

func TestHandler_StreamEndsWithTheProblem(t *testing.T) {
	ex := start(t, nil)
	r := request(asJSON, "false")
	r.Header.Set("Accept", "text/event-stream")
	r.Header.Set("X-Request-Id", "r-1")
	r = r.WithContext(problem.WithOptions(t.Context(),
		&problem.Options{Logger: quiet, Map: func(_ *http.Request, err error) *problem.Error {
			return &problem.Error{Title: "Mapped", Status: problem.From(err).StatusCode()}
		}}))
	var w *httptest.ResponseRecorder
	var seen bytes.Buffer
	// On a loaded machine time may be up before the first event; then it was too short.
	for timeout := 50 * time.Millisecond; ; timeout *= 2 {
		w = httptest.NewRecorder()
		r.Body = io.NopCloser(strings.NewReader("false"))
		executor.Handler(ex, loops,
			&executor.HandlerOptions{
				Stream: true, Timeout: timeout,
				Call: func(*http.Request) *executor.CallOptions {
					return &executor.CallOptions{Progress: func(v jsontext.Value) { seen.Write(v) }}
				},
			}).ServeHTTP(w, r)
		if w.Code != http.StatusGatewayTimeout {
			break
		}
	}
	if !strings.HasSuffix(w.Body.String(),
		"\n\nevent: error\ndata: "+
			"{\"title\":\"Mapped\",\"status\":504,\"request_id\":\"r-1\"}\n\n") || seen.Len() == 0 {
		t.Errorf("%q, progress %q", w.Body, &seen)
	}
	r = request(asJSON, "0")
	r.Header.Set("Accept", "text/event-stream")
	w = httptest.NewRecorder()
	executor.Handler(ex, fails, &executor.HandlerOptions{Stream: true}).ServeHTTP(w, r)
	if w.Code != 500 || w.Header().Get("Content-Type") != "application/problem+json" {
		t.Errorf("before the first event: %d %s", w.Code, w.Body)
	}
}

func TestHandler_StreamThatIsNotTakenEndsTheCall(t *testing.T) {
	ex := start(t, nil)
	r := request(asJSON, "false")
	r.Header.Set("Accept", "text/event-stream")
	func() {
		defer func() {
			if err, _ := recover().(error); !errors.Is(err, http.ErrAbortHandler) {
				t.Errorf("the stream ended as if it were whole: %v", err)
			}
		}()
		executor.Handler(ex, loops,
			&executor.HandlerOptions{Stream: true}).ServeHTTP(&deafWriter{header: http.Header{}}, r)
	}()
	if s := ex.Stats().Process; s.Killed != 1 {
		t.Errorf("%+v", s)
	}
}

type deafWriter struct{ header http.Header }

func (w *deafWriter) Header() http.Header       { return w.header }
func (w *deafWriter) WriteHeader(int)           {}
func (w *deafWriter) Write([]byte) (int, error) { return 0, io.ErrClosedPipe }
func (w *deafWriter) Flush()                    {}

func TestHandler_StreamThatCannotBeFlushedIsRefused(t *testing.T) {
	ex := start(t, nil)
	r := httptest.NewRequest(http.MethodPost, "/", strings.NewReader("false"))
	r.Header.Set("Accept", "text/event-stream")
	r.Header.Set("Content-Type", "application/json")
	w := httptest.NewRecorder()
	executor.Handler(ex, loops,
		&executor.HandlerOptions{Stream: true}).ServeHTTP(struct{ http.ResponseWriter }{w}, r)
	if w.Code != 500 || !strings.Contains(w.Body.String(), `"request_id"`) {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}
