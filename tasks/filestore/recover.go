package filestore

import (
	"bytes"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/genropy/genro-asgi-go/tasks"
)

// recovery is what the files say.
type recovery struct {
	tasks    map[uint64]*tasks.Task
	kept     map[uint64]*tasks.Task // deleted, but holding their unique key
	orphans  map[uint64]bool        // changed in the log but not in the snapshot: they must be deleted later on
	seq      uint64
	reserved uint64
	number   uint64 // of the last frame
	records  uint64
	full     bool // in the snapshot, whose tasks are whole
	end      bool // of the snapshot
	r        reader
}

func newRecovery() *recovery {
	return &recovery{
		tasks: map[uint64]*tasks.Task{}, kept: map[uint64]*tasks.Task{}, orphans: map[uint64]bool{},
		r: reader{names: map[string]string{}},
	}
}

// files returns the numbers of segments and snapshots, and of snapshots that were not ended, ascending.
func (s *Store) files() (logs, snaps, temps []uint64, err error) {
	entries, err := os.ReadDir(s.dir)
	if err != nil {
		return nil, nil, nil, err
	}
	for _, e := range entries {
		ext := filepath.Ext(e.Name())
		n, err := strconv.ParseUint(strings.TrimSuffix(e.Name(), ext), 10, 64)
		if err != nil {
			continue
		}
		switch ext {
		case logExt:
			logs = append(logs, n)
		case snapExt:
			snaps = append(snaps, n)
		case tmpExt:
			temps = append(temps, n)
		}
	}
	slices.Sort(logs)
	slices.Sort(snaps)
	return logs, snaps, temps, nil
}

// endLeases ends those of what was running: the lock says that its holders are gone. It returns the tasks that it changed.
func (r *recovery) endLeases() (changed []*tasks.Task) {
	for _, t := range r.tasks {
		if t.State == tasks.Running {
			t.LeaseUntil = time.Time{}
			t.Revision++
			changed = append(changed, t)
		}
	}
	return changed
}

// recover reads the directory, and returns the segment to go on with, which resume opens, or nil.
func (s *Store) recover(r *recovery) (*segment, error) {
	logs, snaps, _, err := s.files()
	if err != nil {
		return nil, err
	}
	var from uint64
	if len(snaps) > 0 {
		from = snaps[len(snaps)-1]
		b, err := os.ReadFile(s.path(from, snapExt))
		if err != nil {
			return nil, err
		}
		if err := r.snapshot(b); err != nil {
			return nil, fmt.Errorf("%w (%s)", err, s.path(from, snapExt))
		}
		s.removeLocked(from)
		s.snapSize = int64(len(b))
		s.used = s.snapSize
	}
	logs = slices.DeleteFunc(logs, func(n uint64) bool { return n < from })
	if from > 0 && (len(logs) == 0 || logs[0] != from) {
		return nil, fmt.Errorf("%w: segment %d is missing", ErrCorrupt, from)
	}
	var last *segment
	for i, n := range logs {
		b, err := os.ReadFile(s.path(n, logExt))
		if err != nil {
			return nil, err
		}
		s.nextSegment = n
		before := r.number
		end, err := r.log(b)
		if err != nil {
			return nil, fmt.Errorf("%w (%s at byte %d)", err, s.path(n, logExt), end)
		}
		if last == nil || r.number > before {
			last = &segment{n: n, size: int64(len(b)), end: int64(end)}
		}
		if r.number > before && end == len(b) || bytes.Count(b[end:], zeros[:1]) == len(b)-end {
			continue // it ends as it should
		}
		// What follows is no frame. It is the tail of a write that was cut off, unless a later frame was written when it was known to be on the disk.
		next := r.number + 1
		for j, m := range logs[i:] {
			if j > 0 {
				if b, err = os.ReadFile(s.path(m, logExt)); err != nil {
					return nil, err
				}
				end = 0
			}
			if vouched(b[end:], next) {
				return nil, fmt.Errorf("%w: frame %d is damaged (%s at byte %d)", ErrCorrupt, next, s.path(n, logExt), last.end)
			}
		}
		break
	}
	return last, nil
}

// resume opens a segment for writing, clears what follows its end, and removes the segments after it and what a compaction left that was cut off.
func (s *Store) resume(seg *segment) error {
	logs, _, temps, err := s.files()
	if err != nil {
		return err
	}
	for _, n := range temps { // of a process that ended while it compacted
		if err := os.Remove(s.path(n, tmpExt)); err != nil {
			return err
		}
	}
	for _, n := range logs {
		if n > seg.n {
			if err := os.Remove(s.path(n, logExt)); err != nil {
				return err
			}
		} else {
			info, err := os.Stat(s.path(n, logExt))
			if err != nil {
				return err
			}
			s.used += info.Size()
			s.logged += info.Size()
		}
	}
	if seg.f, err = os.OpenFile(s.path(seg.n, logExt), os.O_RDWR, 0); err != nil {
		return err
	}
	seg.size = max(seg.size, s.o.SegmentSize) // the process may have ended while it was made
	if err = zero(seg.f, seg.end, seg.size); err == nil {
		err = seg.f.Sync()
	}
	if err != nil {
		_ = seg.f.Close()
	}
	return err
}

