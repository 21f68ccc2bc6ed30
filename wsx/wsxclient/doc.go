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
// [Call] sends a request and waits for its answer. Its context governs all of it: when it ends, the server is sent rpc.cancel and Call
// returns the context's cause, without the connection coming to harm. A deadline is sent along as meta.timeout_ms, so that the server
// gives up too; errors.Is(err, context.DeadlineExceeded) holds whichever side sees it first. Any number of calls may be under way at a time; a server that allows fewer makes the others wait (TCP backpressure).
//
// # Errors
//
// What the server answered with is a *[wsx.Error], its Details a jsontext.Value; errors.Is(err, wsx.NewError(wsx.CodeNotFound, ""))
// asks for a code. A refused handshake is a *[HandshakeError]. Everything that was under way when the connection ended, and
// everything after, gets a *[ClosedError].
//
// # Notifications
//
// [Client.Notify] sends one. Those of the server go to Options.OnNotify, one after the other, in a goroutine of their own: it may make
// calls. When 256 wait, the client stops reading until there is room, and so the server stops sending: nothing is dropped. The answer
// to a call comes behind the notifications that the server sent before it, so where more than 256 may, a call in OnNotify
// belongs into a goroutine of its own: waited for, it would never be answered.
//
// # Limits
//
// A message of the server may have 1 MiB (Options.MaxMessage); the out-queue holds 1 MiB or 1,024 messages, and calls wait for room in
// it; a write that takes more than 5 s, or 25 s of silence and 10 s more after a ping, end the connection.
//
// # Concurrency
//
// A Client is safe for concurrent use. It owns two goroutines, which [Client.Close] ends and waits for.
package wsxclient
