// Package buffer keeps slices for messages, so that one that has been sent or served is used for
// the next.
//
// # Contract
//
// [Get] returns an empty buffer, whose B the caller appends to and replaces as it likes. Whoever
// has it calls [Buffer.Release] once nobody reads B any more, or leaves it to the garbage
// collector. Buffers of less than 512 bytes and of more than 64 KiB are not kept: one large message
// is not to hold its memory for all that follow.
//
// # Concurrency
//
// Get and Release are safe for concurrent use. A Buffer is for one goroutine at a time.
package buffer

import "sync"

// The smallest and the largest buffer in bytes that is kept for the next message.
const (
	minKept = 512
	maxKept = 64 << 10
)

// Buffer is a slice for one message.
type Buffer struct{ B []byte }

var pool = sync.Pool{New: func() any { return &Buffer{B: make([]byte, 0, minKept)} }}

// Get returns an empty buffer.
func Get() *Buffer { return pool.Get().(*Buffer) }

// Release gives a buffer back, to be used for another message.
func (b *Buffer) Release() {
	if c := cap(b.B); c >= minKept && c <= maxKept {
		b.B = b.B[:0]
		pool.Put(b)
	}
}
