package filestore

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"runtime"

	"github.com/genropy/genro-asgi-go/tasks"
)

// batch is a frame under way: filled while the one before it is written.
type batch struct {
	seg    *segment
	at     int64 // where in the segment
	number uint64
	b      []byte // head and records
	last   uint64 // the position of its last change
	sync   bool   // somebody waits for it
	told   []tasks.Task
	done   chan struct{}
	err    error // set before done is closed
}

// fenceRange is how many fences are reserved at once. After a restart they begin where the reserved ones end, so that none comes twice,
// though claims are not synced.
const fenceRange = 1 << 20

// errReserve asks for a new range of fences.
var errReserve = errors.New("filestore: the reserved fences are used up")

// lazy are the fields whose changes nobody waits for.
const lazy = fLease | fProgress

var blank tasks.Task

// journal stages a change. The memory store calls it in the order of the changes.
func (s *Store) journal(old, t *tasks.Task) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.failed != nil {
		return s.failed
	}
	if t != nil {
		if err := checkTimes(t); err != nil {
			return err
		}
	}
	r, wait := s.record[:0], true
	switch {
	case t == nil:
		r = binary.AppendUvarint(append(r, opDelete), old.Seq)
	case old == nil:
		r = appendChange(r, opChange, t, diff(&blank, t))
		s.lastSeq = t.Seq
	default:
		mask := diff(old, t)
		claim := mask&fFence != 0
		if claim && t.Fence > s.reserved {
			return errReserve
		}
		wait = !claim && mask&^lazy != 0
		r = appendChange(r, opChange, t, mask)
	}
	s.record = r
	if err := s.stageLocked(r, wait, old == nil); err != nil {
		return err
	}
	if t == nil {
		s.deletes++
		if u := old.Unique; u != nil && u.While == tasks.UniqueFor {
			kept := *old
			s.kept[old.Seq] = &kept
		}
		return nil
	}
	position := s.staged
	if !wait {
		position = s.mem.Position(old)
	}
	s.mem.SetPosition(t, position) // before the committer may show it
	if s.watched.Load() {
		s.cur.told = append(s.cur.told, *t)
	}
	return nil
}

// stageLocked appends a record to the frame under way. An addition leaves room for the changes of what is there.
func (s *Store) stageLocked(record []byte, wait, addition bool) error {
	if int64(len(record))+headSize > s.seg.size {
		return fmt.Errorf("%w: a record of %d bytes, the log's segments have %d", tasks.ErrTooLarge, len(record), s.seg.size)
	}
	if err := s.roomLocked(int64(len(record)), addition); err != nil {
		return err
	}
	if s.cur == nil {
		s.number++
		s.cur = &batch{seg: s.seg, at: s.seg.end, number: s.number, b: append(s.takeBufferLocked(), make([]byte, headSize)...), done: make(chan struct{})}
		s.seg.end += headSize
		select {
		case s.kick <- struct{}{}:
		default:
		}
	}
	s.cur.b = append(s.cur.b, record...)
	s.seg.end += int64(len(record))
	s.staged++
	s.cur.last = s.staged
	s.cur.sync = s.cur.sync || wait
	return nil
}

func (s *Store) takeBufferLocked() []byte {
	if n := len(s.buffers); n > 0 {
		b := s.buffers[n-1]
		s.buffers = s.buffers[:n-1]
		return b[:0]
	}
	return nil
}

// reserve makes the next range of fences durable.
func (s *Store) reserve(ctx context.Context) error {
	s.mu.Lock()
	if s.failed != nil {
		defer s.mu.Unlock()
		return s.failed
	}
	upTo := s.reserved + fenceRange
	err := s.stageLocked(binary.AppendUvarint([]byte{opReserve}, upTo), true, false)
	last := s.staged
	s.mu.Unlock()
	if err != nil {
		return err
	}
	if err := s.wait(ctx, last); err != nil {
		return err
	}
	s.mu.Lock()
	s.reserved = max(s.reserved, upTo)
	s.mu.Unlock()
	return nil
}

// wait waits until the change at a position is on the disk.
func (s *Store) wait(ctx context.Context, position uint64) error {
	s.mu.Lock()
	if position <= s.synced {
		s.mu.Unlock()
		return nil
	}
	in, failed := s.holdsLocked(position), s.failed
	s.mu.Unlock()
	if in == nil {
		if errors.Is(failed, tasks.ErrNotRunning) {
			return nil // closed in order, which syncs
		}
		return failed // nil: it was written and nobody had to wait
	}
	select {
	case <-in.done:
		return in.err
	case <-ctx.Done():
		return ctx.Err() // the change may be on the disk all the same
	}
}

// holdsLocked returns the frame under way that has the change at a position.
func (s *Store) holdsLocked(position uint64) *batch {
	if s.flight != nil && s.flight.last >= position {
		return s.flight
	}
	for _, b := range s.full {
		if b.last >= position {
			return b
		}
	}
	if s.cur != nil && s.cur.last >= position {
		return s.cur
	}
	return nil
}

