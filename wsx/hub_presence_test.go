package wsx_test

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/genropy/genro-asgi-go/wsx"
	"github.com/genropy/genro-asgi-go/wsx/broker"
)

var connIDs = regexp.MustCompile(`"conn":"([A-Z2-7]{26})"`)

// presentIn asks for the members of a channel; each is a letter of names, which maps connection
// ids.
func presentIn(t *testing.T, c *tap, channel string, names map[string]string) string {
	t.Helper()
	c.send(request(`"p"`, "wsx.presence", `{"channel":"`+channel+`"}`))
	got := c.all()
	if len(got) != 1 ||
		!strings.HasPrefix(got[0], `{"type":"rpc.response","id":"p","result":{"members":[`) {
		t.Errorf("presence: %v", got)
		return ""
	}
	var members []string
	for _, m := range connIDs.FindAllStringSubmatch(got[0], -1) {
		members = append(members, names[m[1]])
	}
	slices.Sort(members)
	return strings.Join(members, " ")
}

func TestHub_KeepsPresence(t *testing.T) {
	names := make(map[string]string)
	var next string
	inRig(t, map[string]wsx.ChannelOptions{
		"room.>": {
			Presence:    true,
			OnSubscribe: func(s wsx.Subscription) { names[s.Conn.ID()] = next },
		},
		"plain.>": {},
	}, nil, func(t *testing.T, r *hubRig) {
		a, b, c := r.tap(), r.tap(), r.tap()
		on := func(s *tap, name, channel string) {
			t.Helper()
			next = name
			s.send(subscribeTo("1", channel, ""))
			if got := s.all(); len(got) != 1 || !strings.Contains(got[0], `"subscribed"`) {
				t.Errorf("%s to %s: %v", name, channel, got)
			}
		}
		seq := 1 // a's own joining
		told := func(s *tap, event, name string) {
			t.Helper()
			got := s.all()
			if len(got) != 1 {
				t.Errorf("%d messages for one %s of %s: %v", len(got), event, name, got)
				return
			}
			id := connIDs.FindStringSubmatch(got[0])
			seq++
			if id == nil || names[id[1]] != name ||
				got[0] !=
					serverNotify(event,
						`{"channel":"room.x","member":{"conn":"`+id[1]+`","subject":""},"seq":`+
							strconv.Itoa(seq)+`}`) {
				t.Errorf("%s of %s: %v", event, name, got)
			}
		}
		on(a, "a", "room.x")
		a.wants()            // not told of itself
		on(a, "a", "room.x") // again: nobody joins
		on(c, "c", "room.>") // by pattern: nobody joins, and is told nothing
		on(b, "b", "room.x") // once for two subscriptions of a
		told(a, "wsx.join", "b")
		c.wants()
		for _, s := range []*tap{a, b} {
			if got := presentIn(t, s, "room.x", names); got != "a b" {
				t.Errorf("present: %q", got)
			}
		}
		c.send(request("1", "wsx.presence", `{"channel":"room.x"}`))
		c.wants(fault("1", "PERMISSION_DENIED", "only subscribers of a channel see who is in it"))
		on(c, "c", "plain.x")
		c.send(request("1", "wsx.presence", `{"channel":"plain.x"}`),
			request("2", "wsx.presence", `{"channel":"room.*"}`),
			request("3", "wsx.presence", `{"channel":3}`))
		if got := strings.Join(c.all(), ""); !strings.Contains(got,
			fault("1", "NOT_FOUND", "the channel has no presence")) ||
			!strings.Contains(got, `"id":2,"error":{"code":"INVALID_REQUEST"`) ||
			!strings.Contains(got, `"id":3,"error":{"code":"INVALID_PARAMS"`) {
			t.Error(got)
		}

		a.send(`{"type":"rpc.unsubscribe","id":9,"subscription":"1"}`)
		a.wants(unsubscribed("9"))
		b.wants() // a has another subscription
		a.send(`{"type":"rpc.unsubscribe","id":9,"channel":"room.x"}`)
		a.wants(unsubscribed("9"))
		told(b, "wsx.leave", "a")
		if got := presentIn(t, b, "room.x", names); got != "b" {
			t.Errorf("present: %q", got)
		}
		on(a, "a", "room.x")
		told(b, "wsx.join", "a")
		_ = b.c.CloseNow()
		told(a, "wsx.leave", "b")
		c.wants()
	})
}

