// Package wsconn is the WebSocket transport under wsx and asgi.WebSocket.
//
// coder/websocket does the handshake and then goes, and its memory with it; frames are read and
// written here:
//
//   - Origin: [Policy] accepts the server's own origin and listed ones, compared exactly (RFC 6454
//     section 6.2), nothing else.
//   - Reading: frames are held to RFC 6455 sections 5 and 7.4: reserved bits, opcodes, masks,
//     fragments, control frames, close codes. What they announce must have come: a message cut off
//     by the end of the connection is an error and never a message. Frames per message, seconds per
//     message, bytes, before and after inflating, pings a second and UTF-8 are checked.
//   - Memory: an idle connection has neither a goroutine nor a buffer for writing, none for reading
//     (but 1 KiB where the socket cannot be waited for without one: TLS), and with [ErrRenew] its
//     reader waits on the smallest stack there is.
//   - Writing: frames go into one bounded queue. Whoever queues writes at once when nobody else
//     does, without blocking; what the socket does not take is written by a goroutine that lives
//     until the queue is empty. Frames queued meanwhile share its next write.
//   - Contexts: one that ends gives up waiting and leaves the connection as it is. (In
//     coder/websocket it closes it.)
//   - Closing: a peer that broke a rule gets the close frame that says so and not a reset; the
//     answer to a peer's close frame goes out before the connection is closed, also where a
//     goroutine has to write it (TLS).
//   - Keepalive: a ping after a silent time, the end when the silence goes on; the clock stands
//     still while nobody reads, and while a ping still waits to be written. A client that does not
//     read, or gets a long message, sends a pong every 4 s: its server's pings wait for it.
//   - Room: what must not wait ([Conn.Urge]) goes over a full queue by 1 MiB, control frames by 16
//     KiB.
//   - Too big: a message over MaxMessage ends the connection, unless [Options.TooBig] takes it;
//     then it is skipped.
//
// # Concurrency
//
// One goroutine reads. Everything else may be called from any goroutine at any time. Conn owns its
// goroutines: they end with the connection, and [Conn.Close] and [Conn.CloseNow] wait for them.
//
// # Errors
//
// Conn.Read's error is a [websocket.CloseError] when the peer closed, net.ErrClosed or the reason
// of this side's close when this side did (see [Conn.Ending]), the context's cause when that ended,
// and otherwise says what broke; for a message that is too big it is a
// [websocket.ErrMessageTooBig]. ErrSkipped and ErrRenew did not end the connection. Sends give
// [ErrQueueFull] where they may not wait, the context's cause where they waited too long, and
// net.ErrClosed, or why the connection was lost, once it is over.
//
// # Limits
//
// Message 64 KiB, 1,024 frames and 1 min a message, 10 pings and 10 pongs a second on average over
// a minute, out-queue 1 MiB or 1,024 messages, 5 s for writing 64 KiB, 5 s for the answer to a
// close frame, ping after 25 s of silence and end 10 s later, SO_SNDBUF 64 KiB, compression off.
// [Options] changes each but the answer's.
package wsconn
