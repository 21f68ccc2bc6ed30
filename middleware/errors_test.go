package middleware_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/genropy/genro-asgi-go/asgi"
	"github.com/genropy/genro-asgi-go/middleware"
)

const canary = "canary-7f3a"

func ExampleErrors() {
	h := middleware.Errors(nil)(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.Error(w, "no such order", http.StatusNotFound)
	}))

	r := httptest.NewRequest("GET", "/orders/7", nil)
	r.Header.Set("X-Request-Id", "demo-1")
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	fmt.Println(w.Code, w.Header().Get("Content-Type"))
	fmt.Println(w.Body)
	// Output:
	// 404 application/problem+json
	// {"title":"Not Found","status":404,"detail":"no such order","request_id":"demo-1"}
}

// problems serves r by h under Errors with o, its log in the returned buffer.
func problems(o asgi.ErrorOptions, h http.HandlerFunc, r *http.Request) (*httptest.ResponseRecorder,
	*bytes.Buffer,
) {
	log := new(bytes.Buffer)
	o.Logger = slog.New(slog.NewTextHandler(log, nil))
	w := httptest.NewRecorder()
	middleware.Errors(&o)(h).ServeHTTP(w, r)
	return w, log
}

func get() *http.Request { return httptest.NewRequest("GET", "/path", nil) }

func TestErrors_PlainAnswersBecomeProblems(t *testing.T) {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /only", func(http.ResponseWriter, *http.Request) {})
	cases := map[string]struct {
		handler http.HandlerFunc
		status  int
		detail  string
		header  string
	}{
		"http.NotFound": {http.NotFound, 404, "", ""},
		"ServeMux 404":  {mux.ServeHTTP, 404, "", ""},
		"ServeMux 405": {func(w http.ResponseWriter, _ *http.Request) {
			mux.ServeHTTP(w, httptest.NewRequest("PUT", "/only", nil))
		}, 405, "", "Allow: GET, HEAD"},
		"http.Error 400": {func(w http.ResponseWriter, _ *http.Request) {
			http.Error(w, "name is required", 400)
		}, 400, "name is required", ""},
		"http.Error 413": {func(w http.ResponseWriter, _ *http.Request) {
			http.Error(w, "too much", http.StatusRequestEntityTooLarge)
		}, 413, "too much", ""},
		"http.Error 500": {func(w http.ResponseWriter, _ *http.Request) {
			http.Error(w, canary, 500)
		}, 500, "", ""},
		"http.Error twice": {func(w http.ResponseWriter, _ *http.Request) {
			http.Error(w, "first", 400)
			http.Error(w, canary, 500)
		}, 400, "first", ""},
		"long text": {func(w http.ResponseWriter, _ *http.Request) {
			http.Error(w, strings.Repeat("é", 1000), 400)
		}, 400, strings.Repeat("é", 512), ""},
		"no UTF-8": {func(w http.ResponseWriter, _ *http.Request) {
			http.Error(w, "\xff", 400)
		}, 400, "", ""},
		"status only": {
			func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(404) },
			404, "", "",
		},
		"empty writes": {func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(405)
			_, _ = w.Write(nil)
		}, 405, "", ""},
		"status twice": {func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(404)
			w.WriteHeader(200)
		}, 404, "", ""},
		"plain, flushed": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/plain; charset=utf-8")
			w.Header().Set("X-Content-Type-Options", "nosniff")
			w.WriteHeader(503)
			w.(http.Flusher).Flush()
			_, _ = io.WriteString(w, canary)
		}, 503, "", ""},
		"plain, copied": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/plain; charset=utf-8")
			w.Header().Set("X-Content-Type-Options", "nosniff")
			w.WriteHeader(400)
			if n, err := io.Copy(w, strings.NewReader("copied")); n != 6 || err != nil {
				t.Errorf("copied %d, %v", n, err)
			}
		}, 400, "copied", ""},
		"plain, compressed": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Encoding", "gzip")
			w.Header().Set("Content-Type", "text/plain; charset=utf-8")
			w.Header().Set("X-Content-Type-Options", "nosniff")
			w.WriteHeader(400)
			_, _ = io.WriteString(w, "\x1f\x8b")
		}, 400, "", ""},
		"range": {func(w http.ResponseWriter, r *http.Request) {
			r.Header.Set("Range", "bytes=9-")
			http.ServeContent(w, r, "x.txt", time.Time{}, strings.NewReader("short"))
		}, 416, "invalid range: failed to overlap", "Content-Range: bytes */5"},
		"credentials asked for": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("WWW-Authenticate", "Basic")
			w.WriteHeader(401)
		}, 401, "", "WWW-Authenticate: Basic"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			w, log := problems(asgi.ErrorOptions{}, c.handler, get())
			var p struct {
				Status    int    `json:"status"`
				Detail    string `json:"detail"`
				Title     string `json:"title"`
				RequestID string `json:"request_id"`
			}
			if err := json.Unmarshal(w.Body.Bytes(), &p); err != nil {
				t.Fatalf("%v: %s", err, w.Body)
			}
			if w.Code != c.status || p.Status != c.status || p.Detail != c.detail ||
				p.Title != http.StatusText(c.status) {
				t.Errorf("got %d %+v", w.Code, p)
			}
			sent := w.Result().Header
			if sent.Get("Content-Type") != "application/problem+json" || p.RequestID == "" ||
				p.RequestID != sent.Get("X-Request-Id") {
				t.Errorf("request id %q, headers %v", p.RequestID, sent)
			}
			if name, value, ok := strings.Cut(c.header, ": "); ok && sent.Get(name) != value {
				t.Errorf("%s is %q, want %q", name, sent.Get(name), value)
			}
			if strings.Contains(w.Body.String(), canary) {
				t.Errorf("the client sees %s", w.Body)
			}
			if logged := log.Len() > 0; logged != (c.status >= 500) {
				t.Errorf("log: %s", log)
			}
		})
	}
}

