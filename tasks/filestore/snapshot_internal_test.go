package filestore

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/genropy/genro-asgi-go/tasks"
)

var noon = time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)

func queued(id string) *tasks.Task {
	return &tasks.Task{
		ID: id, Kind: "k", Version: 1, Queue: "q", State: tasks.Queued, Created: noon, RunAt: noon,
	}
}

// addAndDelete has a task come and go, while the task 0 changes. Its unique key is held until a
// time.
func addAndDelete(t *testing.T, s *Store, id string, now, until time.Time) (seq uint64) {
	t.Helper()
	task := queued(id)
	task.Unique = &tasks.Unique{Key: id, While: tasks.UniqueFor, Until: until}
	added, err := s.Add(t.Context(), task, noon, 0)
	if err != nil {
		t.Fatal(err)
	}
	done, err := s.Update(t.Context(), id, noon, func(t *tasks.Task) error {
		t.State, t.Finished = tasks.Cancelled, noon
		return nil
	})
	if err == nil {
		_, err = s.Update(t.Context(), "0", noon,
			func(t *tasks.Task) error { t.Priority++; return nil })
	}
	if err == nil {
		err = s.Delete(t.Context(), id, done.Revision, now)
	}
	if err != nil {
		t.Fatal(err)
	}
	return added.Seq
}

// compactNow waits for a compaction of all that is there.
func (s *Store) compactNow() error {
	s.mu.Lock()
	s.compactor.beginLocked()
	done := s.compactor.running
	s.mu.Unlock()
	<-done
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.compactor.snapshot.number == 0 {
		return errors.New("there is no snapshot")
	}
	return nil
}

// TestSnapshot_HasAllThatCounts: the tasks, the keys of deleted ones whose time is not over, and
// how far the numbers are.
func TestSnapshot_HasAllThatCounts(t *testing.T) {
	dir := t.TempDir()
	s, err := Open(dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	later := noon.Add(time.Hour)
	for i := range 3 {
		if _, err := s.Add(t.Context(), queued(strconv.Itoa(i)), noon, 0); err != nil {
			t.Fatal(err)
		}
		addAndDelete(t, s, "held"+strconv.Itoa(i), noon, later.Add(time.Hour))
	}
	addAndDelete(t, s, "over", noon, noon.Add(time.Minute))
	last := addAndDelete(t, s, "over too", later, noon.Add(time.Minute))
	if err := s.compactNow(); err != nil {
		t.Fatal(err)
	}
	s.mu.Lock()
	kept, deleted := len(s.journal.keyHolders), s.compactor.deleted
	s.mu.Unlock()
	if kept != 3 || deleted != 0 {
		t.Errorf("%d keys are kept, want 3; %d deleted bytes are counted, want none", kept,
			deleted)
	}
	if err := s.Stop(context.Background()); err != nil {
		t.Fatal(err)
	}
	if s, err = Open(dir, nil); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := s.Stop(context.Background()); err != nil {
			t.Error(err)
		}
	}()
	page, _, err := s.List(t.Context(), nil)
	if err != nil || len(page) != 3 {
		t.Errorf("%d tasks, %v, want 3", len(page), err)
	}
	for _, task := range page {
		if task.Payload != nil || task.Result != nil || task.Checkpoint != nil {
			t.Errorf("of what it never had it has something: %+v", task)
		}
	}
	for _, key := range []string{"held0", "held1", "held2"} {
		task := queued("another")
		task.Unique = &tasks.Unique{Key: key, While: tasks.UniqueUndone}
		if _, err := s.Add(t.Context(), task, later, 0); !errors.Is(err, tasks.ErrConflict) {
			t.Errorf("the key %s is free: %v", key, err)
		}
	}
	next, err := s.Add(t.Context(), queued("next"), later, 0)
	if err != nil || next.Seq <= last {
		t.Errorf("after number %d comes %d, %v", last, next.Seq, err)
	}
}

