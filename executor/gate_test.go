package executor

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// hold takes a place in g until the returned function is called.
func hold(t *testing.T, g *gate, o CallOptions) func() {
	t.Helper()
	begun, err := g.enter(t.Context(), &o, nil, false)
	if err != nil {
		t.Fatal(err)
	}
	return func() { g.leave(o.Key, clock()-begun, outcomeDone) }
}

// order lets calls queue up one after the other and returns the order in which they come to their
// turn.
func order(t *testing.T, g *gate, first []func(), calls []CallOptions) []int {
	t.Helper()
	var mu sync.Mutex
	var got []int
	var wg sync.WaitGroup
	for i, o := range calls {
		wg.Go(func() {
			leave := hold(t, g, o)
			mu.Lock()
			got = append(got, i)
			mu.Unlock()
			<-time.After(time.Second) // in the bubble's time: all others get as far as they can
			leave()
		})
		synctest.Wait()
	}
	for _, leave := range first {
		leave()
	}
	wg.Wait()
	return got
}

func TestGate_PriorityThenAge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate("", 1, 10, 0)
		got := order(t, g, []func(){hold(t, g, CallOptions{})},
			[]CallOptions{{}, {Priority: 1}, {Priority: -1}, {}, {Priority: 1}})
		if !slices.Equal(got, []int{1, 4, 0, 3, 2}) {
			t.Errorf("%v", got)
		}
	})
}

func TestGate_KeyOverItsLimitHoldsUpNobodyElse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate("", 2, 10, 1)
		got := order(t, g, []func(){hold(t, g, CallOptions{Key: "a"})},
			[]CallOptions{{Key: "a", Priority: 9}, {Key: "a"}, {Key: "b"}, {}})
		// One place is free from the start, and two calls of "a" do not get it.
		if got[0] != 2 || slices.Index(got, 0) > slices.Index(got, 1) {
			t.Errorf("%v", got)
		}
		if len(g.keys) != 0 || g.aside != 0 || g.running != 0 {
			t.Errorf("left behind: %v, %d, %d", g.keys, g.aside, g.running)
		}
	})
}

func TestGate_FullQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate("", 1, 1, 1)
		leave := hold(t, g, CallOptions{Key: "a"})
		ctx, cancel := context.WithCancel(t.Context())
		results := make(chan error, 2)
		queue := func(o CallOptions) {
			go func() {
				_, err := g.enter(ctx, &o, nil, false)
				results <- err
			}()
			synctest.Wait()
		}
		queue(CallOptions{Key: "a"})
		if _, err := g.enter(ctx, &CallOptions{}, nil, false); !errors.Is(err, ErrOverloaded) {
			t.Errorf("a queue of one took a second: %v", err)
		}
		queue(CallOptions{Wait: true})
		if s := g.stats(); s.Queued != 2 || s.Rejected != 1 || s.Running != 1 {
			t.Errorf("%+v", s)
		}
		cancel()
		for range 2 {
			if err := <-results; !errors.Is(err, context.Canceled) {
				t.Errorf("%v", err)
			}
		}
		if _, err := g.enter(ctx, &CallOptions{}, nil, false); !errors.Is(err, context.Canceled) {
			t.Errorf("a context that has ended: %v", err)
		}
		leave()
		if s := g.stats(); s.Queued != 0 || s.Running != 0 {
			t.Errorf("%+v", s)
		}
	})
}

func TestGate_CloseAndRefuse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate("", 1, 10, 1)
		leave := hold(t, g, CallOptions{Key: "a"})
		results := make(chan error, 2)
		for _, key := range []string{"a", "b"} {
			go func() {
				_, err := g.enter(t.Context(), &CallOptions{Key: key}, nil, false)
				results <- err
			}()
			synctest.Wait()
		}
		g.close(ErrNotRunning)
		if _, err := g.enter(t.Context(), &CallOptions{}, nil, false); !errors.Is(err,
			ErrNotRunning) {
			t.Errorf("closed: %v", err)
		}
		if g.stats().Queued != 2 {
			t.Error("close emptied the queue")
		}
		g.refuse()
		for range 2 {
			if err := <-results; !errors.Is(err, ErrNotRunning) {
				t.Errorf("refused: %v", err)
			}
		}
		select {
		case <-g.idle:
			t.Error("idle with a call running")
		default:
		}
		leave()
		<-g.idle
	})
}

// TestGate_NothingIsLost has many callers with keys, priorities and contexts that end, and checks
// the bounds all the while.
func TestGate_NothingIsLost(t *testing.T) {
	g := newGate("", 3, 1000, 2)
	var wg sync.WaitGroup
	var mu sync.Mutex
	running, byKey := 0, map[string]int{}
	for c := range 16 {
		wg.Go(func() {
			for n := range 200 {
				o := CallOptions{Key: fmt.Sprint((c + n) % 4), Priority: n % 3}
				ctx, cancel := context.WithCancel(t.Context())
				if n%5 == 0 {
					go cancel()
				}
				begun, err := g.enter(ctx, &o, nil, false)
				if err == nil {
					mu.Lock()
					running++
					byKey[o.Key]++
					if running > 3 || byKey[o.Key] > 2 {
						t.Errorf("%d running, %d of key %s", running, byKey[o.Key], o.Key)
					}
					running--
					byKey[o.Key]--
					mu.Unlock()
					g.leave(o.Key, clock()-begun, outcomeDone)
				} else if !errors.Is(err, context.Canceled) {
					t.Errorf("%v", err)
				}
				cancel()
			}
		})
	}
	wg.Wait()
	if g.running != 0 || len(g.waiting) != 0 || g.aside != 0 || len(g.keys) != 0 {
		t.Errorf("left behind: %d running, %d waiting, %d aside, %v", g.running, len(g.waiting),
			g.aside, g.keys)
	}
}
