package memstore

import (
	"hash/maphash"
	"math/bits"
	"slices"

	"github.com/genropy/genro-asgi-go/tasks"
)

// traits are what a chunk of tasks has: how many of each state, exactly, and which kinds, queues
// and entries of metadata, as a Bloom filter, whose bits stay when a task has left or changed. With
// them a listing passes over what it does not look for 256 tasks at a time, and takes a byte of
// each for it.
type traits struct {
	counts [len(states)]uint16
	bloom  [chunkSize * 8 / 64]uint64
}

// trait is a kind, queue or entry of metadata: two bits of the filter.
type trait struct{ a, b uint16 }

func traitOf(hash uint64) trait {
	const n = chunkSize * 8
	return trait{uint16(hash % n), uint16(hash >> 32 % n)}
}

func (t *traits) set(x trait) {
	t.bloom[x.a/64] |= 1 << (x.a % 64)
	t.bloom[x.b/64] |= 1 << (x.b % 64)
}

func (t *traits) has(x trait) bool {
	return t.bloom[x.a/64]&(1<<(x.a%64)) != 0 && t.bloom[x.b/64]&(1<<(x.b%64)) != 0
}

func (t *traits) empty() bool { return t.counts == [len(states)]uint16{} }

// add notes a task that is new.
func (t *traits) add(e *entry) {
	t.counts[e.state]++
	t.set(e.kind.trait)
	t.set(e.kind.q.trait)
	t.addMetadata(e)
}

// addMetadata notes a task's metadata.
func (t *traits) addMetadata(e *entry) {
	if e.details == nil {
		return
	}
	for name, value := range e.details.metadata {
		t.set(entryTrait(e.kind.q.seed, name, value))
	}
}

// Different things of one name have traits of their own.
func kindTrait(seed maphash.Seed, name string) trait { return traitOf(maphash.String(seed, name)) }

func queueTrait(seed maphash.Seed, name string) trait {
	return traitOf(^maphash.String(seed, name))
}

func entryTrait(seed maphash.Seed, name, value string) trait {
	return traitOf(bits.RotateLeft64(maphash.String(seed, name), 17)*31 +
		maphash.String(seed, value))
}

// wanted is what a listing looks for, all of it in one task.
type wanted struct {
	states []tasks.State // any of them; none is all
	traits []trait
}

func (s *Store) lookFor(f *tasks.Filter) wanted {
	l := wanted{states: f.States}
	if f.Kind != "" {
		l.traits = append(l.traits, kindTrait(s.byID.seed, f.Kind))
	}
	if f.Queue != "" {
		l.traits = append(l.traits, queueTrait(s.byID.seed, f.Queue))
	}
	for name, value := range f.Metadata {
		l.traits = append(l.traits, entryTrait(s.byID.seed, name, value))
	}
	return l
}

// may reports whether a task that is looked for may be there.
func (t *traits) may(l *wanted) bool {
	if len(l.states) > 0 &&
		!slices.ContainsFunc(l.states,
			func(s tasks.State) bool { i := indexOf(s); return i >= 0 && t.counts[i] > 0 }) {
		return false
	}
	for _, x := range l.traits {
		if !t.has(x) {
			return false
		}
	}
	return true
}
