package memstore

import (
	"fmt"
	"time"

	"github.com/genropy/genro-asgi-go/tasks"
)

// checkChange is CheckChange of what e is.
func (e *entry) checkChange(t *tasks.Task) error {
	return tasks.CheckChange(&tasks.Task{
		ID: e.id, Kind: e.kind.name, Queue: e.kind.q.name, Fence: e.fence, Seq: e.seq,
		Revision: e.revision, State: states[e.state],
	}, t)
}

// checkUniqueLocked reports who else holds the unique key of t, which e has become or nothing yet.
func (s *Store) checkUniqueLocked(e *entry, t *tasks.Task, now time.Time) error {
	if t.Unique == nil || !t.Holds(now) {
		return nil
	}
	if holder := s.unique[t.Unique.Key]; holder != nil && holder != e && holder.holds(now) {
		return &tasks.ExistsError{Task: holder.task()}
	}
	return nil
}

// maxCount bounds what counts up for ever: no store comes near it.
const maxCount = 1 << 62

// checkRestoredLocked reports what makes t no task that this store could have had.
func (s *Store) checkRestoredLocked(t *tasks.Task, deleted bool) error {
	switch {
	case t.ID == "" || t.Kind == "" || t.Queue == "":
		return invalid("a restored task without ID, kind or queue")
	case indexOf(t.State) < 0:
		return invalid("a restored task in no state: %.32q", t.State)
	case t.Seq <= s.seq || max(t.Seq, t.Revision, t.Fence) > maxCount || t.Revision == 0:
		return invalid("a restored task with sequence %d after %d, revision %d, fence %d", t.Seq,
			s.seq, t.Revision, t.Fence)
	case deleted && (t.Unique == nil || t.Unique.While != tasks.UniqueFor):
		return invalid("a deleted task that is restored and holds no key")
	case !deleted && s.entryLocked(t.ID, s.byID.hash(t.ID)) != nil:
		return invalid("two restored tasks of one ID")
	}
	return tasks.CheckChange(t, t) // of what no task can have
}

func (s *Store) queueLocked(name string) *queue {
	q := s.queues[name]
	if q == nil {
		q = &queue{
			name: name, trait: queueTrait(s.byID.seed, name), seed: s.byID.seed,
			kinds: map[string][]*kindIndex{},
		}
		s.queues[name] = q
	}
	return q
}

// insertLocked makes e, which is new and has a kind, the place of a task.
func (s *Store) insertLocked(e *entry, hash uint64, now time.Time) {
	e.kind.tasks++
	s.byID.add(e.id, hash, e.seq)
	s.bySeq.add(e)
	s.placeLocked(e, now)
	s.holdLocked(e, now)
}

// placeLocked puts a task where its state belongs.
func (s *Store) placeLocked(e *entry, now time.Time) {
	e.kind.q.count[e.state]++
	switch state := states[e.state]; {
	case state == tasks.Running:
		e.moved(len(s.running))
		s.running = append(s.running, e)
	case state.Waiting():
		e.kind.add(e, now)
	}
}

// holdLocked notes who holds a unique key.
func (s *Store) holdLocked(e *entry, now time.Time) {
	if e.holds(now) {
		s.freeKeysLocked(now)
		s.unique[e.unique().Key] = e
	}
}

// replaceLocked makes t what e is.
func (s *Store) replaceLocked(e *entry, t *tasks.Task, now time.Time) {
	if u := e.unique(); u != nil && s.unique[u.Key] == e &&
		(t.Unique == nil || t.Unique.Key != u.Key || !t.Holds(now)) {
		delete(s.unique, u.Key)
	}
	k := e.kind
	if k.version != t.Version {
		k = k.q.kind(t.Kind, t.Version)
		k.tasks++
		e.kind.tasks--
		defer e.kind.forgetIfEmpty()
	}
	old := states[e.state]
	if old == t.State && !old.Waiting() { // a heartbeat or progress: it stays where it is
		e.kind = k
		e.set(t)
		s.updateTraitsLocked(e, old)
		s.holdLocked(e, now)
		return
	}
	e.kind.q.count[e.state]--
	switch {
	case old == tasks.Running:
		last := len(s.running) - 1
		s.running[e.at], s.running[last].at = s.running[last], e.at
		s.running[last] = nil
		s.running = s.running[:last]
	case old.Waiting():
		e.kind.remove(e)
	}
	e.kind = k
	e.set(t)
	s.updateTraitsLocked(e, old)
	s.placeLocked(e, now)
	s.holdLocked(e, now)
}

// updateTraitsLocked keeps the traits of e's chunk right, after it has changed.
func (s *Store) updateTraitsLocked(e *entry, old tasks.State) {
	if states[e.state] == old && e.details == nil {
		return
	}
	t := s.bySeq.traits(e.seq)
	t.counts[indexOf(old)]--
	t.counts[e.state]++
	t.addMetadata(e)
}

// freeKeysLocked lets go of keys whose deleted holders' time is over.
func (s *Store) freeKeysLocked(now time.Time) {
	for len(s.kept) > 0 && !s.kept[0].e.holds(now) {
		e := s.kept[0].e
		s.kept.remove(0)
		if key := e.unique().Key; s.unique[key] == e {
			delete(s.unique, key)
		}
	}
}

func invalid(format string, args ...any) error {
	return fmt.Errorf("%w: %s", tasks.ErrInvalid, fmt.Sprintf(format, args...))
}
