package taskstest

import (
	"math/rand/v2"
	"slices"
	"strconv"
	"time"

	"github.com/genropy/genro-asgi-go/tasks"
)

func testClaim(s *suite) {
	if got, next := s.claimNext(3); len(got) != 0 || !next.IsZero() {
		s.Errorf("a queue that never was: %v, next %v", ids(got), next)
	}
	added := *s.add(full("a"))
	now := added.RunAt.Add(time.Minute)
	got := s.claim(5, func(c *tasks.Claim) { c.Now, c.Kinds = now, map[string]int{"k": 3} })
	if len(got) != 1 {
		s.Fatalf("claimed %d, want 1", len(got))
	}
	want := added
	want.State, want.Owner, want.Started, want.LeaseUntil = tasks.Running, "me", now,
		now.Add(time.Minute)
	want.Attempt, want.Fence, want.Revision = 1, got[0].Fence, 2
	s.wantSame("claimed", got[0], &want)
	s.wantSame("kept", s.get("a"), &want)
	if got[0].Fence == 0 {
		s.Error("no fence")
	}
	if again := s.claim(5,
		func(c *tasks.Claim) { c.Now, c.Kinds = now, map[string]int{"k": 3} }); len(again) != 0 {
		s.Error("claimed twice")
	}
	for i := range 5 {
		s.add(task(strconv.Itoa(i)))
	}
	got, next := s.claimNext(3)
	s.wantIDs("the first 3 of 5", got, "0", "1", "2")
	if !next.Equal(noon) {
		s.Errorf("two are left that are due, next is %v, want now", next)
	}
	s.wantIDs("no more than there are", s.claim(3), "3", "4")
	s.add(task("other", func(t *tasks.Task) { t.Queue = "other" }))
	s.wantIDs("another queue's are not claimed", s.claim(1))
	s.add(task("5"))
	s.wantIDs("none are asked for", s.claim(0))
}

func testClaimOrder(s *suite) {
	rnd := rand.New(rand.NewPCG(1, 2))
	var all []*tasks.Task
	for i := range 300 {
		all = append(all, s.add(task(strconv.Itoa(i), func(t *tasks.Task) {
			t.Priority, t.RunAt = rnd.IntN(3)-1, noon.Add(time.Duration(rnd.IntN(5)-7)*time.Second)
			t.Key = []string{"", "a", "b"}[rnd.IntN(3)]
			t.Kind = []string{"k", "l"}[rnd.IntN(2)]
		})))
		if i%3 == 0 { // what waits may leave
			s.update(all[i/3].ID, to(tasks.Cancelled))
		}
	}
	all = slices.DeleteFunc(all,
		func(t *tasks.Task) bool { return s.get(t.ID).State == tasks.Cancelled })
	slices.SortFunc(all, func(a, b *tasks.Task) int {
		if a.Before(b) {
			return -1
		}
		return 1
	})
	var got []*tasks.Task
	for i := 0; len(got) < len(all) && i < len(all); i++ {
		got = append(got,
			s.claim(1+i%7, func(c *tasks.Claim) { c.Kinds = map[string]int{"k": 1, "l": 1} })...)
	}
	s.wantIDs("the queue's order", got, ids(all)...)
}

func testClaimKinds(s *suite) {
	s.add(task("new", func(t *tasks.Task) { t.Version = 3 }))
	s.add(task("strange", func(t *tasks.Task) { t.Kind = "strange" }))
	s.add(task("strange later",
		func(t *tasks.Task) {
			t.State, t.Kind, t.RunAt = tasks.Scheduled, "strange", noon.Add(time.Second)
		}))
	s.add(task("old", func(t *tasks.Task) { t.Version = 1 }))
	s.add(task("fits", func(t *tasks.Task) { t.Version = 2 }))
	kinds := func(k map[string]int) func(c *tasks.Claim) {
		return func(c *tasks.Claim) { c.Kinds = k }
	}
	got, next := s.claimNext(9, kinds(map[string]int{"k": 2}))
	s.wantIDs("of version 2 and older", got, "old", "fits")
	if !next.IsZero() {
		s.Errorf("next %v, of a kind that was not asked for", next)
	}
	s.wantIDs("of no kind", s.claim(9, kinds(nil)))
	s.wantIDs("the others", s.claim(9, kinds(map[string]int{"k": 3, "strange": 1})), "new",
		"strange")
}

