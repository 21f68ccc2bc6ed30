// Package handover lets the goroutine that reads a connection, its reader, run quick handlers
// itself.
//
// # Why
//
// A goroutine a call costs more than a quick handler does, most of it in waking a second thread:
// BenchmarkHandover of package wsx has the figures of both.
//
// # Contract
//
// A [Pace] tells whether a method is quick. The reader runs a call of a quick one between
// [Reader.Begin] and [Reader.End]. A handler that turns out to be slow keeps that goroutine, and
// another one is made reader in its place: the [Watcher] sees it after 2 to 4 ms and calls
// [Owner.NewReader], or the handler asks for it ([Reader.Replace]) because it waits for something
// that has to be read. End tells the goroutine that it is the reader no more. The method's next
// calls are not quick, until they have been for a while.
//
// # Concurrency
//
// All methods are safe for concurrent use, but Begin and End are for the reader. NewReader is
// called with the watcher's lock held, or by the handler.
package handover

import (
	"sync/atomic"
	"time"

	"github.com/genropy/genro-asgi-go/internal/lockorder"
)

const (
	quickLimit = 50 * time.Microsecond // a handler that takes longer is not run by the reader
	quickAfter = 64                    // so many quick calls make a slow method quick again
	// a reader that spends this long, and at most twice it, in one handler is replaced
	watchTick = 2 * time.Millisecond
)

// Pace is what is known of a method's speed. The zero value is quick. One slow call among many
// quick ones says more of the machine than of the method, so it takes two.
type Pace struct{ slowness atomic.Int32 }

// Quick reports whether the next call may be expected to take less than 50 µs.
func (p *Pace) Quick() bool { return p.slowness.Load() <= quickAfter }

// Note learns from a call. Updates may be lost to each other: it is a guess either way.
func (p *Pace) Note(took time.Duration) {
	n := p.slowness.Load()
	switch {
	case took > quickLimit:
		p.slowness.Store(min(n+quickAfter*3/4, 2*quickAfter))
	case n > 0:
		p.slowness.Store(n - 1)
	}
}

// Owner is a connection whose reader may be replaced.
type Owner interface {
	// NewReader starts another goroutine that reads the connection. It does not wait.
	NewReader()
}

// Reader is what a connection's reader and its watcher share.
type Reader struct {
	owner   Owner
	watcher *Watcher

	// the number of the reader's calls, times two, plus one while one runs; another number when the
	// reader was replaced
	state   atomic.Uint64
	watched atomic.Bool
	seen    uint64 // state at the last tick; the watcher's own
}

// Open makes r the reader of a connection that w watches.
func (r *Reader) Open(owner Owner, w *Watcher) { r.owner, r.watcher = owner, w }

// Begin marks the beginning of a call that the reader runs itself. It returns what End, or Replace,
// is to be given, never 0.
func (r *Reader) Begin() (state uint64) {
	state = r.state.Load() + 2 | 1
	r.state.Store(state)
	r.watcher.watch(r)
	return state
}

// End marks the end of the call. It reports whether the goroutine is still the reader.
func (r *Reader) End(state uint64) bool { return r.state.CompareAndSwap(state, state-1) }

// Replace starts another reader, unless the call that holds the old one up has just ended or was
// replaced before.
func (r *Reader) Replace(state uint64) {
	if r.state.CompareAndSwap(state, state+1) {
		r.owner.NewReader()
	}
}

// Watcher replaces readers that are held up. Its goroutine is there while connections are active.
type Watcher struct {
	// Go runs f, which ends by itself, in a goroutine that the owner of the watcher waits for.
	Go func(f func())

	mu      lockorder.Mutex
	active  []*Reader
	running bool
}

// watch looks after r until it has been idle for a while. It is called with a call of the reader
// under way, so that one of the two sees the other: the watcher the call, or the reader that nobody
// watches.
func (w *Watcher) watch(r *Reader) {
	if r.watched.Load() {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if r.watched.Swap(true) {
		return
	}
	w.active = append(w.active, r)
	if !w.running {
		w.running = true
		w.Go(w.run)
	}
}

func (w *Watcher) run() {
	ticker := time.NewTicker(watchTick)
	defer ticker.Stop()
	for range ticker.C {
		if !w.tick() {
			return
		}
	}
}

// tick reports whether there is still something to watch.
func (w *Watcher) tick() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	kept := w.active[:0]
	for _, r := range w.active {
		if r.look() {
			kept = append(kept, r)
		}
	}
	clear(w.active[len(kept):])
	w.active = kept
	w.running = len(kept) > 0
	return w.running
}

// look replaces a reader that is held up. It reports whether there is anything to watch still.
func (r *Reader) look() bool {
	state := r.state.Load()
	if state != r.seen {
		r.seen = state
		return true
	}
	if state&1 != 0 { // the same call as a tick ago
		r.Replace(state)
		return true
	}
	r.watched.Store(false)
	if r.state.Load() == state {
		return false
	}
	r.watched.Store(true) // a call began meanwhile
	return true
}
