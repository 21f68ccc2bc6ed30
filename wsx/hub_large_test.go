package wsx_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/genropy/genro-asgi-go/wsx"
	"github.com/genropy/genro-asgi-go/wsx/broker"
)

// TestHub_EventsTooLargeFromElsewhereAreCountedAsDropped: live, held and replayed ones, and no
// policy cuts the subscriber for them.
func TestHub_EventsTooLargeFromElsewhereAreCountedAsDropped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		shared := broker.NewMemory()
		elsewhere := newRig(t, shared, map[string]wsx.ChannelOptions{"a": {History: 10}}, nil).hub
		hub := wsx.NewHub(&wsx.HubOptions{
			Broker: shared, MaxEvent: 10,
			Logger: slog.New(slog.DiscardHandler),
		})
		t.Cleanup(func() { _ = hub.Stop(context.Background()) })
		large := strings.Repeat("x", 20)
		publish := func(payloads ...string) (p broker.Position) {
			t.Helper()
			for _, payload := range payloads {
				var err error
				if p, err = elsewhere.Publish(t.Context(), "a", payload); err != nil {
					t.Fatal(err)
				}
			}
			return p
		}
		hub.Configure("a",
			&wsx.ChannelOptions{
				History:     10,
				OnSubscribe: func(wsx.Subscription) { publish(large, "held") },
			})
		_, client := serve(t, callDispatcher(), &wsx.ServerOptions{Hub: hub})
		r := &hubRig{t: t, hub: hub, client: client}
		epoch := publish("1", large, "3", large).Epoch
		c := r.tap()
		c.send(subscribeTo("1", "a", fmt.Sprintf(`,"recover":{"epoch":"%s","offset":0}`, epoch)))
		c.wants(subscribedTo("1", "a", "1", at("E1", 4)+`,"recovered":true`),
			event("a", `"1"`, "1", at("E1", 1)), event("a", `"3"`, "1", at("E1", 3)+`,"dropped":1`),
			event("a", `"held"`, "1", at("E1", 6)+`,"dropped":2`))
		publish(large, large, "9")
		c.wants(event("a", `"9"`, "1", at("E1", 9)+`,"dropped":2`))

		var heard []string
		for e, err := range hub.Listen(t.Context(), "a", broker.Position{Epoch: epoch, Offset: 3}) {
			if errors.Is(err, wsx.ErrMissed) {
				heard = append(heard, "missed")
				continue
			}
			if heard = append(heard, string(e.Payload)); err != nil ||
				string(e.Payload) == `"held"` && len(heard) > 6 {
				break
			}
		}
		if got := strings.Join(heard, " "); got !=
			`missed missed "held" missed missed "9" missed "held"` {
			t.Errorf("heard %s", got)
		}
	})
}
