package chiadapter

import (
	"cmp"
	"net/http"
	"slices"
	"strings"

	"github.com/go-chi/chi/v5"
	"github.com/go-chi/chi/v5/middleware"

	"github.com/genropy/genro-asgi-go/asgi"
	"github.com/genropy/genro-asgi-go/internal/requestid"
)

// Problems has r answer 404 and 405 as RFC 9457 problems, by asgi.WriteError and so as its
// ErrorOptions say, and 405 with the Allow header that RFC 9110 section 15.5.6 demands (chi leaves
// it out for any 405 handler but its own). Sub-routers do so too, mounted before or after, unless
// they have handlers of their own.
//
// Where chi's middleware.RequestID is in Use, the problem names its id, as chi's logs do.
//
// middleware.Errors does the same for routers it stands in front of; Problems is for those who do
// not use it and costs nothing on requests that find their route. It panics where r is nil.
func Problems(r chi.Router) {
	if r == nil {
		panic("chiadapter: Problems: the router is nil")
	}
	r.NotFound(func(w http.ResponseWriter, req *http.Request) {
		writeProblem(w, req, http.StatusNotFound)
	})
	r.MethodNotAllowed(func(w http.ResponseWriter, req *http.Request) {
		if allow := allowed(r, req); len(allow) > 0 {
			w.Header().Set("Allow", strings.Join(allow, ", "))
		}
		writeProblem(w, req, http.StatusMethodNotAllowed)
	})
}

func writeProblem(w http.ResponseWriter, r *http.Request, status int) {
	if id := middleware.GetReqID(r.Context()); requestid.First(w.Header(), requestid.Own) == "" &&
		requestid.Own(id) {
		w.Header()[requestid.Header] = []string{id}
	}
	asgi.WriteError(w, r, asgi.NewHTTPError(status, ""))
}

// methods are those chi routes without chi.RegisterMethod.
func methods() []string {
	return []string{
		http.MethodConnect, http.MethodDelete, http.MethodGet, http.MethodHead, http.MethodOptions,
		http.MethodPatch,
		http.MethodPost, http.MethodPut, "QUERY", http.MethodTrace,
	}
}

// allowed finds the methods the path of req has in the router that refused its own. chi keeps them
// to itself, so they are looked up again: the patterns that matched so far lead from r, or, where a
// handler chi cannot look into is mounted between, from one of its mounts, to the router that
// refused.
func allowed(r chi.Routes, req *http.Request) []string {
	rctx := chi.RouteContext(req.Context())
	if rctx == nil {
		return nil
	}
	path := cmp.Or(rctx.RoutePath, req.URL.RawPath, req.URL.Path) // by which chi routes
	for i := range len(rctx.RoutePatterns) + 1 {
		router := descend(r, rctx.RoutePatterns[i:])
		if router == nil {
			continue
		}
		var found []string
		for _, method := range methods() {
			if router.Match(chi.NewRouteContext(), method, path) {
				found = append(found, method)
			}
		}
		if len(found) > 0 && !slices.Contains(found, req.Method) {
			return found
		}
	}
	return nil
}

// descend follows mount patterns to the router they lead to, nil if there is none.
func descend(r chi.Routes, patterns []string) chi.Routes {
	for _, pattern := range patterns {
		routes := r.Routes()
		i := slices.IndexFunc(routes, func(route chi.Route) bool {
			return route.SubRoutes != nil && mountPoint(route.Pattern) == mountPoint(pattern)
		})
		if i < 0 {
			return nil
		}
		r = routes[i].SubRoutes
	}
	return r
}

// mountPoint makes /x, /x/ and /x/*, which chi all registers for one mount, the same.
func mountPoint(pattern string) string {
	return strings.TrimSuffix(strings.TrimSuffix(pattern, "*"), "/")
}
