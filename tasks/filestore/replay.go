package filestore

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/genropy/genro-asgi-go/tasks"
	"github.com/genropy/genro-asgi-go/tasks/memstore"
)

// replay makes tasks of the records of a snapshot and a log.
type replay struct {
	tasks      map[uint64]*tasks.Task // by Seq
	keyHolders map[uint64]*tasks.Task // deleted tasks that hold their unique key
	// Tasks that were changed in the log and are not in the snapshot: the log must delete them
	// later on.
	orphans  map[uint64]bool
	lastSeq  uint64
	reserved uint64 // the fences up to it may have been handed out
	frame    uint64 // the number of the last frame
	records  uint64 // how many there were
	next     uint64 // the segment that the last frame names

	// What the snapshot says of itself.
	inSnapshot bool   // it is being read; its tasks are whole
	ended      bool   // its last record was read
	logAt      int64  // where the log begins in the snapshot's segment
	mustReach  uint64 // the frame that the log must have

	in decoder
}

func newReplay() *replay {
	return &replay{
		tasks: map[uint64]*tasks.Task{}, keyHolders: map[uint64]*tasks.Task{},
		orphans: map[uint64]bool{}, in: decoder{names: map[string]string{}},
	}
}

// snapshot applies the frames of a snapshot.
func (r *replay) snapshot(b []byte) error {
	r.inSnapshot = true
	defer func() { r.inSnapshot = false }()
	for n := uint64(1); len(b) > 0; n++ {
		f, ok := parseFrame(b)
		if !ok || f.number != n || r.ended {
			return fmt.Errorf("%w: frame %d of a snapshot", ErrCorrupt, n)
		}
		if err := r.apply(f.records); err != nil {
			return err
		}
		b = b[f.size:]
	}
	if !r.ended {
		return fmt.Errorf("%w: a snapshot without its end", ErrCorrupt)
	}
	return nil
}

// segment applies the frames of a segment and returns where they end.
func (r *replay) segment(b []byte) (end int, err error) {
	for {
		f, ok := parseFrame(b[end:])
		if !ok || f.number != r.frame+1 {
			return end, nil
		}
		r.next = 0
		if err := r.apply(f.records); err != nil {
			return end, err
		}
		r.frame = f.number
		end += f.size
	}
}

// apply applies records.
func (r *replay) apply(records []byte) error {
	r.in.b = records
	for len(r.in.b) > 0 {
		if err := r.record(); err != nil {
			return err
		}
		if r.in.err != nil {
			return fmt.Errorf("%w: %w", ErrCorrupt, r.in.err)
		}
	}
	return nil
}

// record applies the next record.
func (r *replay) record() error {
	op := r.in.byte()
	switch op {
	case opChange, opKeyHolder:
		return r.change(op)
	case opDelete:
		seq := r.in.uint()
		if t := r.tasks[seq]; t != nil && holdsKeyWhenDeleted(t) {
			r.keyHolders[seq] = t
		}
		delete(r.tasks, seq)
		delete(r.orphans, seq)
	case opReserve:
		r.reserved = max(r.reserved, r.in.count())
	case opSeq:
		r.lastSeq = max(r.lastSeq, r.in.count())
	case opEnd:
		if n := r.in.uint(); n != r.records {
			return fmt.Errorf("%w: %d records of a snapshot of %d", ErrCorrupt, r.records, n)
		}
		first, at := r.in.count(), r.in.count()
		r.mustReach = r.in.count()
		if first == 0 || at > 1<<32 || !r.inSnapshot {
			return fmt.Errorf("%w: %w", ErrCorrupt, errRecord)
		}
		r.ended, r.frame, r.logAt = true, first-1, int64(at)
	case opNext:
		r.next = r.in.count()
	default:
		return fmt.Errorf("%w: %w", ErrCorrupt, errRecord)
	}
	r.records++
	return nil
}

// change applies a record of a task that is new or follows the revision that is there; an older one
// is in the snapshot already.
func (r *replay) change(op byte) error {
	r.records++
	seq, revision := r.in.count(), r.in.count()
	r.lastSeq = max(r.lastSeq, seq)
	t := r.tasks[seq]
	switch {
	case op == opKeyHolder:
		t = &tasks.Task{}
		r.keyHolders[seq] = t
	case t == nil && (r.inSnapshot || revision == 1):
		t = &tasks.Task{}
		r.tasks[seq] = t
	case t == nil:
		r.orphans[seq] = true
		t = &tasks.Task{}
	case revision <= t.Revision:
		t = &tasks.Task{}
	case revision > t.Revision+1 && r.in.mask()&heartbeat != heartbeat: // else these were left out
		return fmt.Errorf("%w: revision %d of task %s after %d", ErrCorrupt, revision, t.ID,
			t.Revision)
	}
	t.Seq, t.Revision = seq, revision
	r.in.fields(t)
	return nil
}

// restore hands what was read to the memory store.
func (r *replay) restore(mem *memstore.Store) error {
	if len(r.orphans) > 0 {
		return fmt.Errorf("%w: %d tasks have changes but no beginning", ErrCorrupt, len(r.orphans))
	}
	all := slices.AppendSeq(slices.Collect(maps.Keys(r.tasks)), maps.Keys(r.keyHolders))
	slices.Sort(all)
	for _, seq := range slices.Compact(all) {
		t, deleted := r.tasks[seq], false
		if t == nil {
			t, deleted = r.keyHolders[seq], true
		}
		if t.Fence > r.reserved {
			return fmt.Errorf("%w: task %s has fence %d, %d are reserved", ErrCorrupt, t.ID,
				t.Fence, r.reserved)
		}
		if err := mem.Restore(t, deleted); err != nil {
			return fmt.Errorf("%w: %w", ErrCorrupt, err)
		}
	}
	mem.Resume(r.lastSeq, r.reserved)
	return nil
}

// expireLeases ends the leases of the tasks that were running: the directory's lock says that their
// holders are gone. It returns the tasks that it changed.
func (r *replay) expireLeases() (changed []*tasks.Task) {
	for _, t := range r.tasks {
		if t.State == tasks.Running {
			t.LeaseUntil = time.Time{}
			t.Revision++
			changed = append(changed, t)
		}
	}
	return changed
}
