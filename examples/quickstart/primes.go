package main

import (
	"context"
	"math/big"

	"github.com/genropy/genro-asgi-go/problem"
	"github.com/genropy/genro-asgi-go/tasks"
)

type primesIn struct {
	Below int `json:"below"`
}

// Validate refuses a job when it is submitted.
func (in primesIn) Validate() error {
	if in.Below < 0 || in.Below > 10_000_000 {
		return problem.Field{Pointer: "/below", Detail: "must be from 0 to 10,000,000"}
	}
	return nil
}

type primesOut struct {
	Primes int `json:"primes"`
}

// countPrimes is a job that takes a few seconds, says how far it is and ends when it is cancelled.
func countPrimes(ctx context.Context, in primesIn) (primesOut, error) {
	run := tasks.RunFrom(ctx)
	var out primesOut
	for n := range in.Below {
		if n%1000 == 0 { // sent at most every 100 ms
			if err := run.Progress(tasks.Progress{
				Done:  float64(n),
				Total: float64(in.Below),
			}); err != nil {
				return out, err
			}
			if err := ctx.Err(); err != nil {
				return out, err
			}
		}
		if big.NewInt(int64(n)).ProbablyPrime(0) { // which is exact for numbers of 64 bits
			out.Primes++
		}
	}
	return out, run.Progress(tasks.Progress{Done: 1}) // of 1
}
