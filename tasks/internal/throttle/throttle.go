// Package throttle hands on the latest of what is said often: at most one value in an interval, and
// of those that come meanwhile the latest, when the interval has passed. The first is handed on at
// once, in the goroutine of who said it.
//
// A [Throttle] is safe for concurrent use. It never holds its lock while a value is handed on,
// which may take its time; its timers and goroutines are those of the [Receiver].
package throttle

import (
	"errors"
	"time"

	"github.com/genropy/genro-asgi-go/internal/lockorder"
)

// Interval is the least time between two values that are handed on.
const Interval = 100 * time.Millisecond

// ErrEnded says that nothing is taken any more.
var ErrEnded = errors.New("throttle: ended")

// Throttle is of one sequence of values. The zero value is ready.
type Throttle[T any] struct {
	mu      lockorder.Mutex
	last    *T          // what is not handed on yet, or just being so; nil none
	telling bool        // one is being handed on
	resting func() bool // takes back the end of the rest after it; nil when there is none
	ended   bool
}

// Receiver is where values go.
type Receiver[T any] interface {
	Tell(v *T) error                                    // may take its time
	After(d time.Duration, f func()) (stop func() bool) // as time.AfterFunc
	Start(f func() error)                               // calls f in a goroutine
}

// Say hands v on, now or later. What is handed on later has no error here. After End the error is
// ErrEnded.
func (h *Throttle[T]) Say(to Receiver[T], v *T) error {
	h.mu.Lock()
	ended, later := h.ended, h.telling || h.resting != nil
	if !ended {
		h.last = v
		h.telling = h.telling || !later
	}
	h.mu.Unlock()
	switch {
	case ended:
		return ErrEnded
	case later:
		return nil
	}
	return h.tell(to, v)
}

// tell hands on v, which is the last, and rests.
func (h *Throttle[T]) tell(to Receiver[T], v *T) error {
	err := to.Tell(v)
	h.mu.Lock()
	defer h.mu.Unlock()
	h.telling = false
	if h.last == v {
		h.last = nil
	}
	if !h.ended {
		h.resting = to.After(Interval, func() { h.rested(to) })
	}
	return err
}

func (h *Throttle[T]) rested(to Receiver[T]) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.resting = nil
	if v := h.last; v != nil && !h.ended {
		h.telling = true
		to.Start(func() error { return h.tell(to, v) })
	}
}

// Ended reports whether End was called.
func (h *Throttle[T]) Ended() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.ended
}

// End takes no more, and returns what may not have been handed on, nil where nothing is left.
func (h *Throttle[T]) End() *T {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.ended = true
	if h.resting != nil {
		h.resting()
	}
	return h.last
}
