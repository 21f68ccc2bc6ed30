package taskstest

import (
	"errors"
	"strconv"
	"time"

	"github.com/genropy/genro-asgi-go/tasks"
)

// testReopen: everything is as it was, but for leases, which a store may end when it knows that no
// holder can be alive.
func testReopen(s *suite) {
	s.add(full("full"))
	s.claim(1,
		func(c *tasks.Claim) { c.Now, c.Kinds = noon.Add(time.Hour), map[string]int{"k": 3} })
	s.update("full", running)
	for i := range 40 {
		state := states[i%len(states)]
		s.bring(strconv.Itoa(i), state,
			func(t *tasks.Task) { t.Queue, t.Priority = "q"+strconv.Itoa(i), i%3 })
	}
	for i := range 10 {
		s.add(task("w"+strconv.Itoa(i), func(t *tasks.Task) { t.Priority = i % 2 }))
	}
	s.delete(s.get("4")) // that one has succeeded
	gone := s.bring("gone", tasks.Succeeded, unique("kept", tasks.UniqueFor),
		func(t *tasks.Task) { t.Queue = "gone" })
	s.delete(gone)
	s.handKeyOn()
	s.bring("holder", tasks.Running, unique("held", tasks.UniqueUndone),
		func(t *tasks.Task) { t.Queue = "holder" })
	latest := s.bring("latest", tasks.Succeeded, func(t *tasks.Task) { t.Queue = "latest" })
	s.delete(latest)

	before := s.list(tasks.Filter{Limit: 1000})
	s.s = s.h.Reopen(s, s.s)
	after := s.list(tasks.Filter{Limit: 1000})
	s.wantIDs("after a restart", after, ids(before)...)
	for i := range min(len(after), len(before)) {
		got, want := *after[i], *before[i]
		if want.State == tasks.Running {
			got.LeaseUntil, want.LeaseUntil = time.Time{}, time.Time{}
			got.Revision, want.Revision = 0, 0
		}
		s.wantSame("after a restart", &got, &want)
	}
	s.wantExists("a deleted holder", s.addUnique("x", "kept", tasks.UniqueUndone, noon), "gone",
		false)
	s.wantExists("a holder", s.addUnique("x", "held", tasks.UniqueUndone, noon), "holder", false)
	s.delete(s.get("5")) // that one has failed; what is left of the first holder's time goes
	s.wantExists("a holder after a deleted one",
		s.addUnique("x", "handed on", tasks.UniqueUndone, noon), "second", false)
	s.wantIDs("the queue's order", s.claim(9), "w1", "w3", "w5", "w7", "w9", "w0", "w2", "w4", "w6")
	if next := s.add(task("next")); next.Seq <= before[0].Seq || next.Seq <= latest.Seq {
		s.Errorf("seq %d after %d", next.Seq, latest.Seq)
	}
	s.update("holder", to(tasks.Succeeded))
	s.s = s.h.Reopen(s, s.s)
	if got := s.get("holder"); got.State != tasks.Succeeded {
		s.Errorf("after another restart the holder is %s", got.State)
	}
}

// handKeyOn has a key go from a deleted task, whose time is over at noon, to another.
func (s *suite) handKeyOn() {
	s.Helper()
	early := noon.Add(-time.Hour)
	first := task("first", func(t *tasks.Task) {
		t.Queue, t.RunAt = "first", early
		t.Unique = &tasks.Unique{
			Key: "handed on", While: tasks.UniqueFor,
			Until: noon.Add(-time.Minute),
		}
	})
	_, err := s.s.Add(s.ctx(), first, early, 0)
	got := s.claim(1, func(c *tasks.Claim) { c.Queue, c.Now = "first", early })
	done, updateErr := s.s.Update(s.ctx(), "first", early,
		func(t *tasks.Task) error { to(tasks.Succeeded)(t); return nil })
	if err := errors.Join(err, updateErr); err != nil || len(got) != 1 {
		s.Fatalf("a holder whose time is over: claimed %v, %v", ids(got), err)
	}
	if err := s.s.Delete(s.ctx(), "first", done.Revision, early); err != nil {
		s.Fatalf("Delete of a holder whose time is over: %v", err)
	}
	s.add(task("second", unique("handed on", tasks.UniqueUndone),
		func(t *tasks.Task) { t.Queue = "second" }))
}

// testReopenFence: fences rise over restarts too.
func testReopenFence(s *suite) {
	s.add(task("a"))
	var fence uint64
	for range 5 {
		got := s.one()
		if got.Fence <= fence {
			s.Fatalf("fence %d after %d", got.Fence, fence)
		}
		fence = got.Fence
		s.s = s.h.Reopen(s, s.s)
		s.update("a", to(tasks.Queued))
	}
}
