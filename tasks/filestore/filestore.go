package filestore

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/genropy/genro-asgi-go/internal/lockorder"
	"github.com/genropy/genro-asgi-go/tasks"
	"github.com/genropy/genro-asgi-go/tasks/memstore"
)

var (
	// ErrLocked says that another process, or another store of this one, has the directory open; or
	// that the directory of a store that is open is not its own any more: it was moved, and another
	// may be in its place.
	ErrLocked = errors.New("filestore: the directory is another store's")
	// ErrCorrupt says that what is in the directory is damaged where it had been acknowledged.
	// Nothing was changed.
	ErrCorrupt = errors.New("filestore: corrupt")
)

// Store is a [tasks.Store] in a directory.
type Store struct {
	*shared
	mem       *memstore.Store
	journal   *journal
	log       *log
	segments  *segments
	committer *committer
	compactor *compactor
	watchers  *watchers

	stopOnce sync.Once
	stopped  chan struct{} // closed when the store has stopped
	stopErr  error         // set before stopped is closed
}

// shared is what the parts of a store have in common.
type shared struct {
	dir *directory
	id  storeID // set before the store's goroutines begin
	o   Options // with its defaults

	ctx    context.Context // of the store's goroutines; it ends when the store stops
	cancel context.CancelFunc
	work   sync.WaitGroup // the store's goroutines

	// mu is the store's lock. It guards what follows here, and those fields of the parts of which
	// that is said. It may be taken while the memory store's locks are held, which is how a change
	// finds its place in the log, and never the other way round. Nobody holds it while a file is
	// made, written, synced or removed, or while something is awaited.
	mu       lockorder.Mutex
	failed   error // why nothing more can be written, nil while all is well
	stopping bool  // Stop was called
	budget   budget
}

// failLocked makes the store take nothing more.
func (s *shared) failLocked(err error) {
	if s.failed == nil {
		s.failed = fmt.Errorf("filestore: the store has failed, open it again: %w", err)
	}
}

// refusalLocked is why nothing is taken, nil while the store is open.
func (s *shared) refusalLocked() error {
	switch {
	case s.stopping && s.failed != nil:
		return fmt.Errorf("%w: %w", tasks.ErrNotRunning, s.failed)
	case s.stopping:
		return tasks.ErrNotRunning
	}
	return s.failed
}

// checkOpen reports why the store is not open.
func (s *shared) checkOpen() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.refusalLocked()
}

// Open opens the store in a directory, which it makes when there is none, and recovers what is
// there. Nil options are the defaults. [Store.Stop] ends what Open began. The errors are
// tasks.ErrInvalid for options that cannot be, [ErrLocked], [ErrCorrupt], tasks.ErrStoreFull where
// a new store finds no room for its first segment, and the file system's.
func Open(dir string, o *Options) (*Store, error) { return openWith(dir, o, syncData) }

// openWith is Open with a function that makes a file's data durable.
func openWith(path string, o *Options, syncFile func(f *os.File) error) (*Store, error) {
	checked, err := o.withDefaults()
	if err != nil {
		return nil, err
	}
	if path == "" {
		return nil, fmt.Errorf("%w: filestore: Open needs the name of a directory",
			tasks.ErrInvalid)
	}
	dir, err := openDirectory(path)
	if err != nil {
		return nil, err
	}
	s := newStore(dir, checked, syncFile)
	if err := s.recover(); err != nil {
		s.cancel()
		return nil, errors.Join(err, dir.close())
	}
	return s, nil
}

// newStore makes the parts of a store and joins them. None of them runs yet.
func newStore(dir *directory, o Options, syncFile func(f *os.File) error) *Store {
	sh := &shared{dir: dir, o: o}
	sh.ctx, sh.cancel = context.WithCancel(context.Background())
	_, disk, _ := dir.space()
	sh.budget.init(o.Reserve, disk)
	s := &Store{shared: sh, watchers: &watchers{}, stopped: make(chan struct{})}
	s.segments = &segments{shared: sh, free: freeSpace{shared: sh}}
	s.log = &log{
		shared: sh, segments: s.segments, yields: defaultYields, wake: make(chan struct{}, 1),
	}
	s.committer = &committer{log: s.log, watchers: s.watchers, syncFile: syncFile}
	s.journal = newJournal(s.log, s.watchers)
	s.mem = s.journal.mem
	s.compactor = &compactor{shared: sh, segments: s.segments, log: s.log, journal: s.journal}
	s.log.compactor = s.compactor
	return s
}

// Start reports why the store is not open, nil when it is: Open has started it. With Stop it makes
// the store a component of an app that stops what uses it before it.
func (s *Store) Start(context.Context) error { return s.checkOpen() }

// Stop writes what is staged and gives the directory back. Whoever uses the store from then on gets
// tasks.ErrNotRunning. When ctx ends before that, as a disk may hang, Stop returns its error and
// the store goes on stopping: a later Stop waits for that too. Otherwise all calls return the same,
// an error where the last write failed.
func (s *Store) Stop(ctx context.Context) error {
	s.stopOnce.Do(func() {
		go func() {
			defer close(s.stopped)
			s.stopErr = errors.Join(s.shutDown(), s.dir.close())
		}()
	})
	select {
	case <-s.stopped:
		return s.stopErr
	case <-ctx.Done():
		return ctx.Err()
	}
}

// shutDown ends the store's goroutines and closes the log. It returns what has failed by it, not
// what had failed before.
func (s *Store) shutDown() error {
	s.mu.Lock()
	s.stopping = true
	failed := s.failed
	if failed == nil {
		// A last frame says that those before it are on the disk.
		_ = s.log.stageLocked(records{b: reserveRecord(s.log.reserved)}, true, forStore)
	}
	s.mu.Unlock()
	s.cancel()
	close(s.log.wake)
	s.work.Wait()
	err := s.committer.closeSegment()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.segments.spare != nil {
		err = errors.Join(err, s.segments.spare.f.Close())
	}
	if failed == nil {
		err = errors.Join(err, s.failed)
	}
	return err
}

// guardEvery is how often a store that writes nothing looks whether the directory is still its own.
const guardEvery = time.Second

// guard fails the store when the directory is not its own any more, and measures how much of the
// disk is free.
func (s *Store) guard() {
	tick := time.NewTicker(guardEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-s.ctx.Done():
			return
		}
		if err := s.dir.check(); err != nil {
			s.mu.Lock()
			s.failLocked(err)
			s.mu.Unlock()
			return
		}
		s.segments.free.measure()
	}
}