func TestErrors_LogsWhatItHides(t *testing.T) {
	w, log := problems(asgi.ErrorOptions{},
		func(w http.ResponseWriter, _ *http.Request) { http.Error(w, canary, 500) }, get())
	if !strings.Contains(log.String(), canary) ||
		!strings.Contains(log.String(), "request_id="+w.Header().Get("X-Request-Id")) {
		t.Errorf("log: %s", log)
	}
}

func TestErrors_OwnAnswersPassUntouched(t *testing.T) {
	write := func(status int, kind, body string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			if kind != "" {
				w.Header().Set("Content-Type", kind)
			}
			w.WriteHeader(status)
			_, _ = io.WriteString(w, body)
		}
	}
	for name, c := range map[string]struct {
		handler http.HandlerFunc
		status  int
		body    string
	}{
		"JSON error": {
			write(404, "application/json", `{"error":"mine"}`), 404,
			`{"error":"mine"}`,
		},
		"HTML error": {
			write(500, "text/html; charset=utf-8", "<h1>mine</h1>"), 500,
			"<h1>mine</h1>",
		},
		"text, no kind": {write(404, "", "mine"), 404, "mine"},
		"other text":    {write(404, "text/plain", "mine"), 404, "mine"},
		"good text":     {write(200, "text/plain; charset=utf-8", "mine"), 200, "mine"},
		"redirect": {func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "/x", http.StatusSeeOther)
		}, 303, "<a href=\"/x\">See Other</a>.\n\n"},
		"not modified": {write(304, "", ""), 304, ""},
		"bytes, no kind": {func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(404)
			_, _ = w.Write([]byte("mine"))
		}, 404, "mine"},
		"copy, no kind": {func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(404)
			_, _ = io.Copy(w, strings.NewReader("mine"))
		}, 404, "mine"},
		"flushed, no kind": {func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(404)
			w.(http.Flusher).Flush()
			_, _ = io.WriteString(w, "mine")
		}, 404, "mine"},
		"copy": {func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.Copy(w, strings.NewReader("mine"))
		}, 200, "mine"},
		"nothing": {func(http.ResponseWriter, *http.Request) {}, 200, ""},
	} {
		t.Run(name, func(t *testing.T) {
			w, log := problems(asgi.ErrorOptions{}, c.handler, get())
			if w.Code != c.status || w.Body.String() != c.body || log.Len() > 0 {
				t.Errorf("got %d %q, log %s", w.Code, w.Body, log)
			}
		})
	}
}

