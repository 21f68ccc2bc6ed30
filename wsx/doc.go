// Package wsx serves typed Go functions over WebSockets with the WSX protocol, version 1.
//
// # Methods
//
// A [Dispatcher] holds the methods. [Handle] registers a function func(ctx, In) (Out, error) under
// a name and [HandleNotify] one that has no result. Names are one or more parts joined by dots, 1
// to 256 bytes of visible ASCII without quotes and backslashes; names that start with rpc. or wsx.
// are the protocol's. [Dispatcher.Mount] adds a whole dispatcher under a prefix, [Dispatcher.Use]
// adds middleware around the methods and mounts that are registered after it. What is wrong with a
// registration is a mistake in the program: it panics and says what.
//
//	d := wsx.NewDispatcher()
//	d.Use(logCalls)
//	wsx.Handle(d, "orders.get", getOrder) // func(context.Context, GetOrder) (Order, error)
//	wsx.HandleNotify(d, "orders.seen", orderSeen)
//	d.Mount("admin", adminMethods)
//
// A method is called the same way by a request and by a notification: who sends a notification of a
// method that has a result goes without it, and who sends a request of one that has none is
// answered null.
//
// # Params and results
//
// JSON is read and written by json/v2 (github.com/go-json-experiment/json), strictly: a member that
// the In type lacks, one in another case, a duplicate, a value of another type and text without a
// UTF-8 form are INVALID_PARAMS with details.path, a JSON Pointer (RFC 6901) into the params. A
// missing member is its zero value, and so are absent or null params as a whole. An In with a
// method Validate() error is validated: what problem.Of finds in that error reaches the caller, and
// of any other that the params are not valid. A jsontext.Value as In or Out passes JSON through as
// it is, white space and all; it must be JSON without duplicate names. An Out of struct{} is
// answered null.
//
// Params and results are encoded and decoded once, straight from and into the connection's buffers.
//
// # Errors
//
// The peer sees the code, message and details of a [*Error], returned by a handler alone or
// wrapped. So it does of what problem.Of finds public in an error: the code is that of the problem
// or of its status, the message its detail, and details have its extensions, its field errors as
// "errors" and the time to wait as "retry_after_ms". Of any other error the peer sees nothing. For
// these the code is, by the first row that applies:
//
//	a panic                                        INTERNAL_ERROR
//	context.DeadlineExceeded                       DEADLINE_EXCEEDED
//	context.Canceled                               CANCELLED
//	an error with StatusCode() int, 400 to 599     the code of that HTTP status
//	any other                                      INTERNAL_ERROR
//
// each with a fixed text; only a server in debug sends the text of an internal error. The error
// itself goes to the log. An *Error has a StatusCode of its own, so that packages that know only
// HTTP understand it, and a JSONRPCCode. Details that cannot be encoded are left out and logged;
// the error is sent.
//
// # Middleware
//
// A middleware gets the next [Handler] once, when a method is registered, and returns the one to
// run in its place: a call pays for the functions it runs and for nothing else. It sees the
// [Request] before and the error after. It may answer with an error of its own, or with none: then
// the result is null. It is not asked about names that nobody registered; these are
// METHOD_NOT_FOUND with details.method.
//
// # Concurrency
//
// A Dispatcher is safe for concurrent use; looking up a method takes no lock, so methods may be
// added while the server runs. Handlers run concurrently, those of one connection included, and a
// panic ends only its call. A handler's context ends with its request. The *Request is valid until
// the handler returns; params are the handler's own.
//
// # Messages
//
// One WebSocket message is one message of the protocol: UTF-8 JSON, in a text or a binary frame. It
// is read strictly (protocol section 2): what is not JSON is PARSE_ERROR; JSON of another shape, a
// duplicate member name in the message or in its meta, an id that is neither string nor number,
// nesting deeper than 32 levels (the message itself is level 1), or a meta.timeout_ms that is not a
// positive integer is INVALID_REQUEST; a type that a client may not send is UNSUPPORTED_TYPE. The
// answer carries the id wherever that could be read; a notification is never answered, also when it
// is faulty, and neither is an answer. Unknown members are ignored. Ten messages in a row that are
// none of the protocol's close the connection with 1008.
//
// # Server
//
// [NewServer] makes the endpoint: an http.Handler for any router. A request is upgraded when it is
// a handshake (RFC 6455 section 4.2.1) and its Origin is the server's own, listed in
// ServerOptions.AllowedOrigins, or absent; else it is answered with a problem (RFC 9457). The
// subprotocol is wsx.v1 where the client offers it.
//
//	server := wsx.NewServer(d, nil)
//	r.Handle("/ws", server)
//
// ServeHTTP returns as soon as the connection is upgraded, so that time-outs and throttles around
// it hold for the handshake and for nothing after it. Values that middleware put into the request's
// context stay; chi's RouteContext, which chi uses again for other requests, does not, but path
// values do ([Conn.Request]).
//
// A handler reaches its connection with [ConnFrom]: its id, the upgrade request, values of its own,
// [Conn.Notify] and [Conn.Close].
//
// Calls of one connection run concurrently, at most 64 at a time (ServerOptions.MaxInFlight). With
// as many in flight the connection is read on, so that a cancellation, an answer, a ping or the
// client's end comes through, and up to 1,024 requests and notifications of 1 MiB together wait
// (MaxWaiting). When these are too many too, the reading stops for a second at most; then requests
// are UNAVAILABLE. For notifications, whose sender would not learn of it, it stops as long as calls
// end; when none has ended for a second they are dropped. A notification that is dropped is logged:
// the first of a burst as a warning where there is no room, others (their deadline has passed, or
// the server shuts down) at level debug. Answers come in the order in which handlers end. The
// goroutine that reads a connection runs handlers that have been quick so far by itself and goes on
// reading when they return; when one takes longer than 4 ms, another goroutine takes the reading
// over. So a handler may always wait, also for a later message of its own client; the first call of
// a method that waits only holds its connection's other messages up for these 4 ms.
//
// A call's context ends when its handler returns, by rpc.cancel (answered CANCELLED), when
// meta.timeout_ms is over (DEADLINE_EXCEEDED), or with the connection. The answer to the first two
// is sent at once, also when the handler does not look at its context; its result is then dropped.
//
// An asgi.App that serves the endpoint stops the server when it shuts down; elsewhere the program
// calls [Server.Stop]. That drains: requests that come are UNAVAILABLE, those in flight may end
// within 10 s (DrainTimeout), then every connection is closed with 1001.
//
// # Streams
//
// A method of [HandleStream] has items before its result: they come from an iterator and go out as
// rpc.stream, numbered from 0. A client reads them with wsxclient.Stream, the server those of a
// client with [Stream]; both are loops that begin and end with the call. The producer's iterator
// waits while the out-queue is full or the consumer's window is, and ends with the call: by
// rpc.cancel, which leaving the loop sends, by its deadline, or with the connection. Items that do
// not come in their order end the loop with an error. Who wants the result alone calls the method
// as any other.
//
// The window is how many items the consumer holds (StreamOptions.Buffer, 256). It is meta.window of
// the request, a positive integer, and the consumer says by rpc.notify wsx.ack {"id", "next"} (to a
// client the event wsx.ack with that payload) that it has taken what comes before seq next, at
// least whenever that is half a window more: a slow loop makes its producer wait, for as long as it
// likes, and nothing else. A request without meta.window has none. To a peer that heeds no windows
// a consumer whose buffer is full stops reading, 2 s at most: then the stream is given up with an
// error, so that one loop that is stuck does not keep everything else on the connection waiting.
//
// # Calls to the client
//
// [Call] and [Stream] call methods of the client: wsxclient.Options.Methods is a Dispatcher as this
// one. A call ends with its context, by which the client is sent rpc.cancel; its deadline goes
// along as meta.timeout_ms. When the connection ends, calls that wait return [ErrClosed]. 256 calls
// of one client may wait for their answers (ServerOptions.MaxCalls).
//
// A request whose handler waits for something that its own client has to send, with its own
// context, does not count as in flight meanwhile: that comes behind whatever else the client sends,
// and has to be read. It may be the answer to a call, an item, a wsx.ack, or what another call with
// the same key waits for. There may be MaxCalls such requests over MaxInFlight; the next one is
// RESOURCE_EXHAUSTED.
//
// # Serial execution
//
// Calls run concurrently. [Dispatcher.Serial] makes those with the same key, such as one document
// or one connection, run one after the other: of one connection in the order in which they came. At
// most 64 wait behind a key (SerialOptions.MaxWaiting).
//
// # Progress
//
// Who sends meta.progress: true with a request asks for reports; [Progress] in the handler sends
// them, and does nothing for others. A report is an rpc.stream whose item is null and whose
// meta.progress is the report, any JSON; it counts in seq as items do. So a client that did not ask
// never sees one, and one that did tells reports from items by meta. wsxclient.Stream with
// StreamOptions.OnProgress asks and takes them apart, for methods without items too.
//
// # Authentication
//
// ServerOptions.Authenticate, an [Authenticator], says who a client is before its connection is
// upgraded: from Authorization: Bearer or whatever else the request has. A client that is refused
// gets a plain HTTP answer, a problem (RFC 9457): 401 with WWW-Authenticate, 403, or 500 without
// the error's text. A token in the query string is refused unless AllowQueryToken is set; then
// neither the log nor [Conn.Request] has it. Middleware that authenticates by itself puts the
// [Identity] into the request's context instead ([WithIdentity]). [IdentityFrom]
// give it to handlers, authorizers and middleware, of WebSockets and of HTTP alike. Over HTTP the
// same Authenticator is middleware: [Authenticator.Middleware] lets nobody in without a Subject,
// [Authenticator.Optional] lets guests in; streams behind it end when the identity expires.
//
//	authenticate := func(r *http.Request, token string) (wsx.Identity, error) {
//		claims, err := verify(token)
//		if err != nil {
//			return wsx.Identity{}, &wsx.Error{Code: wsx.CodeUnauthenticated, Err: err}
//		}
//		return wsx.Identity{Subject: claims.Subject, Expires: claims.Expires, Value: claims}, nil
//	}
//	server := wsx.NewServer(d, &wsx.ServerOptions{Authenticate: authenticate})
//
// When Identity.Expires comes, calls are cancelled and the connection is closed with 4401, at once
// and whether or not the client reads. A client stays by calling wsx.auth {token} before, answered
// {subject, expires_in_ms?}. A token that is not good is UNAUTHENTICATED and changes nothing; one
// of another subject is PERMISSION_DENIED: calls under way, presence and what the program keeps
// with the connection are the old one's. Only a client that was anonymous gets a subject that way:
// it logs in. Then the authorizers of all its subscriptions are asked again, and those
// subscriptions that are refused end with wsx.unsubscribed, PERMISSION_DENIED, before the answer;
// filters and presence stay as they were made. Once the new credentials hold, neither rpc.cancel
// nor a deadline stops this.
//
// [Server.Disconnect] closes all connections of a subject, also those that are just being made.
//
// A server that goes by cookies must set RequireOrigin: browsers send cookies with handshakes of
// every page.
//
// # JSON-RPC
//
// The same methods are served as JSON-RPC 2.0 (https://www.jsonrpc.org/specification): to objects
// with "jsonrpc":"2.0" and to arrays on the socket, and by POST with [JSONRPC]. Nothing has to be
// registered again.
//
//	r.Method("POST", "/rpc", wsx.JSONRPC(d, nil))
//
// Params by position become the fields of a struct In in the order of their declaration, embedded
// ones where they stand; a scalar In is the only param. Fewer than there are leave the rest zero;
// more are INVALID_PARAMS. Middleware sees them by name; details.path counts from /0. An In that
// reads arrays by itself gets the array: slices, maps, any, a jsontext.Value, whatever has an
// UnmarshalJSON.
//
// An error has the number of its code ([Error.JSONRPCCode]) and data {code, details?}. What is no
// request object is answered "Invalid Request" as in the specification, with the id where that can
// be read. A request may have an id of null. A member meta is understood as in WSX, meta.timeout_ms
// included; ServerOptions.RequestTimeout and JSONRPCOptions.Timeout set a deadline for requests
// without.
//
// The elements of a batch run side by side, as far as MaxInFlight lets them, and the array of their
// answers, in any order, is sent when the last is there. Each counts for the rate. A batch of more
// than 100 (MaxBatch) does not run: each of its requests is INVALID_REQUEST. One whose faults alone
// would take more than ten times its length to tell, and more than 512 bytes, is INVALID_REQUEST as
// a whole. So whatever is wrong with a message, of any dialect, is told in at most ten times its
// length or 512 bytes, whichever is more. The array has at most 1 MiB: answers that do not fit are
// RESOURCE_EXHAUSTED.
//
// On the socket, the methods rpc.subscribe {channel, params?, recover?} and rpc.unsubscribe
// {subscription} work as the messages of WSX do; events are notifications rpc.event with params
// {channel, payload, meta}, and what the server tells otherwise is a notification with the event as
// its method. A notification rpc.cancel {id}, or with an array of ids, cancels; so does the end of
// the connection. Over POST, subscribing is a CONFLICT, and a call is cancelled when the client
// gives its request up. Text that is not JSON has no dialect on the socket and gets an rpc.error;
// over POST it is -32700.
//
// # HTTP tunnel
//
// With ServerOptions.HTTP the socket carries requests to any http.Handler: WSX:// and an object
// with id, method, path and, where there are some, headers, query and data. The answer is the same
// with status, headers and data.
//
//	server := wsx.NewServer(d, &wsx.ServerOptions{HTTP: router})
//
// The request has the context of a call, with the values of the upgrade's ([ConnFrom] works), its
// Host, Cookie, User-Agent, Origin, Sec-Fetch-*, Referer, forwarding headers, RemoteAddr and TLS,
// and of the message's headers those that HTTPHeaders lists. What is no path, such as one that
// begins with two slashes, has dot segments or control characters, encoded or not, is 400. data is
// the body as JSON; for another content type the text of a string or the bytes of {"base64":…}.
//
// The handler's answer is sent when it returns, a JSON body as it is, another as a string, or
// {"base64":…} when it is not UTF-8. Each flush sends what there is as an answer with
// "stream":true; the last answer has none. http.ResponseController flushes and sets deadlines: the
// write deadline bounds a flush's wait for room in the out-queue. Hijacking, full duplex,
// informational answers and trailers are not supported. A panic, http.ErrAbortHandler included, is
// 500 and logged. rpc.cancel is 499, a deadline 504, shutting down 503, each a problem (RFC 9457)
// with the error's code; they come at once, also when the handler does not look at its context.
// These problems of the tunnel's own follow the options that the upgrade's context has
// (problem.WithOptions), Map included, whatever the handler sets for its own, and are logged to
// ServerOptions.Logger. Map gets the tunnelled request, or the upgraded one with the message's
// headers where the message is none; it may run in the goroutine that reads, and must not wait. The
// member request_id is as problem.Write says: the message's X-Request-Id, where HTTPHeaders lets it
// pass, or the one that the handler has set before it failed, or from 500 on a fresh one.
//
// # Channels
//
// A [Hub] holds channels: clients subscribe to them (protocol section 4), the program publishes to
// them. A channel's name is 1 to 256 bytes, at most 16 tokens of A-Z, a-z, 0-9 and _:@- joined by
// dots. A pattern may have * for exactly one token, and > for one or more at the end; it is for
// [Hub.Configure], [Hub.ListenPattern] and clients' subscriptions, never for [Hub.Publish],
// [Hub.Listen] or [Hub.SSE].
//
// A name that is made of what users choose takes [Token]: a user may go by the name *, a.b or
// ada@example.com. Channels with an authorizer are subscribed to by name alone unless
// ChannelOptions.AllowPatterns is set.
//
//	hub := wsx.NewHub(nil)
//	hub.Configure("orders.>", &wsx.ChannelOptions{
//		History: 100, Authorize: mayWatch, AllowPatterns: true,
//	})
//	server := wsx.NewServer(d, &wsx.ServerOptions{Hub: hub})
//	position, err := hub.Publish(ctx, "orders.eu", order)
//
// Channels are closed by default: a subscription, name or pattern, that does not lie wholly within
// one configured pattern is SUBSCRIPTION_DENIED. Of several the narrowest counts: compared token by
// token from the left, a literal comes before *, and * before >. A channel belongs to its narrowest
// pattern alone. A subscription by pattern gets the events of those channels that belong to the
// same configured pattern as itself; channels that a narrower one configures, with an authorizer of
// their own perhaps, are to be subscribed to apart. Options hold for the subscriptions made after
// Configure, and for the publishes.
//
// Publish takes events of up to 1 MiB less 1 KiB (HubOptions.MaxEvent) for channels that are
// configured. What is wrong with a channel or an event is an error for the program: a client whose
// call published it is told of an internal one.
//
// [Hub.Listen] yields a channel's events in this process, and [Hub.SSE] serves them to clients
// without WebSockets, recovery included.
//
// # Authorizers, filters and hooks
//
// ChannelOptions.Authorize runs as a handler does: it may wait, ends with the request's context,
// and may use the hub. Its error is a no, SUBSCRIPTION_DENIED, unless it says otherwise: a *[Error]
// is told as it is, and a time-out, an error of the network, or one with a StatusCode of 408, 425,
// 429 or from 500 on is UNAVAILABLE, upon which clients ask again. So is a Filter's, but
// INVALID_PARAMS. As handlers run the hooks, which should return soon: OnSubscribe holds the
// response up, OnUnsubscribe whoever ends the subscription. For one subscription they are called in
// turn, each once; one that panics is logged. A filter function runs on the way of every event to
// every subscriber: it is called by one goroutine at a time for a subscription, must be quick, and
// must not use the hub or wait for anything. One that panics loses its event, and is logged.
//
// # Order and history
//
// Publish returns when the broker has the event; the fan-out follows, one goroutine a channel, and
// up to four for an event that is alone on its way to 256 subscribers and more. An event that comes
// while others are on their way joins them where they are, and what a subscriber is due goes in one
// write. After four or more a write an event that comes alone waits for its like, at most a quarter
// of what all the writes took, and 10 ms. The events of a channel come to all subscribers
// of a hub in one order, that in which they were published where one publish followed the other,
// and at most once a subscription. No event comes before the response to rpc.subscribe, none after
// that to rpc.unsubscribe, after wsx.unsubscribed or after the connection's end.
//
// With ChannelOptions.History the events of a channel are numbered, 1, 2, 3 …, under an epoch, and
// the newest are kept, an hour by default. A client that asks to recover gets what it missed, then
// what is live, with neither gap nor duplicate, or is told recovered:false. Patterns have no
// position and recover nothing.
//
// # Slow consumers
//
// A fan-out never waits. A subscriber whose out-queue is full is disconnected with 4430, and sent
// nothing behind the first event that found no room ([SlowDisconnect], the default); or loses the
// oldest that waits ([SlowDropOldest]); or, until its queue is empty, all but the newest of each
// channel ([SlowLatest], as far as the queue goes where a pattern has many). The event behind a gap
// says in meta.dropped how many are missing there: what came and what was told of add up. Responses
// wait for room instead. What is replayed does not count towards the queue's limit and waits for
// the client; at most 1,024 events or 1 MiB are held for a subscription meanwhile, to which the
// policy applies in the end, with the oldest lost. wsx.unsubscribed always finds room; presence
// notifications are lost with a full queue, except where the policy is to disconnect.
//
// # Presence
//
// Where ChannelOptions.Presence is set, a connection is present in a channel from its first
// subscription to exactly that name to the end of its last. The other such connections are told by
// rpc.notify wsx.join and wsx.leave, once each, and may call wsx.presence; for others that is
// PERMISSION_DENIED, and NOT_FOUND where the channel has none. An answer and the notifications
// behind it are one sequence, numbered by seq, however far away the broker is: who applies them in
// the order in which they come knows who is there. A gap in the numbers says that a full queue has
// lost some.
//
// # Brokers
//
// A [broker.Broker] carries events between hubs and keeps histories and presence. A hub has a
// [broker.Memory] of its own unless HubOptions.Broker says otherwise; hubs that share one are as
// one to their clients, except that a hub configures and unsubscribes for itself: configure them
// alike. While a broker fails, subscriptions are UNAVAILABLE and Publish returns its error.
// wsxtest.ExerciseBroker is the contract of brokers.
//
// [Hub.Stop] detaches from the broker and waits for the fan-outs under way. Stop the server first:
// its connections then end with 1001 and their subscriptions with them. After it, publishing and
// subscribing are UNAVAILABLE; connections that are still up get no more events.
//
// # Description
//
// [Dispatcher.Documents] makes two documents of what is registered, for people and generators of
// clients: OpenRPC 1.3 of the methods, AsyncAPI 3.0 of a hub's channels. The methods wsx.describe,
// answered {openrpc, asyncapi}, and rpc.discover, OpenRPC's own name, answered that document alone,
// give them to clients, in every dialect, where ServerOptions.Describe or JSONRPCOptions.Describe
// is set. By default they are METHOD_NOT_FOUND: the documents name all methods and channels, also
// those that the caller may not use. DescribeOptions.Authorize and Hide narrow that; the
// dispatcher's middleware does not run. Whether a method is told of and whether it may be called
// are two things: hiding protects nothing.
//
//	server := wsx.NewServer(d, &wsx.ServerOptions{
//		Hub:      hub,
//		Describe: &wsx.DescribeOptions{Title: "Orders", Version: "1.4.0"},
//	})
//
// Schemas are JSON Schema, draft 2020-12, of the Go types, with none but words that mean the same
// in draft 7, which both specifications name. They say what json/v2 takes and gives, not what a
// Validate method wants; a type with JSON methods of its own is anything, unless its JSONSchema()
// jsontext.Value says what. A notification has no result, as OpenRPC has it. What OpenRPC has no
// word for is in members of ours:
//
//	x-wsx-kind     request, stream or notification
//	x-wsx-params   the schema of the params as one value; OpenRPC's list has the members of
//	               a struct, or a scalar, and is empty for the rest
//	x-wsx-item     the schema of a stream's items
//
// A channel's message is the payload of its events, ChannelOptions.Payload. A pattern's wildcards
// are parameters of the address, room.*.> is room.{token1}.{rest}, and x-wsx-pattern is the
// pattern. The protocol's own methods and events are in neither document.
//
// # Limits
//
// Each is a field of [ServerOptions]: a message 64 KiB, 1,024 frames and 1 min; 32 levels of JSON;
// 10 WebSocket pings a second on average over a minute; 64 calls in flight, 1,024 that wait to be;
// messages a second not limited; 1 MiB or 1,024 messages in a connection's out-queue, 5 s for a
// write; a ping after 25 s of silence and the end 10 s later; 256 subscriptions a connection, 32 of
// them by pattern, with 64 KiB of params. A hub holds up to 1,024 events of one channel that wait
// for their fan-out before publishers of that channel wait.
//
// An answer that finds the out-queue full waits, and its handler's goroutine with it. What is
// larger than 4 KiB, an answer, an item of a stream or a body of the tunnel, waits before it is
// made: for the others of its connection, which together take no more than the out-queue
// (MaxQueueBytes), and for those of all connections (MaxAnswerBytes, 256 MiB). A connection that
// holds the most and hardly reads is closed with 4430 when others have waited for a second. What a
// handler itself has made of an answer before it returns is its own: there are up to MaxInFlight of
// them.
package wsx
