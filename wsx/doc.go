// Package wsx serves typed Go functions over WebSockets with the WSX protocol, version 1 (docs/wsx-protocol.md).
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
// UNSUPPORTED_TYPE. The answer carries the id wherever that could be read. Unknown members are ignored.
package wsx
