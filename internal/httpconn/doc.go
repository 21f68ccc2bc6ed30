// Package httpconn keeps the connections of an http.Server: it ends them at a shutdown without
// losing a request, tells a client that half-closed from one that is gone, and cuts off one that
// does not take its answer.
//
//	var connections httpconn.Tracker
//	connections.Watch(srv, 30*time.Second) // before it serves
//	stopped, ok := connections.Serving(listener)
//	…
//	err := connections.Drain(ctx, limit)
//
// # Shutdown
//
// http.Server.Shutdown closes a connection that it believes idle. A connection is marked active
// only after a request's header was read and parsed, so a request that arrives on a kept-alive
// connection at that moment may reach its handler and its answer go nowhere. It is rare (none of
// 33,000 requests in 300 shutdowns on two cores) but so are shutdowns, and the request may be a
// payment.
//
// [Tracker.Drain] closes no idle connection. It makes the connection's read end instead: either no
// whole header has been read, and net/http closes the connection without calling the handler, or
// the request is on its way to the handler and is answered. To half a header net/http would answer
// 400, which a client takes for the end of the matter, where it tries again after a close. So
// nothing can be written to such a connection either, until a handler is called.
//
// One socket must not hold up the shutdown. After [MaxPatience], or a third of the limit where that
// is less, a request whose body has not come loses its read, a connection that has sent nothing is
// ended, and a client that does not take the answer has as long again before its write fails.
//
// Connections of HTTP/2 are left to http.Server.Shutdown, which knows about streams.
//
// # Clients that half-close
//
// To TCP a client that ends its side of the connection and one that closes it look the same until
// something is sent to it, and net/http takes both for gone (golang/go#18527). Here a request that
// announced to be the last of its connection (Connection: close, or HTTP/1.0; RFC 9112 section 9.6)
// goes on for 5 s after that, or until the peer resets the connection, where the system tells
// (Linux). A client that will send more requests has
// no reason to half-close: the context of its request ends at once.
//
// # Slow clients
//
// A [PacedWriter] gives the client a time for each 128 KiB of an answer.
//
// # Concurrency
//
// A Tracker is safe for concurrent use and serves one server, once. It owns no goroutine: what
// waits for a half-closed client ends before the handler's request is released. A PacedWriter is
// one goroutine's, as any http.ResponseWriter is, but that the shutdown may shorten its time.
package httpconn
