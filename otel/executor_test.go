package asgiotel_test

import (
	"context"
	"errors"
	"maps"
	"testing"

	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"github.com/genropy/genro-asgi-go/executor"
	"github.com/genropy/genro-asgi-go/executor/executortest"
	asgiotel "github.com/genropy/genro-asgi-go/otel"
)

// draw returns the trace that it runs in.
var draw = executor.NewFunc("draw", func(ctx context.Context, fail bool) (string, error) {
	if fail {
		return "", errors.New("no ink")
	}
	return trace.SpanContextFromContext(ctx).TraceID().String(), nil
})

func TestExecutor_GoesOnInTheWorker(t *testing.T) {
	r := newRig(t, asgiotel.Options{})
	file := t.TempDir() + "/spans"
	ex := executortest.New(t, &executor.Options{
		Middleware: []executor.Middleware{r.Executor}, Env: []string{spansFile + "=" + file},
	})
	ctx, span := r.tracer.Start(t.Context(), "request")
	drawn, err := draw.Run(ctx, ex, false)
	span.End()
	if err != nil || drawn != span.SpanContext().TraceID().String() {
		t.Error(drawn, err)
	}
	s := r.only("draw")
	childOf(t, s, r.only("request"))
	if s.SpanKind != trace.SpanKindClient || attr(s, "rpc.system.name") != "genro.executor" ||
		attr(s, "rpc.method") != "draw" || attr(s, "process.pid") == "" {
		t.Error(s.SpanKind, s.Attributes)
	}
	inWorker := written(t, file)
	if len(inWorker) != 1 || inWorker[0].Name != "draw" ||
		inWorker[0].Parent.SpanID != s.SpanContext.SpanID().String() ||
		inWorker[0].SpanContext.TraceID != s.SpanContext.TraceID().String() ||
		inWorker[0].SpanKind != int(trace.SpanKindServer) {
		t.Errorf("%+v", inWorker)
	}

	r.spans.Reset()
	if _, err := draw.Run(t.Context(), ex, true); err == nil {
		t.Fatal("no error")
	}
	if s := r.only("draw"); s.Status.Code != codes.Error || attr(s, "error.type") !=
		"*executor.RemoteError" || attr(s, "rpc.response.status_code") != "" {
		t.Error(s.Status, s.Attributes)
	}
	want := map[string]uint64{
		"rpc.method=draw,rpc.system.name=genro.executor":                                  1,
		"error.type=*executor.RemoteError,rpc.method=draw,rpc.system.name=genro.executor": 1,
	}
	if got := r.points("rpc.client.call.duration"); !maps.Equal(got, want) {
		t.Errorf("%v, not %v", got, want)
	}
}

func TestExecutor_HasASpanOfBlockingCalls(t *testing.T) {
	r := newRig(t, asgiotel.Options{})
	ex := executor.New(&executor.Options{
		Middleware: []executor.Middleware{r.Executor},
		Classes:    map[string]executor.ClassOptions{"db": {}},
	})
	defer func() { _ = ex.Stop(context.Background()) }()
	ctx, span := r.tracer.Start(t.Context(), "request")
	within := func(ctx context.Context) (trace.SpanID, error) {
		return trace.SpanContextFromContext(ctx).SpanID(), nil
	}
	for class, name := range map[string]string{"db": "blocking db", "": "blocking"} {
		id, err := executor.RunBlockingWith(ctx, ex, within, &executor.CallOptions{Class: class})
		if err != nil {
			t.Fatal(err)
		}
		if s := r.only(name); s.SpanContext.SpanID() != id || s.SpanKind != trace.SpanKindInternal {
			t.Error(s.SpanContext.SpanID(), id, s.SpanKind)
		}
	}
	span.End()
	childOf(t, r.only("blocking db"), r.only("request"))
}
