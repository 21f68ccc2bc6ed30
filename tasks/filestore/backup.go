package filestore

import (
	"bufio"
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"github.com/genropy/genro-asgi-go/tasks"
)

// backupFences is by how much the fences of a backup are above those of its store, so that a store
// restored from it hands out higher ones than the first had come to.
const backupFences = 1 << 40

// Backup writes a copy of the store into a directory on any file system of the machine. It makes
// the directory, or finds it empty. Open opens the copy as a store of its own.
//
// The copy is of one moment between the call and its return, so it has all that was acknowledged
// before the call. The store goes on meanwhile, and keeps its log's files until Backup returns:
// Backup reads the tasks that are there, newest first, as a compaction does, and then what was
// logged while it read them. A task that was running is taken up again where the copy is opened,
// with a fence above all that the store hands out within its next 2^40 claims.
//
// The copy is on the disk when Backup returns nil. After an error the directory has files that do
// not open as a store, or none. The errors are ctx's; tasks.ErrInvalid for a directory that is not
// empty; tasks.ErrStoreFull for a disk that is full, and on the store's own disk where the copy
// would take room that the store keeps for its tasks; tasks.ErrNotRunning when the store is stopped
// meanwhile; and the file system's. Several backups may run at once.
func (s *Store) Backup(ctx context.Context, dir string) error {
	if err := s.checkOpen(); err != nil {
		return err
	}
	entries, err := os.ReadDir(dir)
	if len(entries) > 0 || err != nil && !errors.Is(err, fs.ErrNotExist) {
		return errors.Join(err, fmt.Errorf("%w: filestore: a backup needs an empty directory: %s",
			tasks.ErrInvalid, dir))
	}
	to, err := openDirectory(dir)
	if err != nil {
		return err
	}
	defer func() { _ = to.close() }() // what is in it is on the disk
	// A store that stops ends its backups.
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer context.AfterFunc(s.ctx, func() { cancel(tasks.ErrNotRunning) })()

	if err := s.admitBackup(to); err != nil {
		return err
	}
	b := &backup{store: s, to: to, from: s.beginReading()}
	defer s.endReading()
	err = b.write(ctx)
	switch {
	case isFull(err):
		return fmt.Errorf("%w: %w", tasks.ErrStoreFull, err)
	case err != nil && ctx.Err() != nil:
		return context.Cause(ctx)
	}
	return err
}

// admitBackup refuses a backup that would take the room which the store keeps for its tasks.
func (s *Store) admitBackup(to *directory) error {
	s.mu.Lock()
	need := s.budget.live + s.log.wantFreeLocked(0, 0)
	s.mu.Unlock()
	if free, _, known := to.space(); known && free < need && to.shares(s.dir) {
		return fmt.Errorf("%w: %d bytes are free on the store's own disk; a backup there takes %d"+
			" with what is kept for the store", tasks.ErrStoreFull, free, need)
	}
	return nil
}

// beginReading keeps the log's files from now on, and returns the point where the log is.
func (s *Store) beginReading() point {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.segments.readers++
	return s.log.pointLocked()
}

func (s *Store) endReading() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.segments.readers--
}

// backup is a copy under way: a snapshot of the tasks, and the log from a point on.
type backup struct {
	store *Store
	to    *directory
	from  point
}

// write writes its files. LOCK says from the beginning that there is a store, so without both the
// files do not open.
func (b *backup) write(ctx context.Context) error {
	h := head{number: 1}
	if _, err := rand.Read(h.store[:]); err != nil {
		return err
	}
	if err := b.to.writeOwner(h.store); err != nil {
		return err
	}
	if b.to.owner() != h.store {
		return fmt.Errorf("%w: nothing can be written to %s", tasks.ErrStoreFull, b.to.path)
	}
	snap, snapTmp, err := b.to.temp(h, snapExt)
	if err != nil {
		return err
	}
	log, logTmp, err := b.to.temp(h, logExt)
	if err != nil {
		return errors.Join(err, snap.Close(), b.to.root.Remove(snapTmp))
	}
	if err = b.fill(ctx, snap, log); err == nil {
		if err = b.to.keep(log, logTmp, 1, logExt); err == nil {
			err = b.to.keep(snap, snapTmp, 1, snapExt)
		}
	}
	err = errors.Join(err, snap.Close(), log.Close())
	if err != nil {
		_, _ = b.to.root.Remove(snapTmp), b.to.root.Remove(logTmp) // they need not be there
	}
	return err
}

