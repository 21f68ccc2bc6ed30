package wsconn

import (
	"sync/atomic"

	"github.com/genropy/genro-asgi-go/internal/lockorder"
)

// Budget counts what many connections hold together that their peers have not taken: messages of
// their own, and what is about to become one. Shared frames, of which all connections hold the same
// memory, do not count, nor do the first few KiB of a connection. The zero Budget has no limit. It
// is safe for concurrent use.
type Budget struct {
	// Limit is how many bytes are enough. It is not to be changed once the Budget is used; zero and
	// less is no limit.
	Limit int64

	used    atomic.Int64
	waiting atomic.Bool // somebody waits for freed

	mu    lockorder.Mutex
	freed chan struct{}
}

// Add counts bytes in, also when there are enough.
func (b *Budget) Add(n int) { b.used.Add(int64(n)) }

// Release counts bytes out.
func (b *Budget) Release(n int) {
	if b.used.Add(int64(-n)); b.waiting.Load() {
		b.Wake()
	}
}

// Wake lets those look again who wait for Freed.
func (b *Budget) Wake() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.waiting.Store(false)
	if b.freed != nil {
		close(b.freed)
		b.freed = nil
	}
}

// Full reports whether there are enough.
func (b *Budget) Full() bool { return b.Limit > 0 && b.used.Load() >= b.Limit }

// Used is how many bytes are counted.
func (b *Budget) Used() int64 { return b.used.Load() }

// Freed is closed when bytes are given next. Whoever waits for it looks at Full in between.
func (b *Budget) Freed() <-chan struct{} {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.freed == nil {
		b.freed = make(chan struct{})
	}
	b.waiting.Store(true)
	return b.freed
}
