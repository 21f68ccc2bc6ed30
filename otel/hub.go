package asgiotel

import (
	"context"

	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"

	"github.com/genropy/genro-asgi-go/wsx/broker"
)

// Event begins a span for the processing of an event that a listener got, with its channel and its
// trace, and returns it with a context that has it. The span of who published is its parent and its
// link. The caller ends it:
//
//	for event, err := range hub.Listen(ctx, "orders", broker.Position{}) {
//		ctx, span := watch.Event(ctx, event.Channel, event.Trace)
//		…
//		span.End()
//	}
//
// Nothing is measured.
func (t *Telemetry) Event(ctx context.Context, channel string, from broker.Trace,
) (context.Context, trace.Span) {
	if t.tracer == nil {
		return ctx, trace.SpanFromContext(context.Background())
	}
	ctx, more := t.consumer(ctx, (*traceCarrier)(&from))
	more = append(more, trace.WithAttributes(semconv.MessagingDestinationName(channel)))
	op := t.receive.of("")
	return t.tracer.Start(ctx, op.span, append(op.start[:len(op.start):len(op.start)], more...)...)
}
