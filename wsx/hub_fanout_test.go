package wsx_test

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/genropy/genro-asgi-go/wsx"
	"github.com/genropy/genro-asgi-go/wsx/broker"
)

// visits is a channel whose fan-outs can be held up: its filter notes who was asked for which
// event, as "who:event", and waits at one of them.
type visits struct {
	at      string
	reached chan struct{}
	release chan struct{}

	mu  sync.Mutex
	got []string
}

// visits configures the channel "held", to be held up at a visit.
func (r *hubRig) visits(at string) *visits {
	v := &visits{at: at, reached: make(chan struct{}), release: make(chan struct{})}
	r.hub.Configure("held", &wsx.ChannelOptions{Filter: v.filter, Presence: true})
	return v
}

func (v *visits) filter(s wsx.Subscription) (func(broker.Event) bool, error) {
	return func(e broker.Event) bool {
		visit := string(s.Params) + ":" + string(e.Payload)
		v.mu.Lock()
		v.got = append(v.got, visit)
		v.mu.Unlock()
		if visit == v.at {
			close(v.reached)
			<-v.release
		}
		return true
	}, nil
}

// heldUp calls test with the fan-out of event 1 under way to four subscribers, held up at the
// second. Then it lets it go on, and expects these visits.
func heldUp(t *testing.T, test func(*testing.T, *hubRig, []*tap), want string) {
	t.Helper()
	inRig(t, nil, nil, func(t *testing.T, r *hubRig) {
		v := r.visits("2:1")
		var taps []*tap
		for i := range 4 {
			taps = append(taps, r.heldTap(i+1))
		}
		for _, s := range taps {
			s.all()
		}
		r.publish("held", 1)
		<-v.reached
		test(t, r, taps)
		close(v.release)
		for i, s := range taps {
			got := s.all()
			first := slices.IndexFunc(got,
				func(m string) bool { return strings.Contains(m, `"payload":1,`) })
			if last := slices.IndexFunc(got,
				func(m string) bool { return strings.Contains(m, `"payload":2,`) }); first > last &&
				last >= 0 {
				t.Errorf("subscriber %d got event 2 before 1: %q", i+1, got)
			}
		}
		v.mu.Lock()
		defer v.mu.Unlock()
		if got := strings.Join(v.got, " "); got != want {
			t.Errorf("visits\n\t%s\nwant\n\t%s", got, want)
		}
	})
}

// heldTap is one more subscriber, the number-th.
func (r *hubRig) heldTap(number int) *tap {
	s := r.tap()
	s.send(subscribeTo("1", "held", fmt.Sprintf(`,"params":%d`, number)))
	if got := s.all(); len(got) == 0 || !strings.Contains(got[0], `"subscribed"`) {
		r.t.Fatalf("subscriber %d: %q", number, got)
	}
	return s
}

func TestHub_AnEventJoinsTheFanOutUnderWay(t *testing.T) {
	t.Parallel()
	heldUp(t, func(_ *testing.T, r *hubRig, _ []*tap) {
		r.publish("held", 2)
		r.publish("held", 3)
	}, "1:1 2:1 3:1 3:2 3:3 4:1 4:2 4:3 1:2 1:3 2:2 2:3")
}

func TestHub_AnEventGoesToThoseWhoAreThereWhenItIsPublished(t *testing.T) {
	t.Parallel()
	heldUp(t, func(_ *testing.T, r *hubRig, _ []*tap) {
		r.heldTap(5)
		r.publish("held", 2)
	}, "1:1 2:1 3:1 4:1 1:2 2:2 3:2 4:2 5:2")
	heldUp(t, func(_ *testing.T, r *hubRig, taps []*tap) {
		taps[3].send(`{"type":"rpc.unsubscribe","id":2,"channel":"held"}`)
		taps[3].wants(unsubscribed("2"))
		r.publish("held", 2)
	}, "1:1 2:1 3:1 1:2 2:2 3:2")
}

func TestHub_PresenceEndsAFanOut(t *testing.T) {
	t.Parallel()
	inRig(t, nil, nil, func(t *testing.T, r *hubRig) {
		v := r.visits("1:1")
		first, second, third := r.heldTap(1), r.heldTap(2), r.heldTap(3)
		for _, s := range []*tap{first, second, third} {
			s.all()
		}
		r.publish("held", 1)
		<-v.reached
		third.send(`{"type":"rpc.unsubscribe","id":2,"channel":"held"}`)
		third.wants(unsubscribed("2"))
		r.publish("held", 2)
		close(v.release)
		got := second.all()
		if len(got) != 3 || !strings.Contains(got[0], `"payload":1,`) ||
			!strings.Contains(got[1], `"payload":2,`) || !strings.Contains(got[2], `"wsx.leave"`) {
			t.Errorf("got %q, want event 1, event 2, leave", got)
		}
	})
}
