package wsx

import (
	"context"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/go-json-experiment/json/jsontext"
)

// roundOf subscribes so many to the channel "a"; filter is asked with the subscriber's number.
func roundOf(t *testing.T, subscribers int, filter func(subscriber int, e Event)) (*Hub, []*listener) {
	t.Helper()
	h := NewHub(nil)
	h.Configure("a", ChannelOptions{})
	var all []*listener
	for i := range subscribers {
		l, missed, err := h.listenTo(context.Background(), Subscription{Channel: "a"}, func(e Event) bool {
			filter(i, e)
			return true
		}, Position{})
		if err != nil {
			t.Fatal(err)
		}
		l.sub.goLive(missed)
		t.Cleanup(l.leave)
		all = append(all, l)
	}
	t.Cleanup(func() {
		if err := h.Stop(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return h, all
}

// newLane is a lane without a goroutine.
func newLane() *lane {
	l := &lane{came: make(chan struct{}, 1)}
	l.room = sync.NewCond(&l.mu)
	return l
}

// add puts events into it.
func (l *lane) add(payloads ...string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.events = append(l.events, events(payloads...)...)
	l.more.Store(true)
}

// events are some of channel "a".
func events(payloads ...string) (all []Event) {
	for _, p := range payloads {
		all = append(all, Event{Channel: "a", Payload: jsontext.Value(p)})
	}
	return all
}

// got is what a listener has got.
func got(t *testing.T, l *listener) (payloads []string) {
	t.Helper()
	events, lost, err := l.take()
	if lost != 0 || err != nil {
		t.Fatalf("lost %d, %v", lost, err)
	}
	for _, e := range events {
		payloads = append(payloads, string(e.Payload))
	}
	return payloads
}

// A worker that is held up keeps nobody from an event but those of its own span, and nobody gets a later event before an earlier one.
func TestRound_WorkersShareTheVisits(t *testing.T) {
	t.Parallel()
	const subscribers, held = 1000, 3
	for name, late := range map[string][]string{
		"one follows":  nil,
		"a few follow": {"3", "4", "5", "6", "7"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				l := newLane()
				reached, release := make(chan struct{}), make(chan struct{})
				var firsts, seconds atomic.Int32
				h, all := roundOf(t, subscribers, func(subscriber int, e Event) {
					switch string(e.Payload) {
					case "1":
						firsts.Add(1)
						switch subscriber {
						case held:
							close(reached)
							<-release
						case subscribers - 1:
							l.add("2")
						}
					case "2":
						seconds.Add(1)
					}
				})
				r := h.round("a", l, events("1"))
				done := make(chan turning)
				go func() { done <- r.run(3) }()
				<-reached
				synctest.Wait()
				if n := firsts.Load(); int(n) != subscribers-(r.stride-1-held) {
					t.Errorf("%d visits of %d with event 1 when a span of %d is held up", n, subscribers, r.stride)
				}
				if n := seconds.Load(); int(n) > 2*r.stride { // those that came after it was published, and nobody behind who is held up
					t.Errorf("%d visits with event 2 meanwhile", n)
				}
				l.add(late...)
				close(release)
				<-done
				want := append([]string{"1", "2"}, late...)
				for i, l := range all {
					if g := got(t, l); !slices.Equal(g, want) {
						t.Fatalf("subscriber %d got %q, want %q", i, g, want)
					}
				}
			})
		})
	}
}

// Whatever joins when, everybody gets every event once and all in one order.
func TestRound_KeepsTheOrder(t *testing.T) {
	t.Parallel()
	const subscribers, most = 300, 200
	l := newLane()
	var visits, sent atomic.Int64
	h, all := roundOf(t, subscribers, func(int, Event) {
		if visits.Add(1)%97 == 0 {
			if n := sent.Add(1); n <= most { // from inside of the visits, so that they come at any of them
				l.add(strconv.FormatInt(n, 10))
			}
		}
	})
	h.round("a", l, events("0")).run(4)
	want := got(t, all[0])
	if len(want) != most+1 {
		t.Errorf("%d events of %d", len(want), most+1)
	}
	for i, s := range all[1:] {
		if g := got(t, s); !slices.Equal(g, want) {
			t.Fatalf("subscriber %d got %q, the first %q", i+1, g, want)
		}
	}
	slices.Sort(want)
	if len(slices.Compact(want)) != most+1 {
		t.Errorf("some came more than once: %q", want)
	}
}
