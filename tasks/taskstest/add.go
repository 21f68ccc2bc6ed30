package taskstest

import (
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/genropy/genro-asgi-go/tasks"
)

// full is a task with all that a submitter can say.
func full(id string) *tasks.Task {
	return task(id, func(t *tasks.Task) {
		t.Version, t.Priority, t.Key, t.Timeout, t.Delay = 3, -7, "customer", 90*
			time.Second, time.Hour
		t.Metadata = map[string]string{"tenant": "a", "": "empty", "ü": "ß"}
		t.Payload = jsontext.Value(`{"a": [1, 2.50]}`)
		t.Unique = &tasks.Unique{Key: "u-" + id, While: tasks.UniqueFor, Until: noon.Add(time.Hour)}
		t.Retry = tasks.RetryPolicy{Attempts: 5, Min: time.Millisecond, Max: time.Minute}
		t.State, t.RunAt, t.Created = tasks.Scheduled, noon.Add(1234567891), noon.Add(-1)
	})
}

func testAdd(s *suite) {
	want := *full("a")
	got := s.add(full("a"))
	if got.Seq == 0 || got.Revision != 1 {
		s.Errorf("seq %d, revision %d; want a seq and revision 1", got.Seq, got.Revision)
	}
	want.Seq, want.Revision = got.Seq, 1
	s.wantSame("Add returned", got, &want)
	s.wantSame("Get returned", s.get("a"), &want)
	if next := s.add(task("b")); next.Seq <= got.Seq {
		s.Errorf("seq %d after %d", next.Seq, got.Seq)
	}
	_, err := s.s.Get(s.ctx(), "c")
	s.wantErr("Get of what is not there", err, tasks.ErrNotFound)
}

func testTakenID(s *suite) {
	first := s.add(task("a"))
	second := task("a", func(t *tasks.Task) { t.Priority, t.Queue = 9, "other" })
	_, err := s.s.Add(s.ctx(), second, noon, 0)
	s.wantExists("a second a", err, "a", true)
	s.wantSame("after a second a", s.get("a"), first)
	s.bring("b", tasks.Succeeded, func(t *tasks.Task) { t.Queue = "done" })
	_, err = s.s.Add(s.ctx(), task("b"), noon, 0)
	s.wantExists("an ID whose task is done", err, "b", true)
	if n := len(s.list(tasks.Filter{})); n != 2 {
		s.Errorf("%d tasks, want 2", n)
	}
}

func testAddInvalid(s *suite) {
	for _, c := range []struct {
		what   string
		change func(t *tasks.Task)
	}{
		{"a running task", func(t *tasks.Task) { t.State = tasks.Running }},
		{"a task done", func(t *tasks.Task) { t.State = tasks.Succeeded }},
		{"no state", func(t *tasks.Task) { t.State = "" }},
		{"an unknown state", func(t *tasks.Task) { t.State = "paused" }},
		{"no ID", func(t *tasks.Task) { t.ID = "" }},
		{"no kind", func(t *tasks.Task) { t.Kind = "" }},
		{"no queue", func(t *tasks.Task) { t.Queue = "" }},
		{"one claimed once", func(t *tasks.Task) { t.Fence = 1 }},
		{"one held", func(t *tasks.Task) { t.Owner = "me" }},
	} {
		_, err := s.s.Add(s.ctx(), task("a", c.change), noon, 0)
		s.wantErr(c.what, err, tasks.ErrInvalid)
	}
	if n := len(s.list(tasks.Filter{})); n != 0 {
		s.Errorf("%d tasks were added", n)
	}
}

func testMaxWaiting(s *suite) {
	s.add(task("a"))
	s.add(task("b",
		func(t *tasks.Task) { t.State, t.RunAt = tasks.Scheduled, noon.Add(time.Hour) }))
	add := func(id, queue string) error {
		_, err := s.s.Add(s.ctx(), task(id, func(t *tasks.Task) { t.Queue = queue }), noon, 2)
		return err
	}
	s.wantErr("a third", add("c", "q"), tasks.ErrOverloaded)
	if err := add("c", "other"); err != nil {
		s.Errorf("another queue: %v", err)
	}
	a := s.one()
	if err := add("d", "q"); err != nil {
		s.Errorf("one of the two runs: %v", err)
	}
	s.update(a.ID, func(t *tasks.Task) { to(tasks.Retrying)(t); t.RunAt = noon.Add(time.Hour) })
	s.update("d", to(tasks.Cancelled)) // else it alone fills the queue
	s.wantErr("one retries", add("e", "q"), tasks.ErrOverloaded)
	_, err := s.s.Add(s.ctx(), task("a"), noon, 2)
	s.wantExists("an ID that exists, in a full queue", err, "a", true)
	s.add(task("f")) // 0 is no limit
}

func unique(key string, while tasks.UniqueWhile) func(t *tasks.Task) {
	return func(t *tasks.Task) {
		t.Unique = &tasks.Unique{Key: key, While: while}
		if while == tasks.UniqueFor {
			t.Unique.Until = noon.Add(time.Hour)
		}
	}
}

