package chiadapter_test

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"

	"github.com/go-chi/chi/v5"

	"github.com/genropy/genro-asgi-go/asgi"
	"github.com/genropy/genro-asgi-go/chiadapter"
	"github.com/genropy/genro-asgi-go/middleware"
)

func labels(to func(string)) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			next.ServeHTTP(w, r)
			to(chiadapter.Route(r))
		})
	}
}

func ExampleRoute() {
	r := chi.NewRouter()
	r.Use(func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			next.ServeHTTP(w, r)
			fmt.Println(chiadapter.Route(r))
		})
	})
	r.Get("/orders/{id}", func(http.ResponseWriter, *http.Request) {})

	r.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/orders/7", nil))
	r.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/wp-login.php", nil))
	// Output:
	// GET /orders/{id}
	// GET unmatched
}

func TestRoute_IsOneOfFew(t *testing.T) {
	var got string
	r := chi.NewRouter()
	r.Use(labels(func(label string) { got = label }))
	r.Get("/", ok)
	r.Get("/orders/{id}", ok)
	r.Get("/files/*", ok)
	r.Route("/api", func(r chi.Router) {
		r.Get("/", ok)
		r.Route("/{v}", func(r chi.Router) { r.Post("/x/{y:[a-z]+}", ok) })
	})
	for _, c := range [][3]string{
		{"GET", "/", "GET /"},
		{"GET", "/orders/1", "GET /orders/{id}"},
		{"GET", "/orders/a%2Fb", "GET /orders/{id}"},
		{"GET", "/files/a/b", "GET /files/*"},
		{"GET", "/api", "GET /api"},
		{"GET", "/api/", "GET /api"},
		{"POST", "/api/1/x/abc", "POST /api/{v}/x/{y:[a-z]+}"},
		{"GET", "/api/1/nothing", "GET /api/{v}/*"},
		{"GET", "/nothing/1", "GET unmatched"},
		{"DELETE", "/orders/1", "DELETE unmatched"},
		{"BREW", "/orders/1", "_OTHER unmatched"},
		{"get", "/orders/1", "_OTHER unmatched"},
	} {
		if do(r, c[0], c[1]); got != c[2] {
			t.Errorf("%s %s: %q, want %q", c[0], c[1], got, c[2])
		}
	}
}

func TestRoute_OutsideOfARouter(t *testing.T) {
	if got := chiadapter.Route(httptest.NewRequest("GET", "/x", nil)); got != "GET unmatched" {
		t.Errorf("got %q", got)
	}
}

func TestRoute_StaysGoodWhenChiReusesItsContext(t *testing.T) {
	var mu sync.Mutex
	seen := map[string]int{}
	r := chi.NewRouter()
	r.Use(labels(func(label string) {
		mu.Lock()
		defer mu.Unlock()
		seen[label]++
	}))
	const routes, rounds = 8, 50
	for i := range routes {
		r.Get(fmt.Sprintf("/r%d/{id}", i), ok)
	}
	var wg sync.WaitGroup
	for i := range routes {
		wg.Go(func() {
			for n := range rounds {
				do(r, "GET", fmt.Sprintf("/r%d/%d", i, n))
			}
		})
	}
	wg.Wait()
	for i := range routes {
		if label := fmt.Sprintf("GET /r%d/{id}", i); seen[label] != rounds {
			t.Errorf("%s: %d", label, seen[label])
		}
	}
}

// The whole pattern is known below a Mount, of an App with a router of its own too, and whatever of
// this module's middleware is around or between.
func TestRoute_ThroughMountsAndMiddleware(t *testing.T) {
	inner := chi.NewRouter()
	inner.Use(middleware.Errors(nil))
	inner.Get("/items/{id}", ok)
	inner.Get("/panic/{id}", func(http.ResponseWriter, *http.Request) { panic("boom") })
	app := asgi.New(inner)
	app.Logger = slog.New(slog.DiscardHandler)

	mux := http.NewServeMux()
	mux.HandleFunc("GET /a/{b}", ok)

	var got []string
	note := func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			next.ServeHTTP(w, r)
			got = append(got, chiadapter.Route(r))
		})
	}
	r := chi.NewRouter()
	r.Use(note)
	r.Use(middleware.Base(func(w *middleware.Writer, r *http.Request, next http.Handler) {
		next.ServeHTTP(w, r.WithContext(r.Context())) // a copy, as many a middleware makes one
	}))
	r.Use(middleware.Errors(&asgi.ErrorOptions{Logger: app.Logger}))
	r.Use(middleware.CORS(&middleware.CORSOptions{AllowedOrigins: []string{"https://a.example"}}))
	r.Use(note)
	chiadapter.Problems(r)
	chiadapter.Mount(r, "/apps/{name}", app)
	chiadapter.Mount(r, "/mux", mux)
	r.Get("/timed/{id}", asgi.Handle(
		func(context.Context, struct{}) (struct{}, error) { return struct{}{}, nil }))
	for path, want := range map[string]string{
		"/apps/shop/items/7": "GET /apps/{name}/items/{id}",
		"/apps/shop/panic/7": "GET /apps/{name}/panic/{id}",
		"/apps/shop/none":    "GET /apps/{name}/*",
		"/mux/a/b":           "GET /mux/*",
		"/timed/7":           "GET /timed/{id}",
		"/none":              "GET unmatched",
	} {
		got = nil
		if do(r, "GET", path); !slices.Equal(got, []string{want, want}) {
			t.Errorf("%s: %q, want %q twice", path, got, want)
		}
	}
}
