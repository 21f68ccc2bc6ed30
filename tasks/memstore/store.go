package memstore

import (
	"context"
	"time"

	"github.com/genropy/genro-asgi-go/tasks"
)

// Store is a [tasks.Store] in memory.
type Store struct {
	// Guards all of the store, but what watch says is of who tells. What others have given the
	// store runs with it held: the journal, Claim's Full, SkipDied and Claimed, Update's change. So
	// these are quick, wait for nothing and do not use the store.
	mu       briefLock
	byID     idIndex
	bySeq    seqIndex
	queues   map[string]*queue
	unique   map[string]*entry // the latest to hold the key, which may be deleted
	kept     heap[*keptKey]
	running  []*entry
	seq      uint64 // of the latest task
	fence    uint64 // of the latest claim
	watch    watch
	journal  Journal
	old, new tasks.Task // scratch: what is being changed, and what it becomes
	change   [1]Change
}

// New returns an empty store.
func New() *Store { return NewJournaled(nil) }

// Journal is what a durable store writes down of the changes of the Store in front of it. It is
// called before each step, one at a time and in their order, with the changes that are kept
// together or not at all: one, or those of AddMany. They are the journal's for the call. When it
// returns an error, nothing changes. It must be quick and must not use the store. It may set the
// Position of what a task becomes, which later snapshots of the task bear then. A change that has
// to wait, for space on a disk say, gets an error of the journal's own, and is tried again by the
// store around: the journal is called with a lock held.
type Journal func(changes []Change) error

// Change is what becomes of one task. Old is nil when it is added, New when it is deleted.
type Change struct{ Old, New *tasks.Task }

// NewJournaled returns an empty store that tells a journal, for those who write a durable store.
// The caller restores what the journal kept before anything else.
func NewJournaled(journal Journal) *Store {
	return &Store{
		byID: newIDIndex(), queues: map[string]*queue{},
		unique: map[string]*entry{}, journal: journal,
	}
}

// keptKey is a unique key that a deleted task holds until its time.
type keptKey struct{ e *entry }

func (k *keptKey) before(o *keptKey) bool { return k.e.unique().Until.Before(o.e.unique().Until) }
func (k *keptKey) moved(int)              {}

// Add is described by [tasks.Store].
func (s *Store) Add(ctx context.Context, t *tasks.Task, now time.Time, maxWaiting int) (*tasks.Task,
	error,
) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if err := tasks.CheckNew(t); err != nil {
		return nil, err
	}
	e := new(entry)
	e.set(t) // while nobody has to wait for it
	hash := s.byID.hash(t.ID)
	s.mu.Lock()
	defer s.unlock()
	if other := s.entryLocked(t.ID, hash); other != nil {
		return nil, &tasks.ExistsError{Task: other.task(), ID: true}
	}
	if err := s.checkUniqueLocked(nil, t, now); err != nil {
		return nil, err
	}
	q := s.queueLocked(t.Queue)
	if maxWaiting > 0 && q.waiting() >= maxWaiting {
		return nil, tasks.ErrOverloaded
	}
	seq, revision := t.Seq, t.Revision
	t.Seq, t.Revision = s.seq+1, 1
	if err := s.journalLocked(nil, t); err != nil {
		t.Seq, t.Revision = seq, revision
		return nil, err
	}
	s.seq++
	e.kind, e.seq, e.revision, e.position = q.kind(t.Kind, t.Version), t.Seq, t.Revision, t.Position
	s.insertLocked(e, hash, now)
	s.notifyLocked(t)
	return t, nil
}

// Claim is described by [tasks.Store].
func (s *Store) Claim(ctx context.Context, c *tasks.Claim) (next time.Time, err error) {
	if err := ctx.Err(); err != nil {
		return time.Time{}, err
	}
	s.mu.Lock()
	defer s.unlock()
	q := s.queues[c.Queue]
	if q == nil {
		return time.Time{}, nil
	}
	var buf [16]*kindIndex
	m := q.claim(c, buf[:])
	defer func() { next = m.finish() }()
	t := &s.new
	for n := range c.Max {
		e := m.first()
		if e == nil {
			break
		}
		e.load(t)
		t.State, t.Started, t.Fence = tasks.Running, c.Now, s.fence+1
		t.Owner, t.LeaseUntil = c.Owner, c.Now.Add(c.Lease).UTC()
		t.Attempt++
		t.Revision++
		if err := s.journalLocked(e, t); err != nil {
			if n > 0 {
				err = nil // the next claim meets it again
			}
			return next, err
		}
		s.fence++
		s.replaceLocked(e, t, c.Now)
		c.Claimed(t)
		s.notifyLocked(t)
	}
	return next, nil
}

