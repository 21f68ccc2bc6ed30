package asgiotel

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/metric"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"
)

// The most names of one kind of operation, and codes of one name, that are told apart.
const (
	maxNames = 1000
	maxCodes = 64
	other    = "_OTHER"
)

// operations are all operations of one kind, such as the calls that a server answers: what their
// spans and measurements have in common is made once for each name.
type operations struct {
	kind     trace.SpanKind
	duration metric.Float64Histogram
	// verb stands before an operation's name in its span's; of rpc there is none
	verb string
	// name is the attribute that an operation's name is, empty where it is none
	name attribute.Key
	// code is the attribute of a code that a call failed with, empty where there is none
	code  attribute.Key
	fixed []attribute.KeyValue // of spans and measurements alike

	known table[*operation]
}

// operation is what is known of one name.
type operation struct {
	span      string
	start     []trace.SpanStartOption
	attrs     []attribute.KeyValue // of its measurements
	succeeded []metric.RecordOption
	failed    table[[]metric.RecordOption] // by code
	beyond    bool                         // it stands for names beyond maxNames
}

func (o *operations) of(name string) *operation {
	if op, ok := o.known.get(name); ok {
		return op
	}
	return o.known.add(name, maxNames, o.make)
}

func (o *operations) make(name string) *operation {
	op := &operation{span: o.verb, attrs: o.fixed, beyond: name == other}
	if o.name != "" && name != "" {
		op.attrs = append(op.attrs[:len(op.attrs):len(op.attrs)], o.name.String(name))
		switch {
		case o.verb != "":
			op.span += " " + name
		case op.beyond:
			op.span = o.fixed[0].Value.AsString() // the system, by the conventions of RPC
		default:
			op.span = name
		}
	}
	attrs := op.attrs
	if o.fixed[0] == semconv.RPCSystemNameJSONRPC {
		attrs = append(attrs[:len(attrs):len(attrs)], semconv.JSONRPCProtocolVersion("2.0"))
	}
	op.start = []trace.SpanStartOption{trace.WithSpanKind(o.kind), trace.WithAttributes(attrs...)}
	op.succeeded = recordOptions(op.attrs)
	return op
}

// failure is how the measurements of one that failed with code are marked.
func (o *operations) failure(op *operation, code string) []metric.RecordOption {
	if options, ok := op.failed.get(code); ok {
		return options
	}
	return op.failed.add(code, maxCodes, func(code string) []metric.RecordOption {
		return recordOptions(append(op.attrs[:len(op.attrs):len(op.attrs)], o.codeAttrs(code)...))
	})
}

func (o *operations) codeAttrs(code string) []attribute.KeyValue {
	attrs := []attribute.KeyValue{semconv.ErrorTypeKey.String(code)}
	isCode := strings.Trim(code, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-") == ""
	if o.code != "" && isCode { // and not the name of a type
		attrs = append(attrs, o.code.String(code))
	}
	return attrs
}

func recordOptions(attrs []attribute.KeyValue) []metric.RecordOption {
	return []metric.RecordOption{metric.WithAttributeSet(attribute.NewSet(attrs...))}
}

// running is an operation under way.
type running struct {
	all   *operations
	op    *operation
	span  trace.Span // nil without traces
	start time.Time  // zero without metrics
}

// begin begins an operation with a span that is in the context it returns.
func (t *Telemetry) begin(ctx context.Context, all *operations, name string,
	more ...trace.SpanStartOption,
) (context.Context, running) {
	r := running{all: all, op: all.of(name)}
	if all.duration.Enabled(ctx) {
		r.start = time.Now()
	}
	if t.tracer != nil {
		start := r.op.start
		if len(more) > 0 {
			start = append(start[:len(start):len(start)], more...)
		}
		ctx, r.span = t.tracer.Start(ctx, r.op.span, start...)
		if r.op.beyond && all.name == semconv.RPCMethodKey && r.span.IsRecording() {
			r.span.SetAttributes(semconv.RPCMethodOriginal(strings.Clone(name)))
		}
	}
	return ctx, r
}

// recording says whether attributes of the span would be kept.
func (r *running) recording() bool { return r.span != nil && r.span.IsRecording() }

// end ends it, with the code of an error or, where it went well, "". The context is begin's.
func (r *running) end(ctx context.Context, code string, err error) {
	if !r.start.IsZero() {
		options := r.op.succeeded
		if code != "" {
			options = r.all.failure(r.op, code)
		}
		r.all.duration.Record(ctx, time.Since(r.start).Seconds(), options...)
	}
	if r.span == nil {
		return
	}
	if code != "" && r.span.IsRecording() {
		r.span.SetAttributes(r.all.codeAttrs(code)...)
		r.span.SetStatus(codes.Error, fmt.Sprint(err)) // Sprint, as an error's method may panic
	}
	r.span.End()
}

// table is a map that only grows and is read without a lock. The zero value is empty.
type table[V any] struct {
	entries atomic.Pointer[map[string]V]
	mu      sync.Mutex // for add
}

func (t *table[V]) get(name string) (v V, ok bool) {
	if m := t.entries.Load(); m != nil {
		v, ok = (*m)[name]
	}
	return v, ok
}

// add makes an entry, or gives that of the name other where there are as many as most.
func (t *table[V]) add(name string, most int, newEntry func(name string) V) V {
	t.mu.Lock()
	defer t.mu.Unlock()
	grown := make(map[string]V)
	if m := t.entries.Load(); m != nil {
		for k, v := range *m {
			grown[k] = v
		}
	}
	if _, ok := grown[name]; !ok && len(grown) >= most {
		name = other
	}
	if v, ok := grown[name]; ok {
		return v
	}
	name = strings.Clone(name) // it may be of a buffer
	v := newEntry(name)
	grown[name] = v
	t.entries.Store(&grown)
	return v
}
