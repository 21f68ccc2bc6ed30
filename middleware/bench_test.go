package middleware_test

import (
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/rs/cors"

	"github.com/genropy/genro-asgi-go/asgi"
	"github.com/genropy/genro-asgi-go/middleware"
)

// discard is a response writer that costs nothing but its header.
type discard struct{ header http.Header }

func (d *discard) Header() http.Header               { return d.header }
func (d *discard) WriteHeader(int)                   {}
func (d *discard) Write(p []byte) (int, error)       { return len(p), nil }
func (d *discard) WriteString(s string) (int, error) { return len(s), nil } // as net/http's own

func bench(b *testing.B, h http.Handler, header ...string) {
	b.Helper()
	r := httptest.NewRequest("GET", "/", nil)
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := &discard{make(http.Header)}
	b.ReportAllocs()
	for b.Loop() {
		clear(w.header)
		h.ServeHTTP(w, r)
	}
}

func hello(w http.ResponseWriter, _ *http.Request) {
	w.WriteHeader(http.StatusOK)
	_, _ = io.WriteString(w, "hello")
}

func BenchmarkBase(b *testing.B) {
	next := http.HandlerFunc(hello)
	b.Run("bare", func(b *testing.B) { bench(b, next) })
	b.Run("base", func(b *testing.B) {
		var status int
		bench(b, middleware.Base(func(w *middleware.Writer, r *http.Request, next http.Handler) {
			next.ServeHTTP(w, r)
			status = w.Status()
		})(next))
		if status != 200 {
			b.Error(status)
		}
	})
	b.Run("base with status, bytes, duration and a header", func(b *testing.B) {
		var took time.Duration
		bench(b, middleware.Base(func(w *middleware.Writer, r *http.Request, next http.Handler) {
			w.BeforeHeader(func(int) { w.Header()["X-Seen"] = nil })
			next.ServeHTTP(w, r)
			took += w.Duration() + time.Duration(w.Bytes())
		})(next))
	})
}

func BenchmarkErrors(b *testing.B) {
	o := &asgi.ErrorOptions{Logger: slog.New(slog.DiscardHandler)}
	missing := http.NotFoundHandler()
	b.Run("bare", func(b *testing.B) { bench(b, http.HandlerFunc(hello)) })
	b.Run("errors",
		func(b *testing.B) { bench(b, middleware.Errors(nil)(http.HandlerFunc(hello))) })
	b.Run("errors, id sent",
		func(b *testing.B) {
			bench(b, middleware.Errors(nil)(http.HandlerFunc(hello)), "X-Request-Id", "abc-1")
		})
	b.Run("errors with options",
		func(b *testing.B) { bench(b, middleware.Errors(o)(http.HandlerFunc(hello))) })
	b.Run("bare 404", func(b *testing.B) { bench(b, missing) })
	b.Run("errors 404", func(b *testing.B) { bench(b, middleware.Errors(o)(missing)) })
}

func BenchmarkCORS(b *testing.B) {
	next := http.HandlerFunc(hello)
	const page = "https://app.example"
	b.Run("rs/cors", func(b *testing.B) {
		bench(b, cors.New(cors.Options{AllowedOrigins: []string{page}}).Handler(next), "Origin",
			page)
	})
	b.Run("exact", func(b *testing.B) {
		bench(b, middleware.CORS(&middleware.CORSOptions{AllowedOrigins: []string{page}})(next),
			"Origin", page)
	})
	b.Run("wildcard", func(b *testing.B) {
		bench(b,
			middleware.CORS(
				&middleware.CORSOptions{AllowedOrigins: []string{"https://*.example.com"}})(next),
			"Origin", "https://a.b.example.com")
	})
}
