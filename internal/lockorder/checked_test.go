//go:build lockorder

package lockorder

import (
	"strings"
	"sync"
	"testing"
)

type (
	outer struct{ mu Mutex }
	inner struct{ mu RWMutex }
	third struct{ mu Mutex }
)

func (o *outer) with(f func()) {
	o.mu.Lock()
	defer o.mu.Unlock()
	f()
}

func (i *inner) with(f func()) {
	i.mu.RLock()
	defer i.mu.RUnlock()
	f()
}

func (i *inner) write(f func()) {
	i.mu.Lock()
	defer i.mu.Unlock()
	f()
}

func (h *third) with(f func()) {
	h.mu.Lock()
	defer h.mu.Unlock()
	f()
}

func nothing() {}

// refused is what f panics with.
func refused(t *testing.T, f func()) string {
	t.Helper()
	said := ""
	func() {
		defer func() {
			if v := recover(); v != nil {
				said = v.(string)
			}
		}()
		f()
	}()
	return said
}

// fresh forgets what other tests have done.
func fresh(t *testing.T) {
	forget := func() {
		graph.mu.Lock()
		defer graph.mu.Unlock()
		clear(graph.held)
		clear(graph.kind)
		clear(graph.after)
		clear(graph.pairs)
	}
	forget()
	t.Cleanup(forget)
}

func TestLock_OneOrderIsTaken(t *testing.T) {
	fresh(t)
	for range 3 {
		var a outer
		var b inner
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() { a.with(func() { b.with(nothing) }) })
		}
		wg.Wait()
		b.write(nothing) // alone, after the other
	}
	if len(graph.held) != 0 {
		t.Errorf("still held: %v", graph.held)
	}
}

func TestLock_AnInversionOfOtherLocksOfTheSameKindsIsFound(t *testing.T) {
	fresh(t)
	var a1, a2 outer
	var b1, b2 inner
	a1.with(func() { b1.with(nothing) })
	b2.write(nothing) // until now a kind of its own
	b1.write(nothing) // which this joins with the other
	said := refused(t, func() { b2.write(func() { a2.with(nothing) }) })
	if !strings.Contains(said, "the other way round: ") || strings.Count(said, "_test.go:") < 4 {
		t.Errorf("%q", said)
	}
}

func TestLock_AnInversionByWayOfAThirdIsFound(t *testing.T) {
	fresh(t)
	var a outer
	var b inner
	var c third
	a.with(func() { b.with(nothing) })
	b.with(func() { c.with(nothing) })
	said := refused(t, func() { c.with(func() { a.with(nothing) }) })
	if !strings.Contains(said, "; ") {
		t.Errorf("%q", said)
	}
}

func TestLock_TwiceByOneGoroutine(t *testing.T) {
	fresh(t)
	var b inner
	said := refused(t, func() { b.with(func() { b.with(nothing) }) })
	if !strings.Contains(said, "that this goroutine holds") {
		t.Errorf("%q", said)
	}
}

func TestLock_TwoOfOneKind(t *testing.T) {
	fresh(t)
	var first, second outer
	first.with(func() { second.with(nothing) })
	first.with(func() { second.with(nothing) })
	said := refused(t, func() { second.with(func() { first.with(nothing) }) })
	if !strings.Contains(said, "two locks of one kind") {
		t.Errorf("%q", said)
	}
}

func TestTryLock_IsNotCheckedButHeld(t *testing.T) {
	fresh(t)
	var a outer
	var b inner
	a.with(func() { b.with(nothing) })
	b.with(func() { // it never waits
		if a.mu.TryLock() {
			a.mu.Unlock()
		}
	})
	var c third
	if !c.mu.TryLock() || c.mu.TryLock() {
		t.Fatal("TryLock")
	}
	a.with(nothing)
	c.mu.Unlock()
	if said := refused(t, func() { a.with(func() { c.with(nothing) }) }); said == "" {
		t.Error("what was taken after TryLock was not noted")
	}
	if !b.mu.TryLock() || b.mu.TryRLock() {
		t.Error("TryLock of an RWMutex")
	}
	b.mu.Unlock()
	if !b.mu.TryRLock() {
		t.Error("TryRLock of an RWMutex that is free")
	}
	b.mu.RUnlock()
}

func TestUnlock_ByAnotherGoroutine(t *testing.T) {
	fresh(t)
	var a, other outer
	a.mu.Lock()
	done := make(chan struct{})
	go func() {
		defer close(done)
		other.mu.Lock()
		other.mu.Unlock()
		a.mu.Unlock()
	}()
	<-done
	if len(graph.held) != 0 {
		t.Errorf("still held: %v", graph.held)
	}
}

// TestCond_DoesNotMakeOneKindOfAll: sync.Cond calls Lock of all mutexes from the same line.
func TestCond_DoesNotMakeOneKindOfAll(t *testing.T) {
	fresh(t)
	var a outer
	var c third
	var one, two bool
	condA, condC := sync.NewCond(&a.mu), sync.NewCond(&c.mu)
	a.with(func() {
		go a.with(func() { one = true; condA.Broadcast() })
		for !one {
			condA.Wait()
		}
	})
	c.with(func() {
		go c.with(func() { two = true; condC.Broadcast() })
		for !two {
			condC.Wait()
		}
	})
	if kindLocked(a.mu.site) == kindLocked(c.mu.site) {
		t.Error("two fields are of one kind")
	}
}
