package tasks

import (
	"sync"
	"testing"
)

// TestRunContext_IsOneForAllWhoAskAtOnce: a goroutine that asked a moment before another must not
// wait for the end of a context that nobody ends.
func TestRunContext_IsOneForAllWhoAskAtOnce(t *testing.T) {
	for range 200 {
		var c runContext
		var asked, got sync.WaitGroup
		done := make([]<-chan struct{}, 4)
		c.mu.Lock() // all of them have seen that there is none yet
		for i := range done {
			asked.Add(1)
			got.Go(func() {
				asked.Done()
				done[i] = c.Done()
			})
		}
		asked.Wait()
		c.mu.Unlock()
		got.Wait()
		c.cancelWith(ErrCancelled)
		for _, d := range done {
			<-d
		}
	}
}
