// Package clientcall keeps the calls that one end of a WSX connection has made of the other until
// they are answered. Server and client stand on it alike.
//
// # Contract
//
// [Table.Do] makes a call and waits for its result, [Table.Stream] hands on the items that come
// before it. Both give up when their context ends: the peer is told by rpc.cancel, which finds room
// in any case, and what it sends afterwards is ignored. However a call is given up, and by however
// many at once, the peer is told once, behind the call's message, and not when it has answered. An
// answer that is there before is the call's: whoever gives up after it gets it, as what it stands
// for has happened.
//
// The goroutine that reads the connection hands what comes to [Table.Answer] and [Table.Item], and
// the end to [Table.Fail]; bytes that it hands over are the caller's from then on. Answer never
// waits. Item waits while the consumer of the stream is its whole buffer behind, at most
// [Patience]; then the stream is ended with [ErrSlow] and the peer told, so that one consumer that
// is stuck holds up the reading for no longer.
//
// A [Producer] is the other end of a stream: it numbers what a call that is served sends before its
// answer, keeps to the consumer's window, and lets nothing follow the answer.
//
// # Concurrency
//
// All methods are safe for concurrent use, but Answer and Item are for the one goroutine that
// reads.
package clientcall