// Update is described by [tasks.Store].
func (s *Store) Update(ctx context.Context, id string, now time.Time,
	change func(t *tasks.Task) error,
) (tasks.Task, error) {
	if err := ctx.Err(); err != nil {
		return tasks.Task{}, err
	}
	hash := s.byID.hash(id)
	s.mu.Lock()
	defer s.unlock()
	e := s.entryLocked(id, hash)
	if e == nil {
		return tasks.Task{}, tasks.ErrNotFound
	}
	t := &s.new
	e.load(t)
	if err := change(t); err != nil {
		return tasks.Task{}, err
	}
	if err := e.checkChange(t); err != nil {
		return tasks.Task{}, err
	}
	if err := s.checkUniqueLocked(e, t, now); err != nil {
		return tasks.Task{}, err
	}
	t.Revision++
	if err := s.journalLocked(e, t); err != nil {
		return tasks.Task{}, err
	}
	s.replaceLocked(e, t, now)
	s.notifyLocked(t)
	return *t, nil
}

// Get is described by [tasks.Store].
func (s *Store) Get(ctx context.Context, id string) (*tasks.Task, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	hash := s.byID.hash(id)
	s.mu.Lock()
	defer s.mu.Unlock()
	if e := s.entryLocked(id, hash); e != nil {
		return e.task(), nil
	}
	return nil, tasks.ErrNotFound
}

// Expired is described by [tasks.Store].
func (s *Store) Expired(ctx context.Context, now time.Time, limit int) (expired []*tasks.Task,
	err error,
) {
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

// Delete is described by [tasks.Store].
func (s *Store) Delete(ctx context.Context, id string, revision uint64, now time.Time) error {
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
		return tasks.ErrNotFound
	case e.revision != revision || !states[e.state].Done():
		return tasks.ErrConflict
	}
	if err := s.journalLocked(e, nil); err != nil {
		return err
	}
	s.byID.remove(id, hash, e.seq)
	s.bySeq.remove(e.seq)
	e.kind.q.count[e.state]--
	e.kind.tasks--
	e.kind.forgetIfEmpty()
	if u := e.unique(); u != nil && s.unique[u.Key] == e {
		if e.holds(now) {
			s.kept.push(&keptKey{e})
		} else {
			delete(s.unique, u.Key)
		}
	}
	return nil
}

// Counts is described by [tasks.Store].
func (s *Store) Counts(ctx context.Context) (map[string]map[tasks.State]int, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	counts := map[string]map[tasks.State]int{}
	for name, q := range s.queues {
		for i, n := range q.count {
			if n == 0 {
				continue
			}
			if counts[name] == nil {
				counts[name] = map[tasks.State]int{}
			}
			counts[name][states[i]] = n
		}
	}
	return counts, nil
}

// journalLocked tells the journal that e, which is nil for a new task, becomes t.
func (s *Store) journalLocked(e *entry, t *tasks.Task) error {
	if s.journal == nil {
		return nil
	}
	s.change[0] = Change{New: t}
	if e != nil {
		e.load(&s.old)
		s.change[0].Old = &s.old
	}
	return s.journal(s.change[:])
}

// Restore puts a task in place as a journal kept it, in the order of Seq; one that was deleted only
// holds its unique key. What no task of a store can be is ErrInvalid, and so is what a journal says
// that was damaged: it is not taken.
func (s *Store) Restore(t *tasks.Task, deleted bool) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.checkRestoredLocked(t, deleted); err != nil {
		return err
	}
	e := &entry{kind: s.queueLocked(t.Queue).kind(t.Kind, t.Version)}
	e.set(t)
	// before all times, so all that waits waits for its time, and every key is held that may be
	var ever time.Time
	s.seq, s.fence = t.Seq, max(s.fence, t.Fence)
	if !deleted {
		s.insertLocked(e, s.byID.hash(e.id), ever)
		return nil
	}
	e.kind.forgetIfEmpty()
	s.holdLocked(e, ever)
	if s.unique[t.Unique.Key] == e {
		s.kept.push(&keptKey{e})
	}
	return nil
}

// Resume makes later tasks have a higher Seq, and later claims a higher fence.
func (s *Store) Resume(seq, fence uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.seq, s.fence = max(s.seq, seq), max(s.fence, fence)
}
