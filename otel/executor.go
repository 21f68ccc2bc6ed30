package asgiotel

import (
	"cmp"
	"context"

	"go.opentelemetry.io/otel/propagation"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"

	"github.com/genropy/genro-asgi-go/executor"
)

// Executor is middleware for an executor's calls (executor.Options.Middleware): a span for each,
// its time in the queue included, and a measurement of those of the process pool. The span's
// context goes along to the worker.
func (t *Telemetry) Executor(ctx context.Context, c *executor.CallInfo,
	next func(ctx context.Context) error,
) error {
	if c.Blocking {
		ctx, running := t.begin(ctx, t.blocking, cmp.Or(c.Func, c.Class))
		return around(ctx, &running, next)
	}
	ctx, running := t.begin(ctx, t.executorClient, c.Func)
	c.Meta = t.inject(ctx, c.Meta)
	return around(ctx, &running, func(ctx context.Context) error {
		err := next(ctx)
		if c.PID != 0 && running.recording() {
			running.span.SetAttributes(semconv.ProcessPID(c.PID))
		}
		return err
	})
}

// Worker is middleware for the functions of worker processes (executor.UseWorker): a span and a
// measurement for each, the span a child of the one that [Telemetry.Executor] made in the process
// that called. A worker has providers of its own, which main makes before executor.Main:
//
//	executor.UseWorker(asgiotel.New(&asgiotel.Options{TracerProvider: workerTraces()}).Worker)
//	executor.Main()
//
// A worker that is killed takes along what its provider has not exported yet.
func (t *Telemetry) Worker(ctx context.Context, c *executor.CallInfo,
	next func(ctx context.Context) error,
) error {
	if len(c.Meta) > 0 {
		ctx = t.extract(ctx, propagation.MapCarrier(c.Meta))
	}
	ctx, running := t.begin(ctx, t.executorServer, c.Func)
	if running.recording() {
		running.span.SetAttributes(semconv.ProcessPID(c.PID))
	}
	return around(ctx, &running, next)
}
