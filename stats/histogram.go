package stats

import "time"

// bounds are the upper bounds of the buckets, in the steps 1, 2.5 and 5 that people read best.
var bounds = [...]time.Duration{
	10 * time.Microsecond, 25 * time.Microsecond, 50 * time.Microsecond,
	100 * time.Microsecond, 250 * time.Microsecond, 500 * time.Microsecond,
	time.Millisecond, 2500 * time.Microsecond, 5 * time.Millisecond,
	10 * time.Millisecond, 25 * time.Millisecond, 50 * time.Millisecond,
	100 * time.Millisecond, 250 * time.Millisecond, 500 * time.Millisecond,
	time.Second, 2500 * time.Millisecond, 5 * time.Second,
	10 * time.Second, 30 * time.Second, time.Minute,
}

// Buckets is how many buckets a [Histogram] has: one for each of [Bounds], and one above them.
const Buckets = len(bounds) + 1

// Bounds returns the upper bounds of a histogram's buckets, each inclusive and in their order: from
// 10 µs to 1 min. The last bucket has none.
func Bounds() []time.Duration { return append([]time.Duration(nil), bounds[:]...) }

// BucketOf returns the bucket that a duration is counted in.
func BucketOf(d time.Duration) int {
	low, high := 0, len(bounds)
	for low < high {
		if mid := int(uint(low+high) >> 1); d <= bounds[mid] {
			high = mid
		} else {
			low = mid + 1
		}
	}
	return low
}

// Histogram counts durations. The zero value has none.
type Histogram struct {
	// Count is how many there were: the sum of Buckets.
	Count uint64 `json:"count"`
	// Sum is what they were together, in seconds.
	Sum float64 `json:"sum"`
	// Buckets has at i how many were at most Bounds()[i] and more than the bound before; the last
	// has the rest.
	Buckets [Buckets]uint64 `json:"buckets"`
}

// Add adds the durations of another histogram.
func (h *Histogram) Add(other *Histogram) {
	h.Count += other.Count
	h.Sum += other.Sum
	for i, n := range other.Buckets {
		h.Buckets[i] += n
	}
}

// Quantile returns the upper bound of the bucket in which the quantile q, from 0 to 1, lies: the
// least that a share q of the durations is known not to exceed. Above the last bound, which has
// none of its own, it is that bound, and it is 0 of a histogram without durations.
func (h *Histogram) Quantile(q float64) time.Duration {
	if h.Count == 0 {
		return 0
	}
	rank := min(max(uint64(q*float64(h.Count)+0.5), 1), h.Count)
	var seen uint64
	for i, n := range h.Buckets {
		if seen += n; seen >= rank {
			return bounds[min(i, len(bounds)-1)]
		}
	}
	return bounds[len(bounds)-1]
}
