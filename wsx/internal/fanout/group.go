package fanout

import (
	"slices"

	"github.com/genropy/genro-asgi-go/internal/lockorder"
)

// Subscriber is who is visited. It has a [Slot] embedded.
type Subscriber interface {
	// Take gives it the frames of a visit, oldest first, at least one. It keeps them, but not the
	// slice, and does not wait. One goroutine calls it at a time.
	Take(frames []*Frame)
	slot() *Slot
}

// Slot is the place of a subscriber in its group.
type Slot struct {
	at int // guarded by the group's mu
}

func (s *Slot) slot() *Slot { return s }

// Label is what the subscribers of a group have in common.
type Label struct {
	ID      string // of the subscription, as clients see it
	Pattern bool   // they subscribe to a pattern
}

// Group is subscribers that get the same bytes. It is safe for concurrent use.
type Group[S Subscriber] struct {
	Label

	mu     lockorder.Mutex
	subs   []S
	shared bool // a snapshot is out: removing makes a copy
}

// Add puts a subscriber into the group, who is in none.
func (g *Group[S]) Add(s S) {
	g.mu.Lock()
	defer g.mu.Unlock()
	s.slot().at = len(g.subs)
	g.subs = append(g.subs, s) // beyond what anybody with a snapshot sees
}

// Remove takes a subscriber out of the group, who is in it.
func (g *Group[S]) Remove(s S) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.shared {
		g.subs, g.shared = slices.Clone(g.subs), false
	}
	at, last := s.slot().at, len(g.subs)-1
	g.subs[at] = g.subs[last]
	g.subs[at].slot().at = at
	g.subs = slices.Delete(g.subs, last, last+1) // clears it
}

// Empty reports whether nobody is in the group.
func (g *Group[S]) Empty() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return len(g.subs) == 0
}

// Snapshot returns the subscribers, to go through without a lock. The caller must not change it.
func (g *Group[S]) Snapshot() []S {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.shared = len(g.subs) > 0
	return g.subs
}

// unchanged reports whether Snapshot would return this snapshot again.
func (g *Group[S]) unchanged(snapshot []S) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	// removing makes a copy
	return len(g.subs) == len(snapshot) && (len(snapshot) == 0 || &g.subs[0] == &snapshot[0])
}
