package wsx_test

import (
	"context"
	"strings"
	"sync"
	"testing"

	"github.com/genropy/genro-asgi-go/wsx"
)

func TestHub_NoEventComesBeforeTheResponse(t *testing.T) {
	var hub *wsx.Hub
	opts := wsx.ChannelOptions{OnSubscribe: func(s wsx.Subscription) {
		for i := range 3 {
			_, _ = hub.Publish(context.Background(), "plain.a", i)
		}
	}}
	history := opts
	history.History = 2
	for name, opts := range map[string]wsx.ChannelOptions{
		"without history": opts,
		"with history":    history,
	} {
		t.Run(name, func(t *testing.T) {
			inRig(t, map[string]wsx.ChannelOptions{"plain.>": opts}, nil,
				func(t *testing.T, r *hubRig) {
					hub = r.hub
					c := r.tap()
					c.send(subscribeTo("1", "plain.a", ""))
					more, pos := "", func(int) string { return "" }
					if opts.History > 0 {
						more, pos = at("E1", 0), func(i int) string { return at("E1", i) }
					}
					c.wants(subscribedTo("1", "plain.a", "1", more),
						event("plain.a", "0", "1", pos(1)), event("plain.a", "1", "1", pos(2)),
						event("plain.a", "2", "1", pos(3)))
				})
		})
	}
}

func TestHub_NoEventFollowsTheEnd(t *testing.T) {
	hub := wsx.NewHub(nil)
	hub.Configure("a", &wsx.ChannelOptions{History: 50, Presence: true, Slow: wsx.SlowDropOldest})
	_, url := newTestServer(t,
		&wsx.ServerOptions{Hub: hub, MaxQueueMessages: 1 << 20, MaxQueueBytes: 1 << 30})
	// for one event each, so that the publishers are busy when it matters
	tokens := make(chan struct{}, 100)
	burst := func() {
		for range cap(tokens) {
			select {
			case tokens <- struct{}{}:
			default:
			}
		}
	}
	var wg sync.WaitGroup
	for range 3 {
		wg.Go(func() {
			for range tokens {
				if _, err := hub.Publish(t.Context(), "a", 1); err != nil {
					t.Error(err)
				}
			}
		})
	}
	var clients sync.WaitGroup
	for n := range 3 {
		clients.Go(func() {
			s := dialSocket(t, nil, url)
			for i := range 40 {
				burst()
				s.send(subscribeTo("1", "a", ""))
				m := s.read()
				for strings.Contains(m, "wsx.") {
					// of other connections, or of the last round's subscription
					m = s.read()
				}
				_, offset, _ := positionOf(t, m)
				if !strings.Contains(m, `"subscribed"`) {
					t.Errorf("in place of the response: %s", m)
					return
				}
				burst()
				if n == 0 {
					hub.Unsubscribe("a", wsx.CodePermissionDenied)
				} else {
					s.send(`{"type":"rpc.unsubscribe","id":2,"channel":"a"}`)
				}
				for last := false; !last; {
					m := s.read()
					switch {
					case strings.Contains(m, "wsx.unsubscribed"):
						last = n == 0
					case strings.Contains(m, "wsx."):
					case strings.Contains(m, `"rpc.event"`):
						_, next, dropped := positionOf(t, m)
						if next != offset+dropped+1 {
							t.Errorf("%d after %d, and %d dropped", next, offset, dropped)
							return
						}
						offset = next
					default: // the response, or NOT_FOUND when the hub was faster
						last = true
					}
				}
				s.send(ping)
				for m := ""; m != pong; {
					if m = s.read(); strings.Contains(m, "rpc.event") {
						t.Errorf("after the end, round %d of %d: %s", i, n, m)
						return
					}
				}
			}
		})
	}
	clients.Wait()
	close(tokens)
	wg.Wait()
	if err := hub.Stop(t.Context()); err != nil {
		t.Error(err)
	}
}