func TestErrors_PanicIsAnsweredAndKeptInside(t *testing.T) {
	for name, value := range map[string]any{
		"text": canary, "error": errors.New(canary), "an answer": asgi.NewHTTPError(404, canary),
		"a line break": canary + "\r\nlevel=INFO msg=forged", "nil": nil,
	} {
		t.Run(name, func(t *testing.T) {
			w, log := problems(asgi.ErrorOptions{}, func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", "text/html")
				w.Header().Set("Content-Length", "9000")
				panic(value)
			}, get())
			if w.Code != 500 || w.Header().Get("Content-Type") != "application/problem+json" {
				t.Errorf("got %d, %v", w.Code, w.Header())
			}
			if all := fmt.Sprint(w.Header(), w.Body); strings.Contains(all, canary) ||
				strings.Contains(all, "goroutine") {
				t.Errorf("the client sees %s", all)
			}
			if value != nil && !strings.Contains(log.String(), canary) ||
				!strings.Contains(log.String(), "errors_test.go") {
				t.Errorf("neither value nor stack is logged: %s", log)
			}
			if strings.Count(log.String(), "\n") != 1 {
				t.Errorf("the log was forged: %s", log)
			}
		})
	}
}

func TestErrors_PanicAfterAHeldStatusIsAnswered(t *testing.T) {
	w, _ := problems(asgi.ErrorOptions{}, func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(404)
		panic(canary)
	}, get())
	if w.Code != 500 || !strings.Contains(w.Body.String(), `"status":500`) {
		t.Errorf("got %d %s", w.Code, w.Body)
	}
}

func TestErrors_DebugTellsWhenAsked(t *testing.T) {
	boom := func(http.ResponseWriter, *http.Request) { panic(canary) }
	if w, _ := problems(asgi.ErrorOptions{Debug: true}, boom,
		get()); !strings.Contains(w.Body.String(), canary) {
		t.Errorf("got %s", w.Body)
	}
}

func TestErrors_ReturnedErrorsFollowTheOptions(t *testing.T) {
	sentinel := errors.New("no rows")
	o := asgi.ErrorOptions{Map: func(_ *http.Request, err error) *asgi.HTTPError {
		if errors.Is(err, sentinel) {
			return asgi.NewHTTPError(410, "It was there once.")
		}
		return nil
	}}
	for name, c := range map[string]struct {
		err    error
		status int
	}{
		"mapped":    {fmt.Errorf("orders: %w", sentinel), 410},
		"unknown":   {errors.New(canary), 500},
		"too large": {fmt.Errorf("read: %w", &http.MaxBytesError{Limit: 10}), 413},
		"deadline":  {context.DeadlineExceeded, 504},
	} {
		t.Run(name, func(t *testing.T) {
			w, _ := problems(o,
				func(w http.ResponseWriter, r *http.Request) { asgi.WriteError(w, r, c.err) },
				get())
			if w.Code != c.status || strings.Contains(w.Body.String(), canary) {
				t.Errorf("got %d %s", w.Code, w.Body)
			}
		})
	}
	t.Run("after a held status", func(t *testing.T) {
		w, _ := problems(o, func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(404)
			asgi.WriteError(w, r, sentinel)
		}, get())
		if w.Code != 410 {
			t.Errorf("got %d %s", w.Code, w.Body)
		}
	})
}

func TestErrors_NilKeepsTheOptionsInForce(t *testing.T) {
	o := &asgi.ErrorOptions{Map: func(*http.Request, error) *asgi.HTTPError {
		return asgi.NewHTTPError(418, "")
	}}
	r := get()
	r = r.WithContext(asgi.ContextWithErrors(r.Context(), o))
	w := httptest.NewRecorder()
	middleware.Errors(nil)(http.NotFoundHandler()).ServeHTTP(w, r)
	if w.Code != 418 {
		t.Errorf("got %d", w.Code)
	}
}

func TestErrors_AnswersForAHandlerWhoseContextEnded(t *testing.T) {
	wait := func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }
	t.Run("deadline", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			if w, _ := problems(asgi.ErrorOptions{}, wait, get().WithContext(ctx)); w.Code != 504 ||
				!strings.Contains(w.Body.String(), `"status":504`) {
				t.Errorf("got %d %s", w.Code, w.Body)
			}
		})
	})
	t.Run("client gone", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		w, log := problems(asgi.ErrorOptions{}, wait, get().WithContext(ctx))
		if w.Code != 499 || w.Body.Len() > 0 || !strings.Contains(log.String(), "level=INFO") {
			t.Errorf("got %d %s, log %s", w.Code, w.Body, log)
		}
	})
	t.Run("answered in time", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		w, _ := problems(asgi.ErrorOptions{},
			func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(204); cancel() },
			get().WithContext(ctx))
		if w.Code != 204 {
			t.Errorf("got %d", w.Code)
		}
	})
}

