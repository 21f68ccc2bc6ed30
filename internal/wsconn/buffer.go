package wsconn

import "sync"

// bufferSize is what one read takes at most: some hundred small requests.
const bufferSize = 16 << 10

var buffers = sync.Pool{New: func() any { b := make([]byte, bufferSize); return &b }}

// plainSize is the buffer of a connection that has to hold one while it waits.
const plainSize = 1 << 10