func (r *recovery) snapshot(b []byte) error {
	r.full = true
	defer func() { r.full = false }()
	for n := uint64(1); len(b) > 0; n++ {
		f, ok := parseFrame(b)
		if !ok || f.number != n || r.end {
			return fmt.Errorf("%w: frame %d of a snapshot", ErrCorrupt, n)
		}
		if err := r.apply(f.records); err != nil {
			return err
		}
		b = b[f.size:]
	}
	if !r.end {
		return fmt.Errorf("%w: a snapshot without its end", ErrCorrupt)
	}
	return nil
}

// log applies the frames of a segment and returns where they end.
func (r *recovery) log(b []byte) (end int, err error) {
	for {
		f, ok := parseFrame(b[end:])
		if !ok || f.number != r.number+1 {
			return end, nil
		}
		if err := r.apply(f.records); err != nil {
			return end, err
		}
		r.number = f.number
		end += f.size
	}
}

func (r *recovery) apply(records []byte) error {
	r.r.b = records
	for len(r.r.b) > 0 {
		if err := r.one(); err != nil {
			return err
		}
		if r.r.err != nil {
			return fmt.Errorf("%w: %w", ErrCorrupt, r.r.err)
		}
	}
	return nil
}

func (r *recovery) one() error {
	op := r.r.byte()
	switch op {
	case opChange, opKept:
		return r.change(op)
	case opDelete:
		seq := r.r.uint()
		if t := r.tasks[seq]; t != nil && t.Unique != nil && t.Unique.While == tasks.UniqueFor {
			r.kept[seq] = t
		}
		delete(r.tasks, seq)
		delete(r.orphans, seq)
	case opReserve:
		r.reserved = max(r.reserved, r.r.count())
	case opSeq:
		r.seq = max(r.seq, r.r.count())
	case opEnd:
		if n := r.r.uint(); n != r.records {
			return fmt.Errorf("%w: %d records of a snapshot of %d", ErrCorrupt, r.records, n)
		}
		first := r.r.count()
		if first == 0 || !r.full {
			return fmt.Errorf("%w: %w", ErrCorrupt, errRecord)
		}
		r.end, r.number = true, first-1
	default:
		return fmt.Errorf("%w: %w", ErrCorrupt, errRecord)
	}
	r.records++
	return nil
}

// change applies a record of a task that is new or follows the revision that is there; an older one is in the snapshot already.
func (r *recovery) change(op byte) error {
	r.records++
	seq, revision := r.r.count(), r.r.count()
	r.seq = max(r.seq, seq)
	t := r.tasks[seq]
	switch {
	case op == opKept:
		t = &tasks.Task{}
		r.kept[seq] = t
	case t == nil && (r.full || revision == 1):
		t = &tasks.Task{}
		r.tasks[seq] = t
	case t == nil:
		r.orphans[seq] = true
		t = &tasks.Task{}
	case revision <= t.Revision:
		t = &tasks.Task{}
	case revision > t.Revision+1:
		return fmt.Errorf("%w: revision %d of task %s after %d", ErrCorrupt, revision, t.ID, t.Revision)
	}
	t.Seq, t.Revision = seq, revision
	r.r.fields(t)
	return nil
}

// restore hands what was read to the memory store.
func (r *recovery) restore(mem *tasks.MemStore) error {
	if len(r.orphans) > 0 {
		return fmt.Errorf("%w: %d tasks have changes but no beginning", ErrCorrupt, len(r.orphans))
	}
	all := slices.AppendSeq(slices.Collect(maps.Keys(r.tasks)), maps.Keys(r.kept))
	slices.Sort(all)
	for _, seq := range slices.Compact(all) {
		t, deleted := r.tasks[seq], false
		if t == nil {
			t, deleted = r.kept[seq], true
		}
		if t.Fence > r.reserved {
			return fmt.Errorf("%w: task %s has fence %d, %d are reserved", ErrCorrupt, t.ID, t.Fence, r.reserved)
		}
		if err := mem.Restore(t, deleted); err != nil {
			return fmt.Errorf("%w: %w", ErrCorrupt, err)
		}
	}
	mem.Resume(r.seq, r.reserved)
	return nil
}
