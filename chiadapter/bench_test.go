package chiadapter_test

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/go-chi/chi/v5"

	"github.com/genropy/genro-asgi-go/chiadapter"
)

func bench(b *testing.B, h http.Handler, target string) {
	b.Helper()
	r, w := httptest.NewRequest("GET", target, nil), httptest.NewRecorder()
	b.ReportAllocs()
	for b.Loop() {
		h.ServeHTTP(w, r)
	}
}

func BenchmarkMount(b *testing.B) {
	b.Run("chi and http.StripPrefix", func(b *testing.B) {
		r := chi.NewRouter()
		r.Mount("/files", http.StripPrefix("/files", http.HandlerFunc(ok)))
		bench(b, r, "/files/a/b")
	})
	b.Run("chiadapter", func(b *testing.B) {
		r := chi.NewRouter()
		chiadapter.Mount(r, "/files", http.HandlerFunc(ok))
		bench(b, r, "/files/a/b")
	})
}

func BenchmarkRoute(b *testing.B) {
	var label string
	for name, route := range map[string]func(*http.Request) string{
		"chi's pattern": func(r *http.Request) string {
			return chi.RouteContext(r.Context()).RoutePattern()
		},
		"chiadapter": chiadapter.Route,
	} {
		b.Run(name, func(b *testing.B) {
			r := chi.NewRouter()
			r.Use(func(next http.Handler) http.Handler {
				return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					next.ServeHTTP(w, r)
					label = route(r)
				})
			})
			r.Get("/orders/{id}", ok)
			bench(b, r, "/orders/7")
		})
	}
	if label == "" {
		b.Error("no label")
	}
}

func BenchmarkURLFor(b *testing.B) {
	for b.Loop() {
		if _, err := chiadapter.URLFor("/orders/{id}/files/*", "id", "42", "*",
			"2026/march.pdf"); err != nil {
			b.Fatal(err)
		}
	}
}
