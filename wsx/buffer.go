package wsx

import "sync"

// maxPooled is the largest buffer in bytes that is kept for the next message.
const maxPooled = 64 << 10

// buffer is a pooled slice for one message in or out.
type buffer struct{ b []byte }

var buffers = sync.Pool{New: func() any { return &buffer{b: make([]byte, 0, 512)} }}

func getBuffer() *buffer { return buffers.Get().(*buffer) }

func (b *buffer) release() {
	if cap(b.b) <= maxPooled {
		b.b = b.b[:0]
		buffers.Put(b)
	}
}
