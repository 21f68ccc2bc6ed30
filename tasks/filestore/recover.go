package filestore

import (
	"crypto/rand"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"

	"github.com/genropy/genro-asgi-go/tasks"
)

// recover reads the directory and makes it that of an open store, which it starts.
func (s *Store) recover() error {
	s.segments.free.measure()
	found := &recovery{dir: s.dir, replay: newReplay()}
	if err := found.read(); err != nil {
		return err
	}
	expired := found.replay.expireLeases()
	if err := found.replay.restore(s.mem); err != nil {
		return err
	}
	if err := s.resume(found); err != nil {
		return err
	}
	s.work.Go(s.committer.run)
	s.work.Go(s.guard)
	if err := s.writeFirst(expired); err != nil {
		return errors.Join(err, s.shutDown())
	}
	return nil
}

// resume removes from the directory what is not part of the store, and goes on at the log's end.
func (s *Store) resume(found *recovery) error {
	if s.id = found.id; s.id == (storeID{}) {
		if _, err := rand.Read(s.id[:]); err != nil {
			return err
		}
	}
	if err := found.clean(); err != nil {
		return err
	}
	last, err := s.resumeSegment(found)
	if err != nil {
		return err
	}
	s.segments.resume(last, found.segments, found.snapshot.size)
	s.journal.resume(found.replay)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.compactor.snapshot, s.compactor.logged = found.snapshot, found.logged
	s.log.frame, s.log.reserved = found.replay.frame, found.replay.reserved
	s.committer.syncedFrame = found.replay.frame
	return nil
}

// resumeSegment opens the log's last segment for writing, or makes the first.
func (s *Store) resumeSegment(found *recovery) (*segment, error) {
	if len(found.segments) > 0 {
		return found.openLast()
	}
	s.mu.Lock()
	size := s.segments.newSizeLocked(0, 0)
	s.mu.Unlock()
	first, err := s.segments.create(head{store: s.id, number: 1}, size, 0)
	if err == nil {
		found.segments = []fileSize{{first.number, first.size}}
	}
	return first, err
}

// writeFirst writes which leases have expired, and reserves fences.
func (s *Store) writeFirst(expired []*tasks.Task) error {
	for _, t := range expired {
		_, _, err := s.log.stageOwn(s.ctx, forStore,
			func() []byte { return appendChange(nil, opChange, t, fLease) })
		if err != nil {
			return err
		}
	}
	// Where there is no room now, the first claim reserves them.
	if err := s.log.reserveFences(s.ctx); err != nil && !errors.Is(err, tasks.ErrStoreFull) {
		return err
	}
	return s.dir.writeOwner(s.id)
}

// recovery is what is found of a store in its directory.
type recovery struct {
	*files
	dir      *directory
	replay   *replay
	snapshot fileSize   // the latest; its number is 0 when there is none
	segments []fileSize // of the log, from the snapshot on
	end      int64      // of the last segment's frames; 0 when there is no segment
	logged   int64      // bytes of frames after the snapshot
}

func corrupt(format string, args ...any) error {
	return fmt.Errorf("%w: %w", ErrCorrupt, fmt.Errorf(format, args...))
}

// read reads the directory, and changes nothing there.
func (r *recovery) read() (err error) {
	if r.files, err = r.dir.scan(); err != nil {
		return err
	}
	if len(r.logs)+len(r.snaps) == 0 {
		switch owner := r.dir.owner(); {
		case owner != storeID{}:
			return corrupt("the files of the store that LOCK names are not there (%s)", r.dir.path)
		case r.foreign != "":
			return corrupt("%s is no file of a store, and nothing else is there", r.foreign)
		}
		return nil
	}
	next, err := r.readSnapshot()
	if err != nil {
		return err
	}
	for before := uint64(0); next != 0; {
		h, ok := r.logs[next]
		if !ok || before != 0 && h.before != before {
			return corrupt("segment %d of the log is missing or damaged (%s)", next, r.dir.path)
		}
		before = next
		if next, err = r.readSegment(next); err != nil {
			return err
		}
	}
	if last, must := r.replay.frame, r.replay.mustReach; last < must {
		return corrupt("the log ends with frame %d, and the snapshot was made after frame %d (%s)",
			last, must, r.dir.path)
	}
	return nil
}

