package memstore

import (
	"strconv"
	"testing"
	"time"

	"github.com/genropy/genro-asgi-go/tasks"
)

// With Options.AnyKind clients name the kinds.
func TestStore_ForgetsKindsWithoutTasks(t *testing.T) {
	s, now := New(), time.Now()
	cancel := func(t *tasks.Task) error { t.State = tasks.Cancelled; return nil }
	for i := range 100 {
		task := &tasks.Task{
			ID: strconv.Itoa(i), Kind: "kind" + strconv.Itoa(i%50), Version: 1 + i%2,
			Queue: "q", State: tasks.Queued, RunAt: now,
		}
		if i%4 == 0 {
			// held when the task is deleted
			task.Unique = &tasks.Unique{
				Key: task.ID, While: tasks.UniqueFor, Until: now.Add(time.Hour),
			}
		}
		if _, err := s.Add(t.Context(), task, now, 0); err != nil {
			t.Fatal(err)
		}
	}
	newer := func(t *tasks.Task) error { t.Version = 3; return nil }
	for i := range 100 {
		for _, change := range []func(*tasks.Task) error{newer, cancel} {
			if _, err := s.Update(t.Context(), strconv.Itoa(i), now, change); err != nil {
				t.Fatal(err)
			}
		}
	}
	if kinds := s.queues["q"].kinds; len(kinds) != 50 || len(kinds["kind7"]) != 1 ||
		kinds["kind7"][0].tasks != 2 {
		t.Errorf("50 kinds of one version and two tasks are %d, the first %d versions", len(kinds),
			len(kinds["kind7"]))
	}
	for i := range 100 {
		if err := s.Delete(t.Context(), strconv.Itoa(i), 3, now); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(s.queues["q"].kinds); n != 0 {
		t.Errorf("%d kinds are left and no task", n)
	}
}
