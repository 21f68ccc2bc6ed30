package taskstest

import (
	"slices"
	"strconv"
	"time"

	"github.com/genropy/genro-asgi-go/tasks"
)

func testListPages(s *suite) {
	s.wantIDs("of an empty store", s.list(tasks.Filter{}))
	var want []string
	for i := range 250 {
		want = append([]string{strconv.Itoa(i)}, want...)
		s.add(task(strconv.Itoa(i), func(t *tasks.Task) { t.Queue = "q" + strconv.Itoa(i%3) }))
	}
	for _, f := range []*tasks.Filter{nil, {}} {
		page, next, err := s.s.List(s.ctx(), f)
		if err != nil || len(page) != 100 || next == "" {
			s.Fatalf("a page of no stated size has %d tasks, next %q, %v; want 100", len(page),
				next, err)
		}
	}
	s.wantIDs("all, newest first", s.list(tasks.Filter{}), want...)
	for _, size := range []int{1, 7, 125, 250, 1000} {
		s.wantIDs("by "+strconv.Itoa(size), s.list(tasks.Filter{Limit: size}), want...)
	}
	page, next, err := s.s.List(s.ctx(), &tasks.Filter{Limit: 250})
	if err != nil || len(page) != 250 || next != "" {
		s.Errorf("a page of all has %d, next %q, %v; want no next", len(page), next, err)
	}
	for _, f := range []tasks.Filter{
		{Limit: -1},
		{Limit: 1001},
		{Cursor: "!"},
		{Cursor: "none of yours"},
	} {
		_, _, err := s.s.List(s.ctx(), &f)
		s.wantErr("limit "+strconv.Itoa(f.Limit)+", cursor "+f.Cursor, err, tasks.ErrInvalid)
	}
}

// filtered is a filter, and what it selects.
type filtered struct {
	what   string
	filter tasks.Filter
	want   func(t *tasks.Task) bool
}

// filters are of each condition, and of all together.
func filters() []filtered {
	limit := noon.Add(100 * time.Second)
	return []filtered{
		{
			"a state",
			tasks.Filter{States: []tasks.State{tasks.Running}},
			func(t *tasks.Task) bool { return t.State == tasks.Running },
		},
		{
			"two states",
			tasks.Filter{States: []tasks.State{tasks.Dead, tasks.Queued}},
			func(t *tasks.Task) bool { return t.State == tasks.Dead || t.State == tasks.Queued },
		},
		{
			"two states, one of them in the queue",
			tasks.Filter{Queue: "q17", States: []tasks.State{tasks.Dead, states[17%len(states)]}},
			func(t *tasks.Task) bool { return t.Queue == "q17" },
		},
		{
			"a queue",
			tasks.Filter{Queue: "q17"},
			func(t *tasks.Task) bool { return t.Queue == "q17" },
		},
		{"no queue", tasks.Filter{Queue: "none"}, func(*tasks.Task) bool { return false }},
		{"a kind", tasks.Filter{Kind: "k1"}, func(t *tasks.Task) bool { return t.Kind == "k1" }},
		{
			"metadata",
			tasks.Filter{Metadata: map[string]string{"five": "3", "two": "1"}},
			func(t *tasks.Task) bool {
				return t.Metadata["five"] == "3" && t.Metadata["two"] == "1"
			},
		},
		{
			"no such metadata",
			tasks.Filter{Metadata: map[string]string{"six": ""}},
			func(*tasks.Task) bool { return false },
		},
		{
			"done before",
			tasks.Filter{Before: limit},
			func(t *tasks.Task) bool { return !t.State.Done() || t.Finished.Before(limit) },
		},
		{
			"all together",
			tasks.Filter{
				States: []tasks.State{tasks.Succeeded}, Kind: "k1",
				Metadata: map[string]string{"two": "0"}, Before: limit,
			},
			func(t *tasks.Task) bool {
				return t.State == tasks.Succeeded && t.Kind == "k1" && t.Metadata["two"] == "0" &&
					t.Finished.Before(limit)
			},
		},
	}
}

func testListFilters(s *suite) {
	for i := range 120 {
		state := states[i%len(states)]
		id := strconv.Itoa(i)
		s.bring(id, state, func(t *tasks.Task) {
			t.Queue, t.Kind = "q"+id, "k"+strconv.Itoa(i%3)
			t.Metadata = map[string]string{"five": strconv.Itoa(i % 5), "two": strconv.Itoa(i % 2)}
		})
		if state.Done() {
			s.update(id,
				func(t *tasks.Task) { t.Finished = noon.Add(time.Duration(i) * time.Second) })
		}
	}
	for _, f := range filters() {
		var want []string
		for _, t := range s.list(tasks.Filter{}) {
			if f.want(t) {
				want = append(want, t.ID)
			}
		}
		for _, size := range []int{0, 1, 4} {
			f.filter.Limit = size
			s.wantIDs(f.what, s.list(f.filter), want...)
		}
	}
}

