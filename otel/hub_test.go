package asgiotel_test

import (
	"testing"

	"go.opentelemetry.io/otel/trace"

	asgiotel "github.com/genropy/genro-asgi-go/otel"
	"github.com/genropy/genro-asgi-go/wsx/broker"
)

func TestEvent_IsAChildOfWhoPublished(t *testing.T) {
	r := newRig(t, asgiotel.Options{})
	ctx, span := r.Event(t.Context(), "orders.7", broker.Trace{Parent: parent, State: "vendor=1"})
	if trace.SpanContextFromContext(ctx).SpanID() != span.SpanContext().SpanID() {
		t.Error("the context has another span")
	}
	span.End()
	s := r.only("process")
	if s.Parent.SpanID().String() != "b7ad6b7169203331" || len(s.Links) != 1 ||
		s.Parent.TraceState().Get("vendor") != "1" || s.SpanKind != trace.SpanKindConsumer ||
		attr(s, "messaging.destination.name") != "orders.7" ||
		attr(s, "messaging.system") != "wsx" {
		t.Errorf("%v %v %v", s.Parent, s.Links, s.Attributes)
	}
	r.spans.Reset()
	_, span = r.Event(t.Context(), "orders.7", broker.Trace{})
	span.End()
	if s := r.only("process"); s.Parent.IsValid() || len(s.Links) != 0 {
		t.Errorf("%v %v", s.Parent, s.Links)
	}
}
