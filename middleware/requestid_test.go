package middleware_test

import (
	"bytes"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"testing"

	"github.com/go-chi/chi/v5"
	chimiddleware "github.com/go-chi/chi/v5/middleware"
	"github.com/go-json-experiment/json"

	"github.com/genropy/genro-asgi-go/asgi"
	"github.com/genropy/genro-asgi-go/middleware"
)

// answerIDs sends a GET with a request id, unless it is empty, and gives the ids of the answer's
// header and that of the problem.
func answerIDs(t *testing.T, h http.Handler, id string) (header []string, problem string) {
	t.Helper()
	r := get()
	if id != "" {
		r.Header.Set("X-Request-Id", id)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	var body struct {
		ID string `json:"request_id"`
	}
	if err := json.Unmarshal(w.Body.Bytes(), &body); err != nil {
		t.Fatalf("%d %s: %v", w.Code, w.Body, err)
	}
	return w.Header().Values("X-Request-Id"), body.ID
}

func TestErrors_ChisRequestIDIsTheOne(t *testing.T) {
	for _, sent := range []string{"", "abc-1", "order_7.retry", strings.Repeat("a", 100)} {
		for name, order := range map[string]bool{"chi's outside": true, "chi's inside": false} {
			var logged bytes.Buffer
			var chis string
			errs := middleware.Errors(
				&asgi.ErrorOptions{Logger: slog.New(slog.NewTextHandler(&logged, nil))})
			r := chi.NewRouter()
			if order {
				r.Use(chimiddleware.RequestID, chimiddleware.Recoverer, errs)
			} else {
				r.Use(chimiddleware.Recoverer, errs, chimiddleware.RequestID)
			}
			r.Get("/path", func(_ http.ResponseWriter, r *http.Request) {
				chis = chimiddleware.GetReqID(r.Context())
				panic("x")
			})
			header, problem := answerIDs(t, r, sent)
			if len(header) != 1 || chis == "" || header[0] != chis || problem != chis ||
				!strings.Contains(logged.String(), "request_id="+chis) {
				t.Errorf("%s, sent %q: chi says %q, the header %q, the problem %q, the log %s",
					name, sent, chis, header, problem, &logged)
			}
		}
	}
	t.Run("what could forge a line is replaced", func(t *testing.T) {
		h := chimiddleware.RequestID(middleware.Errors(nil)(http.NotFoundHandler()))
		if header, problem := answerIDs(t, h, "a level=ERROR"); len(header) != 1 ||
			strings.Contains(header[0], " ") || problem != header[0] {
			t.Errorf("header %q, problem %q", header, problem)
		}
	})
}

func TestErrors_OneRequestIDThroughAProxy(t *testing.T) {
	fails := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.Error(w, "x", http.StatusConflict)
	})
	for name, behind := range map[string]http.Handler{
		"ours": middleware.Errors(nil)(fails),
		"one with ids of its own": http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("X-Request-Id", "theirs")
			fails(w, r)
		}),
	} {
		up := httptest.NewServer(behind)
		defer up.Close()
		to, err := url.Parse(up.URL)
		if err != nil {
			t.Fatal(err)
		}
		proxy := &httputil.ReverseProxy{Rewrite: func(p *httputil.ProxyRequest) { p.SetURL(to) }}
		for at, front := range map[string]http.Handler{
			"plain": middleware.Errors(nil)(proxy),
			"chi":   chimiddleware.RequestID(middleware.Errors(nil)(proxy)),
		} {
			for _, sent := range []string{"", "abc-1", "bad id"} {
				header, problem := answerIDs(t, front, sent)
				if len(header) != 1 || header[0] == "theirs" || problem != header[0] ||
					sent == "abc-1" && problem != sent {
					t.Errorf("%s behind %s, sent %q: header %q, problem %q", name, at, sent, header,
						problem)
				}
			}
		}
	}
}

func TestErrors_OneRequestIDForAnswersThatPass(t *testing.T) {
	for name, h := range map[string]http.HandlerFunc{
		"added": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Add("X-Request-Id", "second")
			_, _ = io.WriteString(w, "x")
		},
		"flushed": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Add("X-Request-Id", "second")
			w.(http.Flusher).Flush()
		},
		"silent": func(http.ResponseWriter, *http.Request) {},
		"of copy": func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.Copy(w, strings.NewReader("x"))
		},
		"replaced": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("X-Request-Id", "mine")
			w.WriteHeader(204)
		},
	} {
		w := httptest.NewRecorder()
		middleware.Errors(nil)(h).ServeHTTP(w, get())
		if ids := w.Header().Values("X-Request-Id"); len(ids) != 1 || ids[0] == "second" ||
			name == "replaced" && ids[0] != "mine" {
			t.Errorf("%s: %q", name, ids)
		}
	}
}
