package wsx

import "time"

// bucket is a token bucket for one goroutine. The zero value lets everything pass.
type bucket struct {
	rate    float64 // tokens a second; 0 and less is no limit
	burst   float64
	tokens  float64
	last    time.Time
	refused int // in a row
}

// take takes a token, if there is one.
func (b *bucket) take() bool {
	if b.rate <= 0 {
		return true
	}
	now := time.Now()
	if b.last.IsZero() {
		b.tokens = b.burst
	} else {
		b.tokens = min(b.burst, b.tokens+now.Sub(b.last).Seconds()*b.rate)
	}
	b.last = now
	if b.tokens < 1 {
		b.refused++
		return false
	}
	b.tokens--
	b.refused = 0
	return true
}

// wait is how long until there is a token.
func (b *bucket) wait() time.Duration {
	return time.Duration((1 - b.tokens) / b.rate * float64(time.Second))
}
