package chiadapter_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/fstest"

	"github.com/go-chi/chi/v5"
	chimiddleware "github.com/go-chi/chi/v5/middleware"

	"github.com/genropy/genro-asgi-go/chiadapter"
)

func ExampleMount() {
	files := http.FileServerFS(fstest.MapFS{"a.txt": {Data: []byte("hello")}})
	r := chi.NewRouter()
	chiadapter.Mount(r, "/files", files)

	w := httptest.NewRecorder()
	r.ServeHTTP(w, httptest.NewRequest("GET", "/files/a.txt", nil))
	fmt.Println(w.Code, w.Body)
	// Output:
	// 200 hello
}

// A handler that makes links asks where it is mounted.
func ExamplePrefix() {
	r := chi.NewRouter()
	chiadapter.Mount(r, "/shop", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "the cart is at %s/cart", chiadapter.Prefix(r))
	}))

	w := httptest.NewRecorder()
	r.ServeHTTP(w, httptest.NewRequest("GET", "/shop/orders", nil))
	fmt.Println(w.Body)
	// Output: the cart is at /shop/cart
}

// seen is what a mounted handler sees of a request.
type seen struct{ prefix, path, raw, uri string }

func spy(to *seen) http.Handler {
	return http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		*to = seen{chiadapter.Prefix(r), r.URL.Path, r.URL.RawPath, r.RequestURI}
	})
}

func TestMount_TakesThePrefixOff(t *testing.T) {
	use := func(mws ...func(http.Handler) http.Handler) func(chi.Router, http.Handler) {
		return func(r chi.Router, h http.Handler) {
			r.Use(mws...)
			chiadapter.Mount(r, "/p", h)
		}
	}
	at := func(pattern string) func(chi.Router, http.Handler) {
		return func(r chi.Router, h http.Handler) { chiadapter.Mount(r, pattern, h) }
	}
	nested := func(r chi.Router, h http.Handler) {
		r.Route("/a", func(r chi.Router) {
			inner := chi.NewRouter()
			chiadapter.Mount(inner, "/c", h)
			chiadapter.Mount(r, "/b", opaque{inner})
		})
	}
	for name, c := range map[string]struct {
		build  func(chi.Router, http.Handler)
		target string
		want   seen
	}{
		"root":                   {at("/p"), "/p", seen{"/p", "/", "", ""}},
		"root with slash":        {at("/p"), "/p/", seen{"/p", "/", "", ""}},
		"below":                  {at("/p"), "/p/x/y", seen{"/p", "/x/y", "", ""}},
		"slash at the end stays": {at("/p"), "/p/x/", seen{"/p", "/x/", "", ""}},
		"double slash stays":     {at("/p"), "/p//x", seen{"/p", "//x", "", ""}},
		"two slashes at the end": {at("/p"), "/p//", seen{"/p", "//", "", ""}},
		"prefix again below":     {at("/p"), "/p/p/p", seen{"/p", "/p/p", "", ""}},
		"query":                  {at("/p"), "/p/x?a=/b", seen{"/p", "/x", "", ""}},
		"escaped space":          {at("/p"), "/p/a%20b", seen{"/p", "/a b", "", ""}},
		"escaped slash": {
			at("/p"), "/p/a%2Fb/c",
			seen{"/p", "/a/b/c", "/a%2Fb/c", ""},
		},
		"escaped percent": {
			at("/p"), "/p/%252e%252e/c",
			seen{"/p", "/%2e%2e/c", "", ""},
		},
		"percent and escaped slash": {
			at("/p"), "/p/%252F%2F",
			seen{"/p", "/%2F/", "/%252F%2F", ""},
		},
		"at the root":          {at("/"), "/x%2Fy", seen{"", "/x/y", "/x%2Fy", ""}},
		"the root itself":      {at("/"), "/", seen{"", "/", "", ""}},
		"pattern with a slash": {at("/p/"), "/p/x", seen{"/p", "/x", "", ""}},
		"parameter":            {at("/t/{id}/f"), "/t/7/f/x", seen{"/t/7/f", "/x", "", ""}},
		"parameter, escaped": {
			at("/t/{id}/f"), "/t/a%2Fb/f/x",
			seen{"/t/a%2Fb/f", "/x", "/x", ""},
		},
		"parameter, escaped, root": {at("/t/{id}"), "/t/a%2Fb", seen{"/t/a%2Fb", "/", "", ""}},
		"nested": {
			nested, "/a/b/c/x%2Fy",
			seen{"/a/b/c", "/x/y", "/x%2Fy", ""},
		},
		"nested root": {nested, "/a/b/c", seen{"/a/b/c", "/", "", ""}},
		"StripSlashes": {
			use(chimiddleware.StripSlashes), "/p/x/",
			seen{"/p", "/x", "", ""},
		},
		"StripSlashes, root": {
			use(chimiddleware.StripSlashes), "/p/",
			seen{"/p", "/", "", ""},
		},
		"StripSlashes, escaped": {
			use(chimiddleware.StripSlashes), "/p/%252F%2F/",
			seen{"/p", "/%2F/", "", ""},
		},
		"CleanPath": {
			use(chimiddleware.CleanPath), "/p//x/../y",
			seen{"/p", "/y", "", ""},
		},
		"CleanPath, root": {
			use(chimiddleware.CleanPath), "/p//",
			seen{"/p", "/", "", ""},
		},
		"CleanPath, escaped": {
			use(chimiddleware.CleanPath), "/p//a%2Fb//c",
			seen{"/p", "/a/b/c", "/a%2Fb/c", ""},
		},
		"CleanPath and StripSlashes": {
			use(chimiddleware.CleanPath, chimiddleware.StripSlashes),
			"/p//x//",
			seen{"/p", "/x", "", ""},
		},
		"URLFormat": {
			use(chimiddleware.URLFormat), "/p/x/x.json",
			seen{"/p", "/x/x", "", ""},
		},
		"GetHead takes another route": {
			use(chimiddleware.GetHead), "/p/a%2Fb",
			seen{"/p", "/a/b", "/a%2Fb", ""},
		},
	} {
		t.Run(name, func(t *testing.T) {
			var got seen
			r := chi.NewRouter()
			c.build(r, spy(&got))
			w := do(r, "GET", c.target)
			c.want.uri = c.target
			if got != c.want || w.Code != 200 {
				t.Errorf("%d, got %+v, want %+v", w.Code, got, c.want)
			}
		})
	}
}