func TestErrors_RequestID(t *testing.T) {
	fresh := regexp.MustCompile(`^[A-Z2-7]{16}-[0-9]+$`)
	for sent, want := range map[string]bool{
		"abc-123": true, strings.Repeat("a", 64): true, "": false, strings.Repeat("a", 65): false,
		"a b": false, "a\r\nlevel=ERROR": false, "host/abc-000001": false, "é": false, "a_b": false,
	} {
		r := get()
		r.Header["X-Request-Id"] = []string{sent}
		w, log := problems(asgi.ErrorOptions{},
			func(http.ResponseWriter, *http.Request) { panic("x") }, r)
		id := w.Header().Get("X-Request-Id")
		if want && id != sent || !want && !fresh.MatchString(id) {
			t.Errorf("sent %q: got %q", sent, id)
		}
		if !strings.Contains(w.Body.String(), `"request_id":"`+id+`"`) ||
			!strings.Contains(log.String(), "request_id="+id) {
			t.Errorf("sent %q: id %q, body %s, log %s", sent, id, w.Body, log)
		}
	}
	t.Run("one is unlike the next", func(t *testing.T) {
		h := middleware.Errors(nil)(http.NotFoundHandler())
		seen := map[string]bool{}
		for range 100 {
			w := httptest.NewRecorder()
			h.ServeHTTP(w, get())
			seen[w.Header().Get("X-Request-Id")] = true
		}
		if len(seen) != 100 {
			t.Errorf("%d ids for 100 requests", len(seen))
		}
	})
	t.Run("that of a middleware further out stays", func(t *testing.T) {
		w := httptest.NewRecorder()
		w.Header().Set("X-Request-Id", "outer-1")
		middleware.Errors(nil)(http.NotFoundHandler()).ServeHTTP(w, get())
		if got := w.Header().Get("X-Request-Id"); got != "outer-1" {
			t.Errorf("got %q", got)
		}
	})
}

func TestErrors_TypedHandlers(t *testing.T) {
	type in struct {
		Name string `json:"name"`
	}
	type out struct {
		Hello string `json:"hello"`
	}
	greet := asgi.Handle(func(_ context.Context, i in) (out, error) {
		if i.Name == canary {
			return out{}, errors.New(canary)
		}
		return out{i.Name}, nil
	})
	for name, c := range map[string]struct {
		body   string
		status int
	}{
		"good":      {`{"name":"Ada"}`, 200},
		"failed":    {`{"name":"` + canary + `"}`, 500},
		"malformed": {`{`, 400},
		"too large": {`{"name":"` + strings.Repeat("x", 2<<20) + `"}`, 413},
	} {
		t.Run(name, func(t *testing.T) {
			r := httptest.NewRequest("POST", "/", strings.NewReader(c.body))
			r.Header.Set("Content-Type", "application/json")
			w, _ := problems(asgi.ErrorOptions{}, greet, r)
			if w.Code != c.status || strings.Contains(w.Body.String(), canary) {
				t.Errorf("got %d %s", w.Code, w.Body)
			}
			if c.status >= 400 &&
				!strings.Contains(w.Body.String(),
					`"request_id":"`+w.Header().Get("X-Request-Id")) {
				t.Errorf("no request id in %s", w.Body)
			}
		})
	}
}

func TestErrors_AStreamThatFailsIsCut(t *testing.T) {
	o := &asgi.ErrorOptions{Logger: slog.New(slog.DiscardHandler)}
	srv := httptest.NewServer(
		middleware.Errors(o)(asgi.Respond(func(*asgi.Request) (asgi.Response, error) {
			return asgi.Stream("text/csv", func(yield func([]byte, error) bool) {
				if yield([]byte("a,b\n"), nil) {
					yield(nil, errors.New(canary))
				}
			}), nil
		})))
	defer srv.Close()
	if body, err := fetch(srv.Client(), srv.URL); err == nil || strings.Contains(body, canary) {
		t.Errorf("the client takes %q for the whole answer", body)
	}
}
