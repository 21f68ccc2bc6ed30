package asgiotel

import (
	"context"
	"maps"

	"go.opentelemetry.io/otel/propagation"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"

	"github.com/genropy/genro-asgi-go/tasks"
)

// The most entries and bytes of a task's metadata (tasks.SubmitOptions).
const (
	maxMetadata      = 32
	maxMetadataBytes = 4 << 10
)

// Submit is middleware for submits of tasks (tasks.Options.SubmitMiddleware): a span and a
// measurement for each, and for each occurrence of a schedule. The span's context goes into the
// task's metadata, where it lasts as long as the task; it is left out where the metadata would be
// more than a task may have.
func (t *Telemetry) Submit(ctx context.Context, s *tasks.Submission,
	next func(ctx context.Context) error,
) error {
	ctx, running := t.begin(ctx, t.submit, s.Kind)
	if carried := t.inject(ctx, nil); fits(s.Options.Metadata, carried) {
		maps.Copy(s.Options.Metadata, carried)
	}
	return around(ctx, &running, func(ctx context.Context) error {
		err := next(ctx)
		if s.Task != nil && running.recording() {
			running.span.SetAttributes(semconv.MessagingMessageID(s.Task.ID),
				semconv.MessagingDestinationName(s.Task.Queue))
		}
		return err
	})
}

// fits reports whether metadata may have more.
func fits(metadata, more map[string]string) bool {
	size := 0
	for _, m := range []map[string]string{metadata, more} {
		for k, v := range m {
			size += len(k) + len(v)
		}
	}
	return len(metadata)+len(more) <= maxMetadata && size <= maxMetadataBytes
}

// Run is middleware for runs of tasks (tasks.Options.Middleware): a span and a measurement for each
// attempt, with the span of [Telemetry.Submit], as the task's metadata tells of it, as its parent
// and as a link.
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
