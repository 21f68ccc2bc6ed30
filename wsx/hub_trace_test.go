package wsx_test

import (
	"fmt"
	"testing"
	"testing/synctest"

	"github.com/genropy/genro-asgi-go/wsx"
	"github.com/genropy/genro-asgi-go/wsx/broker"
)

const (
	traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	tracestate  = "rojo=00f067aa0ba902b7"
)

// withTrace is the members of an event's meta that tell of its trace.
const withTrace = `,"traceparent":"` + traceparent + `","tracestate":"` + tracestate + `"`

// TestHub_AnEventCarriesItsTrace to subscribers and listeners, live and replayed; an event without
// one says nothing of it.
func TestHub_AnEventCarriesItsTrace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		shared := broker.NewMemory()
		r := newRig(t, shared, map[string]wsx.ChannelOptions{"a": {History: 10}}, nil)
		trace := broker.Trace{Parent: traceparent, State: tracestate}
		publish := func(payload string, trace broker.Trace) broker.Position {
			t.Helper()
			p, err := shared.Publish(t.Context(), broker.Event{
				Channel: "a", Payload: []byte(payload), Trace: trace,
			}, broker.History{Size: 10})
			if err != nil {
				t.Fatal(err)
			}
			return p
		}
		first := publish("1", trace)
		if err := r.hub.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		c := r.tap()
		c.send(subscribeTo("1", "a",
			fmt.Sprintf(`,"recover":{"epoch":"%s","offset":0}`, first.Epoch)))
		c.wants(subscribedTo("1", "a", "1", at("E1", 1)+`,"recovered":true`),
			event("a", "1", "1", at("E1", 1)+withTrace))
		publish("2", trace)
		publish("3", broker.Trace{})
		publish("4", broker.Trace{State: tracestate})
		c.wants(event("a", "2", "1", at("E1", 2)+withTrace), event("a", "3", "1", at("E1", 3)),
			event("a", "4", "1", at("E1", 4)))

		n := 0
		for e, err := range r.hub.Listen(t.Context(), "a", broker.Position{Epoch: first.Epoch}) {
			if n++; err != nil || (n <= 2) != (e.Trace == trace) {
				t.Errorf("event %d has the trace %+v, %v", n, e.Trace, err)
			}
			if n == 3 {
				break
			}
		}
	})
}
