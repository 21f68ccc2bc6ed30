package chiadapter

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"path"
	"strings"

	"github.com/go-chi/chi/v5"
)

type prefixKey struct{}

// Mount serves h below pattern of r, as r.Mount does, and gives it the request as if it stood
// alone: the part of the path that led to h is gone from URL.Path and URL.RawPath, so that
// http.FileServer, http.ServeMux, an asgi.App or any other handler needs to know nothing of where
// it is mounted. Both /pattern and /pattern/ reach h as /. An escaped slash stays escaped.
//
// The pattern may hold parameters; their values stay in PathValue and chi.URLParam. [Prefix] tells
// what was taken off, RequestURI stays as the client sent it. A chi router inside of h, such as
// that of an asgi.App, routes on what is left, and its routes count for [Route].
//
// A chi router itself is handed to r.Mount unchanged: chi strips nothing for it, because it routes
// by a path of its own, and in return knows its routes and passes its 404 and 405 handlers down.
// Mount panics where r.Mount does, and where r or h is nil.
func Mount(r chi.Router, pattern string, h http.Handler) {
	switch {
	case r == nil:
		panic("chiadapter: Mount: the router is nil")
	case h == nil:
		panic(fmt.Sprintf("chiadapter: Mount: the handler for %q is nil", pattern))
	}
	if _, ok := h.(chi.Routes); !ok {
		h = &mounted{h}
	}
	r.Mount(pattern, h)
}

// Prefix is the part of the path that [Mount] took off on the way to r, in escaped form and without
// a slash at its end; empty outside of any Mount. Prefix(r) + r.URL.EscapedPath() is the path
// before.
func Prefix(r *http.Request) string {
	prefix, _ := r.Context().Value(prefixKey{}).(string)
	return prefix
}

// mounted is a chi.Routes with one route, so that who walks the routes of a router finds the
// handler.
type mounted struct{ handler http.Handler }

// Routes implements chi.Routes.
func (m *mounted) Routes() []chi.Route {
	handlers := map[string]http.Handler{"*": m.handler}
	for _, method := range methods() {
		handlers[method] = m.handler
	}
	return []chi.Route{{Pattern: "/*", Handlers: handlers}}
}

// Middlewares implements chi.Routes.
func (*mounted) Middlewares() chi.Middlewares { return nil }

// Match implements chi.Routes.
func (*mounted) Match(*chi.Context, string, string) bool { return true }

// Find implements chi.Routes.
func (*mounted) Find(*chi.Context, string, string) string { return "/*" }

func (m *mounted) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	u := *r.URL
	var prefix string
	prefix, u.Path, u.RawPath = split(r.URL, chi.RouteContext(r.Context()).RoutePath)
	r = r.WithContext(context.WithValue(r.Context(), prefixKey{}, Prefix(r)+prefix))
	r.URL = &u
	m.handler.ServeHTTP(w, r)
}

// split takes the path of u apart before rest, which is what chi has left to route. chi routes on
// RawPath where there is one and on Path else, unless a middleware (StripSlashes, CleanPath,
// URLFormat) gave it something else; then rest decides, because that is what the middleware wanted
// routed.
func split(u *url.URL, rest string) (prefix, stripped, raw string) {
	if rest == "/" { // of "/prefix" too, which does not end so
		return strings.TrimRight(u.EscapedPath(), "/"), "/", ""
	}
	if u.RawPath != "" {
		for _, full := range [...]string{path.Clean(u.RawPath), u.RawPath} {
			if before, ok := strings.CutSuffix(full, rest); ok {
				if unescaped, err := url.PathUnescape(rest); err == nil {
					return before, unescaped, rest
				}
			}
		}
	}
	before := ""
	for _, full := range [...]string{path.Clean(u.Path), u.Path} {
		if i := strings.LastIndex(full, rest); i >= 0 {
			// not always a suffix: something may be cut off the end
			before = full[:i]
			break
		}
	}
	return (&url.URL{Path: before}).EscapedPath(), rest, ""
}
