// Package histogram counts durations and tells their quantiles: of about the last 8,192 of them,
// and at most 12.5 % too high.
//
// A Histogram is not safe for concurrent use; its owner's lock guards it.
package histogram

import (
	"math/bits"
	"time"
)

// Histogram counts durations in buckets of an eighth of a power of two, so a quantile is at most
// 12.5 % above the truth. Every 8,192 durations all counts are halved: quantiles tell of the recent
// past. Its zero value is empty.
type Histogram struct {
	total   uint32
	buckets [64 * 8]uint32
}

// full is the number of durations after which the counts are halved.
const full = 8192

// Add counts a duration; one below 0 counts as 0.
func (h *Histogram) Add(d time.Duration) {
	if h.total >= full {
		h.total = 0
		for i := range h.buckets {
			h.buckets[i] /= 2
			h.total += h.buckets[i]
		}
	}
	h.total++
	h.buckets[bucketOf(uint64(max(d, 0)))]++
}

func bucketOf(ns uint64) int {
	if ns < 8 {
		return int(ns)
	}
	exp := bits.Len64(ns) - 4 // the three bits after the leading one choose the eighth
	return (exp+1)*8 + int(ns>>exp)&7
}

// upper is the largest duration that falls into bucket i.
func upper(i int) time.Duration {
	if i < 8 {
		return time.Duration(i)
	}
	exp := i/8 - 1
	return time.Duration((uint64(8+i%8)+1)<<exp - 1)
}

// Quantile is the duration that the share q of all counted ones does not exceed, 0 when there are
// none.
func (h *Histogram) Quantile(q float64) time.Duration {
	if h.total == 0 {
		return 0
	}
	rank := max(uint32(q*float64(h.total)+0.5), 1)
	var seen uint32
	for i, n := range h.buckets {
		if seen += n; seen >= rank {
			return upper(i)
		}
	}
	return 0
}