func testClaimKeys(s *suite) {
	for i, key := range []string{"a", "a", "b", "", "a", "b", ""} {
		s.add(task(strconv.Itoa(i), func(t *tasks.Task) { t.Key = key }))
	}
	var running []string
	limit := func(c *tasks.Claim) {
		c.Full = func(key string) bool {
			if key == "" {
				s.Error("Full was asked about no key")
			}
			return slices.Contains(running, key)
		}
		c.Claimed = func(t *tasks.Task) {
			if t.State != tasks.Running || t.Fence == 0 {
				s.Errorf("Claimed was told of %s, which is %s", t.ID, t.State)
			}
			running = append(running, t.Key)
		}
	}
	s.wantIDs("one of each key", s.claim(9, limit), "0", "2", "3", "6")
	s.wantIDs("all keys are full", s.claim(9, limit))
	running = []string{"b"}
	s.wantIDs("a is free", s.claim(9, limit), "1")
	s.wantIDs("no limits", s.claim(9), "4", "5")
}

func testClaimSkipDied(s *suite) {
	died := func(t *tasks.Task) { t.Deaths = 1 }
	for _, id := range []string{"a", "b", "c", "d"} {
		s.add(task(id, func(t *tasks.Task) { t.Metadata = map[string]string{"for": "me"} }))
	}
	s.claim(4)
	for _, id := range []string{"a", "b", "c"} {
		s.update(id, to(tasks.Queued))
	}
	for _, id := range []string{"a", "c"} {
		s.update(id, died)
	}
	tried := ""
	wary := func(c *tasks.Claim) {
		c.SkipDied = func() bool { return tried != "" }
		c.Claimed = func(t *tasks.Task) {
			if t.Deaths > 0 {
				tried = t.ID
			}
		}
	}
	got, next := s.claimNext(9, wary)
	s.wantIDs("one that died, and the other", got, "a", "b")
	if !next.IsZero() {
		s.Errorf("next %v, though only one that died is left", next)
	}
	s.wantIDs("one that died is tried", s.claim(9, wary))
	s.update("b", to(tasks.Queued))
	s.wantIDs("the other goes first", s.claim(9, wary), "b")
	s.update("a", to(tasks.Queued))
	s.update("a", func(t *tasks.Task) { t.Deaths = 0 })
	s.wantIDs("it is acquitted", s.claim(9, wary), "a")
	tried = ""
	s.wantIDs("none is tried", s.claim(9, wary), "c")
	s.update("c", to(tasks.Queued))
	s.wantIDs("nobody is wary", s.claim(9), "c")
}

func testClaimDue(s *suite) {
	at := func(d time.Duration) func(c *tasks.Claim) {
		return func(c *tasks.Claim) { c.Now = noon.Add(d) }
	}
	for _, n := range []int{3, 1, 2} {
		s.add(task(strconv.Itoa(n)+"s", func(t *tasks.Task) {
			t.State, t.RunAt = tasks.Scheduled, noon.Add(time.Duration(n)*time.Second)
		}))
	}
	s.add(task("urgent",
		func(t *tasks.Task) {
			t.State, t.Priority, t.RunAt = tasks.Scheduled, 5, noon.Add(4*time.Second)
		}))
	s.add(task("at once", func(t *tasks.Task) { t.RunAt = time.Time{} }))
	got, next := s.claimNext(9)
	s.wantIDs("at noon", got, "at once")
	if !next.Equal(noon.Add(time.Second)) {
		s.Errorf("next %v, want 1 s after noon", next)
	}
	s.wantIDs("just before", s.claim(9, at(time.Second-1)))
	s.wantIDs("just then", s.claim(9, at(time.Second)), "1s")
	got, next = s.claimNext(1, at(5*time.Second))
	s.wantIDs("the urgent goes first", got, "urgent")
	if !next.Equal(noon.Add(5 * time.Second)) {
		s.Errorf("next %v, want now", next)
	}
	// Managers' clocks differ: one that is behind does not get what is due by another's.
	got, next = s.claimNext(9, at(2*time.Second))
	s.wantIDs("by a clock that is behind", got, "2s")
	if !next.Equal(noon.Add(3 * time.Second)) {
		s.Errorf("next %v, want 3 s after noon", next)
	}
	got, next = s.claimNext(9, at(3*time.Second))
	s.wantIDs("the last", got, "3s")
	if !next.IsZero() {
		s.Errorf("next %v, want none", next)
	}
	// Of several kinds, in either order, the one that is due first counts.
	for i, kind := range []string{"k", "l", "m"} {
		s.add(task(kind, func(t *tasks.Task) {
			t.State, t.Kind, t.RunAt = tasks.Scheduled, kind,
				noon.Add(time.Duration([]int{7, 6, 8}[i])*time.Second)
		}))
	}
	_, next = s.claimNext(9,
		func(c *tasks.Claim) { c.Kinds = map[string]int{"k": 1, "l": 1, "m": 1} })
	if !next.Equal(noon.Add(6 * time.Second)) {
		s.Errorf("next %v, want 6 s after noon", next)
	}
}

