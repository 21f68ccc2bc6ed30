package chiadapter_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"

	"github.com/go-chi/chi/v5"

	"github.com/genropy/genro-asgi-go/chiadapter"
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
