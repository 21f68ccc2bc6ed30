package asgiotel

import (
	"context"

	"go.opentelemetry.io/otel/propagation"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"

	"github.com/genropy/genro-asgi-go/tasks"
)

// Run is middleware for runs of tasks (tasks.Options.Middleware): a span and a measurement for each
// attempt, with the span that the task's metadata tells of as its parent and as a link.
func (t *Telemetry) Run(ctx context.Context, run *tasks.Run,
	next func(ctx context.Context) error,
) error {
	ctx, more := t.consumer(ctx, propagation.MapCarrier(run.Metadata()))
	ctx, running := t.begin(ctx, t.run, run.Kind(), more...)
	if running.recording() {
		running.span.SetAttributes(semconv.MessagingMessageID(run.ID()),
			taskAttemptKey.Int(run.Attempt()))
	}
	return around(ctx, &running, next)
}

// consumer is ctx with the producer's span as the parent of one that begins with it, unless another
// span is under way already or LinkOnly keeps them apart, and the options of the consumer's span.
func (t *Telemetry) consumer(ctx context.Context, carrier propagation.TextMapCarrier,
) (context.Context, []trace.SpanStartOption) {
	if t.tracer == nil {
		return ctx, nil
	}
	ambient := trace.SpanContextFromContext(ctx)
	from := t.extract(trace.ContextWithSpanContext(ctx, trace.SpanContext{}), carrier)
	sc := trace.SpanContextFromContext(from)
	if !sc.IsValid() {
		return ctx, nil
	}
	more := []trace.SpanStartOption{trace.WithLinks(trace.Link{SpanContext: sc})}
	switch {
	case t.opts.LinkOnly && !ambient.IsValid():
		more = append(more, trace.WithNewRoot())
	case !ambient.IsValid():
		ctx = from
	}
	return ctx, more
}
