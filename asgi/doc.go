// Package asgi makes HTTP handlers of typed functions and response values. What it makes are
// http.HandlerFuncs, for chi, http.ServeMux or any other router; what it takes are net/http's own
// types. Its parts work alone.
//
//	type GetOrder struct {
//		ID int `path:"id" json:"id"`
//	}
//
//	func getOrder(ctx context.Context, in GetOrder) (Order, error) { … }
//
//	r := chi.NewRouter()
//	r.Get("/orders/{id}", asgi.Handle(getOrder))
//	r.Post("/photos", asgi.Respond(func(r *asgi.Request) (asgi.Response, error) {
//		for part, err := range r.Parts() { … }
//		return asgi.Redirect("/photos"), nil
//	}))
//
// # Handlers
//
// Handle serves a typed function, which need know nothing of HTTP and can serve a WSX call, a task
// or a worker process as well: its input is filled from the request, its output is JSON. Respond
// serves a function that sees the Request and gives a Response. From the context of either,
// RequestFrom finds the request and After enlists work for later. HandleWith is Handle with
// options: lenient input, and what the OpenAPI document of the app (package openapi) says of the
// route beyond its types. That document finds the types of a handler by itself.
//
// A handler and its options are safe for concurrent use; a Request and what it gives belong to one
// goroutine and end with the handler. A panic is not caught here: a middleware or net/http does.
//
// # Requests
//
// A Request tells method, URL, headers, query, path values, cookies, client and state, and reads
// the body once: as Bytes, Text, JSON, Form, Parts or the stream Body. The URL is what the client
// wrote, whatever a router cut from it.
//
// Limits bound each request: the body to 1 MiB, multipart ones too, JSON to 32 levels, a form to
// 1000 parts of which files beyond 1 MiB lie in temporary files, removed when the handler ends, in
// a panic too. ContextWithLimits and Limits.Wrap change them for a subtree of routes,
// Request.SetLimits for one request. A query or form has at most 10000 pairs. JSON is read
// strictly: unknown members, names in another case, duplicates, data after the value and invalid
// UTF-8 are refused, and so is another media type or a Content-Encoding. An integer in an any keeps
// its value. A time is RFC 3339 in a body and in a query alike.
//
// # Clients behind proxies
//
// No header of the kind of X-Forwarded-For, Forwarded or X-Real-IP is believed, as any client can
// send it. Where a proxy is known to set them, a middleware says so. With chi's ClientIP
// middlewares, and a proxy that ends TLS:
//
//	r.Use(middleware.ClientIPFromXFF("10.0.0.0/8"))
//	r.Use(func(next http.Handler) http.Handler {
//		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
//			next.ServeHTTP(w, r.WithContext(asgi.ContextWithForwarded(r.Context(), asgi.Forwarded{
//				Scheme: "https",
//				Client: asgi.ParseAddress(middleware.GetClientIP(r.Context())),
//			})))
//		})
//	})
//
// A middleware that sets http.Request.RemoteAddr, as chi's RealIP does, needs nothing more.
//
// # Responses
//
// A Response is a value: JSON, HTML, Text, Bytes, NoContent, Redirect, RedirectExternal, Stream,
// StreamFunc, SSE, File and FileFS make a Reply, whose Status, Header, Cookie and Attachment go
// with any of them. What is whole in memory is encoded before the first byte is sent and has a
// Content-Length. Cookies are Secure, HttpOnly and SameSite=Lax unless they say otherwise; a
// Redirect stays on this server; a File stays in its directory.
//
// Streams send each write at once and give each 30 s, instead of the server's WriteTimeout and
// App.SendTimeout, which do not count for them. They end when the client goes away, when the
// credentials of the request end and when the server stops (ContextWithShutdown). SSE also sends a
// comment after 15 s of silence.
//
// # Errors
//
// WriteError answers an error as an RFC 9457 problem: an HTTPError as it says, another with
// StatusCode() int by that status and standard text, any other as 500. The own text of an error is
// only logged, unless ErrorOptions.Debug is set. Input that does not fit names its fields in the
// problem's member "errors":
//
//	{"title":"Unprocessable Entity","status":422,"detail":"The request has invalid fields.",
//	 "errors":[{"in":"query","pointer":"/limit","detail":"must be an integer"}]}
//
// What cannot be read at all is 400, another media type 415, too large 413, too slow 408, a
// deadline 504. An error of a request whose client has gone is 499, logged at level info. In an App
// a client that announced its last request (Connection: close, or HTTP/1.0) and then ends its side
// of the connection may still wait for the answer: the context of such a request ends 5 s later, or
// when the peer resets. An error after the answer has begun cuts the connection by
// http.ErrAbortHandler, so that no client takes a part for the whole.
//
// # WebSockets
//
// HandleWebSocket makes an http.HandlerFunc of func(ctx, *WebSocket) error, for r.Get. The function
// answers the handshake by Accept, with a subprotocol if need be, or by Deny or by returning an
// error, which is a problem then (nil is 403, a *WebSocketError its Code less 4000 where that is a
// status such as 4401, 500 for 1011, else 403, with its Reason as the detail). After Accept it
// receives and sends text, bytes and JSON, one message at a time or in a loop over Messages or
// JSONMessages, and what it returns closes the connection: nil with 1000, a *WebSocketError with
// its code, any other error or a panic with 1011 and a fixed text, logged.
//
// The function has a goroutine of its own and net/http's ends with the handshake, so chi's Timeout
// and Throttle hold for that only. (A panic before Accept reaches the middleware outside; chi's
// Recoverer answers it with an empty 200, as it does for every handshake, unless middleware.Errors
// is inside of it.) One goroutine receives, any number send. A context that ends gives up waiting
// and leaves the connection as it is. Errors tell why a connection is over: *WebSocketDisconnect,
// the peer or the network; *WebSocketError, the peer broke a rule; ErrWebSocketState, this side
// closed it, or has not accepted it yet. What the peer does is noticed while somebody receives: a
// handler that only sends has a second goroutine range over Messages.
//
// An Origin must be the server's own (host, port, and scheme, or https in front of a proxy) or a
// listed one, exactly; without one, which no browser does, it is accepted unless RequireOrigin is
// set. Limits: message 64 KiB, 1,024 frames and 10 s each, 10 pings a second, 1 MiB or 1,024
// messages to be sent, 5 s a write, a ping after 25 s of silence and the end (4408) 10 s later,
// compression off; WebSocketOptions change each.
//
// When an App begins to stop, the context of every WebSocket ends with the cause ErrShutdown; a
// handler that goes on is cut off with 1001 after 10 s (WebSocketOptions.DrainTimeout), and the App
// waits for all of them. Elsewhere ContextWithShutdown gives the signal, say from
// http.Server.RegisterOnShutdown, and nobody waits: http.Server.Shutdown does not know of
// WebSockets.
//
// # State
//
// A State holds values under typed keys, which only those who have the key can reach. A request has
// one (Request.State), shared with middleware by ContextWithState, and so has an app (AppState).
//
// # Background work
//
// Background runs functions after the answer (After) or at any time (Background.Go): 8 at a time,
// 1024 accepted, 1 minute each by default. Its Stop drains it. It is a Component.
//
// # Lifespan
//
// A Lifespan starts Components in order and stops them in reverse. A Start that fails stops what
// was started before; a Stop that fails keeps no other from being stopped; all errors are joined,
// each a ComponentError with the component's name. Each hook has a deadline (30 s to start, 10 s to
// stop), 1 s more to return once its context has ended, and is then left behind in its goroutine
// with ErrHookAbandoned, as Go cannot end it. A panic in a hook is its error. Lifespans nest. Hooks
// makes a Component of plain functions.
//
// # App
//
// An App serves a handler and keeps its components:
//
//	app := asgi.New(r, pool, jobs, hub)
//	r.Handle("/live", app.Live())
//	r.Handle("/ready", app.Ready())
//	if err := app.Run(context.Background(), ":8080"); err != nil {
//		log.Fatal(err)
//	}
//
// Run listens, starts the components and then accepts, with limits that net/http leaves out: 5 s
// for a header, 30 s for a request with its body, 60 s idle, headers of 16 KiB, as App.Server says,
// and 30 s for each 128 KiB of an answer (App.SendTimeout). Any http.Server option can be set
// there.
//
// A panic that no middleware has caught cuts the connection; where the App serves by itself, it is
// logged by Errors.Logger with the request's context, else it goes on to whoever is around the App.
//
// # Counts
//
// App.Stats is a snapshot of what the App has counted: requests in flight, by status and with a
// histogram of how long they took, connections, streams, WebSockets, panics and background work
// (Background.Stats). It is a plain struct with nothing in it that a client has named, it is JSON,
// and it is read without stopping anything. Counting costs a request some tens of nanoseconds and
// no allocation.
//
// Whatever is logged of a request, its errors, its WebSocket and its background work, is logged
// with its context, so that a slog.Handler can add the id of a trace.
//
// # Shutdown
//
// When its context ends, on SIGINT or SIGTERM (Run) or by Stop, an App
//
//  1. is unready (Ready answers 503, answers ask clients to close their connections), and goes on
//     serving for ShutdownDelay (0);
//  2. cancels ShutdownContext(ctx) of all requests with ErrShutdown, which ends streams; ordinary
//     requests go on;
//  3. accepts no more, ends idle connections, and waits for the requests under way, for two thirds
//     of ShutdownTimeout (30 s); a new connection has 5 s for its first request, a body 5 s to
//     come, a client 5 s more to take an answer, each at most a third of the wait;
//  4. stops the components in reverse, Background among them; connections that were hijacked are a
//     component's to end;
//  5. cuts off what is left, cancelling its context with ErrShutdown.
//
// A second signal, or the end of Stop's context, goes to 5 at once, and the components have an
// ended context. No request whose handler was called is lost before 5. In HTTP/2 a request may be
// refused, or, if it arrives on an idle connection in the instant of step 3, end without an answer,
// as http.Server.Shutdown has it. The error is nil after a clean stop.
package asgi
