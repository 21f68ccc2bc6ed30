package taskstest_test

import (
	"testing"

	"github.com/genropy/genro-asgi-go/internal/leakcheck"
	"github.com/genropy/genro-asgi-go/tasks"
	"github.com/genropy/genro-asgi-go/tasks/taskstest"
)

func TestMain(m *testing.M) { leakcheck.Main(m) }

func TestExerciseStore_MemStore(t *testing.T) {
	taskstest.ExerciseStore(t, taskstest.Harness{Open: func(testing.TB) tasks.Store { return tasks.NewMemStore() }})
}
