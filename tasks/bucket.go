package tasks

import (
	"math"
	"time"
)

// bucket is a token bucket; without a rate it gives whatever is asked for.
type bucket struct {
	rate, burst float64 // tokens a second, and at most
	tokens      float64
	at          time.Time // when there were as many
}

// take takes up to n tokens, and says when there will be one if it took none.
func (b *bucket) take(n int, now time.Time) (taken int, ready time.Time) {
	if b.rate <= 0 {
		return n, time.Time{}
	}
	// A clock that jumps forward fills it, which the burst bounds; one that jumps back begins anew.
	if passed := now.Sub(b.at); passed > 0 {
		b.tokens = min(b.burst, b.tokens+passed.Seconds()*b.rate)
	}
	b.at = now
	if n = min(n, int(b.tokens)); n > 0 {
		b.tokens -= float64(n)
		return n, time.Time{}
	}
	return 0, now.Add(time.Duration(math.Ceil((1 - b.tokens) / b.rate * float64(time.Second))))
}

// giveBack returns tokens that were not used.
func (b *bucket) giveBack(n int) { b.tokens = min(b.burst, b.tokens+float64(n)) }
