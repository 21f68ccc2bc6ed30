package executor

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"time"
)

const (
	backoffFirst = 10 * time.Millisecond
	backoffLast  = 5 * time.Second
	loggedFor    = time.Minute // a failure that has not happened for so long is new
	loggedMax    = 64          // kinds of failure that are remembered
)

// failureLog is how often a failure has happened, and when last, on clock.
type failureLog struct {
	times int
	last  time.Duration
}

// backOff waits after a failure of an owner, the longer the more there were in a row; false when
// the pool stops. The log has what is new, and what happens again as often as its number doubles,
// whoever's it is.
func (p *pool) backOff(err error, failures int) bool {
	if p.quitting() {
		return false
	}
	delay := min(backoffFirst<<min(failures-1, 20), backoffLast)
	text := err.Error()
	var crash *CrashError
	if errors.As(err, &crash) { // whose text has the number of the process
		text = fmt.Sprint(crash.Kind, crash.Signal, crash.ExitCode, crash.Reason)
	}
	now := clock()
	p.mu.Lock()
	if len(p.logged) >= loggedMax {
		clear(p.logged)
	}
	t := p.logged[text]
	if now-t.last > loggedFor {
		t.times = 0
	}
	t = failureLog{t.times + 1, now}
	p.logged[text] = t
	p.mu.Unlock()
	if t.times&(t.times-1) == 0 {
		p.opts.Logger.LogAttrs(context.Background(), slog.LevelError,
			"executor worker did not start",
			slog.String("error", err.Error()), slog.Int("times", t.times),
			slog.Duration("retry_in", delay))
	}
	timer := time.NewTimer(delay/2 + rand.N(delay/2+1))
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-p.quit:
		return false
	}
}
