package broker_test

import (
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/genropy/genro-asgi-go/wsx/broker"
	"github.com/genropy/genro-asgi-go/wsx/wsxtest"
)

// one is an event of a channel.
func one(channel string) broker.Event {
	return broker.Event{Channel: channel, Payload: []byte("1")}
}

func TestMemory_KeepsTheContract(t *testing.T) {
	wsxtest.ExerciseBroker(t, func(testing.TB) func() broker.Broker {
		b := broker.NewMemory()
		return func() broker.Broker { return b }
	})
}

// listener is a hub that nothing is done with.
type listener struct{ _ int }

func (*listener) Event(broker.Event)       {}
func (*listener) Presence(broker.Presence) {}

// TestMemory_ForgetsWhatIsOutOfDate and keeps what somebody listens to.
func TestMemory_ForgetsWhatIsOutOfDate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := broker.NewMemory()
		hour := broker.History{Size: 10, Age: time.Hour}
		hub := &listener{}
		detach, err := b.Attach(hub)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{"kept.old", "kept.empty", "*"} {
			// who listens by a pattern has no position in any channel
			if err := b.Interest(t.Context(), hub, name, true); err != nil {
				t.Fatal(err)
			}
		}
		newest := func(channel string) broker.Position {
			r, err := b.Since(t.Context(), channel, broker.Position{}, hour)
			if err != nil {
				t.Fatal(err)
			}
			return r.Newest
		}
		before := make(map[string]broker.Position)
		for _, channel := range []string{"kept.old", "old", "kept.empty", "ageless"} {
			h := hour
			if channel == "ageless" {
				h.Age = 0
			}
			if channel != "kept.empty" {
				if _, err := b.Publish(t.Context(), one(channel), h); err != nil {
					t.Fatal(err)
				}
			}
			before[channel] = newest(channel)
		}
		if err := b.Join(t.Context(), hub, "present", broker.Member{Conn: "1"}); err != nil {
			t.Fatal(err)
		}
		<-time.After(2 * time.Hour)
		for i := range 1000 { // each new channel looks at two old ones
			newest("new." + strconv.Itoa(i))
		}
		for channel, p := range before {
			forgotten := channel == "old"
			if got := newest(channel); (got != p) != forgotten {
				t.Errorf("%s was at %v and is at %v", channel, p, got)
			}
		}
		if err := b.Interest(t.Context(), hub, "kept.old", false); err != nil {
			// the last has just left, and may come back
			t.Fatal(err)
		}
		for i := range 100 {
			newest("more." + strconv.Itoa(i))
		}
		if got := newest("kept.old"); got != before["kept.old"] {
			t.Errorf("left at %v, found at %v", before["kept.old"], got)
		}
		if m, err := b.Members(t.Context(), "present"); err != nil || len(m) != 1 {
			t.Error(m, err)
		}
		if err := detach(); err != nil {
			t.Error(err)
		}
		if err := b.Join(t.Context(), hub, "present", broker.Member{Conn: "1"}); err == nil {
			t.Error("a detached hub joins")
		}
		if m, err := b.Members(t.Context(), "present"); err != nil || len(m) != 0 {
			t.Error(m, err)
		}
	})
}

// stuck is a hub that takes no event until it is told to.
type stuck struct {
	listener
	has, goes chan struct{}
}

func (s *stuck) Event(broker.Event) { s.has <- struct{}{}; <-s.goes }

// TestMemory_ABusyChannelHoldsUpNoOther: while a hub makes the publishers of one channel
// wait, those of others, and subscribers, do not.
func TestMemory_ABusyChannelHoldsUpNoOther(t *testing.T) {
	b := broker.NewMemory()
	hub := &stuck{has: make(chan struct{}), goes: make(chan struct{})}
	detach, err := b.Attach(hub)
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Interest(t.Context(), hub, "busy", true); err != nil {
		t.Fatal(err)
	}
	go func() {
		_, _ = b.Publish(t.Context(), one("busy"), broker.History{})
	}()
	<-hub.has
	others := make(chan error)
	go func() {
		others <- b.Interest(t.Context(), hub, "other", true)
		_, err := b.Publish(t.Context(), one("idle"), broker.History{Size: 1})
		others <- err
	}()
	for range 2 {
		select {
		case err := <-others:
			if err != nil {
				t.Error(err)
			}
		case <-time.After(10 * time.Second):
			t.Fatal("they wait for the busy channel")
		}
	}
	hub.goes <- struct{}{}
	if err := detach(); err != nil {
		t.Error(err)
	}
}

// TestMemory_DetachWaitsForAnEventUnderWay: nothing of the hub is called once it has
// returned.
func TestMemory_DetachWaitsForAnEventUnderWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := broker.NewMemory()
		hub := &stuck{has: make(chan struct{}), goes: make(chan struct{})}
		detach, err := b.Attach(hub)
		if err != nil {
			t.Fatal(err)
		}
		if err := b.Interest(t.Context(), hub, "busy", true); err != nil {
			t.Fatal(err)
		}
		go func() {
			_, _ = b.Publish(t.Context(), one("busy"), broker.History{})
		}()
		<-hub.has
		detached := make(chan error, 1)
		go func() { detached <- detach() }()
		synctest.Wait()
		if len(detached) > 0 {
			t.Error("detached in the middle of an event")
		}
		hub.goes <- struct{}{}
		if err := <-detached; err != nil {
			t.Error(err)
		}
	})
}
