// Package wire reads and writes the messages of the WSX protocol, version 1, for the server and for
// the client.
//
// # Contract
//
// [Message.Parse] reads one WebSocket message. It names the dialect (section 1 of the protocol),
// and for a WSX message its type, members and [Fault]. The fields of a [Message] are parts of the
// bytes that were parsed: they are valid for as long as those are unchanged, and whoever keeps one
// longer copies it. Parsing allocates nothing unless a name or string of the envelope holds escapes
// or the envelope holds more than eight members that the protocol does not know.
//
// The Append functions write one message each to the end of a byte slice and return it, as append
// does; they allocate nothing but the slice's growth. What they are given as JSON (an id, params, a
// result, meta) they write as it is. A string that is not UTF-8 has each bad byte replaced by
// U+FFFD. The Start functions write a message up to its value, which the caller encodes in place
// and closes with [AppendEnd].
//
// # What is refused
//
// The whole text must be JSON by the grammar of RFC 8259, in UTF-8 and with nothing after it; a
// byte order mark is not JSON. Names are compared after unescaping. A duplicate name is a fault in
// the message itself, in meta and in error; in params, results, payloads and items it is found by
// who decodes them, so that the message can be answered with INVALID_PARAMS. For the same reason a
// lone surrogate escape, which is JSON but has no UTF-8 form, is a fault only in the strings read
// here: id, method, type and the like.
//
// A message is judged whole: text that is not JSON is [NotJSON] wherever it breaks, and an id that
// can be read is reported with any other fault, wherever in the message it stands.
//
// # Concurrency
//
// All functions are safe for concurrent use; a Message is for one goroutine at a time.
package wire
