package bucket_test

import (
	"testing"
	"time"

	"github.com/genropy/genro-asgi-go/tasks/internal/bucket"
)

func TestBucket_Take(t *testing.T) {
	begin := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	b := bucket.New(2, 3)
	for _, c := range []struct {
		after       time.Duration // of begin
		n, want     int
		back        int // tokens that come back then
		ready       time.Duration
		description string
	}{
		{0, 9, 3, 0, 0, "it is full at first"},
		{0, 1, 0, 0, 500 * time.Millisecond, "and empty then"},
		{250 * time.Millisecond, 1, 0, 0, 500 * time.Millisecond, "half a token is none"},
		{time.Second, 9, 2, 1, 0, "two came in a second"},
		{time.Second, 9, 1, 0, 0, "one was not used"},
		{time.Hour, 9, 3, 0, 0, "it holds no more than its burst"},
		{time.Minute, 1, 0, 0, time.Minute + 500*time.Millisecond, "the clock was set back"},
		{time.Minute + 500*time.Millisecond, 1, 1, 0, 0, "and goes on from there"},
	} {
		n, ready := b.Take(c.n, begin.Add(c.after))
		b.GiveBack(c.back)
		if n != c.want || n == 0 && !ready.Equal(begin.Add(c.ready)) || n > 0 && !ready.IsZero() {
			t.Errorf("%s: %d, then at %v", c.description, n, ready.Sub(begin))
		}
	}
	free := bucket.New(0, 1)
	if n, ready := free.Take(1000, begin); n != 1000 || !ready.IsZero() {
		t.Errorf("without a rate: %d, %v", n, ready)
	}
}
