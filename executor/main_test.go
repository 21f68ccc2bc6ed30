package executor_test

import (
	"context"
	"testing"

	"github.com/genropy/genro-asgi-go/executor"
	"github.com/genropy/genro-asgi-go/internal/leakcheck"
)

func TestMain(m *testing.M) {
	executor.Main()
	leakcheck.Main(m)
}

type record struct {
	ID    int      `json:"id"`
	Name  string   `json:"name"`
	Email string   `json:"email"`
	Tags  []string `json:"tags"`
	Score float64  `json:"score"`
}

var echo = executor.NewFunc("echo", func(_ context.Context, in record) (record, error) { return in, nil })

var sample = record{ID: 12345, Name: "Ada Lovelace", Email: "ada@example.org", Tags: []string{"a", "bc"}, Score: 3.25}

func start(t testing.TB, o *executor.Options) *executor.Executor {
	t.Helper()
	ex := executor.New(o)
	if err := ex.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := ex.Stop(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return ex
}
