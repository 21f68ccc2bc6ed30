package filestore_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/genropy/genro-asgi-go/tasks"
	"github.com/genropy/genro-asgi-go/tasks/filestore"
)

// TestStore_BackupWhileItWorks makes backups of a store that runs tasks, one after the other,
// deletes some of them, compacts and goes through segments: of any moment it has the first of them,
// and all but the last have ended.
func TestStore_BackupWhileItWorks(t *testing.T) {
	s := open(t, t.TempDir(), small)
	var done, deleted atomic.Int64
	stop, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			default:
			}
			task := cycleOf(t, s, strconv.Itoa(i), i%3000)
			done.Store(int64(i + 1))
			if i%3 == 0 {
				if err := s.Delete(context.Background(), task.ID, task.Revision, noon); err != nil {
					t.Error(err)
				}
			}
			deleted.Store(int64(i + 1))
		}
	}()
	defer func() {
		close(stop)
		<-ended
	}()
	for done.Load() < 50 {
		<-time.After(time.Millisecond)
	}
	for range 12 {
		n, gone := int(done.Load()), int(deleted.Load())
		dir := filepath.Join(t.TempDir(), "backup")
		if err := s.Backup(t.Context(), dir); err != nil {
			t.Fatal(err)
		}
		copied := open(t, dir, small)
		first := -1 // that is not there
		for i := range n + 10_000 {
			got, err := copied.Get(t.Context(), strconv.Itoa(i))
			switch {
			case errors.Is(err, tasks.ErrNotFound) && i%3 == 0 && i < gone: // as it should be
			case errors.Is(err, tasks.ErrNotFound) && i < n && i%3 != 0:
				t.Fatalf("task %d of %d that had ended is missing", i, n)
			case errors.Is(err, tasks.ErrNotFound):
				if first < 0 && i%3 != 0 {
					first = i
				}
			case err != nil:
				t.Fatal(err)
			case first >= 0:
				t.Fatalf("task %d is there and %d is not", i, first)
			case i < n && got.State != tasks.Succeeded:
				t.Fatalf("task %d of %d that had ended is %s", i, n, got.State)
			case i < gone && i%3 == 0:
				t.Fatalf("task %d is there, which had been deleted", i)
			}
		}
		cycle(t, copied, "its own")
		if err := copied.Stop(context.Background()); err != nil {
			t.Fatal(err)
		}
		if _, err := open(t, dir, small).Get(t.Context(), "its own"); err != nil {
			t.Error(err)
		}
	}
}

func TestStore_BackupHasHigherFences(t *testing.T) {
	s := open(t, t.TempDir(), small)
	if _, err := s.Add(t.Context(), newTask("a"), noon, 0); err != nil {
		t.Fatal(err)
	}
	first, second := filepath.Join(t.TempDir(), "1"), filepath.Join(t.TempDir(), "2")
	if err := s.Backup(t.Context(), first); err != nil {
		t.Fatal(err)
	}
	highest := uint64(0)
	for range 10 {
		got, _, err := claim(t.Context(), s, claimOne())
		if err != nil || len(got) != 1 {
			t.Fatalf("claimed %d, %v", len(got), err)
		}
		highest = got[0].Fence
		_, err = s.Update(t.Context(), "a", noon,
			func(t *tasks.Task) error { t.State, t.Owner = tasks.Queued, ""; return nil })
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, dir := range []string{first, second} { // a copy, and a copy of that
		copied := open(t, dir0(t, s, dir), small)
		got, _, err := claim(t.Context(), copied, claimOne())
		if err != nil || len(got) != 1 || got[0].Fence <= highest {
			t.Fatalf("claimed %+v, %v, want a fence above %d", got, err, highest)
		}
		highest = got[0].Fence + 1_000_000_000
		s = copied
	}
}

// dir0 is dir, with a backup of s where there is none yet.
func dir0(t *testing.T, s *filestore.Store, dir string) string {
	t.Helper()
	if _, err := os.Stat(dir); errors.Is(err, os.ErrNotExist) {
		if _, err := s.Update(t.Context(), "a", noon,
			func(t *tasks.Task) error {
				t.State, t.Owner = tasks.Queued, ""
				return nil
			}); err != nil {
			t.Fatal(err)
		}
		if err := s.Backup(t.Context(), dir); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestStore_BackupThatFails(t *testing.T) {
	s := open(t, t.TempDir(), small)
	fillSegments(t, s, 0, 100)
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	dir := filepath.Join(t.TempDir(), "cancelled")
	if err := s.Backup(ended, dir); !errors.Is(err, context.Canceled) {
		t.Errorf("with a context that has ended: %v", err)
	}
	if _, err := filestore.Open(dir, small); !errors.Is(err, filestore.ErrCorrupt) {
		t.Errorf("what is left opens as a store: %v", err)
	}
	used := t.TempDir()
	if err := os.WriteFile(filepath.Join(used, "notes"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := s.Backup(t.Context(), used); !errors.Is(err, tasks.ErrInvalid) {
		t.Errorf("into a directory that is not empty: %v", err)
	}
	for what, dir := range map[string]string{
		"where a file is": "notes",
		"below a file":    "notes/copy",
	} {
		if err := s.Backup(t.Context(), filepath.Join(used, dir)); err == nil {
			t.Errorf("%s: no error", what)
		}
	}
	if left, err := os.ReadDir(used); err != nil || len(left) != 1 {
		t.Errorf("which has then %v, %v", left, err)
	}
	if err := s.Stop(context.Background()); err != nil {
		t.Fatal(err)
	}
	if err := s.Backup(t.Context(), filepath.Join(t.TempDir(), "closed")); !errors.Is(err,
		tasks.ErrNotRunning) {
		t.Errorf("of a store that is closed: %v", err)
	}
}
