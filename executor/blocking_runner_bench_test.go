package executor

import (
	"context"
	"fmt"
	"sync"
	"testing"
)

// BenchmarkRunner_UsedAgain compares runners that are used again with one made for each call.
func BenchmarkRunner_UsedAgain(b *testing.B) {
	for _, of := range []struct {
		name   string
		reuses bool
	}{{"reused runners", true}, {"plain", false}} {
		for _, callers := range []int{1, 8} {
			b.Run(fmt.Sprintf("%s/callers=%d", of.name, callers), func(b *testing.B) {
				ex := New(nil)
				if !of.reuses {
					var nobodys sync.Pool
					ex.runners.New = func() any { return newRunner(&nobodys) }
				}
				b.ReportAllocs()
				var all sync.WaitGroup
				for range callers {
					all.Go(func() {
						for range b.N / callers {
							_, err := RunBlocking(b.Context(), ex,
								func(context.Context) (int, error) { return 1, nil })
							if err != nil {
								b.Error(err)
							}
						}
					})
				}
				all.Wait()
			})
		}
	}
}

// BenchmarkRunner_GoesOn hands over functions as fast as the queue takes them. A runner whose
// function has ended runs the next one in its own goroutine; the plain one leaves it to a new
// goroutine.
func BenchmarkRunner_GoesOn(b *testing.B) {
	for _, of := range []struct {
		name  string
		start func(r *runner)
	}{
		{"runner goes on", func(r *runner) { r.run() }},
		{"plain", func(r *runner) {
			how := r.job.run()
			g := r.gate
			g.mu.Lock()
			r.prev.next, r.next.prev = r.next, r.prev
			g.leaveLocked(r.key, clock()-r.begun, how, false)
			g.mu.Unlock()
			r.reuse()
		}},
	} {
		b.Run(of.name, func(b *testing.B) {
			ex := New(nil)
			ex.runners.New = func() any {
				r := newRunner(&ex.runners)
				r.start = func() { of.start(r) }
				return r
			}
			b.ReportAllocs()
			var all sync.WaitGroup
			waits := &CallOptions{Wait: true}
			for b.Loop() {
				all.Add(1)
				if err := ex.GoWith(b.Context(), func(context.Context) error {
					all.Done()
					return nil
				}, waits); err != nil {
					b.Fatal(err)
				}
			}
			all.Wait()
		})
	}
}