// fill writes the tasks, and then what was logged while it did.
func (b *backup) fill(ctx context.Context, snap, log *os.File) error {
	w := &snapshotWriter{f: snap, size: fileHead}
	if err := b.store.journal.writeTasks(ctx, w); err != nil {
		return err
	}
	upTo, err := b.store.log.flush(ctx)
	if err != nil {
		return err
	}
	b.store.mu.Lock()
	fences := b.store.log.reserved + backupFences
	b.store.mu.Unlock()
	w.record(reserveRecord(fences))
	if err := w.finish(point{1, fileHead, b.from.frame}, upTo); err != nil {
		return err
	}
	return b.copyLog(ctx, log, upTo)
}

// copyLog copies the frames from the point to the one of a number, and adds a last one, which says
// that they are on the disk.
func (b *backup) copyLog(ctx context.Context, out io.Writer, upTo uint64) error {
	w := bufio.NewWriter(out)
	next, at := b.from.frame, b.from.at
	for _, segment := range b.filesFrom(b.from.segment) {
		f, err := b.store.dir.open(segment.number, logExt, os.O_RDONLY)
		if err != nil {
			return err
		}
		next, err = copyFrames(ctx, w, io.NewSectionReader(f, at, segment.size-at), next, upTo)
		if err = errors.Join(err, f.Close()); err != nil {
			return fmt.Errorf("%w (%s)", err, b.store.dir.name(segment.number, logExt))
		}
		if at = fileHead; next > upTo {
			break
		}
	}
	if next != upTo+1 {
		return corrupt("frame %d is not there (%s)", next, b.store.dir.path)
	}
	last := make([]byte, headSize)
	sealFrame(last, nil, next, upTo)
	if _, err := w.Write(last); err != nil {
		return err
	}
	return w.Flush()
}

// filesFrom are the log's segments from one on.
func (b *backup) filesFrom(number uint64) (files []fileSize) {
	b.store.mu.Lock()
	defer b.store.mu.Unlock()
	for _, f := range b.store.segments.files {
		if f.number >= number {
			files = append(files, f)
		}
	}
	return files
}

// copyFrames copies the frames of a segment from one number to another, as far as they are there,
// and returns the number of the next. That some of them name a next segment does not matter:
// another frame follows.
func copyFrames(ctx context.Context, w io.Writer, r *io.SectionReader, next, upTo uint64) (uint64,
	error,
) {
	in := bufio.NewReader(r)
	for ; next <= upTo; next++ {
		if err := ctx.Err(); err != nil {
			return next, err
		}
		b, err := readFrame(in, r.Size())
		if err != nil {
			return next, err
		}
		f, ok := parseFrame(b)
		if !ok || f.number != next {
			return next, nil
		}
		if _, err := w.Write(b); err != nil {
			return next, err
		}
	}
	return next, nil
}

// readFrame reads as many bytes as the frame has that seems to be next, nothing where there is none
// or it would be longer than it can be.
func readFrame(in *bufio.Reader, most int64) ([]byte, error) {
	peek, err := in.Peek(headSize)
	if err != nil || string(peek[:len(magic)]) != magic {
		return nil, ignoreEOF(err)
	}
	size := headSize + int64(binary.LittleEndian.Uint32(peek[len(magic):]))
	if size > most {
		return nil, nil
	}
	b := make([]byte, size)
	_, err = io.ReadFull(in, b)
	return b, ignoreEOF(err)
}

// ignoreEOF leaves out that a segment's end was reached.
func ignoreEOF(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return nil
	}
	return err
}
