// Package problem says what the caller of a function may know of an error, the same through every
// door that understands it.
//
// A function returns an [Error], alone or wrapped:
//
//	return Order{}, problem.NotFound("There is no such order.")
//
// Over HTTP, through the packages asgi and middleware, it is an RFC 9457 problem; over a WebSocket,
// through the package wsx, an error with code, message and details, in JSON-RPC 2.0 too. It comes
// back whole from a worker process of the package executor, and is kept with a task of the package
// tasks for whoever may see the task. Of any other error the caller learns a status at most, and
// the log has its text.
//
// [Of] finds what is public in an error: an *[Error], [Field]s, several of them joined by
// errors.Join, or an error of another package that has a method Problem() *problem.Error. [From]
// is the same for those who must answer, with a status for everything else.
//
// [Write] answers a request with an error. The problem has the request's id and goes through the
// app's own mapping ([Options].Map), and what is the server's fault is logged, once.
//
// # Concurrency
//
// An [Error] is not changed after it was returned, so that one value may serve many callers.
// Everything else is safe for use by many goroutines.
package problem
