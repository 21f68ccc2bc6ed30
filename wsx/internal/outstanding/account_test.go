package outstanding_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/genropy/genro-asgi-go/internal/wsconn"
	"github.com/genropy/genro-asgi-go/wsx/internal/outstanding"
)

// newPool is a pool with these limits, and what counts how often it was to be relieved.
func newPool(all int64, each int) (*outstanding.Pool, *atomic.Int32) {
	relieved := new(atomic.Int32)
	return &outstanding.Pool{
		Budget: &wsconn.Budget{Limit: all}, Limit: each,
		Relieve: func() { relieved.Add(1) },
	}, relieved
}

func open(p *outstanding.Pool) (*outstanding.Account, chan struct{}) {
	a, gone := &outstanding.Account{}, make(chan struct{})
	a.Open(p, gone)
	return a, gone
}

// grows starts a growth and reports whether it waits; its error comes later.
func grows(ctx context.Context, a *outstanding.Account, r *outstanding.Reservation,
	n int,
) (waits bool, result chan error) {
	result = make(chan error, 1)
	go func() { result <- a.Grow(ctx, r, n) }()
	synctest.Wait()
	return len(result) == 0, result
}

func TestAccount_OneAnswerMayAlwaysGrow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pool, _ := newPool(0, 100)
		a, _ := open(pool)
		var first, second outstanding.Reservation
		for _, n := range []int{60, 50, 80} { // over the limit, as nobody else could give way
			if err := a.Grow(t.Context(), &first, n); err != nil {
				t.Fatal(err)
			}
		}
		if held := a.Held(); held != 120 { // it has grown by as much as it had, for what comes
			t.Fatalf("%d bytes are held", held)
		}
		waits, result := grows(t.Context(), a, &second, 10)
		if !waits || a.Fits(&second, 10) {
			t.Fatal("the second over the limit does not wait")
		}
		a.Release(&first)
		if err := <-result; err != nil {
			t.Fatal(err)
		}
		for _, r := range []*outstanding.Reservation{&second, &second} {
			a.Release(r)
		}
		if a.Held() != 0 || pool.Budget.Used() != 0 || !first.Empty() {
			t.Errorf("%d and %d bytes are held in the end", a.Held(), pool.Budget.Used())
		}
	})
}

// Of all accounts, too, one answer may always grow; those that wait for a second ask for relief.
func TestPool_OneAnswerMayAlwaysGrow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pool, relieved := newPool(100, 1000)
		var r [3]outstanding.Reservation
		a, _ := open(pool)
		b, _ := open(pool)
		c, _ := open(pool)
		if err := errors.Join(a.Grow(t.Context(), &r[0], 100),
			b.Grow(t.Context(), &r[1], 100)); err != nil {
			t.Fatal(err)
		}
		waits, result := grows(t.Context(), c, &r[2], 1)
		if !waits {
			t.Fatal("the second over the budget does not wait")
		}
		<-time.After(outstanding.MaxWait)
		synctest.Wait()
		if relieved.Load() != 1 {
			t.Errorf("relief was asked for %d times", relieved.Load())
		}
		b.Release(&r[1]) // there is no more room, but one may grow again
		if err := <-result; err != nil {
			t.Fatal(err)
		}
	})
}

func TestAccount_WhoWaitsGivesUp(t *testing.T) {
	for name, end := range map[string]func(a *outstanding.Account, gone chan struct{},
		cancel func()) error{
		"context": func(_ *outstanding.Account, _ chan struct{}, cancel func()) error {
			cancel()
			return context.Canceled
		},
		"connection": func(_ *outstanding.Account, gone chan struct{}, _ func()) error {
			close(gone)
			return outstanding.ErrClosed
		},
		"account": func(a *outstanding.Account, _ chan struct{}, _ func()) error {
			a.Close() // which those learn who look again
			<-time.After(outstanding.MaxWait)
			return outstanding.ErrClosed
		},
	} {
		synctest.Test(t, func(t *testing.T) {
			pool, _ := newPool(0, 10)
			a, gone := open(pool)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			var r [3]outstanding.Reservation
			if err := errors.Join(a.Grow(ctx, &r[0], 10), a.Grow(ctx, &r[1], 10)); err != nil {
				t.Fatal(err)
			}
			_, result := grows(ctx, a, &r[2], 10)
			want := end(a, gone, cancel)
			if err := <-result; !errors.Is(err, want) {
				t.Errorf("%s: %v, want %v", name, err, want)
			}
			if a.Held() != 20 {
				t.Errorf("%s: %d bytes are held", name, a.Held())
			}
		})
	}
}

func TestAccount_BatchesNeverWait(t *testing.T) {
	pool, _ := newPool(0, 10)
	a, _ := open(pool)
	var r outstanding.Reservation
	if !a.ReserveBatched(&r, 30, 50) || a.ReserveBatched(&r, 21, 50) ||
		!a.ReserveBatched(&r, 20, 50) {
		t.Error("the limit of batches is another")
	}
	if a.Held() != 50 || pool.Budget.Used() != 50 {
		t.Errorf("%d and %d bytes are held", a.Held(), pool.Budget.Used())
	}
	if a.Release(&r); a.Held() != 0 || pool.Budget.Used() != 0 {
		t.Errorf("%d and %d bytes are held in the end", a.Held(), pool.Budget.Used())
	}
}

func TestAccount_WaitsWhileAnAnswerIsBlocked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pool, _ := newPool(0, 10)
		a, gone := open(pool)
		a.WaitUnblocked(t.Context())
		wait := func(ctx context.Context) chan struct{} {
			done := make(chan struct{})
			go func() {
				defer close(done)
				a.WaitUnblocked(ctx)
			}()
			synctest.Wait()
			return done
		}
		waiting := func(done chan struct{}) bool {
			synctest.Wait()
			select {
			case <-done:
				return false
			default:
				return true
			}
		}
		first, second := a.Block(), a.Block()
		done := wait(t.Context())
		first()
		if !waiting(done) || !a.Blocked() {
			t.Error("the wait ends while one answer is blocked")
		}
		second()
		if waiting(done) || a.Blocked() {
			t.Error("the wait does not end")
		}
		defer a.Block()()
		ctx, cancel := context.WithCancel(t.Context())
		done = wait(ctx)
		cancel()
		if waiting(done) {
			t.Error("the wait does not end with its context")
		}
		done = wait(t.Context())
		close(gone)
		if waiting(done) {
			t.Error("the wait does not end with the connection")
		}
	})
}