// readSnapshot reads the latest snapshot, if there is one, and returns the segment with which the
// log begins.
func (r *recovery) readSnapshot() (first uint64, err error) {
	for n := range r.snaps {
		r.snapshot.number = max(r.snapshot.number, n)
	}
	if n := r.snapshot.number; n > 0 {
		b, err := r.dir.read(n, snapExt)
		if err != nil {
			return 0, err
		}
		if err := r.replay.snapshot(b[min(fileHead, len(b)):]); err != nil {
			return 0, fmt.Errorf("%w (%s)", err, r.dir.name(n, snapExt))
		}
		r.snapshot.size = int64(len(b))
		return n, nil
	}
	for n, h := range r.logs {
		if h.before == 0 && (first == 0 || n < first) {
			first = n
		}
	}
	if first == 0 {
		return 0, corrupt("the log's first segment is missing, and there is no snapshot (%s)",
			r.dir.path)
	}
	return first, nil
}

// readSegment reads a segment, and returns the one in which the log goes on, 0 where it ends.
func (r *recovery) readSegment(n uint64) (next uint64, err error) {
	b, err := r.dir.read(n, logExt)
	if err != nil {
		return 0, err
	}
	from := int64(fileHead)
	if n == r.snapshot.number {
		from = max(r.replay.logAt, fileHead)
	}
	if from > int64(len(b)) {
		return 0, corrupt("%s ends before its frames begin", r.dir.name(n, logExt))
	}
	r.replay.next = 0
	size, err := r.replay.segment(b[from:])
	r.end = from + int64(size)
	if err != nil {
		return 0, fmt.Errorf("%w (%s at byte %d)", err, r.dir.name(n, logExt), r.end)
	}
	r.segments = append(r.segments, fileSize{n, int64(len(b))})
	r.logged += int64(size)
	if r.replay.next != 0 {
		return r.replay.next, nil
	}
	return 0, r.checkTail(n, b[r.end:])
}

// checkTail reports ErrCorrupt when what follows the log's end in segment n, and in segments after
// it, says that the next frame was on the disk. Else it is the tail of a write that was cut off.
func (r *recovery) checkTail(n uint64, tail []byte) error {
	later := slices.Sorted(maps.Keys(r.logs))
	later = slices.DeleteFunc(later, func(m uint64) bool { return m <= n })
	for {
		if next := r.replay.frame + 1; saysSynced(tail, next) {
			return corrupt("frame %d is damaged (%s at byte %d)", next, r.dir.name(n, logExt),
				r.end)
		}
		if len(later) == 0 {
			return nil
		}
		var err error
		if tail, err = r.dir.read(later[0], logExt); err != nil {
			return err
		}
		later = later[1:]
	}
}

// clean removes the store's files that are not part of it, which a process that was killed has
// left.
func (r *recovery) clean() error {
	for _, tmp := range r.temps {
		if err := r.dir.root.Remove(tmp); err != nil {
			return err
		}
	}
	for n := range r.logs {
		if slices.ContainsFunc(r.segments, func(f fileSize) bool { return f.number == n }) {
			continue
		}
		if err := r.dir.root.Remove(fileName(n, logExt)); err != nil {
			return err
		}
	}
	for n := range r.snaps {
		if n == r.snapshot.number {
			continue
		}
		if err := r.dir.root.Remove(fileName(n, snapExt)); err != nil {
			return err
		}
	}
	return nil
}

// openLast opens the last segment for writing, and clears what follows its end.
func (r *recovery) openLast() (*segment, error) {
	last := &r.segments[len(r.segments)-1]
	f, err := r.dir.open(last.number, logExt, os.O_RDWR)
	if err != nil {
		return nil, err
	}
	last.size = max(last.size, r.end+trailerSize) // it may have been cut
	if err = zero(f, r.end, last.size); err == nil {
		err = f.Sync()
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return &segment{number: last.number, f: f, size: last.size, end: r.end}, nil
}
