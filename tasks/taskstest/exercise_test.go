package taskstest_test

import (
	"testing"

	"github.com/genropy/genro-asgi-go/internal/leakcheck"
	"github.com/genropy/genro-asgi-go/tasks"
	"github.com/genropy/genro-asgi-go/tasks/memstore"
	"github.com/genropy/genro-asgi-go/tasks/taskstest"
)

func TestMain(m *testing.M) { leakcheck.Main(m) }

func TestExerciseStore_OfAMemoryStore(t *testing.T) {
	taskstest.ExerciseStore(t,
		taskstest.Harness{Open: func(testing.TB) tasks.Store { return memstore.New() }})
}

// TestExerciseStore_HandedOn: a memory store outlives whoever uses it, so that one who comes later
// finds what a durable store would have kept, and one beside shares it.
func TestExerciseStore_HandedOn(t *testing.T) {
	same := func(_ testing.TB, s tasks.Store) tasks.Store { return s }
	taskstest.ExerciseStore(t,
		taskstest.Harness{
			Open: func(testing.TB) tasks.Store { return memstore.New() },
			Join: same, Reopen: same,
		})
}

// TestExerciseStore_OneByOne: a store need not be a tasks.BatchStore.
func TestExerciseStore_OneByOne(t *testing.T) {
	type plain struct{ tasks.Store }
	taskstest.ExerciseStore(t,
		taskstest.Harness{Open: func(testing.TB) tasks.Store { return plain{memstore.New()} }})
}
