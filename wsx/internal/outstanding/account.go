// Package outstanding bounds what answers take until their clients have them.
//
// # Why
//
// What is owed to a client that takes its time has to be held by somebody. A small answer is made
// at once and waits for its place in the out-queue; a larger one waits here before it grows.
//
// # Contract
//
// An [Account] is what one connection holds. Its larger answers together hold no more than
// [Pool.Limit], and those of all accounts of a [Pool] no more than its budget. One answer of an
// account, and one of a pool, may always grow, whatever the others hold: none waits for another
// that waits for it. When one has waited for a second, [Pool.Relieve] is called, which ends the
// connection that holds the most.
//
// An answer reserves before it grows ([Account.Reserve]) and releases when it is in the out-queue
// ([Account.Release]), or was given up. [Account.Block] says that an answer waits, and
// [Account.WaitUnblocked] waits until none does: what is made meanwhile would only wait behind.
//
// # Concurrency
//
// All methods are safe for concurrent use; a [Reservation] is one account's, which guards it. No
// lock is held while somebody waits or Relieve runs. The lock of an account is the last to be
// taken, but for those of the budget.
package outstanding

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/genropy/genro-asgi-go/internal/lockorder"
	"github.com/genropy/genro-asgi-go/internal/wsconn"
)

// MaxWait is how long an answer waits for room before somebody has to go.
const MaxWait = time.Second

// ErrClosed is why there is no room in an account that is closed.
var ErrClosed = errors.New("wsx: the connection has ended")

// Pool is all accounts of a server.
type Pool struct {
	Budget *wsconn.Budget // of all accounts
	Limit  int            // bytes of the larger answers of one account
	// Relieve is called, by many at once, where an answer has waited for MaxWait.
	Relieve func()

	first atomic.Pointer[Reservation] // may grow whatever the budget says; nil when none does
}

// Reservation is what one answer, or one item of a stream, holds. The zero value holds nothing. The
// lock of its account guards it.
type Reservation struct {
	bytes   int
	batched int // beside these: of an unfinished batch
}

// Empty reports whether r holds nothing. It is for the goroutine that reserves.
func (r *Reservation) Empty() bool { return r.bytes == 0 }

// Account is what one connection holds that its client has not taken.
type Account struct {
	pool *Pool
	gone <-chan struct{} // closed when the connection has ended

	anyBlocked atomic.Bool // blocked is not 0

	mu        lockorder.Mutex
	closed    bool          // whoever waits gives up
	bytes     int           // of answers and items
	batched   int           // of unfinished batches, beside these
	first     *Reservation  // may grow whatever the others hold; nil when none does
	freed     chan struct{} // closed when something was given back; nil while nobody waits
	blocked   int           // answers that are made, or about to be, and wait for room
	unblocked chan struct{} // closed when there are none any more; nil while nobody waits
}

// Open makes a an account of the pool. gone is closed when its connection has ended.
func (a *Account) Open(pool *Pool, gone <-chan struct{}) { a.pool, a.gone = pool, gone }

// Close lets those give up who wait, now or later. What is reserved stays so until it is released.
func (a *Account) Close() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.closed = true
}

// Held is how many bytes are reserved.
func (a *Account) Held() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.bytes + a.batched
}

// Grow makes room for r to hold n bytes in all, and for its growth to come. It waits until there is
// room. The error is that of ctx, or [ErrClosed].
func (a *Account) Grow(ctx context.Context, r *Reservation, n int) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if n <= r.bytes {
		return nil
	}
	n = max(n, 2*r.bytes) - r.bytes
	for {
		wait := a.reserveLocked(r, n)
		if wait == nil {
			return nil
		}
		err := a.awaitUnlocked(ctx, wait)
		if err == nil && a.closed {
			err = ErrClosed
		}
		if err != nil {
			if r.bytes == 0 {
				// it may be the first, and has nothing that somebody will give back
				a.releaseLocked(r)
			}
			return err
		}
	}
}

// awaitUnlocked waits without the lock, which it takes again, for what reserveLocked returned.
func (a *Account) awaitUnlocked(ctx context.Context, wait <-chan struct{}) error {
	a.mu.Unlock()
	defer a.mu.Lock()
	late := time.NewTimer(MaxWait)
	defer late.Stop()
	select {
	case <-wait:
	case <-ctx.Done():
		return ctx.Err()
	case <-a.gone:
		return ErrClosed
	case <-late.C:
		a.pool.Relieve()
	}
	return ctx.Err()
}

// Fits reports whether r would not wait for n bytes in all.
func (a *Account) Fits(r *Reservation, n int) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return n <= r.bytes || a.bytes-r.bytes+n <= a.pool.Limit && !a.pool.Budget.Full()
}

// reserveLocked takes n more bytes, or returns what to wait for.
func (a *Account) reserveLocked(r *Reservation, n int) (wait <-chan struct{}) {
	p := a.pool
	if p.first.Load() != r {
		switch {
		case a.bytes+n <= p.Limit, a.first == r:
		case a.first == nil:
			a.first = r
		default:
			if a.freed == nil {
				a.freed = make(chan struct{})
			}
			return a.freed
		}
		if p.Budget.Full() {
			wait = p.Budget.Freed()
			if p.Budget.Full() && !p.first.CompareAndSwap(nil, r) {
				return wait
			}
		}
	}
	r.bytes += n
	a.bytes += n
	p.Budget.Add(n)
	return nil
}

// ReserveBatched makes room for n bytes of an answer that waits for the others of its batch, unless
// unfinished batches would take more than limit. It never waits: these others may wait for room
// themselves.
func (a *Account) ReserveBatched(r *Reservation, n, limit int) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.batched+n > limit {
		return false
	}
	r.batched += n
	a.batched += n
	a.pool.Budget.Add(n)
	return true
}

// Release gives back what r holds.
func (a *Account) Release(r *Reservation) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if r.bytes > 0 || r.batched > 0 {
		a.releaseLocked(r)
	}
}

func (a *Account) releaseLocked(r *Reservation) {
	a.bytes -= r.bytes
	a.batched -= r.batched
	if a.first == r {
		a.first = nil
	}
	if a.freed != nil {
		close(a.freed)
		a.freed = nil
	}
	a.pool.Budget.Release(r.bytes + r.batched)
	if a.pool.first.CompareAndSwap(r, nil) {
		a.pool.Budget.Wake()
	}
	*r = Reservation{}
}

// Block says that an answer waits for room, until the function that it returns is called.
func (a *Account) Block() (done func()) {
	a.mu.Lock()
	a.blocked++
	a.anyBlocked.Store(true)
	a.mu.Unlock()
	return func() {
		a.mu.Lock()
		defer a.mu.Unlock()
		if a.blocked--; a.blocked > 0 {
			return
		}
		a.anyBlocked.Store(false)
		if a.unblocked != nil {
			close(a.unblocked)
			a.unblocked = nil
		}
	}
}

// Blocked reports whether an answer waits for room.
func (a *Account) Blocked() bool { return a.anyBlocked.Load() }

// WaitUnblocked waits until no answer waits for room, ctx ends or the connection does.
func (a *Account) WaitUnblocked(ctx context.Context) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for a.blocked > 0 && !a.closed && ctx.Err() == nil {
		// looked at again: of those that are woken at once, the first may block again
		if a.unblocked == nil {
			a.unblocked = make(chan struct{})
		}
		unblocked := a.unblocked
		a.mu.Unlock()
		select {
		case <-unblocked:
		case <-ctx.Done():
		case <-a.gone:
			a.mu.Lock()
			return
		}
		a.mu.Lock()
	}
}