// testListWhileChanging: a task that is there all the while is on exactly one page, whatever comes,
// changes and goes.
func testListWhileChanging(s *suite) {
	const n = 200
	for i := range n {
		s.add(task(strconv.Itoa(i)))
		s.update(strconv.Itoa(i), to(tasks.Cancelled))
	}
	seen := map[string]int{}
	f := tasks.Filter{Limit: 9}
	for round := 0; ; round++ {
		page, next, err := s.s.List(s.ctx(), &f)
		if err != nil {
			s.Fatalf("List: %v", err)
		}
		for _, t := range page {
			seen[t.ID]++
		}
		if next == "" {
			break
		}
		f.Cursor = next
		s.add(task("new" + strconv.Itoa(round)))
		// Every fourth changes or goes: the one before the cursor, at it and behind it, and some
		// far away.
		for _, id := range []int{
			n - 9*round, n - 9*round - 9, n - 9*round - 10, n - 9*round - 11,
			37 * round % n,
		} {
			switch t := s.find(strconv.Itoa(id)); {
			case t != nil && id%4 == 1:
				s.delete(t)
			case t != nil && id%4 == 3:
				s.update(t.ID, func(t *tasks.Task) { t.Deaths++ })
			}
		}
	}
	for i := range n {
		id := strconv.Itoa(i)
		if s.find(id) != nil && seen[id] != 1 {
			s.Errorf("%s was on %d pages", id, seen[id])
		}
	}
	for id, times := range seen {
		if times > 1 {
			s.Errorf("%s was on %d pages", id, times)
		}
	}
}

// seenBy is what a watcher was told.
type seenBy struct {
	told chan *tasks.Task
	stop func()
}

func (s *suite) watch(store tasks.Store) *seenBy {
	s.Helper()
	w := &seenBy{told: make(chan *tasks.Task, 10_000)}
	stop, err := store.Watch(func(t *tasks.Task) { kept := *t; w.told <- &kept })
	if err != nil {
		s.Fatalf("Watch: %v", err)
	}
	w.stop = stop
	return w
}

// next waits for what w is told next.
func (s *suite) next(w *seenBy) *tasks.Task {
	s.Helper()
	select {
	case t := <-w.told:
		return t
	case <-time.After(s.h.Patience):
		s.Fatal("a watcher was not told")
		return nil
	}
}

func testWatch(s *suite) {
	stores := s.both()
	first, second := s.watch(stores[0]), s.watch(stores[1])
	want := []*tasks.Task{s.add(full("a")), s.add(task("b")), s.one()}
	want = append(want, s.update("b", running), s.update("b", to(tasks.Succeeded)),
		s.update("a", to(tasks.Cancelled)))
	for _, w := range []*seenBy{first, second} {
		var got []*tasks.Task
		for range want {
			got = append(got, s.next(w))
		}
		for _, id := range []string{"a", "b"} { // the order of the changes of each task
			of := func(all []*tasks.Task) []*tasks.Task {
				return slices.DeleteFunc(slices.Clone(all),
					func(t *tasks.Task) bool { return t.ID != id })
			}
			got, want := of(got), of(want)
			if len(got) != len(want) {
				s.Fatalf("told of %d changes of %s, want %d", len(got), id, len(want))
			}
			for i := range got {
				s.wantSame("told of", got[i], want[i])
			}
		}
	}
	s.delete(s.get("a"))
	s.add(task("c"))
	if t := s.next(first); t.ID != "c" {
		s.Errorf("told of %s, which was deleted", t.ID)
	}
	_, _ = s.s.Update(s.ctx(), "c", noon, func(*tasks.Task) error { return tasks.ErrStale })
	_, _ = s.s.Update(s.ctx(), "c", noon,
		func(t *tasks.Task) error { to(tasks.Dead)(t); return nil })
	_, _ = s.s.Add(s.ctx(), task("c"), noon, 0)
	s.next(second)
	first.stop()
	s.add(task("d"))
	if t := s.next(second); t.ID != "d" {
		s.Errorf("told of %s and revision %d, which was refused", t.ID, t.Revision)
	}
	if len(first.told) > 0 {
		s.Errorf("told of %s after stop", (<-first.told).ID)
	}
	second.stop()
}
