package buffer_test

import (
	"testing"

	"github.com/genropy/genro-asgi-go/internal/leakcheck"
	"github.com/genropy/genro-asgi-go/wsx/internal/buffer"
)

func TestMain(m *testing.M) { leakcheck.Main(m) }

// Whatever was in a buffer, the next one is empty; and one that is outside of the bounds is never
// handed out again.
func TestGet_IsEmptyAndWithinBounds(t *testing.T) {
	for _, size := range []int{0, 1, 511, 512, 64 << 10, 64<<10 + 1, 1 << 20} {
		b := buffer.Get()
		b.B = make([]byte, size)
		b.Release()
		for range 4 {
			next := buffer.Get()
			if c := cap(next.B); len(next.B) != 0 || c < 512 || c > 64<<10 {
				t.Fatalf("after one of %d bytes: length %d, capacity %d", size, len(next.B), c)
			}
		}
	}
}
