package asgiotel

import (
	"context"

	"github.com/go-json-experiment/json/jsontext"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"

	"github.com/genropy/genro-asgi-go/wsx/broker"
)

// extract is ctx with the remote span that carrier tells of; ctx itself where it tells of none.
func (t *Telemetry) extract(ctx context.Context, carrier propagation.TextMapCarrier,
) context.Context {
	if t.tracer == nil {
		return ctx
	}
	return t.opts.Propagator.Extract(ctx, carrier)
}

// meta reads the members of a message's meta that are strings. It is JSON, without duplicate names.
type meta jsontext.Value

// Get implements propagation.TextMapCarrier.
func (m meta) Get(key string) (value string) {
	m.members(func(name, raw []byte) bool {
		if string(name) != key {
			return true
		}
		if text, err := jsontext.AppendUnquote(nil, raw); err == nil {
			value = string(text)
		}
		return false
	})
	return value
}

// Keys implements propagation.TextMapCarrier.
func (m meta) Keys() (keys []string) {
	m.members(func(name, _ []byte) bool {
		keys = append(keys, string(name))
		return true
	})
	return keys
}

// Set implements propagation.TextMapCarrier; nothing is written to what a peer has sent.
func (meta) Set(string, string) {}

// members calls yield with the name, as it is written, and the quoted value of each member that is
// a string, until it returns false. A decoder of JSON would do it too, at ten times the cost, which
// every call would pay.
func (m meta) members(yield func(name, value []byte) bool) {
	depth, isName := 0, false
	var name []byte
	for i := 0; i < len(m); i++ {
		switch m[i] {
		case '{', '[':
			depth++
			isName = true // of the outermost object; deeper it is not asked
		case '}', ']':
			depth--
		case ',':
			isName = isName || depth == 1
		case '"':
			end := i + 1
			for end < len(m) && m[end] != '"' {
				if m[end] == '\\' {
					end++
				}
				end++
			}
			if end >= len(m) {
				return
			}
			quoted := m[i : end+1]
			i = end
			switch {
			case depth != 1:
			case isName:
				name, isName = quoted[1:len(quoted)-1], false
			case !yield(name, quoted):
				return
			}
		}
	}
}

// inject writes ctx's span into the map, which it makes where it is nil.
func (t *Telemetry) inject(ctx context.Context, into map[string]string) map[string]string {
	if t.tracer == nil || !trace.SpanContextFromContext(ctx).IsValid() {
		return into
	}
	if into == nil {
		into = make(map[string]string, 2)
	}
	t.opts.Propagator.Inject(ctx, propagation.MapCarrier(into))
	return into
}

// The names of W3C Trace Context, as the fields of an event's trace have no names.
const (
	traceparent = "traceparent"
	tracestate  = "tracestate"
)

// traceCarrier is the trace of an event.
type traceCarrier broker.Trace

// Get implements propagation.TextMapCarrier.
func (c *traceCarrier) Get(key string) string {
	switch key {
	case traceparent:
		return c.Parent
	case tracestate:
		return c.State
	}
	return ""
}

// Set implements propagation.TextMapCarrier.
func (c *traceCarrier) Set(key, value string) {
	switch key {
	case traceparent:
		c.Parent = value
	case tracestate:
		c.State = value
	}
}

// Keys implements propagation.TextMapCarrier.
func (c *traceCarrier) Keys() []string { return []string{traceparent, tracestate} }
