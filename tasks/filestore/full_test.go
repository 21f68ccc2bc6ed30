package filestore_test

import (
	"context"
	"errors"
	"strconv"
	"testing"
	"time"

	"github.com/genropy/genro-asgi-go/tasks"
	"github.com/genropy/genro-asgi-go/tasks/filestore"
)

// large is a task with a payload of 2,000 bytes.
func large(id string) *tasks.Task {
	task := newTask(id)
	task.Payload = append(append([]byte{'"'}, make([]byte, 2000)...), '"')
	return task
}

// fill adds tasks until the store is full and returns how many it took.
func fill(t *testing.T, s *filestore.Store, from int) int {
	t.Helper()
	for i := from; i < from+100_000; i++ {
		if _, err := s.Add(t.Context(), large(strconv.Itoa(i)), noon, 0); err != nil {
			if !errors.Is(err, tasks.ErrStoreFull) {
				t.Fatal(err)
			}
			return i
		}
	}
	t.Fatal("it is never full")
	return 0
}

// addAgain adds a task to a store that was full and has space again. It looks for that every now
// and then; that it never does is for the time limit of go test.
func addAgain(t *testing.T, s *filestore.Store, id string) {
	t.Helper()
	for {
		_, err := s.Add(t.Context(), large(id), noon, 0)
		if err == nil {
			return
		}
		if !errors.Is(err, tasks.ErrStoreFull) {
			t.Fatalf("with space again: %v", err)
		}
		<-time.After(5 * time.Millisecond)
	}
}

func TestStore_MaxSize(t *testing.T) {
	dir := t.TempDir()
	o := &filestore.Options{SegmentSize: 64 << 10, MaxSize: 1 << 20}
	s := open(t, dir, o)
	n := fill(t, s, 0)
	if n < 100 {
		t.Fatalf("full after %d tasks", n)
	}
	for range n { // what is there goes on
		got, _, err := claim(t.Context(), s, claimOne())
		if err != nil || len(got) != 1 {
			t.Fatalf("claimed %d, %v", len(got), err)
		}
		done, err := s.Update(t.Context(), got[0].ID, noon, finish)
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Delete(t.Context(), done.ID, done.Revision, noon); err != nil {
			t.Fatal(err)
		}
	}
	addAgain(t, s, "again")
	if err := s.Stop(context.Background()); err != nil {
		t.Fatal(err)
	}
	s = open(t, dir, o)
	if _, err := s.Get(t.Context(), "again"); err != nil {
		t.Error(err)
	}
	if counts, err := s.Counts(t.Context()); err != nil || counts["q"][tasks.Queued] != 1 {
		t.Errorf("counts %v, %v", counts, err)
	}
}