func (s *suite) addUnique(id, key string, while tasks.UniqueWhile, now time.Time) error {
	s.Helper()
	_, err := s.s.Add(s.ctx(), task(id, unique(key, while)), now, 0)
	return err
}

func testUniqueWaiting(s *suite) {
	const while = tasks.UniqueWaiting
	s.add(task("a", unique("u", while)))
	s.wantExists("another", s.addUnique("b", "u", while, noon), "a", false)
	if err := s.addUnique("c", "v", while, noon); err != nil {
		s.Errorf("another key: %v", err)
	}
	if err := s.s.Delete(s.ctx(), "b", 1, noon); err == nil {
		s.Error("what was refused is there")
	}
	s.one()
	if err := s.addUnique("b", "u", while, noon); err != nil {
		s.Errorf("after the holder's start: %v", err)
	}
	s.wantExists("a third", s.addUnique("d", "u", while, noon), "b", false)
	s.update("a", to(tasks.Retrying)) // a waits again, and must not meet b
	s.wantExists("the holder is the second", s.addUnique("d", "u", while, noon), "b", false)
	s.update("b", to(tasks.Cancelled))
	if err := s.addUnique("d", "u", while, noon); err != nil {
		s.Errorf("a holder was cancelled: %v", err)
	}
}

func testUniqueUndone(s *suite) {
	const while = tasks.UniqueUndone
	s.add(task("a", unique("u", while)))
	for _, state := range []tasks.State{
		tasks.Running, tasks.Retrying, tasks.Running, tasks.Queued,
		tasks.Running,
	} {
		if state == tasks.Running {
			s.one()
		} else {
			s.update("a", to(state))
		}
		s.wantExists("the holder is "+string(state), s.addUnique("b", "u", while, noon), "a", false)
	}
	failed := s.update("a", to(tasks.Failed))
	if err := s.addUnique("b", "u", while, noon); err != nil {
		s.Errorf("the holder is done: %v", err)
	}
	_, err := s.s.Update(s.ctx(), "a", noon,
		func(t *tasks.Task) error { to(tasks.Queued)(t); return nil })
	s.wantExists("the first again, while the second holds the key", err, "b", false)
	s.wantSame("the first", s.get("a"), failed)
	s.update("b", to(tasks.Cancelled))
	s.update("a", to(tasks.Queued))
	s.wantExists("the first holds it again", s.addUnique("c", "u", while, noon), "a", false)
}

func testUniqueFor(s *suite) {
	const while = tasks.UniqueFor
	soon, later := noon.Add(time.Hour-1), noon.Add(time.Hour)
	done := s.bring("a", tasks.Succeeded, unique("u", while))
	s.wantExists("the holder is done, its time is not over", s.addUnique("b", "u", while, soon),
		"a", false)
	s.delete(done)
	s.wantExists("the holder is deleted, its time is not over", s.addUnique("b", "u", while, soon),
		"a", false)
	if err := s.addUnique("b", "u", tasks.UniqueUndone, later); err != nil {
		s.Errorf("its time is over: %v", err)
	}
	s.wantExists("the next holder", s.addUnique("c", "u", tasks.UniqueUndone, later), "b", false)
	// A holder whose time is over and that is deleted afterwards takes nothing from the next.
	old := s.bring("d", tasks.Succeeded, unique("w", while), func(t *tasks.Task) { t.Queue = "d" })
	if err := s.addUnique("e", "w", tasks.UniqueUndone, later); err != nil {
		s.Errorf("its time is over: %v", err)
	}
	if err := s.s.Delete(s.ctx(), "d", old.Revision, later); err != nil {
		s.Errorf("Delete of a holder whose time is over: %v", err)
	}
	s.wantExists("the next holder", s.addUnique("f", "w", tasks.UniqueUndone, later), "e", false)
}

// testUniqueChanged: an update may give a task another unique key, or none, whatever its state.
func testUniqueChanged(s *suite) {
	for _, state := range []tasks.State{tasks.Queued, tasks.Running, tasks.Retrying} {
		id, old, other := string(state), "old-"+string(state), "new-"+string(state)
		s.bring(id, state, unique(old, tasks.UniqueUndone), func(t *tasks.Task) { t.Queue = id })
		s.update(id, unique(other, tasks.UniqueUndone))
		if err := s.addUnique("after-"+id, old, tasks.UniqueUndone, noon); err != nil {
			s.Errorf("%s: the key that it had: %v", state, err)
		}
		s.wantExists(id+", the key that it has", s.addUnique("x", other, tasks.UniqueUndone, noon),
			id, false)
		_, err := s.s.Update(s.ctx(), id, noon,
			func(t *tasks.Task) error { unique(old, tasks.UniqueUndone)(t); return nil })
		s.wantExists(id+", the key that it had again", err, "after-"+id, false)
		s.update(id, func(t *tasks.Task) { t.Unique = nil })
		if err := s.addUnique("last-"+id, other, tasks.UniqueUndone, noon); err != nil {
			s.Errorf("%s: the key that it gave up: %v", state, err)
		}
	}
}
