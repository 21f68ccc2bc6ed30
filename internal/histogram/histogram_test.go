package histogram_test

import (
	"sync"
	"testing"
	"time"

	"github.com/genropy/genro-asgi-go/internal/histogram"
	"github.com/genropy/genro-asgi-go/internal/leakcheck"
	"github.com/genropy/genro-asgi-go/stats"
)

func TestMain(m *testing.M) { leakcheck.Main(m) }

func TestRecorder(t *testing.T) {
	var r histogram.Recorder
	if got := r.Read(); got != (stats.Histogram{}) {
		t.Errorf("the zero value has counted %+v", got)
	}
	const each = 1000
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for range each {
				r.Observe(500 * time.Millisecond)
				r.Observe(time.Hour)
				r.Observe(-time.Second)
			}
		})
	}
	all.Wait()
	got := r.Read()
	want := stats.Histogram{Count: 3 * 8 * each, Sum: 8 * each * 3600.5}
	want.Buckets[stats.BucketOf(500*time.Millisecond)] = 8 * each
	want.Buckets[stats.Buckets-1] = 8 * each
	want.Buckets[0] = 8 * each
	if got != want {
		t.Errorf("counted %+v, want %+v", got, want)
	}
}

// BenchmarkRecorder_Observe beside a plain histogram under no lock, the least that it could cost.
func BenchmarkRecorder_Observe(b *testing.B) {
	b.Run("atomic", func(b *testing.B) {
		var r histogram.Recorder
		for i := range b.N {
			r.Observe(time.Duration(i&1023) * time.Microsecond)
		}
	})
	b.Run("atomic, all cores", func(b *testing.B) {
		var r histogram.Recorder
		b.RunParallel(func(pb *testing.PB) {
			for i := 0; pb.Next(); i++ {
				r.Observe(time.Duration(i&1023) * time.Microsecond)
			}
		})
	})
	b.Run("plain", func(b *testing.B) {
		var h stats.Histogram
		for i := range b.N {
			d := time.Duration(i&1023) * time.Microsecond
			h.Buckets[stats.BucketOf(d)]++
			h.Sum += d.Seconds()
		}
	})
}
