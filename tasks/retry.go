package tasks

import (
	"errors"
	"math/rand/v2"
	"time"
)

// check refuses what cannot be.
func (p RetryPolicy) check() error {
	if p.Attempts < 0 || p.Min < 0 || p.Max < 0 {
		return invalid("a retry policy below 0")
	}
	return nil
}

// wait is how long to wait after the attempt of that number, 1 and up: full jitter, so that tasks that failed together do not come back together
// (https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/).
func (p RetryPolicy) wait(attempt int) time.Duration {
	limit, most := orDefault(p.Min, time.Second), orDefault(p.Max, time.Hour)
	for range attempt - 1 {
		if limit > most/2 { // and never doubled beyond what a Duration holds
			limit = most
			break
		}
		limit *= 2
	}
	return rand.N(max(min(limit, most), 1))
}

// Permanent makes err one that is not tried again: a function that returns it fails its task. Nil stays nil.
func Permanent(err error) error {
	if err == nil {
		return nil
	}
	return &hint{error: err, permanent: true}
}

// RetryAfter makes err one after which the next attempt waits for d at least, if there is one. Nil stays nil.
func RetryAfter(err error, d time.Duration) error {
	if err == nil {
		return nil
	}
	return &hint{error: err, after: max(d, 0)}
}

// hint is an error with word on what to do after it.
type hint struct {
	error
	permanent bool
	after     time.Duration
}

func (h *hint) Unwrap() error { return h.error }

// hintOf finds it, anywhere in err.
func hintOf(err error) hint {
	if h, ok := errors.AsType[*hint](err); ok {
		return *h
	}
	return hint{}
}
