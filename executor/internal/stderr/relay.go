package stderr

import (
	"fmt"
	"io"

	"github.com/genropy/genro-asgi-go/internal/lockorder"
)

// relayMax is how many bytes of what workers print may wait for the writer.
const relayMax = 1 << 20

// Relay hands what workers print to one writer (Options.Stderr), from one goroutine. Nobody waits
// for it: where standard error goes may not be read for a while (a stopped terminal, a log shipper
// that hangs), and neither a worker nor Stop may hang with it. What does not fit is dropped, and
// the loss is told there.
type Relay struct {
	to    io.Writer
	ready chan struct{} // capacity 1: there is something to do
	done  chan struct{} // closed when Run has returned

	// Guarded by mu.
	mu      lockorder.Mutex
	waiting []byte
	spare   []byte
	dropped int
	closed  bool
}

// NewRelay makes a Relay to a writer. Its owner starts Run, and ends it by Close.
func NewRelay(to io.Writer) *Relay {
	return &Relay{to: to, ready: make(chan struct{}, 1), done: make(chan struct{})}
}

// Add hands b over, or drops it; it keeps nothing of b.
func (r *Relay) Add(b []byte) {
	r.mu.Lock()
	if len(r.waiting)+len(b) > relayMax {
		r.dropped += len(b)
	} else {
		r.waiting = append(r.waiting, b...)
	}
	r.mu.Unlock()
	r.wake()
}

func (r *Relay) wake() {
	select {
	case r.ready <- struct{}{}:
	default:
	}
}

// Close makes Run return when it has written what waits.
func (r *Relay) Close() {
	r.mu.Lock()
	r.closed = true
	r.mu.Unlock()
	r.wake()
}

// Done is closed when Run has returned.
func (r *Relay) Done() <-chan struct{} { return r.done }

// Run writes until Close. A writer that never returns holds it up.
func (r *Relay) Run() {
	defer close(r.done)
	for range r.ready {
		for {
			b, closed := r.take()
			if len(b) == 0 {
				if closed {
					return
				}
				break
			}
			r.write(b)
		}
	}
}

// take is what waits; it is good until the next call.
func (r *Relay) take() (b []byte, closed bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	b = r.waiting
	if r.dropped > 0 {
		b = fmt.Appendf(b,
			"executor: %d bytes of what workers printed were dropped: Options.Stderr did not "+
				"take them in time\n", r.dropped)
		r.dropped = 0
	}
	r.waiting, r.spare = r.spare[:0], b
	if cap(r.waiting) > 64<<10 { // one burst must not be kept for good
		r.waiting = nil
	}
	return b, r.closed
}

func (r *Relay) write(b []byte) {
	// a writer that panics has failed, as one that returns an error
	defer func() { _ = recover() }()
	_, _ = r.to.Write(b) // the worker must not stop because its output is not wanted
}
