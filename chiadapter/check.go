package chiadapter

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"reflect"
	"runtime"
	"slices"
	"strings"

	"github.com/go-chi/chi/v5"
)

// CORSError is a CORS middleware that stands where it never sees preflights.
type CORSError struct {
	Pattern string   // of the route or the mounted router, from the root
	Methods []string // of the route, sorted; nil for a router
	Reason  string   // why it sees none, and what to do
}

// Error implements error.
func (e *CORSError) Error() string {
	where := e.Pattern
	if len(e.Methods) > 0 {
		where = strings.Join(e.Methods, ",") + " " + where
	}
	return fmt.Sprintf("chiadapter: CORS at %s: %s", where, e.Reason)
}

const (
	reasonInline = "chi answers the OPTIONS of a preflight with 405 before With and Group, so " +
		"browsers refuse every request that needs one; " +
		"put CORS in Use of the router, or of one that is mounted (Route, Mount)"
	reasonInside = "the CORS further out answers all preflights by its own rules; keep one " +
		"of the two"
)

// Check looks through the routes of r for CORS middlewares that chi never sends preflights, or that
// stand inside of another. The error joins a [*CORSError] for each. Call it once all routes are
// there, before serving:
//
//	if err := chiadapter.Check(r); err != nil {
//		log.Fatal(err)
//	}
//
// Good are Use of the root router, Use of a mounted one, With(cors).Mount, and With or Group around
// a route that takes OPTIONS as well (r.Handle, or r.Get and r.Options). Bad is With or Group
// around anything else: chi looks for the route first, finds none for OPTIONS and answers 405.
//
// It knows middleware.CORS, rs/cors and go-chi/cors by their functions. One wrapped into another
// function, or inside of a handler that is not a chi router, is not seen. Check panics where r is
// nil.
func Check(r chi.Routes) error {
	if r == nil {
		panic("chiadapter: Check: the router is nil")
	}
	var c checker
	c.router(r, "", false)
	slices.SortFunc(c.found, func(a, b *CORSError) int { return cmp.Compare(a.Pattern, b.Pattern) })
	errs := make([]error, len(c.found))
	for i, e := range c.found {
		errs[i] = e
	}
	return errors.Join(errs...)
}

type checker struct{ found []*CORSError }

// router checks r, whose routes begin with prefix. covered is whether a CORS further out sees its
// preflights.
func (c *checker) router(r chi.Routes, prefix string, covered bool) {
	covered = c.use(r.Middlewares(), cmp.Or(prefix, "/"), covered)
	for _, route := range r.Routes() {
		pattern := strings.ReplaceAll(prefix+route.Pattern, "/*/", "/")
		if route.SubRoutes == nil {
			c.route(pattern, route.Handlers, covered)
			continue
		}
		inner := c.use(inline(route.Handlers["*"]), pattern, covered)
		c.router(route.SubRoutes, prefix+route.Pattern, inner)
	}
}

// use checks a stack that sees every request, preflights too.
func (c *checker) use(stack chi.Middlewares, pattern string, covered bool) bool {
	for _, mw := range stack {
		if !isCORS(mw) {
			continue
		}
		if covered {
			c.found = append(c.found, &CORSError{Pattern: pattern, Reason: reasonInside})
		}
		covered = true
	}
	return covered
}

func (c *checker) route(pattern string, handlers map[string]http.Handler, covered bool) {
	options := hasCORS(handlers[http.MethodOptions])
	if options && !covered {
		return
	}
	var methods []string
	for _, method := range slices.Sorted(maps.Keys(handlers)) {
		if method != "*" && hasCORS(handlers[method]) {
			methods = append(methods, method)
		}
	}
	if len(methods) == 0 {
		return
	}
	reason := reasonInline
	if covered {
		reason = reasonInside
	}
	c.found = append(c.found, &CORSError{Pattern: pattern, Methods: methods, Reason: reason})
}

func hasCORS(h http.Handler) bool { return slices.ContainsFunc(inline(h), isCORS) }

// inline is the stack that With and Group put around h.
func inline(h http.Handler) chi.Middlewares {
	if chain, ok := h.(*chi.ChainHandler); ok {
		return chain.Middlewares
	}
	return nil
}

// isCORS goes by the name of the function, because a middleware is nothing but a function and
// calling it to see what it makes could have effects. All three are method values, whose names
// neither inlining nor the caller changes.
func isCORS(mw func(http.Handler) http.Handler) bool {
	switch runtime.FuncForPC(reflect.ValueOf(mw).Pointer()).Name() {
	case "github.com/genropy/genro-asgi-go/middleware.(*corsPolicy).wrap-fm",
		"github.com/rs/cors.(*Cors).Handler-fm",
		"github.com/go-chi/cors.(*Cors).Handler-fm":
		return true
	}
	return false
}
