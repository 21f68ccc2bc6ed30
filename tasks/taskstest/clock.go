package taskstest

import (
	"cmp"
	"slices"
	"sync"
	"time"
)

// Clock is a [tasks.Clock] that stands still until it is told to go on. It is safe for concurrent
// use; of several Advances at once the order is theirs.
type Clock struct {
	mu      sync.Mutex
	now     time.Time     // of day
	passed  time.Duration // since it was made; what timers go by
	timers  []*clockTimer // by time
	created int
}

type clockTimer struct {
	at    time.Duration
	order int
	f     func()
}

// NewClock returns a clock that shows now.
func NewClock(now time.Time) *Clock { return &Clock{now: now} }

// Now is the time of day that it shows.
func (c *Clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

// AfterFunc calls f from the Advance that lets d pass.
func (c *Clock) AfterFunc(d time.Duration, f func()) (stop func() bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.created++
	t := &clockTimer{at: c.passed + max(d, 1), order: c.created, f: f}
	at, _ := slices.BinarySearchFunc(c.timers, t, func(a, b *clockTimer) int {
		return cmp.Or(cmp.Compare(a.at, b.at), cmp.Compare(a.order, b.order))
	})
	c.timers = slices.Insert(c.timers, at, t)
	return func() bool {
		c.mu.Lock()
		defer c.mu.Unlock()
		i := slices.Index(c.timers, t)
		if i >= 0 {
			c.timers = slices.Delete(c.timers, i, i+1)
		}
		return i >= 0
	}
}

// Advance lets d pass: the time of day goes on, and what was to be called meanwhile is called in
// this goroutine, by its time and then by when it was asked for, each while the clock shows its
// time. That includes what these calls ask for, as far as it is within d.
func (c *Clock) Advance(d time.Duration) {
	c.mu.Lock()
	end := c.passed + d
	for len(c.timers) > 0 && c.timers[0].at <= end {
		t := c.timers[0]
		c.timers = c.timers[1:]
		c.stepLocked(t.at)
		c.mu.Unlock()
		t.f()
		c.mu.Lock()
	}
	c.stepLocked(end)
	c.mu.Unlock()
}

func (c *Clock) stepLocked(to time.Duration) {
	if to > c.passed {
		c.now, c.passed = c.now.Add(to-c.passed), to
	}
}

// Next is how long it is until something is to be called; ok is that there is something.
func (c *Clock) Next() (d time.Duration, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.timers) == 0 {
		return 0, false
	}
	return c.timers[0].at - c.passed, true
}

// Jump sets the time of day forward or, with d below 0, back, as somebody who sets the clock of a
// machine does. No time passes.
func (c *Clock) Jump(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}
