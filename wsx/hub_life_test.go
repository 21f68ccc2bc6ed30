package wsx_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/coder/websocket"

	"github.com/genropy/genro-asgi-go/wsx"
	"github.com/genropy/genro-asgi-go/wsx/broker"
	"github.com/genropy/genro-asgi-go/wsx/wsxtest"
)

func TestHub_StopEndsItForGood(t *testing.T) {
	inRig(t, channels(), nil, func(t *testing.T, r *hubRig) {
		c := r.tap()
		c.send(subscribeTo("1", "plain.a", ""))
		c.wants(subscribedTo("1", "plain.a", "1", ""))
		r.publish("plain.a", 1)
		var wg sync.WaitGroup
		for range 3 { // at once, and again
			wg.Go(func() {
				if err := r.hub.Stop(t.Context()); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		c.wants(event("plain.a", "1", "1", "")) // what was published before is delivered
		stopped := wsx.NewError(wsx.CodeUnavailable, "")
		if _, err := r.hub.Publish(t.Context(), "plain.a", 2); !errors.Is(err, stopped) {
			t.Error(err)
		}
		if err := r.hub.Start(t.Context()); !errors.Is(err, stopped) {
			t.Error(err)
		}
		c.send(subscribeTo("2", "plain.b", ""))
		c.wants(fault("2", "UNAVAILABLE", "unavailable"))
		// goes well without a broker
		c.send(`{"type":"rpc.unsubscribe","id":3,"channel":"plain.a"}`)
		c.wants(unsubscribed("3"))
		c.send(request("4", "echo", "1"))
		c.wants(response("4", "1"))
	})
}

func TestHub_StopsWithoutHavingStarted(t *testing.T) {
	hub := wsx.NewHub(nil)
	if err := errors.Join(hub.Stop(t.Context()), hub.Stop(t.Context())); err != nil {
		t.Error(err)
	}
	hub = wsx.NewHub(nil)
	if err := errors.Join(hub.Start(t.Context()), hub.Start(t.Context()),
		hub.Stop(t.Context())); err != nil {
		t.Error(err)
	}
}

func TestHub_StopWaitsNoLongerThanItsContext(t *testing.T) {
	var held chan struct{}
	inRig(t,
		map[string]wsx.ChannelOptions{
			"a": {Filter: func(wsx.Subscription) (func(broker.Event) bool, error) {
				return func(broker.Event) bool { <-held; return true }, nil
			}},
		}, nil, func(t *testing.T, r *hubRig) {
			held = make(chan struct{})
			c := r.tap()
			c.send(subscribeTo("1", "a", ""))
			c.all()
			r.publish("a", 1)
			ctx, cancel := context.WithCancelCause(t.Context())
			cause := errors.New("enough")
			cancel(cause)
			if err := r.hub.Stop(ctx); !errors.Is(err, cause) {
				t.Error(err)
			}
			close(held)
			c.wants(event("a", "1", "1", ""))
		})
}

func TestHub_IsConfiguredWhileItRuns(t *testing.T) {
	inRig(t, nil, nil, func(t *testing.T, r *hubRig) {
		c := r.tap()
		c.send(subscribeTo("1", "a.b", ""))
		c.wants(fault("1", "SUBSCRIPTION_DENIED", "subscription denied"))
		r.hub.Configure("a.>", nil)
		c.send(subscribeTo("1", "a.b", ""))
		c.wants(subscribedTo("1", "a.b", "1", ""))
		r.hub.Configure("a.b", &wsx.ChannelOptions{History: 2})
		r.publish("a.b", 1)
		c.wants(event("a.b", "1", "1", at("E1", 1)))
		c.send(subscribeTo("1", "a.b", ""))
		c.wants(subscribedTo("1", "a.b", "2", at("E1", 1)))
		r.hub.Configure("a.b",
			&wsx.ChannelOptions{Authorize: func(context.Context, wsx.Subscription) error {
				return errors.New("no")
			}})
		c.send(subscribeTo("1", "a.b", ""))
		c.wants(fault("1", "SUBSCRIPTION_DENIED", "subscription denied"))
	})
	hub := wsx.NewHub(nil) // under the race detector
	hub.Configure(">", nil)
	var wg sync.WaitGroup
	for i := range 4 {
		wg.Go(func() {
			for n := range 100 {
				hub.Configure(fmt.Sprintf("a%d.*", n%7), &wsx.ChannelOptions{History: n})
				if _, err := hub.Publish(t.Context(), "a"+strconv.Itoa(i)+".x", n); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if err := hub.Stop(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestHub_ManyShareABroker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		shared := broker.NewMemory()
		var rigs []*hubRig
		var taps []*tap
		for range 3 {
			r := newRig(t, shared, channels(), nil)
			rigs = append(rigs, r)
			for range 2 {
				c := r.tap()
				c.send(subscribeTo("1", "room.a", ""))
				c.wants(subscribedTo("1", "room.a", "1", at("E1", 0)))
				taps = append(taps, c)
			}
		}
		for i, r := range rigs {
			if p := r.publish("room.a", i); p.Offset != uint64(i+1) {
				t.Error(p)
			}
			for _, c := range taps {
				c.wants(event("room.a", strconv.Itoa(i), "1", at("E1", i+1)))
			}
		}
		if n := rigs[0].hub.Unsubscribe("room.a", "GONE"); n != 2 { // this hub's, no other's
			t.Error(n)
		}
		if err := rigs[1].hub.Stop(t.Context()); err != nil {
			t.Error(err)
		}
		rigs[2].publish("room.a", 3)
		for i, c := range taps {
			if n := strings.Count(strings.Join(c.all(), ""), "rpc.event"); n !=
				[]int{0, 0, 1}[i/2] {
				t.Errorf("hub %d: %d events", i/2, n)
			}
		}
	})
}

// TestHub_ServersMayShareOne: it sends to the connections of both.
func TestHub_ServersMayShareOne(t *testing.T) {
	inRig(t, channels(), nil, func(t *testing.T, r *hubRig) {
		_, client := serve(t, callDispatcher(), &wsx.ServerOptions{Hub: r.hub})
		a := r.tap()
		r.client = client
		b := r.tap()
		for _, c := range []*tap{a, b} {
			c.send(subscribeTo("1", "plain.a", ""))
			c.wants(subscribedTo("1", "plain.a", "1", ""))
		}
		r.publish("plain.a", 1)
		a.wants(event("plain.a", "1", "1", ""))
		b.wants(event("plain.a", "1", "1", ""))
	})
}

// TestHub_ServersStopUnderLoad: events are published and subscriptions come and go all the time.
func TestHub_ServersStopUnderLoad(t *testing.T) {
	for round := range 20 {
		hub := wsx.NewHub(nil)
		hub.Configure("a.>", &wsx.ChannelOptions{
			History: 100, Presence: true, Slow: wsx.SlowLatest,
		})
		s := wsx.NewServer(callDispatcher(), &wsx.ServerOptions{Hub: hub})
		client := wsxtest.Serve(t, s)
		stop := make(chan struct{})
		var wg sync.WaitGroup
		for i := range 2 {
			wg.Go(func() {
				for n := 0; ; n++ {
					select {
					case <-stop:
						return
					default:
						// the hub may be stopped
						_, _ = hub.Publish(t.Context(), "a."+strconv.Itoa(i), n)
					}
				}
			})
		}
		for i := range 4 {
			wg.Go(func() {
				c, resp, err := websocket.Dial(t.Context(), "ws://wsx.test/",
					&websocket.DialOptions{HTTPClient: client})
				if err != nil {
					if resp == nil || resp.StatusCode != http.StatusServiceUnavailable {
						t.Error(err)
					}
					return
				}
				defer func() { _ = c.CloseNow() }()
				for n := range 50 {
					msg := subscribeTo(strconv.Itoa(n), "a."+strconv.Itoa(n%3),
						`,"recover":{"epoch":"x","offset":0}`)
					if n%2 == 1 {
						msg = `{"type":"rpc.unsubscribe","id":"u` + strconv.Itoa(i) +
							`","channel":"a.` + strconv.Itoa(n%3) + `"}`
					}
					if c.Write(t.Context(), websocket.MessageText, []byte(msg)) != nil {
						return
					}
					if _, _, err := c.Read(t.Context()); err != nil {
						return
					}
				}
			})
		}
		if err := hub.Start(t.Context()); err != nil {
			t.Error(err)
		}
		stop1, stop2 := s.Stop, hub.Stop // in either order
		if round%2 == 0 {
			stop1, stop2 = stop2, stop1
		}
		if err := errors.Join(stop1(t.Context()), stop2(t.Context()), s.Stop(t.Context())); err !=
			nil {
			t.Error(err)
		}
		close(stop)
		wg.Wait()
	}
}

// TestHub_AllSubscribersSeeOneOrder: with publishers at once, the events of a channel come to
// everybody in the same order.
func TestHub_AllSubscribersSeeOneOrder(t *testing.T) {
	const publishers, each, subscribers = 4, 200, 10
	hub := wsx.NewHub(nil)
	hub.Configure("a.*", nil)
	_, url := newTestServer(t, &wsx.ServerOptions{Hub: hub})
	got := make([][]string, subscribers)
	var ready, done sync.WaitGroup
	for i := range subscribers {
		ready.Add(1)
		done.Go(func() {
			s := dialSocket(t, nil, url)
			s.send(subscribeTo("1", []string{"a.x", "a.*"}[i%2], ""))
			s.read()
			ready.Done()
			for range publishers * each {
				_, payload, _ := strings.Cut(s.read(), `"payload":`)
				payload, _, _ = strings.Cut(payload, ",")
				got[i] = append(got[i], payload)
			}
		})
	}
	ready.Wait()
	var publishing sync.WaitGroup
	for p := range publishers {
		publishing.Go(func() {
			for n := range each {
				if _, err := hub.Publish(t.Context(), "a.x", 1000*p+n); err != nil {
					t.Error(err)
				}
			}
		})
	}
	publishing.Wait()
	done.Wait()
	next := make(map[int]int)
	for _, payload := range got[0] {
		v, err := strconv.Atoi(payload)
		if err != nil || v%1000 != next[v/1000] {
			t.Fatalf("%s in place of %d: %v", payload, next[v/1000], err)
		}
		next[v/1000]++
	}
	for i := range got {
		if !slices.Equal(got[i], got[0]) {
			t.Errorf("subscriber %d has another order", i)
		}
	}
	if err := hub.Stop(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestHub_AThousandSubscribersGetEveryEvent(t *testing.T) {
	const subscribers, events = 1000, 5
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, nil, map[string]wsx.ChannelOptions{"a": {History: events}}, nil)
		var got [subscribers]bytes.Buffer
		for i := range subscribers {
			rwc := dialRaw(t, r.client, "http://wsx.test/")
			go func() { _, _ = io.Copy(&got[i], rwc) }()
			if _, err := rwc.Write(clientFrame(subscribeTo("1", "a", ""))); err != nil {
				t.Fatal(err)
			}
		}
		synctest.Wait()
		for i := range events {
			r.publish("a", i)
		}
		synctest.Wait()
		for i := range got {
			for n := range events {
				if !strings.Contains(got[i].String(), fmt.Sprintf(`"payload":%d,`, n)) {
					t.Fatalf("subscriber %d has no event %d", i, n)
				}
			}
		}
	})
}

// clientFrame is a text message of at most 125 bytes, with a mask of zeros.
func clientFrame(text string) []byte {
	return append([]byte{0x81, 0x80 | byte(len(text)), 0, 0, 0, 0}, text...)
}
