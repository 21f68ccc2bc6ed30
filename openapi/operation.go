package openapi

import (
	"reflect"
)

// Operation is what a route says of itself beyond its types. The zero value says nothing.
type Operation struct {
	// ID is the operationId: the name of the function in generated clients, unique in the document.
	// Default: made of method and path, "getOrdersById" for GET /orders/{id}.
	ID string
	// Summary is a few words. Default: the name of the Go function, "Get order" for getOrder, or
	// method and path.
	Summary string
	// Description is a text in CommonMark; default none.
	Description string
	// Tags group operations; default none.
	Tags []string
	// Deprecated marks an operation that is to be used no more.
	Deprecated bool
	// Errors are the statuses of errors that the function itself or a middleware answers, such as
	// 404. Those of reading the input, and 500, are declared anyway.
	Errors []int
	// Statuses are those of answers that are no errors; default 200, or 204 without a result, or
	// what the method StatusCode of the zero value of Out gives.
	Statuses []int
	// Produces are the media types of the answers of a function that returns a Response, or of a
	// plain handler: "application/pdf", "image/*". Their content has no schema. Statuses are then
	// 200 unless it says others. Default none: nothing is said of what a Response has in it.
	Produces []string
	// Security says how a caller authenticates: by all schemes of one of the requirements. Nil is
	// Options.Security, an empty list nobody. With any requirement 401 and 403 are declared.
	Security []Requirement
	// Request and Response are examples of the two bodies, anything that JSON can hold; default
	// none.
	Request, Response any
	// Hidden leaves the route out of the document.
	Hidden bool

	// In and Out are the types of a plain handler, for Describe alone: what asgi.Handle has of its
	// function. Default, nil: nothing is said.
	In, Out reflect.Type
}

// Requirement names security schemes of the document, Options.SecuritySchemes, with the scopes that
// each must have: {"oauth": {"orders:write"}}. The scopes of a scheme that knows none are nil.
type Requirement map[string][]string
