package counting_test

import (
	"context"
	"sync"
	"testing"

	"github.com/genropy/genro-asgi-go/internal/counting"
	"github.com/genropy/genro-asgi-go/internal/leakcheck"
)

func TestMain(m *testing.M) { leakcheck.Main(m) }

func TestCounts_AreExact(t *testing.T) {
	var c counting.Counts
	ctx := context.WithValue(t.Context(), counting.Key{}, &c)
	var wg sync.WaitGroup
	for range 100 {
		wg.Go(func() {
			counting.Begin(ctx, counting.Events)() // over at once
			_ = counting.Begin(ctx, counting.WebSocket)
			counting.Panicked(ctx)
			if open, total := c.Open(counting.Events); open < 0 || uint64(open) > total {
				t.Errorf("%d of %d", open, total)
			}
		})
	}
	wg.Wait()
	for _, want := range []struct {
		kind  counting.Kind
		open  int
		total uint64
	}{
		{counting.Events, 0, 100}, {counting.Stream, 0, 0}, {counting.WebSocket, 100, 100},
	} {
		if open, total := c.Open(want.kind); open != want.open || total != want.total {
			t.Errorf("kind %d: %d, %d", want.kind, open, total)
		}
	}
	if c.Panics() != 100 {
		t.Errorf("%d panics", c.Panics())
	}
}

func TestCounts_WithoutAServerCountNothing(t *testing.T) {
	counting.Begin(t.Context(), counting.Stream)()
	counting.Panicked(t.Context())
}
