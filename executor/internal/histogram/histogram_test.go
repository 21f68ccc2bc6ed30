package histogram

import (
	"testing"
	"time"
)

func TestHistogram_QuantilesAreAtMostAnEighthTooHigh(t *testing.T) {
	var h Histogram
	if h.Quantile(0.5) != 0 {
		t.Error("a quantile of nothing")
	}
	for i := 1; i <= 1000; i++ {
		h.Add(time.Duration(i) * time.Microsecond)
	}
	for q, want := range map[float64]time.Duration{
		0.001: time.Microsecond,
		0.5:   500 * time.Microsecond, 0.99: 990 * time.Microsecond, 1: time.Millisecond,
	} {
		if got := h.Quantile(q); got < want || got > want+want/8 {
			t.Errorf("quantile %v is %v, want %v", q, got, want)
		}
	}
	for range 10 * full { // the old ones fade
		h.Add(time.Second)
	}
	if got := h.Quantile(0.01); got < time.Second {
		t.Errorf("quantile 0.01 is still %v", got)
	}
	for d := range []time.Duration{-1, 0, 1, 7, 8, 1<<63 - 1} {
		i := bucketOf(uint64(d))
		if u := upper(i); u < time.Duration(d) {
			t.Errorf("bucket of %d ends at %d", d, u)
		}
	}
}
