// Package histogram records durations for the [stats.Histogram] of the packages' Stats.
package histogram

import (
	"sync/atomic"
	"time"

	"github.com/genropy/genro-asgi-go/stats"
)

// Recorder counts durations. The zero value is ready, a Recorder must not be copied, and it is safe
// for concurrent use without a lock: an observation is two atomic additions.
type Recorder struct {
	sum     atomic.Int64 // nanoseconds
	buckets [stats.Buckets]atomic.Uint64
}

// Observe counts a duration; one below 0, as of a clock that was set back, is counted as 0.
func (r *Recorder) Observe(d time.Duration) {
	d = max(d, 0)
	r.buckets[stats.BucketOf(d)].Add(1)
	r.sum.Add(int64(d))
}

// Read returns what was counted so far. Its Count is the sum of its Buckets; its Sum may lack
// durations that are counted meanwhile, or have them already.
func (r *Recorder) Read() stats.Histogram {
	h := stats.Histogram{Sum: time.Duration(r.sum.Load()).Seconds()}
	for i := range r.buckets {
		h.Buckets[i] = r.buckets[i].Load()
		h.Count += h.Buckets[i]
	}
	return h
}
