//go:build !lockorder

package memstore

import (
	"runtime"
	"sync"
	"testing"
)

// Some holders keep the lock for so long that those who wait have a turn, go to sleep behind it,
// and in the end sleep for the lock itself.
func TestBriefLock_ExcludesHoweverLongItIsHeld(t *testing.T) {
	const holders, times = 32, 500
	var l briefLock
	var all sync.WaitGroup
	inside, entered := 0, 0
	for range holders {
		all.Go(func() {
			for i := range times {
				l.Lock()
				if inside++; inside != 1 {
					t.Errorf("%d hold the lock", inside)
				}
				entered++
				if i%100 == 0 {
					for range 4 * briefTurns {
						runtime.Gosched()
					}
				}
				inside--
				l.Unlock()
			}
		})
	}
	all.Wait()
	if entered != holders*times {
		t.Errorf("%d times, want %d", entered, holders*times)
	}
	if !l.mu.TryLock() || !l.turn.TryLock() {
		t.Error("the lock or the turn is taken, by nobody")
	}
}
