// Package serial lets what has the same key run one after the other.
//
// # Contract
//
// [Queues.Enter] takes the place behind those of its key, in the order of the calls of Enter.
// [Place.Wait] waits until those before have left or given up; when its context ends before, the
// place is given up. Whoever has waited without an error calls [Place.Leave], once, and the next
// one may run. A key of which nobody has a place takes no memory.
//
// # Concurrency
//
// All methods are safe for concurrent use. No lock is held while somebody waits.
package serial

import (
	"context"
	"errors"
	"slices"

	"github.com/genropy/genro-asgi-go/internal/lockorder"
)

// ErrFull is why there is no place: as many wait behind the one that runs as may.
var ErrFull = errors.New("serial: too many wait for the same key")

// Queues has a queue for each key that is in use.
type Queues struct {
	limit int // of those that wait, for each key

	mu lockorder.Mutex
	// Those that wait, by key. A key is there, also with an empty queue, while one of it runs.
	waiting map[string][]*Place
}

// New returns queues in each of which limit places may wait behind the one that runs.
func New(limit int) *Queues {
	return &Queues{limit: limit, waiting: make(map[string][]*Place)}
}

// Place is a place in the queue of one key.
type Place struct {
	queues *Queues
	key    string
	first  chan struct{} // closed when nobody is before it; nil when nobody ever was
}

// Enter takes the place behind those of the key. The error is [ErrFull].
func (q *Queues) Enter(key string) (*Place, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	p := &Place{queues: q, key: key}
	waiting, busy := q.waiting[key]
	switch {
	case !busy:
		q.waiting[key] = nil
	case len(waiting) >= q.limit:
		return nil, ErrFull
	default:
		p.first = make(chan struct{})
		q.waiting[key] = append(waiting, p)
	}
	return p, nil
}

// Free reports whether the place was the first when it was taken: Wait would not wait.
func (p *Place) Free() bool { return p.first == nil }

// Wait waits until nobody is before the place. When ctx ends first it gives the place up and
// returns ctx.Err().
func (p *Place) Wait(ctx context.Context) error {
	if p.Free() {
		return nil
	}
	select {
	case <-p.first:
		return nil
	case <-ctx.Done():
	}
	p.giveUp()
	return ctx.Err()
}

// giveUp is for a place that waited and waits no more.
func (p *Place) giveUp() {
	q := p.queues
	q.mu.Lock()
	defer q.mu.Unlock()
	if i := slices.Index(q.waiting[p.key], p); i >= 0 {
		q.waiting[p.key] = slices.Delete(q.waiting[p.key], i, i+1)
	} else { // it has become the first just now
		q.advanceLocked(p.key)
	}
}

// Leave lets the next one of the key run.
func (p *Place) Leave() {
	p.queues.mu.Lock()
	defer p.queues.mu.Unlock()
	p.queues.advanceLocked(p.key)
}

func (q *Queues) advanceLocked(key string) {
	waiting := q.waiting[key]
	if len(waiting) == 0 {
		delete(q.waiting, key)
		return
	}
	close(waiting[0].first)
	q.waiting[key] = waiting[1:]
}
