package taskshttp_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/genropy/genro-asgi-go/executor"
	"github.com/genropy/genro-asgi-go/internal/leakcheck"
	"github.com/genropy/genro-asgi-go/tasks"
	"github.com/genropy/genro-asgi-go/tasks/taskshttp"
)

func TestMain(m *testing.M) {
	executor.Main()
	leakcheck.Main(m)
}

func TestHandler_NeedsAManager(t *testing.T) {
	defer func() {
		if v := recover(); !strings.Contains(fmt.Sprint(v), "taskshttp: Handler: a Manager") {
			t.Errorf("it panicked with %v", v)
		}
	}()
	taskshttp.Handler(nil, nil)
	t.Error("it did not panic")
}

// start starts m until the test ends.
func start(t testing.TB, m *tasks.Manager) {
	t.Helper()
	if err := m.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := m.Stop(context.Background()); err != nil {
			t.Error(err)
		}
	})
}

func must[T any](t testing.TB) func(v T, err error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func submit(t *testing.T, m *tasks.Manager, kind string, opts *tasks.SubmitOptions) *tasks.Task {
	t.Helper()
	return must[*tasks.Task](t)(m.Submit(t.Context(), kind, nil, opts))
}

// wait waits until a task is done, in the state that it is to be in.
func wait(t testing.TB, m *tasks.Manager, id string, state tasks.State) *tasks.Task {
	t.Helper()
	task := must[*tasks.Task](t)(m.Wait(context.Background(), id))
	if task.State != state {
		t.Fatalf("task is %s (%v), want %s", task.State, task.Error, state)
	}
	return task
}

func nothing(context.Context, struct{}) (struct{}, error) { return struct{}{}, nil }

type statusError int

func (e statusError) Error() string   { return fmt.Sprintf("status %d", int(e)) }
func (e statusError) StatusCode() int { return int(e) }