// testClaimQueued: what waits for a place does not wait for the time of day, which may be set back
// at any moment.
func testClaimQueued(s *suite) {
	early := func(c *tasks.Claim) { c.Now = noon.Add(-time.Hour) }
	s.add(task("queued"))
	s.add(task("scheduled", func(t *tasks.Task) { t.State = tasks.Scheduled }))
	s.add(task("retried"))
	s.wantIDs("by a clock that was set back", s.claim(1, early), "queued")
	s.update("queued", to(tasks.Queued)) // put back
	s.wantIDs("what was put back", s.claim(9, early), "queued", "retried")
	s.update("retried", func(t *tasks.Task) { to(tasks.Retrying)(t); t.RunAt = noon })
	got, next := s.claimNext(9, early)
	s.wantIDs("what waits for its time", got)
	if !next.Equal(noon) {
		s.Errorf("next %v, want noon", next)
	}
	s.add(task("ahead"))
	s.wantIDs("at noon", s.claim(2), "scheduled", "retried")
	s.wantIDs("set back, after what waited for its time had become due", s.claim(9, early), "ahead")
}

func testClaimFence(s *suite) {
	s.add(task("a"))
	var fence uint64
	for i := range 10 {
		got := s.one()
		if got.Fence <= fence {
			s.Fatalf("fence %d after %d", got.Fence, fence)
		}
		if got.Attempt != i+1 {
			s.Errorf("attempt %d, want %d", got.Attempt, i+1)
		}
		fence = got.Fence
		state := []tasks.State{tasks.Retrying, tasks.Queued, tasks.Failed}[i%3]
		if got := s.update("a", to(state)); got.Fence != fence {
			s.Errorf("an update made fence %d of %d", got.Fence, fence)
		}
		if state.Done() {
			s.update("a", to(tasks.Queued))
		}
	}
}

func testExpired(s *suite) {
	expired := func(d time.Duration, limit int) []*tasks.Task {
		s.Helper()
		got, err := s.s.Expired(s.ctx(), noon.Add(d), limit)
		if err != nil {
			s.Fatalf("Expired: %v", err)
		}
		slices.SortFunc(got, func(a, b *tasks.Task) int { return int(a.Seq) - int(b.Seq) })
		return got
	}
	for _, id := range []string{"a", "b", "c", "d"} {
		s.add(task(id))
	}
	s.claim(3)
	s.wantIDs("before the lease ends", expired(time.Minute-1, 9))
	s.update("a", func(t *tasks.Task) { t.LeaseUntil = noon.Add(time.Hour) })
	s.wantIDs("when it ends", expired(time.Minute, 9), "b", "c")
	if got := expired(time.Minute, 1); len(got) != 1 {
		s.Errorf("%d, want at most 1", len(got))
	}
	s.update("b", to(tasks.Succeeded))
	s.wantIDs("one is done", expired(time.Minute, 9), "c")
	s.wantIDs("when all have ended", expired(time.Hour, 9), "a", "c")
	s.wantIDs("none are asked for", expired(time.Hour, 0))
}
