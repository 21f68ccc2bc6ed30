package taskstest

import (
	"strconv"
	"time"

	"github.com/genropy/genro-asgi-go/tasks"
)

// testReopen: everything is as it was, but for leases, which a store may end when it knows that no holder can be alive.
func testReopen(s *suite) {
	s.add(full("full"))
	s.claim(1, func(c *tasks.Claim) { c.Now, c.Kinds = noon.Add(time.Hour), map[string]int{"k": 3} })
	s.update("full", running)
	for i := range 40 {
		state := states[i%len(states)]
		s.bring(strconv.Itoa(i), state, func(t *tasks.Task) { t.Queue, t.Priority = "q"+strconv.Itoa(i), i%3 })
	}
	for i := range 10 {
		s.add(task("w"+strconv.Itoa(i), func(t *tasks.Task) { t.Priority = i % 2 }))
	}
	s.delete(s.get("4")) // that one has succeeded
	gone := s.bring("gone", tasks.Succeeded, unique("kept", tasks.UniqueFor), func(t *tasks.Task) { t.Queue = "gone" })
	s.delete(gone)
	s.bring("holder", tasks.Running, unique("held", tasks.UniqueUndone), func(t *tasks.Task) { t.Queue = "holder" })

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
	s.wantExists("a deleted holder", s.addUnique("x", "kept", tasks.UniqueUndone, noon), "gone", false)
	s.wantExists("a holder", s.addUnique("x", "held", tasks.UniqueUndone, noon), "holder", false)
	s.wantIDs("the queue's order", s.claim(9), "w1", "w3", "w5", "w7", "w9", "w0", "w2", "w4", "w6")
	if next := s.add(task("next")); next.Seq <= before[0].Seq || next.Seq <= gone.Seq {
		s.Errorf("seq %d after %d", next.Seq, before[0].Seq)
	}
	s.update("holder", to(tasks.Succeeded))
	s.s = s.h.Reopen(s, s.s)
	if got := s.get("holder"); got.State != tasks.Succeeded {
		s.Errorf("after another restart the holder is %s", got.State)
	}
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
