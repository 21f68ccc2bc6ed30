package filestore

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/genropy/genro-asgi-go/tasks"
)

// TestStore_FailedSyncEndsTheStore makes a sync fail, which no disk here does on demand.
func TestStore_FailedSyncEndsTheStore(t *testing.T) {
	dir := t.TempDir()
	s, err := Open(dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	task := func(id string) *tasks.Task {
		return &tasks.Task{ID: id, Kind: "k", Version: 1, Queue: "q", State: tasks.Queued}
	}
	if _, err := s.Add(t.Context(), task("before"), time.Now(), 0); err != nil {
		t.Fatal(err)
	}
	if err := s.Stop(context.Background()); err != nil {
		t.Fatal(err)
	}
	broken := errors.New("broken disk")
	var fails atomic.Bool
	// Set before the committer runs, which reads it.
	s, err = openWith(dir, nil, func(f *os.File) error {
		if fails.Load() {
			return broken
		}
		return syncData(f)
	})
	if err != nil {
		t.Fatal(err)
	}
	fails.Store(true)
	var work sync.WaitGroup
	for i := range 8 {
		work.Go(func() {
			if _, err := s.Add(t.Context(), task(strconv.Itoa(i)), time.Now(), 0); !errors.Is(err,
				broken) {
				t.Errorf("Add: %v, want the disk's error", err)
			}
		})
	}
	work.Go(func() {
		if got, err := s.AddMany(t.Context(), []*tasks.Task{task("of"), task("a batch")},
			time.Now(), nil); !errors.Is(err, broken) || got != nil {
			t.Errorf("AddMany: %v, %v, want the disk's error", got, err)
		}
	})
	work.Wait()
	fails.Store(false) // a second sync would say that all is well
	if _, err := s.Add(t.Context(), task("after"), time.Now(), 0); !errors.Is(err, broken) {
		t.Errorf("Add after that: %v", err)
	}
	if _, err := s.Get(t.Context(), "before"); !errors.Is(err, broken) {
		t.Errorf("Get after that: %v", err)
	}
	_ = s.Stop(context.Background())
	if err := s.log.wait(t.Context(), s.log.staged); !errors.Is(err, broken) {
		t.Errorf("who begins to wait when the store has stopped: %v", err)
	}
	if err := s.Start(t.Context()); !errors.Is(err, tasks.ErrNotRunning) ||
		!errors.Is(err, broken) {
		t.Errorf("Start when the store has stopped: %v", err)
	}
	if s, err = Open(dir, nil); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Get(t.Context(), "before"); err != nil {
		t.Errorf("what was acknowledged: %v", err)
	}
	if err := s.Stop(context.Background()); err != nil {
		t.Error(err)
	}
}

// TestStore_StopTellsThatItsLastWriteFailed: all calls of Stop do.
func TestStore_StopTellsThatItsLastWriteFailed(t *testing.T) {
	broken := errors.New("broken disk")
	var fails atomic.Bool
	s, err := openWith(t.TempDir(), nil, func(f *os.File) error {
		if fails.Swap(false) {
			return broken
		}
		return syncData(f)
	})
	if err != nil {
		t.Fatal(err)
	}
	fails.Store(true)
	for range 2 {
		if err := s.Stop(t.Context()); !errors.Is(err, broken) {
			t.Errorf("Stop: %v, want the disk's error", err)
		}
	}
}

// TestStore_StopWaitsNoLongerThanItsContext holds the disk back in a sync: Stop returns when its
// context ends, and another waits for the store.
func TestStore_StopWaitsNoLongerThanItsContext(t *testing.T) {
	dir := t.TempDir()
	var hangs atomic.Bool
	goOn := make(chan struct{})
	s, err := openWith(dir, nil, func(f *os.File) error {
		if hangs.Load() {
			<-goOn
		}
		return syncData(f)
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Start(t.Context()); err != nil {
		t.Errorf("Start of a store that is open: %v", err)
	}
	hangs.Store(true)
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	for range 2 {
		if err := s.Stop(ended); !errors.Is(err, context.Canceled) {
			t.Errorf("Stop with a context that has ended: %v", err)
		}
	}
	if _, err := Open(dir, nil); !errors.Is(err, ErrLocked) {
		t.Errorf("another store while it stops: %v", err)
	}
	close(goOn)
	if err := s.Stop(t.Context()); err != nil {
		t.Error(err)
	}
	if err := s.Start(t.Context()); !errors.Is(err, tasks.ErrNotRunning) {
		t.Errorf("Start of a store that has stopped: %v", err)
	}
	if s, err = Open(dir, nil); err != nil {
		t.Fatal(err)
	}
	if err := s.Stop(t.Context()); err != nil {
		t.Error(err)
	}
}

// TestStore_AcknowledgesNothingBeforeItsSync holds the disk back in a sync, and looks who has an
// answer then. There are changes in the frame that is being synced, in those that wait behind it,
// in this segment and the next, and in the one that is being filled.
func TestStore_AcknowledgesNothingBeforeItsSync(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var held atomic.Bool
		gate, begun := make(chan struct{}), make(chan struct{}, 100)
		s, err := openWith(t.TempDir(), &Options{SegmentSize: 64 << 10}, func(f *os.File) error {
			if held.Load() {
				begun <- struct{}{}
				<-gate
			}
			return syncData(f)
		})
		if err != nil {
			t.Fatal(err)
		}
		ctx, now := t.Context(), time.Now()
		add := func(id string) error {
			task := &tasks.Task{
				ID: id, Kind: "k", Version: 1, Queue: "q", State: tasks.Queued,
				Created: now, RunAt: now,
			}
			task.Payload = append(append([]byte{'"'}, bytes.Repeat([]byte{'x'}, 4000)...), '"')
			_, err := s.Add(ctx, task, now, 0)
			return err
		}
		cancel := func(id string) error {
			_, err := s.Update(ctx, id, now,
				func(t *tasks.Task) error {
					t.State, t.Finished = tasks.Cancelled, now
					return nil
				})
			return err
		}
		if err := errors.Join(add("deleted"), cancel("deleted"), add("cancelled")); err != nil {
			t.Fatal(err)
		}
		held.Store(true)
		var work sync.WaitGroup
		var answered atomic.Int32
		asks := 0
		ask := func(call func() error) {
			asks++
			work.Go(func() {
				if err := call(); err != nil {
					t.Error(err)
				}
				answered.Add(1)
			})
			synctest.Wait()
		}
		ask(func() error { return add("first") })
		<-begun
		// there is no other frame yet
		ask(func() error { _, err := s.Get(ctx, "first"); return err })
		for i := range 30 {
			ask(func() error { return add(strconv.Itoa(i)) })
		}
		ask(func() error { return cancel("cancelled") })
		ask(func() error { return s.Delete(ctx, "deleted", 2, now) })
		ask(func() error { _, err := s.Get(ctx, "29"); return err })
		ask(func() error { _, _, err := s.List(ctx, nil); return err })
		ask(func() error {
			if err := add("3"); !errors.Is(err, tasks.ErrConflict) {
				return fmt.Errorf("a second task of the ID: %w", err)
			}
			return nil
		})
		s.mu.Lock()
		filled, writing := len(s.log.filled), s.log.writing != nil
		s.mu.Unlock()
		if filled == 0 || !writing {
			t.Errorf("%d frames wait, one is being written: %v", filled, writing)
		}
		if n := answered.Load(); n > 0 {
			t.Errorf("%d of %d have an answer, and nothing is on the disk", n, asks)
		}
		held.Store(false)
		close(gate)
		work.Wait()
		if err := s.Stop(context.Background()); err != nil {
			t.Fatal(err)
		}
	})
}
