package main

import (
	"context"

	"github.com/alitto/pond/v2"
	"github.com/panjf2000/ants/v2"

	"github.com/genropy/genro-asgi-go/executor"
)

const places = 64

type result struct {
	value int
	err   error
}

// blockingGroup is one call after another of a function that returns at once, its value handed back to the caller, who also minds a context.
func blockingGroup() (group, func()) {
	ctx, cancel := context.WithCancel(context.Background())
	fn := func(context.Context) (int, error) { return 1, nil }
	semaphore := make(chan struct{}, places)
	ex := executor.New(nil)
	antsPool, err := ants.NewPool(places)
	check(err)
	pondPool := pond.NewResultPool[int](places)
	await := func(done chan result) {
		select {
		case r := <-done:
			check(r.err)
		case <-ctx.Done():
		}
	}
	const n = 200_000
	each := func(name string, call func()) contender {
		return contender{name, n, func(n int) float64 {
			return counting(n, func() {
				for range n {
					call()
				}
			})
		}}
	}
	contenders := []contender{
		each("goroutine + semaphore", func() {
			done := make(chan result, 1)
			semaphore <- struct{}{}
			go func() {
				defer func() { <-semaphore }()
				value, err := fn(ctx)
				done <- result{value, err}
			}()
			await(done)
		}),
		each("executor.RunBlocking", func() {
			_, err := executor.RunBlocking(ctx, ex, fn)
			check(err)
		}),
		each("executor.RunBlocking, context without an end", func() {
			_, err := executor.RunBlocking(context.Background(), ex, fn)
			check(err)
		}),
		each("ants Submit", func() {
			done := make(chan result, 1)
			check(antsPool.Submit(func() {
				value, err := fn(ctx)
				done <- result{value, err}
			}))
			await(done)
		}),
		each("pond Submit", func() {
			_, err := pondPool.SubmitErr(func() (int, error) { return fn(ctx) }).Wait()
			check(err)
		}),
	}
	return group{"blocking call, one caller", contenders}, func() {
		cancel()
		check(ex.Stop(context.Background()))
		antsPool.Release()
		pondPool.StopAndWait()
	}
}
