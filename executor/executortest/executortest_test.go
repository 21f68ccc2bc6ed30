package executortest_test

import (
	"context"
	"os"
	"testing"

	"github.com/genropy/genro-asgi-go/executor"
	"github.com/genropy/genro-asgi-go/executor/executortest"
)

func TestMain(m *testing.M) { executortest.Main(m) }

var pid = executor.NewFunc("pid", func(context.Context, struct{}) (int, error) { return os.Getpid(), nil })

func TestNew_RunsInAWorker(t *testing.T) {
	var ex *executor.Executor
	t.Run("call", func(t *testing.T) {
		ex = executortest.New(t, nil)
		worker, err := pid.Run(t.Context(), ex, struct{}{})
		if err != nil {
			t.Fatal(err)
		}
		if worker == os.Getpid() {
			t.Error("ran in the test's own process")
		}
	})
	if _, err := pid.Run(t.Context(), ex, struct{}{}); err == nil {
		t.Error("the executor was not stopped with its test")
	}
}

func TestNew_TakesOptions(t *testing.T) {
	ex := executortest.New(t, &executor.Options{Workers: 2})
	if _, err := pid.Run(t.Context(), ex, struct{}{}); err != nil {
		t.Fatal(err)
	}
}