func TestHub_SharesPresenceThroughItsBroker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		shared := broker.NewMemory()
		channels := map[string]wsx.ChannelOptions{"room.>": {Presence: true}}
		here, there := newRig(t, shared, channels, nil), newRig(t, shared, channels, nil)
		a, b := here.tap(), there.tap()
		a.send(subscribeTo("1", "room.x", ""))
		a.all()
		b.send(subscribeTo("1", "room.x", ""))
		b.all()
		if got := strings.Join(a.all(), ""); !strings.Contains(got, "wsx.join") {
			t.Errorf("told: %q", got)
		}
		if got := presentIn(t, a, "room.x", nil); got != " " { // two without a name
			t.Errorf("present: %q", got)
		}
		if err := there.hub.Stop(t.Context()); err != nil {
			// its connections stay up: they are gone from here all the same
			t.Error(err)
		}
		if got := strings.Join(a.all(), ""); !strings.Contains(got, "wsx.leave") {
			t.Errorf("told: %q", got)
		}
		if got := presentIn(t, a, "room.x", nil); got != "" {
			t.Errorf("present: %q", got)
		}
	})
}

// TestHub_PresenceIsRightAfterAStorm: whatever overlapped, those who are subscribed at the end are
// present, and nobody else.
func TestHub_PresenceIsRightAfterAStorm(t *testing.T) {
	hub := wsx.NewHub(nil)
	hub.Configure("a", &wsx.ChannelOptions{Presence: true})
	_, url := newTestServer(t, &wsx.ServerOptions{Hub: hub})
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			s := dialSocket(t, nil, url)
			for range 50 { // no answer is waited for
				s.send(subscribeTo("1", "a", ""), `{"type":"rpc.unsubscribe","id":2,"channel":"a"}`,
					subscribeTo("3", "a", ""), `{"type":"rpc.cancel","id":3}`)
			}
			s.send(ping)
			for s.read() != pong {
				continue
			}
			_ = s.c.CloseNow() // with subscriptions, some of them under way
		})
	}
	wg.Wait()
	s := dialSocket(t, nil, url)
	s.send(subscribeTo("1", "a", ""))
	for !strings.Contains(s.read(), `"subscribed"`) {
		continue
	}
	for members := 0; members != 1; { // until the server has noticed the ends
		s.send(request("2", "wsx.presence", `{"channel":"a"}`))
		m := s.read()
		for !strings.Contains(m, `"members"`) {
			m = s.read()
		}
		members = len(connIDs.FindAllString(m, -1))
	}
	if err := hub.Stop(context.Background()); err != nil {
		t.Error(err)
	}
}

// TestHub_PresenceTwiceInABatch: the answers go together, so neither waits for the other to be
// sent.
func TestHub_PresenceTwiceInABatch(t *testing.T) {
	inRig(t, map[string]wsx.ChannelOptions{"room": {Presence: true}}, nil,
		func(t *testing.T, r *hubRig) {
			a, b := r.tap(), r.tap()
			a.send(subscribeTo("1", "room", ""))
			a.all()
			ask := `{"jsonrpc":"2.0","id":%d,"method":"wsx.presence","params":{"channel":"room"}}`
			a.send("[" + fmt.Sprintf(ask, 1) + "," + fmt.Sprintf(ask, 2) + "]")
			if got := a.all(); len(got) != 1 || strings.Count(got[0], `"seq":1}`) != 2 {
				t.Error(got)
			}
			b.send(subscribeTo("1", "room", ""))
			if got := a.all(); len(got) != 1 || !strings.Contains(got[0], `"seq":2}`) {
				t.Error(got)
			}
		})
}

// TestHub_PresenceIsToldBehindAReplay: who joins after a subscription was answered is told, also
// while its client takes what it missed. The conformance vectors found that a join just behind the
// answer was lost.
func TestHub_PresenceIsToldBehindAReplay(t *testing.T) {
	inRig(t, map[string]wsx.ChannelOptions{"a": {History: 50, Presence: true}},
		&wsx.ServerOptions{MaxQueueMessages: 10, WriteTimeout: 1 << 40},
		func(t *testing.T, r *hubRig) {
			var p broker.Position
			for i := range 50 {
				p = r.publish("a", strings.Repeat("x", 2000)+strconv.Itoa(i))
			}
			s := dialSocket(t, r.client, "ws://wsx.test/")
			s.send(subscribeTo("1", "a",
				fmt.Sprintf(`,"recover":{"epoch":"%s","offset":0}`, p.Epoch)))
			if got := s.read(); !strings.Contains(got, `"recovered":true`) {
				t.Fatal(got)
			}
			other := r.tap()
			other.send(subscribeTo("1", "a", ""))
			if got := other.all(); len(got) == 0 || !strings.Contains(got[0], `"subscribed"`) {
				t.Fatal(got)
			}
			for range 50 {
				if got := s.read(); !strings.Contains(got, "rpc.event") {
					t.Fatal(got)
				}
			}
			s.send(ping)
			if got := s.read(); !strings.Contains(got, "wsx.join") {
				t.Fatal(got)
			}
			s.expect(pong)
		})
}
