package tasks

import (
	"context"
	"fmt"
	"slices"
	"time"
)

// MemStore is a [Store] in memory. It forgets everything when the process ends: what must outlive it belongs into a durable store, such
// as tasks/filestore.
//
// Adding, claiming and finishing a task takes about 2 µs together, however many others wait, are of kinds that
// nobody runs or of keys at their limit. A task that is done takes about 300 bytes beside its payload and result. Times come back in UTC.
type MemStore struct {
	mu       briefLock
	byID     idIndex
	bySeq    seqIndex
	queues   map[string]*memQueue
	unique   map[string]*memEntry // the latest to hold the key, which may be deleted
	kept     heap[*keptKey]
	running  []*memEntry
	seq      uint64 // of the latest task
	fence    uint64 // of the latest claim
	watchers []*watcher
	journal  Journal
	old, new Task // scratch: what is being changed, and what it becomes
}

// NewMemStore returns an empty store.
func NewMemStore() *MemStore { return NewJournaled(nil) }

// Journal is what a durable store writes down of the changes of the MemStore in front of it. It is called before each change, one at a
// time and in their order; old is nil when a task is added, t is nil when old is deleted; they are the journal's for the call. When it returns an error, nothing
// changes. It must be quick and must not use the store, but for SetPosition and Position.
type Journal func(old, t *Task) error

// NewJournaled returns an empty store that tells a journal, for those who write a durable store. The caller restores what the journal
// kept before anything else.
func NewJournaled(journal Journal) *MemStore {
	return &MemStore{byID: newIDIndex(), queues: map[string]*memQueue{}, unique: map[string]*memEntry{}, journal: journal}
}

type watcher struct{ f func(t *Task) }

// keptKey is a unique key that a deleted task holds until its time.
type keptKey struct{ e *memEntry }

func (k *keptKey) before(o *keptKey) bool { return k.e.unique().Until.Before(o.e.unique().Until) }
func (k *keptKey) moved(int)              {}

// Add is described by [Store].
func (s *MemStore) Add(ctx context.Context, t *Task, now time.Time, maxWaiting int) (*Task, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	switch {
	case !t.State.Waiting() || t.Fence != 0 || t.Owner != "":
		return nil, fmt.Errorf("%w: a task that is added waits and was never claimed", ErrInvalid)
	case t.ID == "" || t.Kind == "" || t.Queue == "":
		return nil, fmt.Errorf("%w: a task needs ID, kind and queue", ErrInvalid)
	}
	if err := t.checkNumbers(); err != nil {
		return nil, err
	}
	e := new(memEntry)
	e.set(t) // while nobody has to wait for it
	hash := s.byID.hash(t.ID)
	s.mu.Lock()
	defer s.mu.Unlock()
	if other := s.entryLocked(t.ID, hash); other != nil {
		return nil, &ExistsError{Task: other.task(), ID: true}
	}
	if err := s.checkUniqueLocked(nil, t, now); err != nil {
		return nil, err
	}
	q := s.queueLocked(t.Queue)
	if maxWaiting > 0 && q.waiting() >= maxWaiting {
		return nil, ErrOverloaded
	}
	seq, revision := t.Seq, t.Revision
	t.Seq, t.Revision = s.seq+1, 1
	if err := s.logLocked(nil, t); err != nil {
		t.Seq, t.Revision = seq, revision
		return nil, err
	}
	s.seq++
	e.kind, e.seq, e.revision, e.position = q.kind(t.Kind, t.Version), t.Seq, t.Revision, t.position
	s.insertLocked(e, hash, now)
	s.tellLocked(t)
	return t, nil
}

// Claim is described by [Store].
func (s *MemStore) Claim(ctx context.Context, c *Claim) (next time.Time, err error) {
	if err := ctx.Err(); err != nil {
		return time.Time{}, err
	}
	hold := &memHold{c.Owner, c.Now.Add(c.Lease).UTC()} // of all that it claims
	s.mu.Lock()
	defer s.mu.Unlock()
	q := s.queues[c.Queue]
	if q == nil {
		return time.Time{}, nil
	}
	var buf [16]*memKind
	m := q.claim(c, buf[:])
	defer func() { next = m.end() }()
	t := &s.new
	for n := range c.Max {
		e := m.first()
		if e == nil {
			break
		}
		e.load(t)
		t.State, t.Owner, t.Started, t.LeaseUntil, t.Fence = Running, c.Owner, c.Now, hold.until, s.fence+1
		t.Attempt++
		t.Revision++
		if err := s.logLocked(e, t); err != nil {
			if n > 0 {
				err = nil // the next claim meets it again
			}
			return next, err
		}
		s.fence++
		e.hold = hold
		s.replaceLocked(e, t, c.Now)
		s.byID.claim(e)
		c.Claimed(t)
		s.tellLocked(t)
	}
	return next, nil
}

