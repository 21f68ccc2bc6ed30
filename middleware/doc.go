// Package middleware holds three middlewares of the usual form func(http.Handler) http.Handler, for
// chi, net/http or any other router.
//
//   - [Base] makes a middleware of one function that sees the request, calls the next handler, can
//     change headers just before they are sent, and afterwards knows status, bytes and duration.
//   - [CORS] lets pages of other origins read answers: nobody unless allowed, and no pattern that a
//     hostile origin can meet.
//   - [Errors] answers returned errors, panics, plain 404, 405, 413 and other http.Error answers,
//     and timeouts as RFC 9457 problems.
//
// In an app:
//
//	r := chi.NewRouter()
//	r.Use(middleware.Errors(nil))
//	r.Use(middleware.CORS(&middleware.CORSOptions{
//		AllowedOrigins: []string{"https://app.example"},
//	}))
//	r.Get("/orders/{id}", asgi.Handle(getOrder))
//
// # Contract
//
// No body is buffered. http.Flusher, http.Hijacker, io.ReaderFrom (and so sendfile) and all that
// http.ResponseController does work through each of them as on the writer beneath; what that one
// cannot do gives an error that matches errors.ErrUnsupported.
//
// They work in any order among chi's own middlewares; a test runs all orders of those that wrap the
// writer. Two things depend on the order. Errors inside of Recoverer sees every panic; around it,
// it may miss one after the header (see Errors). And Errors further out than CORS is right for
// pages: then problems bear the Access-Control headers too. Inside of CORS is as good; only what a
// middleware further out than CORS answers is without them.
//
// # Concurrency
//
// What the constructors return is safe for concurrent use and starts no goroutine. A [Writer]
// belongs to its request's goroutine.
//
// # Errors
//
// Only [NewCORS] returns an error, and CORS panics with it: [*CORSError], several joined. Base
// panics without a function, and all three without a handler to serve. Errors ends in
// panic(http.ErrAbortHandler) where a response has begun that cannot be finished; net/http then
// cuts the connection without a log line.
//
// # Limits
//
//	preflight cached by browsers   10 minutes by default, at most 24 hours
//	text of an http.Error kept     1 KiB of it becomes detail or log
//	request id of a request        [A-Za-z0-9-]{1,64} or chi's host/random-000001, else
//	                               replaced
//	of a middleware further out    1 to 300 of [A-Za-z0-9._/:@+=~-]
package middleware
