package memstore

import (
	"context"
	"time"

	"github.com/genropy/genro-asgi-go/tasks"
)

// AddMany is described by [tasks.BatchStore]. It holds the store's lock for about a microsecond a
// task.
func (s *Store) AddMany(ctx context.Context, ts []*tasks.Task, now time.Time,
	maxWaiting map[string]int,
) ([]*tasks.Task, error) {
	if err := ctx.Err(); err != nil || len(ts) == 0 {
		return nil, err
	}
	refused := map[int]error{}
	// while nobody has to wait for it
	entries, hashes := make([]entry, len(ts)), make([]uint64, len(ts))
	ids, keys, changes := make(map[string]*tasks.Task,
		len(ts)), map[string]*tasks.Task{}, make([]Change,
		len(ts))
	for i, t := range ts {
		if err := tasks.CheckNew(t); err != nil {
			refused[i] = err
			continue
		}
		entries[i].set(t)
		hashes[i] = s.byID.hash(t.ID)
		changes[i] = Change{New: t}
		if first := ids[t.ID]; first != nil {
			refused[i] = &tasks.ExistsError{Task: first, ID: true}
			continue
		}
		ids[t.ID] = t
		if t.Unique != nil && t.Holds(now) {
			if first := keys[t.Unique.Key]; first != nil {
				refused[i] = &tasks.ExistsError{Task: first}
				continue
			}
			keys[t.Unique.Key] = t
		}
	}
	s.mu.Lock()
	defer s.unlock()
	s.refuseLocked(refused, ts, hashes, now, maxWaiting)
	if len(refused) > 0 {
		return nil, &tasks.BatchError{Errors: refused}
	}
	for i, t := range ts {
		t.Seq, t.Revision = s.seq+uint64(i)+1, 1
	}
	if s.journal != nil {
		if err := s.journal(changes); err != nil {
			for _, t := range ts {
				t.Seq, t.Revision = 0, 0
			}
			return nil, err
		}
	}
	for i, t := range ts {
		s.seq++
		e := entries[i] // an array would keep all of them for one
		e.kind, e.seq, e.revision, e.position = s.queueLocked(t.Queue).kind(t.Kind,
			t.Version), t.Seq, t.Revision, t.Position
		s.insertLocked(&e, hashes[i], now)
		s.notifyLocked(t)
	}
	return append([]*tasks.Task(nil), ts...), nil
}

// refuseLocked adds the tasks that the store refuses.
func (s *Store) refuseLocked(refused map[int]error, ts []*tasks.Task, hashes []uint64,
	now time.Time,
	maxWaiting map[string]int,
) {
	more := map[string]int{}
	for i, t := range ts {
		if refused[i] != nil {
			continue
		}
		if other := s.entryLocked(t.ID, hashes[i]); other != nil {
			refused[i] = &tasks.ExistsError{Task: other.task(), ID: true}
			continue
		}
		if err := s.checkUniqueLocked(nil, t, now); err != nil {
			refused[i] = err
			continue
		}
		waiting := more[t.Queue]
		if q := s.queues[t.Queue]; q != nil {
			waiting += q.waiting()
		}
		if limit := maxWaiting[t.Queue]; limit > 0 && waiting >= limit {
			refused[i] = tasks.ErrOverloaded
			continue
		}
		more[t.Queue]++
	}
}
