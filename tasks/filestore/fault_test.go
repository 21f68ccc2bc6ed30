package filestore

import (
	"errors"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
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
	if err := s.Close(); err != nil {
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
			if _, err := s.Add(t.Context(), task(strconv.Itoa(i)), time.Now(), 0); !errors.Is(err, broken) {
				t.Errorf("Add: %v, want the disk's error", err)
			}
		})
	}
	work.Wait()
	fails.Store(false) // a second sync would say that all is well
	if _, err := s.Add(t.Context(), task("after"), time.Now(), 0); !errors.Is(err, broken) {
		t.Errorf("Add after that: %v", err)
	}
	if _, err := s.Get(t.Context(), "before"); !errors.Is(err, broken) {
		t.Errorf("Get after that: %v", err)
	}
	_ = s.Close()
	if s, err = Open(dir, nil); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Get(t.Context(), "before"); err != nil {
		t.Errorf("what was acknowledged: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}
