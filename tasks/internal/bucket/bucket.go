// Package bucket limits how often something begins: a token bucket, whose time is told by its
// caller and may jump either way.
package bucket

import (
	"math"
	"time"
)

// Bucket is a token bucket; without a rate it gives whatever is asked for. It is not safe for
// concurrent use: its owner has a lock.
type Bucket struct {
	rate, burst float64 // tokens a second, and at most
	tokens      float64
	at          time.Time // when there were as many
}

// New returns a full bucket that gets so many tokens a second, no limit where rate is 0 or less,
// and holds burst of them at most.
func New(rate float64, burst int) Bucket {
	return Bucket{rate: rate, burst: float64(burst), tokens: float64(burst)}
}

// Take takes up to n tokens, and says when there will be one if it took none.
func (b *Bucket) Take(n int, now time.Time) (taken int, ready time.Time) {
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

// GiveBack returns tokens that were not used.
func (b *Bucket) GiveBack(n int) { b.tokens = min(b.burst, b.tokens+float64(n)) }
