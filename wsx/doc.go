// Package wsx serves typed Go functions over WebSockets with the WSX protocol, version 1.
//
// # Methods
//
// A [Dispatcher] holds the methods. [Handle] registers a function func(ctx, In) (Out, error) under a name and
// [HandleNotify] one that has no result. Names are one or more parts joined by dots, 1 to 256 bytes of visible ASCII
// without quotes and backslashes; names that start with rpc. or wsx. are the protocol's. [Dispatcher.Mount] adds a whole
// dispatcher under a prefix, [Dispatcher.Use] adds middleware around the methods and mounts that are registered after it.
// What is wrong with a registration is a mistake in the program: it panics and says what.
//
//	d := wsx.NewDispatcher()
//	d.Use(logCalls)
//	wsx.Handle(d, "orders.get", getOrder) // func(context.Context, GetOrder) (Order, error)
//	wsx.HandleNotify(d, "orders.seen", orderSeen)
//	d.Mount("admin", adminMethods)
//
// A method is called the same way by a request and by a notification: who sends a notification of a method that has a
// result goes without it, and who sends a request of one that has none is answered null.
//
// # Params and results
//
// JSON is read and written by json/v2 (github.com/go-json-experiment/json), strictly: a member that the In type lacks, one in
// another case, a duplicate, a value of another type and text without a UTF-8 form are INVALID_PARAMS with details.path,
// a JSON Pointer (RFC 6901) into the params. A missing member is its zero value, and so are absent or null params as a
// whole. An In with a method Validate() error is validated; the text of that error is meant for the caller and reaches it.
// A jsontext.Value as In or Out passes JSON through as it is, white space and all; it must be JSON without duplicate
// names. An Out of struct{} is answered null.
//
// Params and results are encoded and decoded once, straight from and into the connection's buffers.
//
// # Errors
//
// The peer sees the code, message and details of a [*Error], returned by a handler alone or wrapped, and nothing of any
// other error. For these the code is, by the first row that applies:
//
//	a panic                                        INTERNAL_ERROR
//	context.DeadlineExceeded                       DEADLINE_EXCEEDED
//	context.Canceled                               CANCELLED
//	an error with StatusCode() int, 400 to 599     the code of that HTTP status, CodeFromStatus
//	any other                                      INTERNAL_ERROR
//
// each with a fixed text; only a server in debug sends the text of an internal error. The error itself goes to the log.
// An *Error has a StatusCode of its own, so that packages that know only HTTP understand it, and a JSONRPCCode.
// Details that cannot be encoded are left out and logged; the error is sent.
//
// # Middleware
//
// A middleware gets the next [Handler] once, when a method is registered, and returns the one to run in its place: a
// call pays for the functions it runs and for nothing else. It sees the [Request] before and the error after. It may
// answer with an error of its own, or with none: then the result is null. It is not asked about names that nobody
// registered; these are METHOD_NOT_FOUND with details.method.
//
// # Concurrency
//
// A Dispatcher is safe for concurrent use; looking up a method takes no lock, so methods may be added while the server
// runs. Handlers run concurrently, those of one connection included, and a panic ends only its call. A handler's context
// ends with its request. The *Request is valid until the handler returns; params are the handler's own.
//
// # Messages
//
// One WebSocket message is one message of the protocol: UTF-8 JSON, in a text or a binary frame. It is read strictly
// (protocol section 2): what is not JSON is PARSE_ERROR; JSON of another shape, a duplicate member name in the message or
// in its meta, an id that is neither string nor number, nesting deeper than 32 levels (the message itself is level 1), or
// a meta.timeout_ms that is not a positive integer is INVALID_REQUEST; a type that a client may not send is
// UNSUPPORTED_TYPE. The answer carries the id wherever that could be read; a notification is never answered, also
// when it is faulty. Unknown members are ignored. Ten messages in a row that are none of the protocol's close the
// connection with 1008.
//
// # Server
//
// [NewServer] makes the endpoint: an http.Handler for any router. A request is upgraded when it is a handshake (RFC 6455
// section 4.2.1) and its Origin is the server's own, listed in ServerOptions.AllowedOrigins, or absent; else it is answered with a
// problem (RFC 9457). The subprotocol is wsx.v1 where the client offers it.
//
//	server := wsx.NewServer(d, nil)
//	r.Handle("/ws", server)
//	app := asgi.New(r, server) // or call server.Stop when the program ends
//
// ServeHTTP returns as soon as the connection is upgraded, so that time-outs and throttles around it hold for the handshake
// and for nothing after it. Values that middleware put into the request's context stay; chi's RouteContext, which chi uses
// again for other requests, does not, but path values do ([Conn.Request]).
//
// A handler reaches its connection with [ConnFrom]: its id, the upgrade request, values of its own, [Conn.Notify] and
// [Conn.Close].
//
// Calls of one connection run concurrently, at most 64 at a time (ServerOptions.MaxInFlight): with as many in flight the
// connection is not read until one has ended. Answers come in the order in which handlers end. The goroutine that reads a
// connection runs handlers that have been quick so far by itself and goes on reading when they return; when one takes longer
// than 4 ms, another goroutine takes the reading over. So a handler may always wait, also for a later message of
// its own client; the first call of a method that waits only holds its connection's other messages up for these 4 ms.
//
// A call's context ends when its handler returns, by rpc.cancel (answered CANCELLED), when meta.timeout_ms is over
// (DEADLINE_EXCEEDED), or with the connection. The answer to the first two is sent at once, also when the handler does not
// look at its context; its result is then dropped.
//
// [Server.Stop] drains: requests that come are UNAVAILABLE, those in flight may end within 10 s (DrainTimeout), then every
// connection is closed with 1001.
//
// # Limits
//
// Each is a field of [ServerOptions]: a message 64 KiB, 1,024 frames and 10 s; 32 levels of JSON; 10 WebSocket pings a
// second; 64 calls in flight; messages a second not limited; 1 MiB or 1,024 messages in a connection's out-queue, 5 s for a
// write; a ping after 25 s of silence and the end 10 s later. An answer that finds the out-queue full waits, and with it
// its handler's goroutine or the reading.
package wsx
