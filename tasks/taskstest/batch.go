package taskstest

import (
	"errors"
	"strconv"
	"time"

	"github.com/genropy/genro-asgi-go/tasks"
)

// batch returns the store as one that adds many, or skips the test.
func (s *suite) batch() tasks.BatchStore {
	s.Helper()
	b, ok := s.s.(tasks.BatchStore)
	if !ok {
		s.Skip("no tasks.BatchStore")
	}
	return b
}

func many(prefix string, n int, with ...func(*tasks.Task)) (all []*tasks.Task) {
	for i := range n {
		all = append(all, task(prefix+strconv.Itoa(i), with...))
	}
	return all
}

func testAddMany(s *suite) {
	b := s.batch()
	if got, err := b.AddMany(s.ctx(), nil, noon, nil); err != nil || len(got) != 0 {
		s.Errorf("no tasks: %v, %v", got, err)
	}
	before := s.add(task("before"))
	watch := s.watch(s.both()[1])
	defer watch.stop()
	ts := append(many("a", 9), full("full"),
		task("other", func(t *tasks.Task) { t.Queue, t.Kind = "other", "other" }))
	want := *full("full")
	got, err := b.AddMany(s.ctx(), ts, noon, map[string]int{"q": 11})
	if err != nil || len(got) != len(ts) {
		s.Fatalf("AddMany of %d returned %d, %v", len(ts), len(got), err)
	}
	last := before.Seq
	for i, t := range got {
		if t.ID != ts[i].ID || t.Revision != 1 || t.Seq <= last {
			s.Errorf("place %d has %s with revision %d, and seq %d after %d", i, t.ID, t.Revision,
				t.Seq, last)
		}
		last = t.Seq
		s.wantSame("Get returned", s.get(t.ID), t)
		if told := s.next(watch); told.ID != t.ID {
			s.Errorf("told of %s, want %s", told.ID, t.ID)
		}
	}
	if after := s.add(task("after")); after.Seq <= last {
		s.Errorf("seq %d behind a batch whose last has %d", after.Seq, last)
	}
	want.Seq, want.Revision = got[9].Seq, 1
	s.wantSame("AddMany returned", got[9], &want)
	if claimed := s.claim(20); len(claimed) != 11 {
		s.Errorf("%d of 11 can be claimed", len(claimed))
	}
}

// testAddManyRefused: one that is refused refuses all, and leaves nothing.
func testAddManyRefused(s *suite) {
	b := s.batch()
	s.add(task("taken"))
	s.add(task("holder", unique("key", tasks.UniqueUndone)))
	watch := s.watch(s.s)
	defer watch.stop()
	refused := func(what string, ts []*tasks.Task, maxWaiting map[string]int,
		check map[int]func(err error),
	) {
		s.Helper()
		_, err := b.AddMany(s.ctx(), ts, noon, maxWaiting)
		var e *tasks.BatchError
		if !errors.As(err, &e) || len(e.Errors) != len(check) {
			s.Fatalf("%s: %v, want a *BatchError of %d tasks", what, err, len(check))
		}
		for i, f := range check {
			f(e.Errors[i])
		}
	}
	is := func(want error) func(err error) {
		return func(err error) { s.wantErr("refused", err, want) }
	}
	exists := func(id string, byID bool) func(err error) {
		return func(err error) { s.wantExists("refused", err, id, byID) }
	}
	ts := many("a", 5)
	ts[1], ts[4] = task("taken"), task("new", unique("key", tasks.UniqueFor))
	refused("what the store has", ts, nil,
		map[int]func(error){1: exists("taken", true), 4: exists("holder", false)})
	ts = many("a", 5)
	ts[2].ID = "a0"
	refused("one ID twice", ts, nil, map[int]func(error){2: exists("a0", true)})
	ts = many("a", 5, unique("one", tasks.UniqueUndone))
	refused("one unique key", ts, nil, map[int]func(error){
		1: exists("a0", false), 2: exists("a0", false), 3: exists("a0", false),
		4: exists("a0", false),
	})
	ts = many("a", 5)
	ts[3].Queue = ""
	refused("no queue", ts, nil, map[int]func(error){3: is(tasks.ErrInvalid)})
	refused("too many", many("a", 3), map[string]int{"q": 4},
		map[int]func(error){2: is(tasks.ErrOverloaded)})
	s.wantIDs("what is there", s.list(tasks.Filter{}), "holder", "taken")
	if len(watch.told) > 0 {
		s.Errorf("told of %s, which was refused", (<-watch.told).ID)
	}
	if _, err := b.AddMany(s.ctx(), many("a", 3), noon, map[string]int{"q": 5}); err != nil {
		s.Errorf("up to the limit: %v", err)
	}
}

// testRaceAddMany: who reads sees all of a batch or nothing, and of batches with one ID in common
// one is added.
func testRaceAddMany(s *suite) {
	b := s.batch()
	const batches, each = 8, 20
	for round := range 10 {
		queue := "q" + strconv.Itoa(round)
		added := make([]bool, batches)
		parallel(batches+2, func(i int) {
			if i >= batches {
				for range 50 {
					counts, err := b.Counts(s.ctx())
					if n := counts[queue][tasks.Queued]; err != nil || n%each != 0 {
						s.Errorf("%d tasks are there of a batch of %d, %v", n, each, err)
					}
				}
				return
			}
			ts := many(queue+"-"+strconv.Itoa(i)+"-", each, func(t *tasks.Task) { t.Queue = queue })
			ts[each-1].ID = queue + "-common"
			_, err := b.AddMany(s.ctx(), ts, noon, nil)
			if added[i] = err == nil; err != nil {
				s.wantErr("a batch that came late", err, tasks.ErrConflict)
			}
		})
		n := 0
		for _, ok := range added {
			if ok {
				n++
			}
		}
		if got := s.list(tasks.Filter{Queue: queue, Limit: 1000}); n != 1 || len(got) != each {
			s.Errorf("%d batches were added, and %d tasks", n, len(got))
		}
	}
}

func testReopenAddMany(s *suite) {
	b := s.batch()
	if _, err := b.AddMany(s.ctx(),
		many("a", 100, func(t *tasks.Task) { t.RunAt = noon.Add(-time.Second) }), noon,
		nil); err != nil {
		s.Fatalf("AddMany: %v", err)
	}
	before := s.list(tasks.Filter{Limit: 1000})
	s.s = s.h.Reopen(s, s.s)
	after := s.list(tasks.Filter{Limit: 1000})
	s.wantIDs("after a restart", after, ids(before)...)
	for i := range min(len(before), len(after)) {
		s.wantSame("after a restart", after[i], before[i])
	}
}
