package memstore

import (
	"testing"
	"time"

	"github.com/genropy/genro-asgi-go/tasks"
)

// Two IDs of one hash are two tasks, and nothing is kept of the one that is deleted.
func TestStore_TwoIDsOfOneHash(t *testing.T) {
	s, now := New(), time.Now()
	const hash = 7
	for i, id := range []string{"first", "twin"} {
		e := &entry{kind: s.queueLocked("q").kind("k", 1)}
		e.set(&tasks.Task{
			ID: id, Kind: "k", Version: 1, Queue: "q", State: tasks.Queued, Seq: uint64(i + 1),
			Revision: 1,
		})
		s.insertLocked(e, hash, now)
	}
	for _, id := range []string{"first", "twin"} {
		if e := s.entryLocked(id, hash); e == nil || e.id != id {
			t.Errorf("%s is not found", id)
		}
	}
	s.byID.remove("twin", hash, 2)
	if len(s.byID.twins) != 0 || s.entryLocked("twin", hash) != nil ||
		s.entryLocked("first", hash) == nil {
		t.Errorf("after the twin is gone: %v", s.byID)
	}
}
