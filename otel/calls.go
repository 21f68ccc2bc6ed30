package asgiotel

import (
	"context"
	"errors"
	"strconv"

	"go.opentelemetry.io/otel/propagation"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"

	"github.com/genropy/genro-asgi-go/wsx"
)

// errPanicked stands for the error of what did not return.
var errPanicked = errors.New("panic")

// WSX is middleware for Dispatcher.Use, of a server's methods and of a client's: a span and a
// measurement for each call, by WSX or JSON-RPC. The span is a child of the one that the caller's
// meta tells of.
func (t *Telemetry) WSX(next wsx.Handler) wsx.Handler {
	return func(ctx context.Context, r *wsx.Request) (err error) {
		calls := t.wsxServer
		if r.JSONRPC() {
			calls = t.jsonrpcServer
		}
		var more []trace.SpanStartOption
		if t.tracer != nil && len(r.Meta) > 0 {
			ctx, more = t.incoming(ctx, meta(r.Meta))
		}
		ctx, running := t.begin(ctx, calls, r.Method, more...)
		err = errPanicked // until next returns
		defer func() {
			if err == nil {
				running.end(ctx, "", nil)
				return
			}
			running.end(ctx, peerCode(err, r.JSONRPC()), err)
		}()
		err = next(ctx, r)
		return err
	}
}

// incoming is ctx with the caller's span as the parent of one that begins with it, or, of a public
// endpoint, the options of one that links to it.
func (t *Telemetry) incoming(ctx context.Context, carrier propagation.TextMapCarrier,
) (context.Context, []trace.SpanStartOption) {
	remote := t.extract(ctx, carrier)
	if !t.opts.PublicEndpoint {
		return remote, nil
	}
	sc := trace.SpanContextFromContext(remote)
	if !sc.IsValid() || !sc.IsRemote() {
		return ctx, nil
	}
	return ctx, []trace.SpanStartOption{
		trace.WithNewRoot(), trace.WithLinks(trace.Link{SpanContext: sc}),
	}
}

// peerCode is the code of a handler's error as the peer is told it.
func peerCode(err error, jsonrpc bool) string {
	e := wsx.PeerError(err)
	if jsonrpc {
		return strconv.Itoa(e.JSONRPCCode())
	}
	return e.Code
}

// errorType is what error.type says of an error where no peer is told a code: the code that one
// would be told, and of what is internal the name of its type. It is "" of nil.
func errorType(err error) string {
	if err == nil {
		return ""
	}
	if errors.Is(err, errPanicked) {
		return "panic"
	}
	if code := wsx.PeerError(err).Code; code != wsx.CodeInternalError {
		return code
	}
	return semconv.ErrorType(err).Value.AsString()
}

// around runs next as an operation that began with ctx.
func around(ctx context.Context, running *running, next func(ctx context.Context) error,
) (err error) {
	err = errPanicked // until next returns
	defer func() { running.end(ctx, errorType(err), err) }()
	err = next(ctx)
	return err
}
