package tasks

import (
	"math"
	"testing"
	"time"
)

func TestRetryPolicy_WaitsWithinItsBounds(t *testing.T) {
	const forever = time.Duration(math.MaxInt64)
	for _, c := range []struct {
		policy  RetryPolicy
		attempt int
		most    time.Duration
	}{
		{RetryPolicy{}, 1, time.Second},
		{RetryPolicy{}, 3, 4 * time.Second},
		{RetryPolicy{}, 1_000_000, time.Hour},
		{RetryPolicy{Min: time.Minute, Max: time.Second}, 1, time.Second},
		{RetryPolicy{Min: 3 * time.Second, Max: 4 * time.Second}, 2, 4 * time.Second},
		{RetryPolicy{Max: forever}, 1000, forever},
		{RetryPolicy{Min: forever, Max: forever}, 2, forever},
		{RetryPolicy{Min: 1, Max: 1}, 5, 1},
	} {
		longest := time.Duration(0)
		for range 200 {
			wait := c.policy.wait(c.attempt)
			if wait < 0 || wait > c.most {
				t.Fatalf("%+v, attempt %d: %v, want at most %v", c.policy, c.attempt, wait, c.most)
			}
			longest = max(longest, wait)
		}
		if c.most > 1 && longest <= c.most/2 { // of 200 random ones
			t.Errorf("%+v, attempt %d: never above %v of %v", c.policy, c.attempt, longest, c.most)
		}
	}
}
