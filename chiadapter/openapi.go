package chiadapter

import (
	"cmp"
	"iter"
	"maps"
	"net/http"
	"reflect"
	"slices"

	"github.com/go-chi/chi/v5"

	"github.com/genropy/genro-asgi-go/internal/describe"
	"github.com/genropy/genro-asgi-go/openapi"
)

// OpenAPI returns the OpenAPI 3.1 document of the routes of r: of sub-routers, groups and mounts
// too, in whatever way they were registered. It is made on first use, so that it may be served by
// one of them:
//
//	doc := chiadapter.OpenAPI(r, &openapi.Options{Title: "Orders", Version: "1.4.0"})
//	r.Get("/openapi.json", doc.ServeHTTP)
//
// Typed routes tell their types by themselves, and so do the other handlers of this module, also
// below a mount. A handler of somebody else's is a path without a schema, and with a wildcard where
// it is mounted, unless [openapi.Describe] says more. opts may be nil. It panics where r is nil.
func OpenAPI(r chi.Router, opts *openapi.Options) *openapi.Document {
	if r == nil {
		panic("chiadapter: OpenAPI: the router is nil")
	}
	return openapi.New(routes(r), opts)
}

// routes are those of r, in the order of their patterns.
func routes(r chi.Routes) iter.Seq[openapi.Route] {
	return func(yield func(openapi.Route) bool) {
		w := walker{sample: new(mounted)}
		sampled := chi.NewRouter()
		sampled.Mount("/", w.sample)
		w.mount, _ = sampled.Routes()[0].Handlers["*"].(http.HandlerFunc)
		w.walk(r, "", nil)
		slices.Values(w.found)(yield)
	}
}

// walker collects routes.
type walker struct {
	found  []openapi.Route
	sample http.Handler     // a handler, and
	mount  http.HandlerFunc // what chi's Mount makes of it
}

// walk finds the routes of r, whose patterns begin with prefix.
func (w *walker) walk(r chi.Routes, prefix string, around chi.Middlewares) {
	around = slices.Concat(around, r.Middlewares())
	all := slices.SortedFunc(slices.Values(r.Routes()),
		func(a, b chi.Route) int { return cmp.Compare(a.Pattern, b.Pattern) })
	for _, route := range all {
		pattern := prefix + route.Pattern
		if prefix != "" && route.Pattern == "/" {
			pattern = prefix // chi serves a mount without a slash too
		}
		every := route.Handlers["*"]
		outer := slices.Concat(around, inline(every))
		switch sub := route.SubRoutes.(type) {
		case nil:
			if h := w.behind(every); h != nil {
				w.inside(h, pattern, outer)
			} else {
				w.endpoints(route, pattern, around)
			}
		case *mounted:
			w.inside(sub.handler, pattern, outer)
		default:
			w.walk(sub, mountPoint(pattern), outer)
		}
	}
}

// behind is the handler that chi's Mount hides in a function of its own; nil where h is no such
// function.
func (w *walker) behind(h http.Handler) http.Handler {
	if chain, ok := h.(*chi.ChainHandler); ok {
		h = chain.Endpoint
	}
	f, _ := h.(http.HandlerFunc)
	inner, _ := describe.Captured(f, w.mount, w.sample)
	return inner
}

// inside finds what a mounted handler serves.
func (w *walker) inside(h http.Handler, pattern string, around chi.Middlewares) {
	for inner := describe.Inner(h); inner != nil; inner = describe.Inner(h) {
		h = inner
	}
	if router, ok := h.(chi.Routes); ok {
		w.walk(router, mountPoint(pattern), around)
		return
	}
	w.found = append(w.found,
		openapi.Route{Pattern: pattern, Handler: h, Mounted: true, Middlewares: around})
}

// endpoints finds a route for every method, and one for all methods that share a handler.
func (w *walker) endpoints(route chi.Route, pattern string, around chi.Middlewares) {
	every := route.Handlers["*"]
	for _, method := range slices.Sorted(maps.Keys(route.Handlers)) { // "*" is the first
		h := route.Handlers[method]
		if method == "*" {
			method = ""
		} else if every != nil && alike(h, every) {
			continue
		}
		made := openapi.Route{Method: method, Pattern: pattern, Handler: h, Middlewares: around}
		if chain, ok := h.(*chi.ChainHandler); ok {
			made.Handler, made.Middlewares = chain.Endpoint, slices.Concat(around,
				chain.Middlewares)
		}
		w.found = append(w.found, made)
	}
}

// alike reports whether two handlers of a route are one, as far as a document can tell them apart.
func alike(a, b http.Handler) bool {
	t := reflect.TypeOf(a)
	switch {
	case t != reflect.TypeOf(b):
		return false
	case t.Kind() != reflect.Func:
		return t.Comparable() && a == b
	case reflect.ValueOf(a).Pointer() != reflect.ValueOf(b).Pointer():
		return false
	}
	one, _ := describe.Of(a) // two closures of one function are the same code
	other, _ := describe.Of(b)
	return reflect.DeepEqual(one, other)
}
