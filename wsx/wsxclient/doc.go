// Package wsxclient calls the methods of a WSX server from Go.
//
//	c, err := wsxclient.Dial(ctx, "wss://api.example/ws", nil)
//	if err != nil {
//		return err
//	}
//	defer c.Close()
//	sum, err := wsxclient.Call[Sum](ctx, c, "add", Add{A: 2, B: 40})
//
// # Calls
//
// [Call] sends a request and waits for its answer. Its context governs all of it: when it ends, the
// server is sent rpc.cancel and Call returns the context's cause, without the connection coming to
// harm. A deadline is sent along as meta.timeout_ms, so that the server gives up too;
// errors.Is(err, context.DeadlineExceeded) holds whichever side sees it first. Any number of calls
// may be under way at a time; a server that allows fewer makes the others wait (TCP backpressure).
//
// [CallWith] takes options. With CallOptions.Retry a call is asked again until it has an answer: on
// the next connection when it was lost with this one, and after a wait when the answer was
// UNAVAILABLE or had details.retry_after_ms. The server may run it more than once. Without, it is
// sent once at most. An answer that is there when the context ends is the call's all the same.
//
// # Streams
//
// [Stream] is a loop over the items of a method that has some before its result; the call begins
// and ends with it, and leaving it early sends rpc.cancel. 256 items may wait for the loop
// (wsx.StreamOptions.Buffer): the server is told, and sends no more until some are taken. A server
// that heeds no windows is not read while the loop is that far behind, 2 s at most; then the loop
// ends with an error. The same loop gets a method's progress, with wsx.StreamOptions.OnProgress.
//
// # Methods
//
// Options.Methods is a dispatcher whose methods the server may call. They run concurrently, at most
// 64 at a time (Options.MaxInFlight), of which one that waits for the server, with its own context,
// does not count. Up to 1,024 more wait, with 4 MiB, and what comes beyond is UNAVAILABLE;
// everything else is read on. A method's context ends with the call: by the server's rpc.cancel or
// timeout_ms, which are answered at once, or with the connection; [ClientFrom] finds the client in
// it. The server learns of errors what the rules of package wsx say, never an internal error's
// text; that goes to Options.Logger. Close cancels methods that run, and waits for them; so a
// method must not call it.
//
// # Errors
//
// What the server answered with is a *[wsx.Error], its Details a jsontext.Value; errors.Is(err,
// wsx.NewError(wsx.CodeNotFound, "")) asks for a code. A refused handshake is a *[HandshakeError].
// Calls that were under way when the connection ended, and those made while there is none, get a
// *[ClosedError]; its MayHaveRun tells one from the other. A call whose context ends while it waits
// for a connection gets one too, around the context's cause; one that gets that cause alone may
// have run.
//
// # Subscriptions
//
// [Subscribe] is a loop over a channel's events; the subscription begins and ends with it. 1,024
// events may wait for the loop (SubscribeOptions.Buffer); one that falls further behind subscribes
// again from where it is once it has caught up. What could not be recovered is told by [ErrMissed],
// after which the loop goes on.
//
// # Connecting again
//
// With Options.Reconnect the client connects again when the connection is lost, after waits that
// are random up to a bound that doubles from 100 ms to 30 s (and is 100 ms again after a connection
// that held as long), each attempt taking 30 s at most. Where the server says when to come back
// (Retry-After, at most 5 min) the client waits as long, and a second after 1013, 4420, 4429 and
// 4430. Subscriptions begin again from the last event they had; calls are repeated where their
// caller said so. Options.OnState is told of it, in a goroutine of its own.
//
// It gives up when the server says that coming back is of no use, which [Final] knows and
// Options.Final decides: close codes 1000 and 4403, handshakes refused with 403 or 410, and with
// 4401 and 401 when a fresh token is not taken either. 1008 is final when it comes for the third
// time in a row. What a network can cause is never final, nor what this side ended by limits of its
// own.
//
// A message that cannot pass does not take down, again and again, what is beside it. One of the
// server's over MaxMessage is skipped, and its call, stream or loop gets [ErrTooBig]. A call with
// Retry, or a Subscribe, is given up with [ErrPoison] when two connections ended because the server
// refused a message (close codes 1003, 1007, 1008, 1009, 4420) and its own was the largest under
// way. A subscription that recovered twice in vain what this side cannot read begins again without
// recovery, with ErrMissed.
//
// What the client repeats by itself is slowed down to the rate of a server that refuses it with
// details.retry_after_ms.
//
// With Options.OfflineMessages, notifications and calls made while there is no connection wait for
// the next, up to that number and OfflineBytes (1 MiB), and are then sent in the order in which
// they were made, before anything later. Beyond that they fail with [ErrOfflineFull] in a
// *[ClosedError]. A call that waits heeds its context; a notification does not wait for anything,
// and when the client ends before it was sent, Options.OnDropped is told of it, and Close returns
// an error. Calls with Retry wait by themselves and do not count. What was sent is another matter:
// a notification on a connection that is about to break may be lost, and nobody can tell.
//
// # Authentication
//
// Options.Header may hold fixed credentials. With Options.Token the client asks for a bearer token
// before each handshake, and sends it as the Authorization header; then it asks the server by
// wsx.auth, with the same token, how long that lasts, and refreshes it with a fresh one before it
// expires: when a fifth is left, a minute at most, and up to half as much earlier at random. A
// refresh that fails is tried again, after the waits of Reconnect, until the server ends the
// connection with 4401. Then, and when a handshake is refused with 401, the client tries with a
// fresh token once more; it gives up when that is not taken either, unless the connection between
// held until its credentials expired or for RetryMax. The client writes no token anywhere but to
// the server, and takes it out of what it reports of the server's refusals.
//
// # JSON-RPC
//
// With Options.JSONRPC the client speaks JSON-RPC 2.0 over its WebSocket, to servers of others and
// to those of package wsx, and offers no subprotocol. params must then be an array, an object or
// none. The error of a call is a *[wsx.Error] still: its code and details are those in error.data
// where the server sent them as this package's do, else the code is that of the number,
// INTERNAL_ERROR where no code has it, the details are error.data, and a *[JSONRPCError] in it has
// the original. Of UNAVAILABLE, only the former kind is retried: others use -32000 for anything. A
// call that is given up is told by the notification rpc.cancel, which servers that do not know it
// leave unanswered; no deadline is sent. [Subscribe] is for servers of this package. [Stream] is
// not to be had, neither is a refresh by wsx.auth: Options.Token serves handshakes alone. Calls are
// not sent in batches, as they need not wait for one another; notifications and answers in a batch
// are taken in.
//
// # Notifications
//
// [Client.Notify] sends one. Those of the server go to Options.OnNotify, one after the other, in a
// goroutine of their own: it may make calls, with the context that it is given. When 4 MiB of them
// wait, the client stops reading until there is room, and so the server stops sending: nothing is
// dropped. The answer to a call comes behind the notifications that the server sent before it;
// where these are more than that, the answer cannot be had before OnNotify returns, and the call
// gets [ErrBacklog]. An OnNotify that has not returned for 2 s while there is no room may wait for
// something else that is to be read, such as a call with another context: then notifications are
// lost until it returns, and it gets an [EventMissed] in their place.
//
// # Seen from outside
//
// Options.CallMiddleware is around each call, stream and notification, and can put members into its
// meta: trace context, say, as traceparent and tracestate (W3C Trace Context), which the server's
// handlers find in their requests. Middleware for the methods that the server calls is their
// dispatcher's ([wsx.Dispatcher.Use]), where Request.Meta has the same.
//
// # Limits
//
// Each is an option: a message of the server may have 1 MiB (more is skipped) and take 5 min; 64
// KiB may take 30 s to be written; 25 s of silence, and 20 s more after a ping, end the connection.
// While the client does not read, or a long message comes in, it sends a pong every 4 s, so that
// its server does not take it for dead. The out-queue holds 1 MiB or 1,024 messages, and calls wait
// for room in it; cancellations, and answers that the reading goroutine gives, go over it by 1 MiB.
//
// # Concurrency
//
// A Client is safe for concurrent use. It owns three goroutines, one more with Options.Token, which
// [Client.Close] ends and waits for.
package wsxclient