// Update is described by [Store].
func (s *MemStore) Update(ctx context.Context, id string, now time.Time, change func(t *Task) error) (Task, error) {
	if err := ctx.Err(); err != nil {
		return Task{}, err
	}
	hash := s.byID.hash(id)
	s.mu.Lock()
	defer s.mu.Unlock()
	e := s.entryLocked(id, hash)
	if e == nil {
		return Task{}, ErrNotFound
	}
	t := &s.new
	e.load(t)
	if err := change(t); err != nil {
		return Task{}, err
	}
	if err := e.checkChange(t); err != nil {
		return Task{}, err
	}
	if err := s.checkUniqueLocked(e, t, now); err != nil {
		return Task{}, err
	}
	t.Revision++
	if err := s.logLocked(e, t); err != nil {
		return Task{}, err
	}
	s.replaceLocked(e, t, now)
	s.tellLocked(t)
	return *t, nil
}

// Get is described by [Store].
func (s *MemStore) Get(ctx context.Context, id string) (*Task, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	hash := s.byID.hash(id)
	s.mu.Lock()
	defer s.mu.Unlock()
	if e := s.entryLocked(id, hash); e != nil {
		return e.task(), nil
	}
	return nil, ErrNotFound
}

// Expired is described by [Store].
func (s *MemStore) Expired(ctx context.Context, now time.Time, limit int) (expired []*Task, err error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, e := range s.running {
		if len(expired) >= limit {
			break
		}
		if e.hold == nil || !e.hold.until.After(now) {
			expired = append(expired, e.task())
		}
	}
	return expired, nil
}

// Delete is described by [Store].
func (s *MemStore) Delete(ctx context.Context, id string, revision uint64, now time.Time) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	hash := s.byID.hash(id)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.freeKeysLocked(now)
	e := s.entryLocked(id, hash)
	switch {
	case e == nil:
		return ErrNotFound
	case e.revision != revision || !states[e.state].Done():
		return ErrConflict
	}
	if err := s.logLocked(e, nil); err != nil {
		return err
	}
	s.byID.remove(id, hash, e.seq)
	s.bySeq.remove(e.seq)
	e.kind.q.count[e.state]--
	e.kind.tasks--
	e.kind.left()
	if u := e.unique(); u != nil && s.unique[u.Key] == e {
		if e.holds(now) {
			s.kept.push(&keptKey{e})
		} else {
			delete(s.unique, u.Key)
		}
	}
	return nil
}

// Counts is described by [Store].
func (s *MemStore) Counts(ctx context.Context) (map[string]map[State]int, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	counts := map[string]map[State]int{}
	for name, q := range s.queues {
		for i, n := range q.count {
			if n == 0 {
				continue
			}
			if counts[name] == nil {
				counts[name] = map[State]int{}
			}
			counts[name][states[i]] = n
		}
	}
	return counts, nil
}

// Watch is described by [Store]. f is called before the change's caller has its answer.
func (s *MemStore) Watch(f func(t *Task)) (stop func(), err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	w := &watcher{f}
	s.watchers = append(s.watchers, w)
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.watchers = slices.DeleteFunc(s.watchers, func(o *watcher) bool { return o == w })
	}, nil
}

func (s *MemStore) tellLocked(t *Task) {
	for _, w := range s.watchers {
		w.f(t)
	}
}

// logLocked tells the journal that e, which is nil for a new task, becomes t.
func (s *MemStore) logLocked(e *memEntry, t *Task) error {
	if s.journal == nil {
		return nil
	}
	if e == nil {
		return s.journal(nil, t)
	}
	e.load(&s.old)
	return s.journal(&s.old, t)
}

// SetPosition notes where the journal has the change that makes t; only the journal may call it, for the task it is told of.
func (s *MemStore) SetPosition(t *Task, position uint64) { t.position = position }

// Position is what the journal noted of t.
func (s *MemStore) Position(t *Task) uint64 { return t.position }

// Restore puts a task in place as a journal kept it, in the order of Seq; one that was deleted only holds its unique key. What no task of a store can be is ErrInvalid,
// and so is what a journal says that was damaged: it is not taken.
func (s *MemStore) Restore(t *Task, deleted bool) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.checkRestoredLocked(t, deleted); err != nil {
		return err
	}
	e := &memEntry{kind: s.queueLocked(t.Queue).kind(t.Kind, t.Version)}
	e.set(t)
	var ever time.Time // before all times, so all that waits waits for its time, and every key is held that may be
	s.seq, s.fence = t.Seq, max(s.fence, t.Fence)
	if !deleted {
		s.insertLocked(e, s.byID.hash(e.id), ever)
		return nil
	}
	e.kind.left()
	s.holdLocked(e, ever)
	if s.unique[t.Unique.Key] == e {
		s.kept.push(&keptKey{e})
	}
	return nil
}

// Resume makes later tasks have a higher Seq, and later claims a higher fence.
func (s *MemStore) Resume(seq, fence uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.seq, s.fence = max(s.seq, seq), max(s.fence, fence)
}
