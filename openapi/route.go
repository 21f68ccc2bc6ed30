package openapi

import (
	"cmp"
	"net/http"
	"reflect"

	"github.com/genropy/genro-asgi-go/internal/describe"
)

// Route is where a handler is served.
type Route struct {
	// Method is the only one that it is served for; "" is any. OpenAPI 3.1 has no place for QUERY
	// and CONNECT: such routes are left out.
	Method string
	// Pattern is the path, in the notation of chi, "/orders/{id:[0-9]+}" and "/files/*", or of
	// http.ServeMux, "/files/{path...}".
	Pattern string
	Handler http.Handler
	// Mounted says that the handler is served at Pattern, with and without a slash, and at all
	// below it.
	Mounted bool
	// Middlewares are those around the handler, outermost first. Those of Defaults and of
	// wsx.Authenticator have something to tell.
	Middlewares []func(http.Handler) http.Handler
}

// Describe returns h as a handler that has a place with types in the document:
//
//	r.Get("/orders.csv", openapi.Describe(http.HandlerFunc(export), openapi.Operation{
//		Summary: "All orders", In: reflect.TypeFor[Filter](),
//	}))
//
// Operation.In is taken apart as asgi.Handle does: fields with a tag path, query, header or cookie
// are parameters, all others the body, as JSON. Nothing of it is checked, and nothing is decoded: h
// serves the request as it is. Describe around a typed handler adds to what that tells by itself.
// It panics where h is nil.
//
//go:noinline
func Describe(h http.Handler, op Operation) http.HandlerFunc {
	if h == nil {
		panic("openapi: Describe: the handler is nil")
	}
	return func(w http.ResponseWriter, r *http.Request) {
		p, ok := w.(*describe.Probe)
		if !ok {
			h.ServeHTTP(w, r)
			return
		}
		found, known := describe.Of(h)
		if !known {
			found = []describe.Endpoint{op.endpoint()}
		}
		for i := range found {
			inner, _ := found[i].Operation.(Operation)
			found[i].Operation = inner.around(op, len(found) == 1)
		}
		p.Add(found...)
	}
}

// Defaults is a middleware that does nothing but tell what all operations around which it stands
// have in common:
//
//	r.Route("/orders", func(r chi.Router) {
//		r.Use(authenticate, openapi.Defaults(openapi.Operation{
//			Tags: []string{"orders"}, Security: login, Errors: []int{http.StatusTooManyRequests},
//		}))
//		…
//	})
//
// Tags and Errors come on top of an operation's own, Security counts where the operation has none,
// Deprecated and Hidden for all. The rest of op is not for several operations, and ignored.
//
//go:noinline
func Defaults(op Operation) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		if n, ok := next.(*describe.Next); ok {
			n.Endpoint.Operation = op
		}
		return next
	}
}

// around is op with what Describe says on top of it. What is not for several operations counts for
// an only one.
func (op Operation) around(outer Operation, only bool) Operation {
	op = op.within(outer)
	if only {
		op.ID, op.Summary, op.Description = cmp.Or(outer.ID, op.ID), cmp.Or(outer.Summary,
			op.Summary), cmp.Or(outer.Description, op.Description)
		if outer.Request != nil {
			op.Request = outer.Request
		}
		if outer.Response != nil {
			op.Response = outer.Response
		}
		if outer.Statuses != nil {
			op.Statuses = outer.Statuses
		}
		if outer.Produces != nil {
			op.Produces = outer.Produces
		}
	}
	return op
}

// endpoint is what a plain handler has that op describes.
func (op Operation) endpoint() describe.Endpoint {
	var e describe.Endpoint
	if op.In != nil {
		in := describe.InputOf(op.In)
		e.Params, e.Body = in.Params, in.Body
	}
	if op.Out != nil {
		e.Responses = []describe.Answer{{
			Status: http.StatusOK,
			Body:   []describe.Media{{Type: "application/json", Of: []reflect.Type{op.Out}}},
		}}
	}
	return e
}

// within is op with what an outer one adds to it.
func (op Operation) within(outer Operation) Operation {
	op.Tags = append(append([]string(nil), outer.Tags...), op.Tags...)
	op.Errors = append(append([]int(nil), outer.Errors...), op.Errors...)
	if op.Security == nil {
		op.Security = outer.Security
	}
	op.Deprecated = op.Deprecated || outer.Deprecated
	op.Hidden = op.Hidden || outer.Hidden
	return op
}
