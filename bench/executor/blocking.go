package main

import (
	"context"
	"fmt"
	"sync"

	"github.com/alitto/pond/v2"
	"github.com/panjf2000/ants/v2"

	"github.com/genropy/genro-asgi-go/executor"
)

const places = 64

type result struct {
	value int
	err   error
}

// blocking are the pools that blockingGroups compares. They call a function that returns at once.
type blocking struct {
	ctx      context.Context // can end
	places   chan struct{}   // a semaphore
	ex       *executor.Executor
	ants     *ants.Pool
	pond     pond.Pool
	pondAsks pond.ResultPool[int]
}

func one(context.Context) (int, error) { return 1, nil }

// blockingGroups are calls of a function that returns at once: by one caller and by eight, who wait
// for its value and mind a context that can end, and by one who does not wait.
func blockingGroups() (groups []group, stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	antsPool, err := ants.NewPool(places)
	check(err)
	b := &blocking{
		ctx: ctx, places: make(chan struct{}, places), ex: executor.New(nil), ants: antsPool,
		pond: pond.NewPool(places), pondAsks: pond.NewResultPool[int](places),
	}
	const n = 200_000
	for _, callers := range []int{1, 8} {
		groups = append(groups, b.waitedFor(n, callers))
	}
	return append(groups, b.handedOver(n)), func() {
		cancel()
		check(b.ex.Stop(context.Background()))
		b.ants.Release()
		b.pond.StopAndWait()
		b.pondAsks.StopAndWait()
	}
}

func (b *blocking) await(done chan result) {
	select {
	case r := <-done:
		check(r.err)
	case <-b.ctx.Done():
	}
}

// floor is a goroutine that a semaphore bounds.
func (b *blocking) floor() {
	done := make(chan result, 1)
	b.places <- struct{}{}
	go func() {
		defer func() { <-b.places }()
		value, err := one(b.ctx)
		done <- result{value, err}
	}()
	b.await(done)
}

// waitedFor are n calls in all, by some callers.
func (b *blocking) waitedFor(n, callers int) group {
	each := func(name string, call func()) contender {
		return contender{name, n, func(n int) float64 {
			return counting(n, func() { parallel(n, callers, call) })
		}}
	}
	return group{fmt.Sprintf("blocking call, waited for, %d callers", callers), []contender{
		each("goroutine + semaphore", b.floor),
		each("executor.RunBlocking", func() {
			_, err := executor.RunBlocking(b.ctx, b.ex, one)
			check(err)
		}),
		each("executor.RunBlocking, context without an end", func() {
			_, err := executor.RunBlocking(context.Background(), b.ex, one)
			check(err)
		}),
		each("ants Submit", func() {
			done := make(chan result, 1)
			check(b.ants.Submit(func() {
				value, err := one(b.ctx)
				done <- result{value, err}
			}))
			b.await(done)
		}),
		each("pond Submit", func() {
			_, err := b.pondAsks.SubmitErr(func() (int, error) { return one(b.ctx) }).Wait()
			check(err)
		}),
	}}
}

// handedOver are n functions that nobody waits for, until the last has run.
func (b *blocking) handedOver(n int) group {
	each := func(name string, one func(done func())) contender {
		return contender{name, n, func(n int) float64 {
			return counting(n, func() {
				var wg sync.WaitGroup
				wg.Add(n)
				for range n {
					one(wg.Done)
				}
				wg.Wait()
			})
		}}
	}
	waits := &executor.CallOptions{Wait: true}
	return group{"blocking call, not waited for", []contender{
		{
			"goroutine + semaphore, waited for", n,
			func(n int) float64 { return counting(n, func() { parallel(n, 1, b.floor) }) },
		},
		each("executor.Go", func(done func()) {
			check(b.ex.GoWith(b.ctx, func(context.Context) error {
				done()
				return nil
			}, waits))
		}),
		each("ants Submit", func(done func()) { check(b.ants.Submit(done)) }),
		each("pond Go", func(done func()) { check(b.pond.Go(done)) }),
	}}
}
