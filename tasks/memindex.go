package tasks

import (
	"fmt"
	"time"
)

// CheckChange reports what forbids that an update makes old into t: ErrConflict for a transition that is not in the table, ErrInvalid for a
// change of what is not an update's to change, or into what no task can be. Stores use it.
func CheckChange(old, t *Task) error {
	switch {
	case t.ID != old.ID || t.Kind != old.Kind || t.Queue != old.Queue || t.Fence != old.Fence || t.Seq != old.Seq || t.Revision != old.Revision:
		return fmt.Errorf("%w: an update changes no ID, kind, queue, fence, sequence or revision", ErrInvalid)
	case t.State == old.State:
		return t.checkNumbers()
	case t.State == Running || !old.State.MayBecome(t.State):
		return fmt.Errorf("%w: a task that is %s cannot become %.20s", ErrConflict, old.State, t.State)
	}
	return t.checkNumbers()
}

// checkNumbers reports what no task can have.
func (t *Task) checkNumbers() error {
	if min(t.Attempt, t.Deaths) < 0 || t.Timeout < 0 {
		return invalid("attempts, deaths or a timeout below 0")
	}
	return t.Retry.check()
}

// checkChange is CheckChange of what e is.
func (e *memEntry) checkChange(t *Task) error {
	return CheckChange(&Task{
		ID: e.id, Kind: e.kind.name, Queue: e.kind.q.name, Fence: e.fence, Seq: e.seq, Revision: e.revision, State: states[e.state],
	}, t)
}

// checkUniqueLocked reports who else holds the unique key of t, which e has become or nothing yet.
func (s *MemStore) checkUniqueLocked(e *memEntry, t *Task, now time.Time) error {
	if t.Unique == nil || !t.Holds(now) {
		return nil
	}
	if holder := s.unique[t.Unique.Key]; holder != nil && holder != e && holder.holds(now) {
		return &ExistsError{Task: holder.task()}
	}
	return nil
}

// maxCount bounds what counts up for ever: no store comes near it.
const maxCount = 1 << 62

// checkRestoredLocked reports what makes t no task that this store could have had.
func (s *MemStore) checkRestoredLocked(t *Task, deleted bool) error {
	switch {
	case t.ID == "" || t.Kind == "" || t.Queue == "":
		return invalid("a restored task without ID, kind or queue")
	case t.State.index() < 0:
		return invalid("a restored task in no state: %q", clip(string(t.State), 32))
	case t.Seq <= s.seq || max(t.Seq, t.Revision, t.Fence) > maxCount || t.Revision == 0:
		return invalid("a restored task with sequence %d after %d, revision %d, fence %d", t.Seq, s.seq, t.Revision, t.Fence)
	case deleted && (t.Unique == nil || t.Unique.While != UniqueFor):
		return invalid("a deleted task that is restored and holds no key")
	case !deleted && s.entryLocked(t.ID, s.byID.hash(t.ID)) != nil:
		return invalid("two restored tasks of one ID")
	}
	return t.checkNumbers()
}

func (s *MemStore) queueLocked(name string) *memQueue {
	q := s.queues[name]
	if q == nil {
		q = &memQueue{name: name, kinds: map[string][]*memKind{}}
		s.queues[name] = q
	}
	return q
}

// insertLocked makes e, which is new and has a kind, the place of a task.
func (s *MemStore) insertLocked(e *memEntry, hash uint64, now time.Time) {
	e.kind.tasks++
	s.byID.add(e.id, hash, e.seq)
	s.bySeq.add(e)
	s.placeLocked(e, now)
	s.holdLocked(e, now)
}

// placeLocked puts a task where its state belongs.
func (s *MemStore) placeLocked(e *memEntry, now time.Time) {
	e.kind.q.count[e.state]++
	switch state := states[e.state]; {
	case state == Running:
		e.moved(len(s.running))
		s.running = append(s.running, e)
	case state.Waiting():
		e.kind.add(e, now)
	}
}

// holdLocked notes who holds a unique key.
func (s *MemStore) holdLocked(e *memEntry, now time.Time) {
	if e.holds(now) {
		s.freeKeysLocked(now)
		s.unique[e.unique().Key] = e
	}
}

// replaceLocked makes t what e is.
func (s *MemStore) replaceLocked(e *memEntry, t *Task, now time.Time) {
	if u := e.unique(); u != nil && s.unique[u.Key] == e && (t.Unique == nil || t.Unique.Key != u.Key || !t.Holds(now)) {
		delete(s.unique, u.Key)
	}
	k := e.kind
	if k.version != t.Version {
		k = k.q.kind(t.Kind, t.Version)
		k.tasks++
		e.kind.tasks--
		defer e.kind.left()
	}
	old := states[e.state]
	if old == t.State && !old.Waiting() { // a heartbeat or progress: it stays where it is
		e.kind = k
		e.set(t)
		s.holdLocked(e, now)
		return
	}
	e.kind.q.count[e.state]--
	switch {
	case old == Running:
		last := len(s.running) - 1
		s.running[e.at], s.running[last].at = s.running[last], e.at
		s.running[last] = nil
		s.running = s.running[:last]
	case old.Waiting():
		e.kind.remove(e)
	}
	e.kind = k
	e.set(t)
	s.placeLocked(e, now)
	s.holdLocked(e, now)
}

// freeKeysLocked lets go of keys whose deleted holders' time is over.
func (s *MemStore) freeKeysLocked(now time.Time) {
	for len(s.kept) > 0 && !s.kept[0].e.holds(now) {
		e := s.kept[0].e
		s.kept.remove(0)
		if key := e.unique().Key; s.unique[key] == e {
			delete(s.unique, key)
		}
	}
}
