// Package asgiotel traces and measures programs that are made of this toolkit, with OpenTelemetry:
// spans and histograms of WSX and JSON-RPC calls that a server runs, of tasks and of worker
// processes, and spans of the processing of events.
//
// The package is not called otel, its folder's name, because each file that sets it up imports
// go.opentelemetry.io/otel too:
//
//	import (
//		"go.opentelemetry.io/otel"
//
//		asgiotel "github.com/genropy/genro-asgi-go/otel"
//	)
//
// # Use
//
// [New] makes a [Telemetry], whose methods are middleware for the places where the packages take
// it. A program adds those that it wants; what it does not add costs nothing.
//
//	watch := asgiotel.New(nil)
//	methods.Use(watch.WSX)
//	tasks.Options{SubmitMiddleware: {watch.Submit}, Middleware: {watch.Run}}
//	executor.Options{Middleware: {watch.Executor}}
//
// For HTTP there is otelhttp of OpenTelemetry's own.
//
// # Conventions
//
// Names are those of OpenTelemetry's semantic conventions 1.43.0 ([SchemaURL]), of which RPC was a
// release candidate and messaging in development. What they leave open:
//
//   - rpc.system.name is "jsonrpc" for calls of that protocol, "wsx" for WSX and "genro.executor"
//     for calls of worker processes. messaging.system is "wsx" for events of a hub and
//     "genro.tasks" for tasks.
//   - rpc.response.status_code and error.type of a failed call are the code that the peer is told,
//     such as NOT_FOUND, and in JSON-RPC its number. Every code is an error, as those conventions
//     say of JSON-RPC. error.type of other errors is the code that a peer would be told of them
//     (wsx.PeerError), and of internal ones the name of the error's type.
//   - A span of a task is called by its kind ("submit report", "process report") and not by its
//     queue, which is messaging.destination.name, as everybody looks for tasks by kind; the kind
//     is genro.task.kind too, and the attempt genro.task.attempt.
//   - A span of an event is called by its operation alone ("process"), as names of channels may be
//     as many as users; the channel is messaging.destination.name.
//
// # Traces
//
// Trace context is that of W3C (traceparent and tracestate). WSX and JSON-RPC calls carry it in
// meta, events in meta as well, tasks in their metadata, and so it lasts as long as the task, in
// other processes and after restarts; calls of workers have it in their frames.
//
// A span of a call is a child of its caller's, here and in the worker. What processes an event or
// a task has the message's producer as its parent, so that all is one trace, and as a link, by
// which the conventions join producers and consumers; where another span is under way already, that
// is the parent, and the link remains. With [Options.LinkOnly] every consumer begins a trace of its
// own, with the link: for tasks that wait for days.
//
// # Metrics
//
// Middleware records rpc.server.call.duration, rpc.client.call.duration of worker processes,
// messaging.client.operation.duration and messaging.process.duration, in seconds. Their attributes
// are bounded: of methods, functions and kinds, 1,000 names are told apart by one Telemetry, and 64
// codes of each; what comes beyond is _OTHER. Channels are no attributes of metrics.
//
// # Concurrency
//
// A Telemetry is safe for concurrent use, and holds nothing that needs an end: providers are the
// program's to shut down.
package asgiotel
