package filestore

import (
	"context"
	"encoding/binary"
	"errors"
	"os"

	"github.com/genropy/genro-asgi-go/tasks"
)

// compactLocked begins a compaction of what was logged before the current segment, which has nothing yet.
func (s *Store) compactLocked() {
	if s.compacting || s.closing {
		return
	}
	s.compacting, s.deletes = true, 0
	seg := s.seg
	s.work.Go(func() { s.compact(seg.n, seg.first) })
}

// compactSegments is how long the log is before it is compacted.
const compactSegments = 4

// compact writes all tasks into a snapshot, and removes the segments before the given one. Others go on meanwhile: a task may be in the snapshot as
// it was at any time since, and its revision tells which of the changes in the log come after that.
func (s *Store) compact(n, first uint64) {
	size, err := s.snapshot(s.stop, n, first)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.compacting = false
	if err != nil {
		_ = os.Remove(s.path(n, tmpExt)) // as good as never begun; the next segment tries again
		return
	}
	s.logged = s.seg.size
	s.used += size - s.snapSize
	s.snapSize = size
	s.removeLocked(n)
}

// removeLocked removes what the snapshot n has made superfluous.
func (s *Store) removeLocked(n uint64) {
	logs, snaps, _, err := s.files()
	if err != nil {
		return // the next time
	}
	for _, old := range logs {
		if old < n {
			if info, err := os.Stat(s.path(old, logExt)); err == nil && os.Remove(s.path(old, logExt)) == nil {
				s.used -= info.Size()
			}
		}
	}
	for _, old := range snaps {
		if old < n {
			_ = os.Remove(s.path(old, snapExt))
		}
	}
}

// snapshot writes the snapshot that goes before segment n.
func (s *Store) snapshot(ctx context.Context, n, first uint64) (size int64, err error) {
	f, err := os.OpenFile(s.path(n, tmpExt), os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return 0, err
	}
	w := &snapWriter{f: f}
	err = s.writeAll(ctx, w, first)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return 0, err
	}
	if err := os.Rename(s.path(n, tmpExt), s.path(n, snapExt)); err != nil {
		return 0, err
	}
	return w.size, syncDir(s.dir)
}

func (s *Store) writeAll(ctx context.Context, w *snapWriter, first uint64) error {
	s.mu.Lock()
	for seq, t := range s.kept {
		if !t.Holds(s.latest) {
			delete(s.kept, seq)
			continue
		}
		w.task(opKept, t)
	}
	s.mu.Unlock()
	f := tasks.Filter{Limit: 1000}
	for {
		page, next, err := s.mem.List(ctx, &f)
		if err != nil {
			return err
		}
		for _, t := range page {
			w.task(opChange, t)
			if err := w.flush(256 << 10); err != nil {
				return err
			}
		}
		if f.Cursor = next; next == "" {
			break
		}
	}
	s.mu.Lock()
	reserved, lastSeq := s.reserved, s.lastSeq
	s.mu.Unlock()
	w.record(binary.AppendUvarint([]byte{opReserve}, reserved+fenceRange)) // one range may be under way
	w.record(binary.AppendUvarint([]byte{opSeq}, lastSeq))
	w.b = binary.AppendUvarint(binary.AppendUvarint(append(w.b, opEnd), w.n), first)
	return w.flush(0)
}

// snapWriter writes frames of records.
type snapWriter struct {
	f      *os.File
	b      []byte
	n      uint64 // records
	frames uint64
	size   int64
}

func (w *snapWriter) record(r []byte) {
	w.begin()
	w.b = append(w.b, r...)
	w.n++
}

func (w *snapWriter) begin() {
	if len(w.b) == 0 {
		w.b = append(w.b, make([]byte, headSize)...)
	}
}

func (w *snapWriter) task(op byte, t *tasks.Task) {
	w.begin()
	w.b = appendChange(w.b, op, t, diff(&blank, t))
	w.n++
}

// flush writes a frame when it has a size.
func (w *snapWriter) flush(from int) error {
	if len(w.b) < from {
		return nil
	}
	w.frames++
	sealFrame(w.b, w.frames, 0)
	_, err := w.f.Write(w.b)
	w.size += int64(len(w.b))
	w.b = w.b[:0]
	return err
}
