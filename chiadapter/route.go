package chiadapter

import (
	"net/http"
	"slices"

	"github.com/go-chi/chi/v5"
)

// Labels that stand for what a client can make up. OtherMethod is that of the OpenTelemetry
// semantic conventions for HTTP.
const (
	OtherMethod = "_OTHER"    // a method chi does not route
	Unmatched   = "unmatched" // a path without a route, or one without a route for the method
)

// Route is the method and the pattern of the route that serves r, such as "GET /orders/{id}": a
// label for logs and metrics with as many values as there are routes, whatever clients send. A
// method unknown to chi is [OtherMethod], a request without a route [Unmatched] in the pattern's
// place. A path that found no route in a mounted router has the mount's pattern: "GET /api/*".
//
// The pattern is complete once the next handler has returned, so a middleware asks then. The
// middleware must be in Use, With or Group of a chi router (what is around the router sees no
// route), and must ask before it returns itself, because chi then uses the routing context for
// another request. The string that Route returns stays good.
func Route(r *http.Request) string {
	method, pattern := r.Method, chi.RouteContext(r.Context()).RoutePattern()
	if !slices.Contains(methods(), method) {
		method = OtherMethod
	}
	if pattern == "" {
		pattern = Unmatched
	}
	return method + " " + pattern
}