// TestWriteTasks_TellsWhatFails has a file that cannot be written, for more than a frame of tasks
// and then of key holders, and a context that has ended.
func TestWriteTasks_TellsWhatFails(t *testing.T) {
	f, err := os.Create(filepath.Join(t.TempDir(), "closed"))
	if err == nil {
		err = f.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	large := func() *tasks.Task {
		task := queued("large")
		task.Payload = []byte(`"` + strings.Repeat("x", snapshotFrame) + `"`)
		return task
	}
	for name, fill := range map[string]func(s *Store) error{
		"a task": func(s *Store) error {
			_, err := s.Add(t.Context(), large(), noon, 0)
			return err
		},
		"a key holder": func(s *Store) error {
			holder := large()
			holder.Unique = &tasks.Unique{
				Key: "key", While: tasks.UniqueFor, Until: noon.Add(time.Hour),
			}
			s.mu.Lock()
			defer s.mu.Unlock()
			s.journal.keyHolders[1] = holder
			return nil
		},
	} {
		s, err := Open(t.TempDir(), nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := fill(s); err != nil {
			t.Fatal(err)
		}
		err = s.journal.writeTasks(t.Context(), &snapshotWriter{f: f})
		if !errors.Is(err, os.ErrClosed) {
			t.Errorf("%s: %v", name, err)
		}
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		err = s.journal.writeTasks(ended, &snapshotWriter{f: f})
		if !errors.Is(err, context.Canceled) {
			t.Errorf("with a context that has ended: %v", err)
		}
		if err := s.Stop(context.Background()); err != nil {
			t.Error(err)
		}
	}
}

// hookContext calls a function when it is asked for its error.
type hookContext struct {
	context.Context //nolint:containedctx // it is one
	hook            atomic.Pointer[func()]
}

func (c *hookContext) Err() error {
	if hook := c.hook.Swap(nil); hook != nil {
		(*hook)()
	}
	return c.Context.Err()
}

// TestSnapshot_KeyOfATaskDeletedMeanwhile deletes a task when a compaction has begun, just before
// it lists the tasks: its unique key is held all the same, in the store that is opened then.
func TestSnapshot_KeyOfATaskDeletedMeanwhile(t *testing.T) {
	path := t.TempDir()
	dir, err := openDirectory(path)
	if err != nil {
		t.Fatal(err)
	}
	s := newStore(dir, Options{SegmentSize: minSegment}, syncData)
	ctx := &hookContext{Context: s.ctx}
	s.ctx = ctx
	if err := s.recover(); err != nil {
		t.Fatal(err)
	}
	task := queued("deleted")
	task.Unique = &tasks.Unique{Key: "key", While: tasks.UniqueFor, Until: noon.Add(time.Hour)}
	_, err = s.Add(t.Context(), task, noon, 0)
	if err == nil {
		_, err = s.Update(t.Context(), "deleted", noon, func(t *tasks.Task) error {
			t.State, t.Finished = tasks.Cancelled, noon
			return nil
		})
	}
	if err != nil {
		t.Fatal(err)
	}
	hook := func() {
		if err := s.Delete(t.Context(), "deleted", 2, noon); err != nil {
			t.Error(err)
		}
	}
	ctx.hook.Store(&hook)
	if err := s.compactNow(); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Get(t.Context(), "deleted"); !errors.Is(err, tasks.ErrNotFound) {
		t.Fatalf("the task was not deleted: %v", err)
	}
	if err := s.Stop(context.Background()); err != nil {
		t.Fatal(err)
	}
	if s, err = Open(path, nil); err != nil {
		t.Fatal(err)
	}
	again := queued("again")
	again.Unique = &tasks.Unique{Key: "key", While: tasks.UniqueUndone}
	if _, err := s.Add(t.Context(), again, noon, 0); !errors.Is(err, tasks.ErrConflict) {
		t.Errorf("its key is free: %v", err)
	}
	if err := s.Stop(context.Background()); err != nil {
		t.Error(err)
	}
}

// TestOpen_EndsMoreLeasesThanASegmentHolds: what an opening writes may have to wait for a segment.
func TestOpen_EndsMoreLeasesThanASegmentHolds(t *testing.T) {
	dir, o := t.TempDir(), &Options{SegmentSize: 64 << 10}
	s, err := Open(dir, o)
	if err != nil {
		t.Fatal(err)
	}
	const n = 6000
	for i := 0; i < n; i += 500 {
		var batch []*tasks.Task
		for j := range 500 {
			batch = append(batch, queued(strconv.Itoa(i+j)))
		}
		if _, err := s.AddMany(t.Context(), batch, noon, nil); err != nil {
			t.Fatal(err)
		}
	}
	claimed := 0
	for claimed < n {
		if _, err := s.Claim(t.Context(), &tasks.Claim{
			Queue: "q", Max: 500, Owner: "me", Now: noon, Lease: time.Hour,
			Kinds: map[string]int{"k": 1}, Claimed: func(*tasks.Task) { claimed++ },
		}); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Stop(context.Background()); err != nil {
		t.Fatal(err)
	}
	if s, err = Open(dir, o); err != nil {
		t.Fatal(err)
	}
	got, err := s.Expired(t.Context(), noon, n)
	if err != nil || len(got) != n {
		t.Errorf("%d leases have ended, %v, want %d", len(got), err, n)
	}
	if err := s.Stop(context.Background()); err != nil {
		t.Error(err)
	}
}
