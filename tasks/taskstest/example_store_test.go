package taskstest_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/genropy/genro-asgi-go/tasks"
	"github.com/genropy/genro-asgi-go/tasks/memstore"
	"github.com/genropy/genro-asgi-go/tasks/taskstest"
)

// The tests of a store are one call. This one is in memory: nobody shares it (Harness.Join), and it
// has nothing to open again (Harness.Reopen).
func ExampleExerciseStore() {
	_ = func(t *testing.T) { // in a file of tests: func TestStore(t *testing.T)
		taskstest.ExerciseStore(t, taskstest.Harness{
			Open: func(testing.TB) tasks.Store { return memstore.New() },
		})
	}
}

// Time passes when the test says so, and what waits for it is called on the way.
func ExampleClock() {
	clock := taskstest.NewClock(time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC))
	clock.AfterFunc(time.Minute, func() { fmt.Println("called at", clock.Now()) })
	clock.Advance(time.Hour)
	fmt.Println("it is", clock.Now())
	// Output:
	// called at 2026-05-01 12:01:00 +0000 UTC
	// it is 2026-05-01 13:00:00 +0000 UTC
}
