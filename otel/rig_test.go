package asgiotel_test

import (
	"context"
	"testing"

	"go.opentelemetry.io/otel/attribute"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"

	asgiotel "github.com/genropy/genro-asgi-go/otel"
)

// rig is a Telemetry whose spans and measurements a test can look at.
type rig struct {
	*asgiotel.Telemetry
	t      testing.TB
	spans  *tracetest.InMemoryExporter
	tracer trace.Tracer // of the program itself
	reader *sdkmetric.ManualReader
}

func newRig(t testing.TB, opts asgiotel.Options) *rig {
	t.Helper()
	r := &rig{t: t, spans: tracetest.NewInMemoryExporter(), reader: sdkmetric.NewManualReader()}
	traces := sdktrace.NewTracerProvider(sdktrace.WithSyncer(r.spans))
	metrics := sdkmetric.NewMeterProvider(sdkmetric.WithReader(r.reader))
	t.Cleanup(func() {
		_ = traces.Shutdown(context.Background())
		_ = metrics.Shutdown(context.Background())
	})
	opts.TracerProvider, opts.MeterProvider = traces, metrics
	r.Telemetry, r.tracer = asgiotel.New(&opts), traces.Tracer("program")
	return r
}

// only returns the one span of a name that has ended.
func (r *rig) only(name string) tracetest.SpanStub {
	r.t.Helper()
	var found tracetest.SpanStubs
	for _, s := range r.spans.GetSpans() {
		if s.Name == name {
			found = append(found, s)
		}
	}
	if len(found) != 1 {
		r.t.Fatalf("%d spans %q of %v", len(found), name, names(r.spans.GetSpans()))
	}
	return found[0]
}

func names(spans tracetest.SpanStubs) (all []string) {
	for _, s := range spans {
		all = append(all, s.Name)
	}
	return all
}

// attr is the value of a span's attribute as text, "" where it has none.
func attr(s tracetest.SpanStub, key string) string {
	for _, a := range s.Attributes {
		if string(a.Key) == key {
			return a.Value.String()
		}
	}
	return ""
}

// childOf tells what is wrong with a span that should be the child of another.
func childOf(t testing.TB, child, parent tracetest.SpanStub) {
	t.Helper()
	if child.Parent.SpanID() != parent.SpanContext.SpanID() ||
		child.SpanContext.TraceID() != parent.SpanContext.TraceID() {
		t.Errorf("the parent of %q is %v and not %q %v", child.Name, child.Parent.SpanID(),
			parent.Name, parent.SpanContext.SpanID())
	}
}

// points returns the measurements of a histogram as counts by attributes, such as "a=b,c=d".
func (r *rig) points(name string) map[string]uint64 {
	r.t.Helper()
	var all metricdata.ResourceMetrics
	if err := r.reader.Collect(context.Background(), &all); err != nil {
		r.t.Fatal(err)
	}
	points := map[string]uint64{}
	for _, scope := range all.ScopeMetrics {
		for _, m := range scope.Metrics {
			if h, ok := m.Data.(metricdata.Histogram[float64]); ok && m.Name == name {
				for _, p := range h.DataPoints {
					points[p.Attributes.Encoded(attribute.DefaultEncoder())] = p.Count
				}
			}
		}
	}
	return points
}

// linksTo tells what is wrong with a span that should have one link, to another.
func linksTo(t testing.TB, s, target tracetest.SpanStub) {
	t.Helper()
	if len(s.Links) != 1 || s.Links[0].SpanContext.SpanID() != target.SpanContext.SpanID() {
		t.Errorf("the links of %q are %v and not %q", s.Name, s.Links, target.Name)
	}
}
