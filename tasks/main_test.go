package tasks_test

import (
	"context"
	"testing"

	"github.com/genropy/genro-asgi-go/executor"
	"github.com/genropy/genro-asgi-go/internal/leakcheck"
)

func TestMain(m *testing.M) {
	executor.UseWorker(followsTrace)
	executor.Main()
	leakcheck.Main(m)
}

// followsTrace is around every function of worker processes.
func followsTrace(ctx context.Context, c *executor.CallInfo,
	next func(ctx context.Context) error,
) error {
	if trace := c.Meta["traceparent"]; trace != "" {
		ctx = context.WithValue(ctx, traceKey{}, c.Func+" of "+trace)
	}
	return next(ctx)
}
