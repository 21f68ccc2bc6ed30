package asgiotel_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"strings"
	"testing"

	"github.com/go-json-experiment/json/jsontext"
	"go.opentelemetry.io/otel/codes"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"

	asgiotel "github.com/genropy/genro-asgi-go/otel"
	"github.com/genropy/genro-asgi-go/wsx"
	"github.com/genropy/genro-asgi-go/wsx/wsxtest"
)

const parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

// methods are a dispatcher behind r's middleware; inside gets the context of each call.
func methods(r *rig, inside func(ctx context.Context, fail string) error) *wsx.Dispatcher {
	d := wsx.NewDispatcher()
	d.Use(r.WSX)
	wsx.Handle(d, "orders.get", func(ctx context.Context, fail string) (struct{}, error) {
		return struct{}{}, inside(ctx, fail)
	})
	return d
}

func failing(_ context.Context, fail string) error {
	switch fail {
	case "":
		return nil
	case "panic":
		panic("lost")
	case "plain":
		return errors.New("disk on fire")
	}
	return wsx.NewError(fail, "no")
}

func call(ctx context.Context, d *wsx.Dispatcher, meta, params string) error {
	_, err := d.Serve(ctx, &wsx.Request{
		Method: "orders.get", Meta: jsontext.Value(meta), Params: jsontext.Value(params),
	})
	return err
}

func TestWSX_IsAChildOfItsCaller(t *testing.T) {
	r := newRig(t, asgiotel.Options{})
	var inside trace.SpanContext
	d := methods(r, func(ctx context.Context, _ string) error {
		inside = trace.SpanContextFromContext(ctx)
		return nil
	})
	for _, meta := range []string{
		`{"traceparent":"` + parent + `","tracestate":"vendor=1"}`,
		` { "timeout_ms" : 100 , "x" : {"traceparent":"00-00"}, "y":[{"traceparent":"z"},"t"],` +
			` "tracestate":"vendor=\u0031","traceparent" : "` + parent + `" } `,
		`{"traceparent\"":"traceparent","a":"\\","traceparent":"` + parent +
			`","tracestate":"vendor=1"}`,
	} {
		r.spans.Reset()
		if err := call(t.Context(), d, meta, `""`); err != nil {
			t.Fatal(err)
		}
		s := r.only("orders.get")
		if s.Parent.TraceID().String() != "0af7651916cd43dd8448eb211c80319c" ||
			s.Parent.SpanID().String() != "b7ad6b7169203331" || !s.Parent.IsRemote() ||
			s.SpanContext.TraceState().Get("vendor") != "1" {
			t.Errorf("%s: parent %+v", meta, s.Parent)
		}
		if s.SpanKind != trace.SpanKindServer || inside.SpanID() != s.SpanContext.SpanID() ||
			attr(s, "rpc.system.name") != "wsx" || attr(s, "rpc.method") != "orders.get" ||
			s.Status.Code != codes.Unset || s.InstrumentationScope.SchemaURL != asgiotel.SchemaURL {
			t.Errorf("%+v", s)
		}
	}
}

func TestWSX_IsARootWithoutACaller(t *testing.T) {
	r := newRig(t, asgiotel.Options{})
	d := methods(r, failing)
	for _, meta := range []string{
		"", `{}`, `{"timeout_ms":5}`, `{"traceparent":"00-no"}`, `{"traceparent":7}`,
		`{"x":["traceparent","` + parent + `"]}`, `{"x":{"traceparent":"` + parent + `"}}`,
	} {
		r.spans.Reset()
		if err := call(t.Context(), d, meta, `""`); err != nil {
			t.Fatal(err)
		}
		if s := r.only("orders.get"); s.Parent.IsValid() {
			t.Errorf("%s: %+v", meta, s.Parent)
		}
	}
}

func TestWSX_LinksToStrangersOfAPublicEndpoint(t *testing.T) {
	r := newRig(t, asgiotel.Options{PublicEndpoint: true})
	d := methods(r, failing)
	if err := call(t.Context(), d, `{"traceparent":"`+parent+`"}`, `""`); err != nil {
		t.Fatal(err)
	}
	s := r.only("orders.get")
	if s.Parent.IsValid() || len(s.Links) != 1 ||
		s.Links[0].SpanContext.SpanID().String() != "b7ad6b7169203331" {
		t.Errorf("parent %v, links %v", s.Parent, s.Links)
	}
	r.spans.Reset()
	ctx, program := r.tracer.Start(t.Context(), "program")
	if err := call(ctx, d, `{"timeout_ms":5}`, `""`); err != nil {
		t.Fatal(err)
	}
	program.End()
	childOf(t, r.only("orders.get"), r.only("program"))
}

