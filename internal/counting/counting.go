// Package counting is where what serves a request counts what lasts and what breaks: event streams,
// other streams, WebSockets and panics. The server of the request, such as an asgi.App, has the
// Counts and puts them into the context; who counts need not know it, and counts nothing without
// one. All of it is safe for concurrent use and lock-free.
package counting

import (
	"context"
	"sync/atomic"
)

// Kind is what Begin counts.
type Kind int

// The kinds.
const (
	Events    Kind = iota // a stream of server-sent events
	Stream                // any other stream
	WebSocket             // a WebSocket that was accepted
	kinds
)

// Counts are those of one server. The zero value is ready; it must not be copied.
type Counts struct {
	begun, ended [kinds]atomic.Uint64
	panics       atomic.Uint64
}

// Open is how many of a kind are there now, and total how many there have been in all, those
// included.
func (c *Counts) Open(k Kind) (open int, total uint64) {
	ended := c.ended[k].Load() // in this order: what ends in between has begun
	total = c.begun[k].Load()
	return int(total - ended), total
}

// Panics is how many panics there have been.
func (c *Counts) Panics() uint64 { return c.panics.Load() }

// Panicked counts a panic.
func (c *Counts) Panicked() { c.panics.Add(1) }

// Key is the key of the *Counts of a server in the contexts of its requests.
type Key struct{}

// Begin counts one of a kind for the server of ctx. end is to be called once, when it is over.
func Begin(ctx context.Context, k Kind) (end func()) {
	c, _ := ctx.Value(Key{}).(*Counts)
	if c == nil {
		return func() {}
	}
	c.begun[k].Add(1)
	return func() { c.ended[k].Add(1) }
}

// Panicked counts a panic for the server of ctx.
func Panicked(ctx context.Context) {
	if c, _ := ctx.Value(Key{}).(*Counts); c != nil {
		c.Panicked()
	}
}
