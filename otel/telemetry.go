package asgiotel

import (
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	metricnoop "go.opentelemetry.io/otel/metric/noop"
	"go.opentelemetry.io/otel/propagation"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/semconv/v1.43.0/messagingconv"
	"go.opentelemetry.io/otel/semconv/v1.43.0/rpcconv"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"
)

const (
	// ScopeName is the instrumentation scope of all spans and metrics.
	ScopeName = "github.com/genropy/genro-asgi-go/otel"
	// SchemaURL names the semantic conventions that they follow.
	SchemaURL = semconv.SchemaURL
)

// Options configure New. nil and the zero value are valid.
type Options struct {
	// TracerProvider makes the spans; the global one when nil. With that of package noop there are
	// no traces, and contexts that come in do not go on.
	TracerProvider trace.TracerProvider
	// MeterProvider makes the instruments; the global one when nil.
	MeterProvider metric.MeterProvider
	// Propagator reads the context of what comes in and writes that of what goes out;
	// propagation.TraceContext when nil, and not the global one, which may be none. What it writes
	// under other names than traceparent and tracestate goes along with calls and tasks, but not
	// with events.
	Propagator propagation.TextMapPropagator
	// PublicEndpoint is for servers whose clients are strangers: a call begins a trace of its own
	// and links to the client's, which decides nothing about sampling here. Without it the client's
	// span is the parent.
	PublicEndpoint bool
	// LinkOnly lets what processes an event or a task begin a trace of its own, with a link to the
	// producer's. Without it the producer is the parent as well.
	LinkOnly bool
}

// Telemetry makes middleware. See [New].
type Telemetry struct {
	opts   Options
	tracer trace.Tracer // nil where there are no traces
	meter  metric.Meter

	wsxServer, jsonrpcServer       *operations
	executorClient, executorServer *operations
	blocking                       *operations
	receive                        *operations
	submit, run                    *operations
}

// New returns a Telemetry. opts may be nil. What the meter does not take goes to OpenTelemetry's
// error handler and is not measured.
func New(opts *Options) *Telemetry {
	t := &Telemetry{}
	if opts != nil {
		t.opts = *opts
	}
	if t.opts.TracerProvider == nil {
		t.opts.TracerProvider = otel.GetTracerProvider()
	}
	if t.opts.MeterProvider == nil {
		t.opts.MeterProvider = otel.GetMeterProvider()
	}
	if t.opts.Propagator == nil {
		t.opts.Propagator = propagation.TraceContext{}
	}
	if _, off := t.opts.TracerProvider.(noop.TracerProvider); !off {
		t.tracer = t.opts.TracerProvider.Tracer(ScopeName, trace.WithSchemaURL(SchemaURL))
	}
	t.meter = t.opts.MeterProvider.Meter(ScopeName, metric.WithSchemaURL(SchemaURL))
	t.makeCalls()
	t.makeMessages()
	return t
}

// The systems that are none of OpenTelemetry's, and the kind of a task as an attribute.
const (
	systemWSX      = "wsx"
	systemExecutor = "genro.executor"
	systemTasks    = "genro.tasks"

	taskKindKey    = attribute.Key("genro.task.kind")
	taskAttemptKey = attribute.Key("genro.task.attempt")
)

func (t *Telemetry) makeCalls() {
	server, err := rpcconv.NewServerCallDuration(t.meter)
	handle(err)
	client, err := rpcconv.NewClientCallDuration(t.meter)
	handle(err)
	calls := func(kind trace.SpanKind, system attribute.KeyValue, h metric.Float64Histogram,
	) *operations {
		return &operations{
			kind: kind, duration: h, name: semconv.RPCMethodKey,
			code: semconv.RPCResponseStatusCodeKey, fixed: []attribute.KeyValue{system},
		}
	}
	wsx := semconv.RPCSystemNameKey.String(systemWSX)
	executor := semconv.RPCSystemNameKey.String(systemExecutor)
	t.wsxServer = calls(trace.SpanKindServer, wsx, server.Inst())
	t.jsonrpcServer = calls(trace.SpanKindServer, semconv.RPCSystemNameJSONRPC, server.Inst())
	t.executorClient = calls(trace.SpanKindClient, executor, client.Inst())
	t.executorServer = calls(trace.SpanKindServer, executor, server.Inst())
	t.executorClient.code, t.executorServer.code = "", ""
	t.blocking = &operations{
		kind: trace.SpanKindInternal, verb: "blocking", name: "genro.executor.class",
		duration: metricnoop.Float64Histogram{},
		fixed:    []attribute.KeyValue{executor},
	}
}

func (t *Telemetry) makeMessages() {
	sent, err := messagingconv.NewClientOperationDuration(t.meter)
	handle(err)
	processed, err := messagingconv.NewProcessDuration(t.meter)
	handle(err)
	messages := func(kind trace.SpanKind, system, verb string, h metric.Float64Histogram,
		more ...attribute.KeyValue,
	) *operations {
		return &operations{
			kind: kind, duration: h, verb: verb,
			fixed: append([]attribute.KeyValue{
				semconv.MessagingSystemKey.String(system), semconv.MessagingOperationName(verb),
			}, more...),
		}
	}
	const producer, consumer = trace.SpanKindProducer, trace.SpanKindConsumer
	send, process := semconv.MessagingOperationTypeSend, semconv.MessagingOperationTypeProcess
	t.receive = messages(consumer, systemWSX, "process", processed.Inst(), process)
	t.submit = messages(producer, systemTasks, "submit", sent.Inst(), send)
	t.run = messages(consumer, systemTasks, "process", processed.Inst(), process)
	t.submit.name, t.run.name = taskKindKey, taskKindKey
}

// handle tells of what the meter did not take; the instrument that it gave does nothing.
func handle(err error) {
	if err != nil {
		otel.Handle(err)
	}
}