func TestWSX_MarksWhatFailed(t *testing.T) {
	r := newRig(t, asgiotel.Options{})
	d := methods(r, failing)
	for fail, want := range map[string]string{
		"NOT_FOUND": "NOT_FOUND", "BETTING_CLOSED": "BETTING_CLOSED",
		"plain": "INTERNAL_ERROR", "panic": "INTERNAL_ERROR",
	} {
		r.spans.Reset()
		if err := call(t.Context(), d, "", `"`+fail+`"`); err == nil {
			t.Fatal("no error")
		}
		s := r.only("orders.get")
		if s.Status.Code != codes.Error || s.Status.Description == "" ||
			attr(s, "error.type") != want || attr(s, "rpc.response.status_code") != want {
			t.Errorf("%s: %v %v", fail, s.Status, s.Attributes)
		}
	}
}

func TestWSX_SpeaksOfJSONRPCInItsTerms(t *testing.T) {
	r := newRig(t, asgiotel.Options{})
	client := wsxtest.Serve(t, wsx.JSONRPC(methods(r, failing), nil))
	body := `{"jsonrpc":"2.0","id":1,"method":"orders.get","params":["NOT_FOUND"]}`
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://wsx.test/",
		strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	s := r.only("orders.get")
	if attr(s, "rpc.system.name") != "jsonrpc" || attr(s, "jsonrpc.protocol.version") != "2.0" ||
		attr(s, "rpc.response.status_code") != "-32004" || attr(s, "error.type") != "-32004" {
		t.Error(s.Attributes)
	}
}

func TestWSX_MeasuresEachCallOnce(t *testing.T) {
	r := newRig(t, asgiotel.Options{})
	d := methods(r, failing)
	for i := range 1000 {
		params := `""`
		if i%100 == 7 {
			params = `"NOT_FOUND"`
		}
		_ = call(t.Context(), d, "", params)
	}
	want := map[string]uint64{
		"rpc.method=orders.get,rpc.system.name=wsx": 990,
		"error.type=NOT_FOUND,rpc.method=orders.get,rpc.response.status_code=NOT_FOUND," +
			"rpc.system.name=wsx": 10,
	}
	if got := r.points("rpc.server.call.duration"); !maps.Equal(got, want) {
		t.Errorf("%v, not %v", got, want)
	}
}

func TestWSX_BoundsWhatItTellsApart(t *testing.T) {
	r := newRig(t, asgiotel.Options{})
	d := wsx.NewDispatcher()
	d.Use(r.WSX)
	for i := range 1005 {
		wsx.Handle(d, fmt.Sprintf("m%04d", i), func(context.Context, int) (int, error) {
			return 0, nil
		})
	}
	wsx.Handle(d, "code", func(_ context.Context, n int) (int, error) {
		return 0, wsx.NewError(fmt.Sprintf("CODE_%d", n), "no")
	})
	serve := func(method, params string) {
		_, _ = d.Serve(t.Context(), &wsx.Request{Method: method, Params: []byte(params)})
	}
	for i := range 100 {
		serve("code", fmt.Sprint(i))
	}
	for i := range 1005 {
		serve(fmt.Sprintf("m%04d", i), "0")
	}
	points := r.points("rpc.server.call.duration")
	if n := points["rpc.method=_OTHER,rpc.system.name=wsx"]; n != 6 || len(points) != 64+1+999+1 {
		t.Errorf("%d of no name, %d series", n, len(points))
	}
	if n := points["error.type=_OTHER,rpc.method=code,rpc.response.status_code=_OTHER,"+
		"rpc.system.name=wsx"]; n != 36 {
		t.Errorf("%d of no code", n)
	}
	s := r.spans.GetSpans()
	if last := s[len(s)-1]; last.Name != "wsx" || attr(last, "rpc.method") != "_OTHER" ||
		attr(last, "rpc.method_original") != "m1004" {
		t.Error(last.Name, last.Attributes)
	}
}

// Without traces nothing is read of meta, and without either it adds two branches.
func TestWSX_CostsNothingWhenItIsOff(t *testing.T) {
	off := asgiotel.New(&asgiotel.Options{TracerProvider: noop.NewTracerProvider()})
	ok := func(context.Context, *wsx.Request) error { return nil }
	handler := off.WSX(ok)
	ctx, r := t.Context(), &wsx.Request{Method: "m", Meta: []byte(`{"traceparent":"x"}`)}
	if n := testing.AllocsPerRun(100, func() { _ = handler(ctx, r) }); n > 0 {
		t.Errorf("%v allocations", n)
	}
	never := sdktrace.NewTracerProvider(sdktrace.WithSampler(sdktrace.NeverSample()))
	defer func() { _ = never.Shutdown(context.Background()) }()
	handler = asgiotel.New(&asgiotel.Options{TracerProvider: never}).WSX(ok)
	r.Meta = nil
	if n := testing.AllocsPerRun(100, func() { _ = handler(ctx, r) }); n > 3 {
		t.Errorf("%v allocations of a call that is not sampled", n)
	}
}
