package fanout

import (
	"slices"
	"testing"
	"testing/synctest"

	"github.com/genropy/genro-asgi-go/wsx/broker"
)

// Whoever brings more than a queue holds waits for room, and for that of its own channel only.
func TestQueues_ABusyChannelHoldsUpItsOwn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		reached, release := make(chan struct{}), make(chan struct{})
		h, all := houseOf(1, func(_ int, payload string) {
			if payload == "0" {
				close(reached)
				<-release
			}
		})
		q := New(h)
		q.Event(event("0"))
		<-reached
		q.Presence(broker.Presence{Channel: "a"})
		for i := 1; i < maxQueued; i++ {
			q.Event(event("1"))
		}
		waiting := make(chan struct{})
		go func() { q.Event(event("last")); close(waiting) }()
		synctest.Wait()
		select {
		case <-waiting:
			t.Error("an event more than a queue holds does not wait")
		default:
		}
		e := event("other")
		e.Channel = "b"
		q.Event(e)
		synctest.Wait()
		if got := all[0].all(); !slices.Equal(got, []string{"0", "other"}) {
			t.Errorf("got %q", got)
		}
		close(release)
		<-waiting
		q.Wait()
		if got := all[0].all(); len(got) != maxQueued+2 || got[maxQueued+1] != "last" {
			t.Errorf("got %d events", len(got))
		}
		if len(q.byChannel) != 0 {
			t.Errorf("%d queues are kept", len(q.byChannel))
		}
	})
}

// A change of presence is told behind the events before it, and by the same goroutine.
func TestQueues_PresenceComesBehindItsEvents(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		reached, release := make(chan struct{}), make(chan struct{})
		h, all := houseOf(3, func(number int, payload string) {
			if number == 0 && payload == "1" {
				close(reached)
				<-release
			}
		})
		h.told = make(chan broker.Presence)
		q := New(h)
		q.Event(event("1"))
		<-reached
		q.Event(event("2"))
		q.Presence(broker.Presence{Channel: "a", Seq: 1})
		close(release)
		if p := <-h.told; p.Seq != 1 {
			t.Error(p)
		}
		for _, r := range all {
			if got := r.all(); !slices.Equal(got, numbers(1, 2)) {
				t.Errorf("reader %d has %q when presence is told", r.number, got)
			}
		}
		q.Wait()
	})
}

// Nobody is there: the event is gone, and the queue with it.
func TestQueues_AnEventForNobodyIsGone(t *testing.T) {
	h := &house{}
	q := New(h)
	q.Event(event("1"))
	q.Wait()
	if len(q.byChannel) != 0 {
		t.Error("a queue is kept")
	}
}
