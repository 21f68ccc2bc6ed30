package wsconn

import (
	"sync/atomic"
	"time"
)

// longSilence is how long a wait has to be for its goroutine's stack to be worth saving. An idle
// connection whose handlers needed 8 KiB takes 6.5 KiB in place of 8.6 when another goroutine reads
// on, both ends together (BenchmarkIdle: renewed and kept).
const longSilence = time.Second

// silence is the peer's. Only the holder of the read lock uses it, but for since.
type silence struct {
	since  atomic.Int64  // when it began, in ns, while somebody waits for its end; else 0
	lasted time.Duration // over all waits since bytes last came
}

// begin is the beginning of a wait, and nothing during one. Reads that need not wait never look at
// the clock.
func (s *silence) begin() {
	if s.since.Load() == 0 {
		s.since.Store(int64(now() - s.lasted))
	}
}

// end is the end of a wait, if there was one.
func (s *silence) end() {
	if since := s.since.Load(); since != 0 {
		s.since.Store(0)
		s.lasted = now() - time.Duration(since)
	}
}
