// Package faults keeps the log of what goes wrong with nobody to tell, such as a store that does
// not answer: each fault is one line when it is met first, one every ten minutes while it lasts,
// and one when it is over; and it says how long to wait before the next try.
package faults

import (
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/genropy/genro-asgi-go/internal/lockorder"
)

// Log is of the faults that are open now, each by a name, which says what cannot be done. It is
// safe for concurrent use.
type Log struct {
	log    *slog.Logger
	prefix string
	some   atomic.Bool // there are open ones, so that what goes well costs no lock

	mu   lockorder.Mutex
	open map[string]*fault
}

// New returns one without faults, whose lines go to a logger and begin with a prefix.
func New(log *slog.Logger, prefix string) *Log {
	return &Log{log: log, prefix: prefix, open: make(map[string]*fault)}
}

type fault struct {
	times  int
	logged time.Time
}

const (
	logEvery = 10 * time.Minute // how often one that goes on is logged

	// RetryDelay is how long to wait after the first failure.
	RetryDelay = time.Second
	// MaxRetryDelay is the longest wait after one of many.
	MaxRetryDelay = 15 * time.Second
)

// Met notes a fault and returns how long to wait before the next try: RetryDelay, doubled each
// time, and MaxRetryDelay at most.
func (f *Log) Met(what string, err error, attrs ...any) time.Duration {
	f.mu.Lock()
	x := f.open[what]
	if x == nil {
		x = new(fault)
		f.open[what] = x
		f.some.Store(true)
	}
	x.times++
	n, say := x.times, time.Since(x.logged) >= logEvery
	if say {
		x.logged = time.Now() // as time passes, whatever the time of day
	}
	f.mu.Unlock()
	if say {
		f.log.Error(f.prefix+"cannot "+what, append(attrs, "error", err, "times", n)...)
	}
	return min(RetryDelay<<min(n-1, 10), MaxRetryDelay)
}

// Over notes that what was being done went well.
func (f *Log) Over(what string) {
	if !f.some.Load() {
		return
	}
	f.mu.Lock()
	x := f.open[what]
	delete(f.open, what)
	f.some.Store(len(f.open) > 0)
	f.mu.Unlock()
	if x != nil {
		f.log.Info(f.prefix+"again able to "+what, "failures", x.times)
	}
}
