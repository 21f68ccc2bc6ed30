package filestore

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/genropy/genro-asgi-go/tasks"
)

var (
	// ErrLocked says that another process, or another store of this one, has the directory open.
	ErrLocked = errors.New("filestore: the directory is another store's")
	// ErrCorrupt says that what is in the directory is damaged where it had been acknowledged. Nothing was changed.
	ErrCorrupt = errors.New("filestore: corrupt")
)

// Options of a store. Nil and zero are valid.
type Options struct {
	// SegmentSize is the size of the log's files, in bytes; 16 MiB when zero, 64 KiB at least, 1 GiB at most. A task must fit into one.
	SegmentSize int64
	// MaxSize bounds the directory's files, in bytes; zero leaves it to the disk; 8 segments at least. A store two segments below it refuses
	// new tasks with tasks.ErrStoreFull, until enough are deleted. Changes of the tasks that are there go on, and a compaction takes a snapshot's size for a while.
	MaxSize int64
}

// Store is a [tasks.Store] in a directory.
type Store struct {
	mem    *tasks.MemStore
	dir    string
	o      Options
	lock   *os.File
	work   sync.WaitGroup
	stop   context.Context // of compactions
	cancel context.CancelFunc
	kick   chan struct{} // there is a frame to write
	spares chan prepared

	watch    sync.Mutex
	watchers []*watcher
	watched  atomic.Bool

	// What the committer has written. It is the committer's alone.
	written     *segment
	syncedFrame uint64
	syncFile    func(f *os.File) error

	mu          sync.Mutex // taken after the memory store's
	failed      error      // why nothing more is taken
	closing     bool
	record      []byte   // scratch
	cur         *batch   // being filled
	full        []*batch // before it, in order
	flight      *batch   // before those, being written
	buffers     [][]byte
	number      uint64 // of the latest frame
	staged      uint64 // the latest position
	synced      uint64 // the latest that is on the disk
	reserved    uint64 // fences, on the disk
	lastSeq     uint64
	kept        map[uint64]*tasks.Task
	latest      time.Time // that a caller has told
	seg         *segment
	spare       *segment
	spareErr    error // why there is none
	triedAt     time.Time
	preparing   bool
	nextSegment uint64
	used        int64 // bytes of all files
	logged      int64 // bytes of segments since the snapshot
	snapSize    int64
	compacting  bool
	deletes     int // since the last compaction began
}

// Open opens the store in a directory, which it makes when there is none, and recovers what is there. Close ends it.
func Open(dir string, o *Options) (*Store, error) { return openWith(dir, o, syncData) }

func openWith(dir string, o *Options, syncFile func(f *os.File) error) (*Store, error) {
	s := &Store{
		dir: dir, kick: make(chan struct{}, 1), spares: make(chan prepared, 1),
		syncFile: syncFile, kept: map[uint64]*tasks.Task{},
	}
	if o != nil {
		s.o = *o
	}
	if s.o.SegmentSize == 0 {
		s.o.SegmentSize = 16 << 20
	}
	if s.o.SegmentSize < 64<<10 || s.o.SegmentSize > 1<<30 || s.o.MaxSize != 0 && s.o.MaxSize < 8*s.o.SegmentSize {
		return nil, fmt.Errorf("%w: filestore: SegmentSize %d, MaxSize %d", tasks.ErrInvalid, s.o.SegmentSize, s.o.MaxSize)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	var err error
	if s.lock, err = lock(filepath.Join(dir, "LOCK")); err != nil {
		return nil, fmt.Errorf("%w (%s)", err, dir)
	}
	if err := s.begin(); err != nil {
		return nil, errors.Join(err, s.lock.Close())
	}
	return s, nil
}

// begin recovers, and writes the first frame.
func (s *Store) begin() error {
	s.mem = tasks.NewJournaled(s.journal)
	r := newRecovery()
	seg, err := s.recover(r)
	if err != nil {
		return err
	}
	ended := r.endLeases()
	if err := r.restore(s.mem); err != nil {
		return err
	}
	if seg != nil {
		if err := s.resume(seg); err != nil {
			return err
		}
		s.nextSegment = seg.n
	} else {
		s.nextSegment++
		if seg, err = s.makeSegment(s.nextSegment); err != nil {
			if isFull(err) {
				err = fmt.Errorf("%w: %w", tasks.ErrStoreFull, err)
			}
			return err
		}
		s.used += seg.size
		seg.first = r.number + 1
	}
	s.kept, s.seg, s.number, s.syncedFrame, s.reserved = r.kept, seg, r.number, r.number, r.reserved
	s.lastSeq = r.seq
	s.stop, s.cancel = context.WithCancel(context.Background())
	s.work.Add(1)
	go s.commit()
	s.mu.Lock()
	for _, t := range ended {
		if err = s.stageLocked(appendChange(nil, opChange, t, fLease), true, false); err != nil {
			break
		}
	}
	s.mu.Unlock()
	if err == nil {
		err = s.reserve(context.Background())
	}
	if err != nil {
		return errors.Join(err, s.end())
	}
	return nil
}

// open reports why the store is not.
func (s *Store) open() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.failed
}

// Close writes what is staged and gives the directory back. Whoever uses the store then gets tasks.ErrNotRunning. It may be called again.
func (s *Store) Close() error {
	s.mu.Lock()
	if s.closing {
		s.mu.Unlock()
		s.work.Wait()
		return nil
	}
	s.mu.Unlock()
	return errors.Join(s.end(), s.lock.Close())
}

func (s *Store) end() error {
	s.mu.Lock()
	s.closing = true
	failed := s.failed
	if failed == nil {
		// A last frame, which says that those before it are on the disk.
		_ = s.stageLocked(binary.AppendUvarint([]byte{opReserve}, s.reserved), true, false)
		s.failed = tasks.ErrNotRunning
	}
	s.mu.Unlock()
	s.cancel()
	close(s.kick)
	s.work.Wait()
	err := s.leave()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.preparing {
		s.spareLocked(true)
	}
	if s.spare != nil {
		err = errors.Join(err, s.spare.f.Close())
	}
	if failed == nil && !errors.Is(s.failed, tasks.ErrNotRunning) {
		err = errors.Join(err, s.failed)
	}
	if s.failed == nil || failed != nil {
		s.failed = fmt.Errorf("%w: %w", tasks.ErrNotRunning, s.failed)
	}
	return err
}
