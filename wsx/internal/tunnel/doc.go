// Package tunnel is HTTP in messages: it makes an http.Request of a message of the tunnel (section
// 7 of the WSX protocol), and messages of what an http.Handler writes in answer.
//
// # Contract
//
// [Request] makes the request as net/http's server would have read it from a client that asked for
// the same. What a proxy, a router and a file system might each read in a way of their own is
// refused: dot segments, empty first segments, backslashes, control characters. Of the message's
// headers those of an [AllowList] pass. Who asks, from which page and by which way, the message
// cannot say: that is taken from the request that was upgraded. The request's body is there as a
// whole when its handler begins.
//
// A [Writer] gathers an answer and hands it out at each flush ([Call]) and at the end
// ([Writer.Finish]). A body is a JSON value where it is JSON, else a string where it is UTF-8, else
// an object with its base64. An answer holds at most the writer's limit of bytes between two
// flushes; a handler that writes more gets an error, and so does Finish.
//
// # Concurrency
//
// All functions, and the methods of a Writer, are safe for concurrent use, as those of net/http are
// not: a handler's goroutine that outlives it gets errors from Writer.Close on. The lock of a
// Writer is held while it waits for its client, as one answer at a time leaves it.
package tunnel
