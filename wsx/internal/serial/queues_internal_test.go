package serial

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
)

func enter(t *testing.T, q *Queues, key string) *Place {
	t.Helper()
	p, err := q.Enter(key)
	if err != nil {
		t.Fatalf("Enter(%q): %v", key, err)
	}
	return p
}

func TestQueues_KeysDoNotWaitForEachOther(t *testing.T) {
	q := New(1)
	a, b := enter(t, q, "a"), enter(t, q, "b")
	if !a.Free() || !b.Free() {
		t.Errorf("free: %v, %v", a.Free(), b.Free())
	}
	for _, p := range []*Place{a, b} {
		if err := p.Wait(t.Context()); err != nil {
			t.Error(err)
		}
		p.Leave()
	}
	if len(q.waiting) != 0 {
		t.Errorf("%d keys are kept of which nobody has a place", len(q.waiting))
	}
}

func TestQueues_OneAtATimeInTheOrderOfEnter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const n = 20
		q := New(n)
		var order []int // guarded by the queue itself, as the race detector sees
		for i := range n {
			p := enter(t, q, "k")
			go func() {
				if err := p.Wait(t.Context()); err != nil {
					t.Error(err)
					return
				}
				order = append(order, i)
				p.Leave()
			}()
		}
		synctest.Wait()
		for i, got := range order {
			if i != got {
				t.Fatalf("ran in the order %v", order)
			}
		}
		if len(order) != n || len(q.waiting) != 0 {
			t.Errorf("%d ran, %d keys are left", len(order), len(q.waiting))
		}
	})
}

func TestQueues_LimitIsOfThoseThatWait(t *testing.T) {
	q := New(2)
	running := enter(t, q, "k")
	enter(t, q, "k")
	enter(t, q, "k")
	if p, err := q.Enter("k"); !errors.Is(err, ErrFull) {
		t.Fatalf("a fourth place: %v, %v", p, err)
	}
	enter(t, q, "other")
	running.Leave()
	enter(t, q, "k")
}

// A place that is given up keeps nobody waiting: neither one in the middle nor one that became the
// first at the moment it was given up.
func TestPlace_GivenUp(t *testing.T) {
	q := New(3)
	running, second, third := enter(t, q, "k"), enter(t, q, "k"), enter(t, q, "k")
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if err := second.Wait(ended); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	fourth := enter(t, q, "k")
	running.Leave()
	third.giveUp() // whose context has ended, and which running.Leave has made the first since
	if err := fourth.Wait(t.Context()); err != nil {
		t.Fatal(err)
	}
	fourth.Leave()
	if len(q.waiting) != 0 {
		t.Errorf("%d keys are left", len(q.waiting))
	}
}

// Whoever gives up takes nobody along who waits behind.
func TestPlace_GivenUpAlone(t *testing.T) {
	q := New(4)
	running := enter(t, q, "k")
	second, third, fourth := enter(t, q, "k"), enter(t, q, "k"), enter(t, q, "k")
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if err := third.Wait(ended); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	running.Leave()
	for _, p := range []*Place{second, fourth} {
		select {
		case <-p.first:
		default:
			t.Fatal("one who waited is not the first when those before have left")
		}
		p.Leave()
	}
}
