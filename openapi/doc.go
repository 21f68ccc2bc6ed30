// Package openapi makes the OpenAPI 3.1.1 document of an app from its routes, and shows it on a
// page.
//
//	doc := chiadapter.OpenAPI(r, &openapi.Options{Title: "Orders", Version: "1.4.0"})
//	r.Get("/openapi.json", doc.ServeHTTP)
//	r.Get("/docs", openapi.Page(nil).ServeHTTP)
//
// A handler of this module tells by itself what it serves: asgi.Handle the types of its function,
// where each parameter comes from, and what reading them can be answered with; taskshttp.Handler
// and executor.Handler, wsx.Server, wsx.JSONRPC and Hub.SSE likewise. [Operation] says the rest
// beside the route, in asgi.HandleOptions. [Defaults] says what all routes below a middleware have
// in common. A handler of somebody else's, or of asgi.Respond, is a path without types, unless
// [Describe] names them. Handlers are asked, and never called: what a middleware that is a plain
// function does, such as to authenticate, a document cannot know.
//
// A router that is not chi's has no list of its routes. [New] takes one:
//
//	doc := openapi.New(slices.Values([]openapi.Route{
//		{Method: "GET", Pattern: "/orders/{id}", Handler: asgi.Handle(getOrder)},
//	}), nil)
//
// # What a document says
//
//   - A path for each pattern: "/orders/{id:[0-9]+}" is "/orders/{id}" with the expression as the
//     parameter's pattern, and 404, which the router answers where it does not match. A wildcard is
//     a parameter that may hold slashes, which "x-segments": true says for want of a word of
//     OpenAPI's. Two patterns that differ in the names of parameters alone are one path.
//   - A route for all methods is POST where its handler reads a body, else GET. OpenAPI 3.1 has no
//     place for CONNECT and QUERY; they are left out, as is the body of a GET.
//   - One schema for each Go type, called as it is; "Input" is added for what is read where that is
//     not what is written, "Body" for what is left of an input when its parameters are taken away,
//     and the package's name in front where two types meet. Names and operationIds do not depend on
//     the order of routes.
//   - All statuses of errors that are known, as problems (RFC 9457), and "default" for all others.
//     A "4XX" stands where nothing is known of errors.
//   - What reading an input refuses beyond its schema, such as by a method Validate, is not in it.
//
// # Errors
//
// A document that cannot be made is none: WriteTo returns the error, and ServeHTTP answers 500 and
// logs it. See [Document.WriteTo] for what that can be.
//
// # Concurrency and limits
//
// A [Document] is made once, on first use, and safe for concurrent use; so is the handler that
// [Page] returns. What Describe returns is as safe as what it is around. There are no limits: what
// a document is made of is the program's own.
package openapi
