package stats_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"testing"
	"time"

	jsonv2 "github.com/go-json-experiment/json"

	"github.com/genropy/genro-asgi-go/stats"
)

func TestBounds(t *testing.T) {
	bounds := stats.Bounds()
	if len(bounds)+1 != stats.Buckets || !slices.IsSorted(bounds) {
		t.Fatalf("%d bounds, %d buckets: %v", len(bounds), stats.Buckets, bounds)
	}
	for i, b := range bounds {
		if got := stats.BucketOf(b); got != i {
			t.Errorf("BucketOf(%v) = %d, want %d: bounds are inclusive", b, got, i)
		}
		if got := stats.BucketOf(b + 1); got != i+1 {
			t.Errorf("BucketOf(%v) = %d, want %d", b+1, got, i+1)
		}
	}
	if got := stats.BucketOf(-time.Second); got != 0 {
		t.Errorf("BucketOf(-1s) = %d", got)
	}
	bounds[0] = time.Hour
	if stats.Bounds()[0] == time.Hour {
		t.Error("Bounds hands out what it keeps")
	}
}

func TestHistogram_Quantile(t *testing.T) {
	var none stats.Histogram
	if got := none.Quantile(0.5); got != 0 {
		t.Errorf("of nothing: %v", got)
	}
	h := stats.Histogram{Count: 100}
	h.Buckets[stats.BucketOf(time.Millisecond)] = 50
	h.Buckets[stats.BucketOf(time.Second)] = 49
	h.Buckets[stats.Buckets-1] = 1
	for q, want := range map[float64]time.Duration{
		0: time.Millisecond, 0.5: time.Millisecond, 0.51: time.Second, 0.99: time.Second,
		1: time.Minute, 2: time.Minute,
	} {
		if got := h.Quantile(q); got != want {
			t.Errorf("Quantile(%v) = %v, want %v", q, got, want)
		}
	}
}

func TestHistogram_Add(t *testing.T) {
	a := stats.Histogram{Count: 3, Sum: 1.5}
	a.Buckets[0], a.Buckets[4] = 1, 2
	b := stats.Histogram{Count: 2, Sum: 0.25}
	b.Buckets[4], b.Buckets[5] = 1, 1
	a.Add(&b)
	want := stats.Histogram{Count: 5, Sum: 1.75}
	want.Buckets[0], want.Buckets[4], want.Buckets[5] = 1, 3, 1
	if a != want {
		t.Errorf("sum %+v, want %+v", a, want)
	}
}

func TestHistogram_JSON(t *testing.T) {
	h := stats.Histogram{Count: 1, Sum: 0.5}
	h.Buckets[14] = 1
	v1, err := json.Marshal(h)
	if err != nil {
		t.Fatal(err)
	}
	v2, err := jsonv2.Marshal(h)
	if err != nil || string(v1) != string(v2) {
		t.Fatalf("v1 %s, v2 %s, %v", v1, v2, err)
	}
	var back stats.Histogram
	if err := jsonv2.Unmarshal(v2, &back); err != nil || back != h {
		t.Fatalf("%s gives %+v, %v", v2, back, err)
	}
}

func ExampleHistogram_Quantile() {
	h := stats.Histogram{Count: 1000, Sum: 7.5}
	h.Buckets[stats.BucketOf(4*time.Millisecond)] = 990
	h.Buckets[stats.BucketOf(300*time.Millisecond)] = 10
	fmt.Println("p50 at most", h.Quantile(0.50))
	fmt.Println("p99.5 at most", h.Quantile(0.995))
	// Output:
	// p50 at most 5ms
	// p99.5 at most 500ms
}
