package broker

import (
	"strconv"
	"testing"
)

// idle is a hub that nothing is done with.
type idle struct{ _ int }

func (*idle) Event(Event)       {}
func (*idle) Presence(Presence) {}

// TestMemory_KeepsNothingOfWhatNobodyUsed: clients may subscribe to any number of names. Who
// comes back to a channel that nobody has published to finds it where it was.
func TestMemory_KeepsNothingOfWhatNobodyUsed(t *testing.T) {
	b := NewMemory()
	hub := &idle{}
	detach, err := b.Attach(hub)
	if err != nil {
		t.Fatal(err)
	}
	since := func(channel string) Position {
		r, err := b.Since(t.Context(), channel, Position{}, History{Size: 1})
		if err != nil {
			t.Fatal(err)
		}
		return r.Newest
	}
	seen := make(map[string]bool)
	for i := range 1000 {
		channel, m := "room."+strconv.Itoa(i), Member{Conn: "1"}
		if err := b.Interest(t.Context(), hub, channel, true); err != nil {
			t.Fatal(err)
		}
		was := since(channel)
		if seen[was.Epoch] {
			t.Fatalf("%s has the epoch of another channel", channel)
		}
		seen[was.Epoch] = true
		if err := b.Join(t.Context(), hub, channel, m); err != nil {
			t.Fatal(err)
		}
		if i == 0 { // the hub's end is that of its members
			continue
		}
		if err := b.Interest(t.Context(), hub, channel, false); err != nil {
			t.Fatal(err)
		}
		if err := b.Leave(t.Context(), hub, channel, m); err != nil {
			t.Fatal(err)
		}
		if n := len(b.channels); n != 1 {
			t.Fatalf("%d channels are left", n)
		}
		e := Event{Channel: channel, Payload: []byte("1")}
		if p, err := b.Publish(t.Context(), e, History{Size: 1}); err != nil ||
			p != (Position{was.Epoch, 1}) {
			t.Fatal(p, was, err)
		}
		delete(b.channels, channel) // as if it had never been
	}
	if err := detach(); err != nil {
		t.Error(err)
	}
	if n := len(b.channels); n != 0 {
		t.Errorf("%d channels are left", n)
	}
}
