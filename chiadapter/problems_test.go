package chiadapter_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/go-chi/chi/v5"
	"github.com/go-chi/chi/v5/middleware"

	"github.com/genropy/genro-asgi-go/chiadapter"
)

func ok(http.ResponseWriter, *http.Request) {}

func ExampleProblems() {
	r := chi.NewRouter()
	chiadapter.Problems(r)
	r.Get("/orders/{id}", func(http.ResponseWriter, *http.Request) {})

	w := httptest.NewRecorder()
	r.ServeHTTP(w, httptest.NewRequest("PUT", "/orders/7", nil))
	fmt.Println(w.Header().Get("Allow"), w.Body)
	// Output:
	// GET {"title":"Method Not Allowed","status":405}
}

func TestProblems_NameChisRequestID(t *testing.T) {
	var chis string
	r := chi.NewRouter()
	r.Use(middleware.RequestID, func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			chis = middleware.GetReqID(r.Context())
			next.ServeHTTP(w, r)
		})
	})
	chiadapter.Problems(r)
	r.Get("/a", ok)
	for _, method := range []string{"GET", "PUT"} {
		w := do(r, method, map[string]string{"GET": "/none", "PUT": "/a"}[method])
		if chis == "" || w.Header().Get("X-Request-Id") != chis ||
			!strings.Contains(w.Body.String(), `"request_id":"`+chis+`"`) {
			t.Errorf("%s: chi says %q; %d %v %s", method, chis, w.Code, w.Header(), w.Body)
		}
	}
}

func problemRouter() chi.Router {
	r := chi.NewRouter()
	r.Get("/a", ok)
	r.Post("/a", ok)
	r.Get("/files/{name}", ok)
	r.MethodFunc(unlisted, "/a/unlisted", ok)
	r.Route("/before/{x}", func(r chi.Router) {
		r.Delete("/b", ok)
		r.Get("/", ok)
		r.Route("/deep", func(r chi.Router) { r.Put("/c/{d}", ok) })
	})
	inner := chi.NewRouter()
	chiadapter.Problems(inner)
	inner.Patch("/i", ok)
	inner.Route("/j", func(r chi.Router) { r.Patch("/k", ok) })
	chiadapter.Mount(r, "/opaque", opaque{inner})
	chiadapter.Problems(r)
	r.Route("/after", func(r chi.Router) { r.Get("/e", ok) })
	r.Route("/own", func(r chi.Router) {
		r.NotFound(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(418) })
		r.Get("/f", ok)
	})
	return r
}

func TestProblems_SubRoutersToo(t *testing.T) {
	r := problemRouter()
	for _, c := range []struct {
		method, target string
		status         int
		allow          string
	}{
		{"GET", "/missing", 404, ""},
		{"GET", "/before/1/missing", 404, ""},
		{"GET", "/before/1/deep/missing", 404, ""},
		{"GET", "/after/missing", 404, ""},
		{"GET", "/opaque/missing", 404, ""},
		{"PUT", "/a", 405, "GET, POST"},
		{"PUT", "/files/a%2Fb", 405, "GET"},
		{"PUT", "/files/a%20b", 405, "GET"},
		{"GET", "/a/unlisted", 405, ""},
		{"BREW", "/a", 405, "GET, POST"},
		{"GET", "/before/1/b", 405, "DELETE"},
		{"PUT", "/before/1", 405, "GET"},
		{"PUT", "/before/1/", 405, "GET"},
		{"GET", "/before/1/deep/c/x%2Fy", 405, "PUT"},
		{"POST", "/after/e", 405, "GET"},
		{"GET", "/opaque/i", 405, "PATCH"},
		{"GET", "/opaque/j/k", 405, "PATCH"},
	} {
		w := do(r, c.method, c.target)
		if w.Code != c.status || w.Header().Get("Content-Type") != "application/problem+json" ||
			!strings.Contains(w.Body.String(), fmt.Sprint(c.status)) {
			t.Errorf("%s %s: %d %s", c.method, c.target, w.Code, w.Body)
		}
		if got := w.Header().Get("Allow"); got != c.allow {
			t.Errorf("%s %s: Allow %q, want %q", c.method, c.target, got, c.allow)
		}
	}
	if w := do(r, "GET", "/own/missing"); w.Code != 418 {
		t.Errorf("a handler of the router's own gave way: %d", w.Code)
	}
}

func TestProblems_WithoutARoute(t *testing.T) {
	r := chi.NewRouter()
	chiadapter.Problems(r)
	if w := do(r, "GET", "/"); w.Code != 404 ||
		w.Header().Get("Content-Type") != "application/problem+json" {
		t.Errorf("got %d %s", w.Code, w.Body)
	}
	w := httptest.NewRecorder()
	// called from outside of any routing
	r.MethodNotAllowedHandler()(w, httptest.NewRequest("GET", "/", nil))
	if w.Code != 405 || w.Header().Get("Allow") != "" {
		t.Errorf("got %d %v", w.Code, w.Header())
	}
}