// opaque hides that a handler is a chi router, as an asgi.App does.
type opaque struct{ http.Handler }

func TestMount_ARouterInsideRoutesOnTheRest(t *testing.T) {
	inner := chi.NewRouter()
	inner.Use(chimiddleware.StripSlashes)
	inner.Get("/orders/{id}", func(w http.ResponseWriter, r *http.Request) {
		_, _ = fmt.Fprint(w, chi.URLParam(r, "tenant"), r.PathValue("tenant"),
			chi.URLParam(r, "id"), r.URL.Path)
	})
	inner.Route("/sub", func(r chi.Router) {
		r.Get("/",
			func(w http.ResponseWriter, _ *http.Request) { _, _ = fmt.Fprint(w, "sub root") })
	})
	label := ""
	r := chi.NewRouter()
	r.Use(func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
			next.ServeHTTP(w, req)
			label = chiadapter.Route(req)
		})
	})
	chiadapter.Mount(r, "/t/{tenant}", opaque{inner})
	for target, want := range map[string][2]string{
		"/t/acme/orders/7":  {"acmeacme7/orders/7", "GET /t/{tenant}/orders/{id}"},
		"/t/acme/orders/7/": {"acmeacme7/orders/7/", "GET /t/{tenant}/orders/{id}"},
		"/t/acme/sub":       {"sub root", "GET /t/{tenant}/sub"},
	} {
		if w := do(r, "GET", target); w.Code != 200 || w.Body.String() != want[0] ||
			label != want[1] {
			t.Errorf("%s: %d %q, label %q", target, w.Code, w.Body, label)
		}
	}
}

func TestMount_OtherRoutersInside(t *testing.T) {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /orders/{id}",
		func(w http.ResponseWriter, r *http.Request) { _, _ = fmt.Fprint(w, r.PathValue("id")) })
	r := chi.NewRouter()
	chiadapter.Mount(r, "/svc", mux)
	if w := do(r, "GET", "/svc/orders/7"); w.Code != 200 || w.Body.String() != "7" {
		t.Errorf("got %d %q", w.Code, w.Body)
	}
}

func TestMount_AChiRouterStaysKnownToChi(t *testing.T) {
	inner, r := chi.NewRouter(), chi.NewRouter()
	inner.Get("/x",
		func(w http.ResponseWriter, r *http.Request) {
			_, _ = fmt.Fprint(w, chiadapter.Prefix(r), r.URL.Path)
		})
	chiadapter.Mount(r, "/p", inner)
	if w := do(r, "GET", "/p/x"); w.Body.String() != "/p/x" {
		t.Errorf("got %q", w.Body)
	}
	found := ""
	_ = chi.Walk(r,
		func(_, route string, _ http.Handler, _ ...func(http.Handler) http.Handler) error {
			found = route
			return nil
		})
	if found != "/p/x" {
		t.Errorf("chi.Walk sees %q", found)
	}
}

func TestMount_RefusesWhatChiRefuses(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("no panic for a nil handler")
		}
	}()
	chiadapter.Mount(chi.NewRouter(), "/p", nil)
}

func TestPrefix_IsEmptyOutside(t *testing.T) {
	if got := chiadapter.Prefix(httptest.NewRequest("GET", "/x", nil)); got != "" {
		t.Errorf("got %q", got)
	}
}

func TestNil_IsRefusedWithAText(t *testing.T) {
	for want, f := range map[string]func(){
		"chiadapter: Mount: the router is nil": func() {
			chiadapter.Mount(nil, "/p", http.NotFoundHandler())
		},
		`chiadapter: Mount: the handler for "/p" is nil`: func() {
			chiadapter.Mount(chi.NewRouter(), "/p", nil)
		},
		"chiadapter: Problems: the router is nil": func() { chiadapter.Problems(nil) },
		"chiadapter: OpenAPI: the router is nil":  func() { chiadapter.OpenAPI(nil, nil) },
		"chiadapter: Check: the router is nil":    func() { _ = chiadapter.Check(nil) },
	} {
		func() {
			defer func() {
				if text := recover(); text != want {
					t.Errorf("%v instead of %q", text, want)
				}
			}()
			f()
		}()
	}
}
