// Package frame is the language of the pipes between an Executor and its workers.
//
// A frame is u32 length | u8 type | u64 id | payload, little endian; the length counts what follows
// it. One pipe carries frames to a worker, one from it, and a third to it those that must not queue
// behind a running call. [Read] takes them off a pipe and checks the length, of at most 1 MiB and a
// head, before it allocates anything; what it cannot be is [ErrMalformed]. A [Writer] is safe for
// concurrent use and writes frames whole; the functions keep nothing.
package frame
