package tasks

import "time"

// Clock is what time is for a Manager. The default is the machine's; taskstest has one for tests.
type Clock interface {
	// Now is the time of day. It may jump, either way.
	Now() time.Time
	// AfterFunc calls f, which is quick, once d has passed, however the time of day jumps meanwhile, and not from within AfterFunc. stop takes
	// that back and reports whether it came before f began.
	AfterFunc(d time.Duration, f func()) (stop func() bool)
}

// machineClock is the real one.
type machineClock struct{}

func (machineClock) Now() time.Time { return time.Now() }

func (machineClock) AfterFunc(d time.Duration, f func()) func() bool {
	return time.AfterFunc(d, f).Stop
}

// pause waits for d, or until done is closed, and reports whether d has passed.
func pause(c Clock, d time.Duration, done <-chan struct{}) bool {
	passed := make(chan struct{})
	stop := c.AfterFunc(d, func() { close(passed) })
	select {
	case <-passed:
		return true
	case <-done:
		stop()
		return false
	}
}
