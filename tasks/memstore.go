package tasks

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"
)

// MemStore is a [Store] in memory. It forgets everything when the process ends: what must outlive it belongs into a durable store, such
// as tasks/filestore.
//
// Adding, claiming and changing a task takes about a microsecond together, however many others wait, are of kinds that
// nobody runs or of keys at their limit. A task that is done takes about 700 bytes and its payload and result.
type MemStore struct {
	mu       sync.Mutex
	byID     map[string]*memEntry
	bySeq    seqIndex
	queues   map[string]*memQueue
	unique   map[string]*memEntry // the latest to hold the key, which may be deleted
	kept     heap[*keptKey]
	running  []*memEntry
	seq      uint64 // of the latest task
	fence    uint64 // of the latest claim
	watchers []*watcher
	journal  func(old, t *Task) error // before each change; nil when there is none to tell
}

// NewMemStore returns an empty store.
func NewMemStore() *MemStore {
	return &MemStore{byID: map[string]*memEntry{}, queues: map[string]*memQueue{}, unique: map[string]*memEntry{}}
}

type watcher struct{ f func(t *Task) }

// keptKey is a unique key that a deleted task holds until its time.
type keptKey struct{ e *memEntry }

func (k *keptKey) before(o *keptKey) bool { return k.e.t.Unique.Until.Before(o.e.t.Unique.Until) }
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
	s.mu.Lock()
	defer s.mu.Unlock()
	if e := s.byID[t.ID]; e != nil {
		return nil, &ExistsError{Task: e.t, ID: true}
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
	s.insertLocked(t, now)
	s.tellLocked(t)
	return t, nil
}

// Claim is described by [Store].
func (s *MemStore) Claim(ctx context.Context, c *Claim) (claimed []*Task, next time.Time, err error) {
	if err := ctx.Err(); err != nil {
		return nil, time.Time{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	q := s.queues[c.Queue]
	if q == nil {
		return nil, time.Time{}, nil
	}
	var buf [16]*memKind
	m := q.claim(c, buf[:])
	defer func() { next = m.end() }()
	for len(claimed) < c.Max {
		e := m.first()
		if e == nil {
			return claimed, next, nil
		}
		t := *e.t
		t.State, t.Owner, t.Started, t.LeaseUntil, t.Fence = Running, c.Owner, c.Now, c.Now.Add(c.Lease), s.fence+1
		t.Attempt++
		t.Revision++
		if err := s.logLocked(e.t, &t); err != nil {
			if len(claimed) > 0 {
				err = nil // the next claim meets it again
			}
			return claimed, next, err
		}
		s.fence++
		s.replaceLocked(e, &t, c.Now)
		claimed = append(claimed, &t)
		if c.Claimed != nil {
			c.Claimed(&t)
		}
		s.tellLocked(&t)
	}
	return claimed, next, nil
}

// Update is described by [Store].
func (s *MemStore) Update(ctx context.Context, id string, now time.Time, change func(t *Task) error) (*Task, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	e := s.byID[id]
	if e == nil {
		return nil, ErrNotFound
	}
	t := *e.t
	if err := change(&t); err != nil {
		return nil, err
	}
	if err := CheckChange(e.t, &t); err != nil {
		return nil, err
	}
	if err := s.checkUniqueLocked(e, &t, now); err != nil {
		return nil, err
	}
	t.Revision++
	if err := s.logLocked(e.t, &t); err != nil {
		return nil, err
	}
	s.replaceLocked(e, &t, now)
	s.tellLocked(&t)
	return &t, nil
}

// Get is described by [Store].
func (s *MemStore) Get(ctx context.Context, id string) (*Task, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if e := s.byID[id]; e != nil {
		return e.t, nil
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
		if !e.t.LeaseUntil.After(now) {
			expired = append(expired, e.t)
		}
	}
	return expired, nil
}

// Delete is described by [Store].
func (s *MemStore) Delete(ctx context.Context, id string, revision uint64, now time.Time) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.freeKeysLocked(now)
	e := s.byID[id]
	switch {
	case e == nil:
		return ErrNotFound
	case e.t.Revision != revision || !e.t.State.Done():
		return ErrConflict
	}
	if err := s.logLocked(e.t, nil); err != nil {
		return err
	}
	delete(s.byID, id)
	s.bySeq.remove(e.t.Seq)
	e.q.count[e.t.State.index()]--
	if u := e.t.Unique; u != nil && s.unique[u.Key] == e {
		if e.t.Holds(now) {
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

func (s *MemStore) logLocked(old, t *Task) error {
	if s.journal == nil {
		return nil
	}
	return s.journal(old, t)
}