// commit writes frames until the store is closed.
func (s *Store) commit() {
	defer s.work.Done()
	for range s.kick {
		for {
			b := s.take()
			if b == nil {
				break
			}
			s.finish(b, s.write(b))
		}
	}
}

// take returns the next frame to write. It first lets those run that the last frame has woken: most of them bring the next change, and what comes
// now needs no sync of its own.
func (s *Store) take() *batch {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, before := 0, uint64(0); i < 16 && len(s.full) == 0 && s.cur != nil && s.staged != before; i++ {
		before = s.staged
		s.mu.Unlock()
		runtime.Gosched()
		s.mu.Lock()
	}
	switch {
	case len(s.full) > 0:
		s.flight = s.full[0]
		s.full = s.full[1:]
	default:
		s.flight, s.cur = s.cur, nil
	}
	return s.flight
}

// write writes a frame, and waits for the disk when somebody waits for the frame.
func (s *Store) write(b *batch) error {
	s.mu.Lock()
	failed := s.failed
	s.mu.Unlock()
	if failed != nil && !errors.Is(failed, tasks.ErrNotRunning) {
		return failed // what comes after a hole in the log is lost
	}
	if s.written != b.seg {
		if err := s.leave(); err != nil {
			return err
		}
		s.written = b.seg
	}
	sealFrame(b.b, b.number, s.syncedFrame)
	if _, err := b.seg.f.WriteAt(b.b, b.at); err != nil {
		return err
	}
	if !b.sync {
		return nil
	}
	if err := s.syncFile(b.seg.f); err != nil {
		return err
	}
	s.syncedFrame = b.number
	return nil
}

// leave syncs and closes the segment that was written to so far.
func (s *Store) leave() error {
	if s.written == nil {
		return nil
	}
	err := s.syncFile(s.written.f)
	err = errors.Join(err, s.written.f.Close())
	s.written = nil
	return err
}

// finish tells those who wait.
func (s *Store) finish(b *batch, err error) {
	s.mu.Lock()
	s.flight = nil
	if err != nil {
		if s.failed == nil || errors.Is(s.failed, tasks.ErrNotRunning) {
			// Nobody knows what is on the disk now, and a second fsync would not tell (the kernel drops the pages): so nothing more is taken.
			s.failed = fmt.Errorf("filestore: the log failed, open the store again: %w", err)
		}
		b.err = s.failed
	} else if b.sync {
		s.synced = b.last
	}
	if cap(b.b) <= 1<<20 && len(s.buffers) < 2 {
		s.buffers = append(s.buffers, b.b)
	}
	s.mu.Unlock()
	close(b.done)
	if err == nil {
		s.tell(b.told)
	}
}

// segment is a file of the log. Its blocks are there before it is written to, so that a change that was taken finds its space, and a sync has no sizes to
// write down.
type segment struct {
	n     uint64
	f     *os.File
	size  int64
	end   int64  // of what is staged
	first uint64 // the number of its first frame
}

// roomLocked makes the current segment one with room for a record, or reports ErrStoreFull.
func (s *Store) roomLocked(size int64, addition bool) error {
	if s.cur == nil {
		size += headSize
	}
	if addition && s.o.MaxSize > 0 && s.used+2*s.o.SegmentSize > s.o.MaxSize {
		s.makeRoomLocked()
		return fmt.Errorf("%w: MaxSize is reached", tasks.ErrStoreFull)
	}
	left := s.seg.size - s.seg.end - size
	if s.spare == nil && left < s.seg.size/2 {
		// Without a next segment, the last quarter is for what is there already: it can be finished, and deleted. An addition waits to know whether there will be one.
		reserved := addition && left < s.seg.size/4
		s.prepareLocked()
		s.spareLocked(reserved && s.preparing && s.spareErr == nil)
		if s.spare == nil && s.spareErr != nil && reserved {
			return s.spareErr
		}
	}
	if left >= 0 {
		return nil
	}
	if s.spareLocked(true); s.spare == nil {
		return s.spareErr
	}
	if s.nextLocked(); s.logged >= max(s.snapSize, compactSegments*s.o.SegmentSize) {
		s.compactLocked()
	}
	return nil
}

// nextLocked goes on in the spare segment.
func (s *Store) nextLocked() {
	if s.cur != nil {
		s.full = append(s.full, s.cur)
		s.cur = nil
	}
	s.seg, s.spare = s.spare, nil
	s.seg.first = s.number + 1
	s.logged += s.seg.size
}

// makeRoomLocked compacts a store that is at its MaxSize, when something has been deleted since the last time.
func (s *Store) makeRoomLocked() {
	if s.compacting || s.deletes == 0 {
		return
	}
	s.prepareLocked()
	if s.spareLocked(false); s.spare != nil {
		s.nextLocked()
		s.compactLocked()
	}
}
