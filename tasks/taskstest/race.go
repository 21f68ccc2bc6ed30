package taskstest

import (
	"errors"
	"strconv"
	"sync"
	"time"

	"github.com/genropy/genro-asgi-go/tasks"
)

// parallel runs f n times at once and waits.
func parallel(n int, f func(i int)) {
	var wg sync.WaitGroup
	begin := make(chan struct{})
	for i := range n {
		wg.Go(func() { <-begin; f(i) })
	}
	close(begin)
	wg.Wait()
}

// testRaceClaim: many submit, claim and finish at once: each task runs exactly once.
func testRaceClaim(s *suite) {
	const submitters, each, workers = 4, 100, 8
	stores := s.both()
	var mu sync.Mutex
	runs, fences := map[string]int{}, map[uint64]bool{}
	parallel(submitters+workers, func(i int) {
		store := stores[i%2]
		if i < submitters {
			for n := range each {
				if _, err := store.Add(s.ctx(), task(strconv.Itoa(i)+"-"+strconv.Itoa(n)), noon,
					0); err != nil {
					s.Errorf("Add: %v", err)
				}
			}
			return
		}
		for {
			mu.Lock()
			done := len(runs) == submitters*each || s.Failed()
			mu.Unlock()
			if done {
				return
			}
			c := &tasks.Claim{
				Queue: "q", Max: 1 + i%3, Owner: strconv.Itoa(i), Now: noon,
				Lease: time.Minute, Kinds: map[string]int{"k": 1},
			}
			got, _, err := claim(s.ctx(), store, c)
			if err != nil {
				s.Errorf("Claim: %v", err)
				return
			}
			for _, t := range got {
				if t.Owner != c.Owner {
					s.Errorf("%s was handed to %s and belongs to %s", t.ID, c.Owner, t.Owner)
				}
				if _, err := store.Update(s.ctx(), t.ID, noon,
					func(t *tasks.Task) error { to(tasks.Succeeded)(t); return nil }); err != nil {
					s.Errorf("Update: %v", err)
				}
				mu.Lock()
				runs[t.ID]++
				fences[t.Fence] = true
				mu.Unlock()
			}
		}
	})
	for id, n := range runs {
		if n != 1 {
			s.Errorf("%s ran %d times", id, n)
		}
	}
	if n := len(s.list(tasks.Filter{States: []tasks.State{tasks.Succeeded}, Limit: 1000})); n !=
		submitters*each {
		s.Errorf("%d succeeded, want %d", n, submitters*each)
	}
}

// testRaceAdd: of those who add one ID or one unique key at once, one does.
func testRaceAdd(s *suite) {
	stores := s.both()
	for round := range 20 {
		id := strconv.Itoa(round)
		var mu sync.Mutex
		added, holder := map[string]int{}, map[string]int{}
		parallel(8, func(i int) {
			t, by := task("id"+id), "id"
			if i%2 == 1 {
				t, by = task("key"+id+"-"+strconv.Itoa(i),
					unique("u"+id, tasks.UniqueUndone)), "key"
			}
			_, err := stores[i/4].Add(s.ctx(), t, noon, 0)
			mu.Lock()
			defer mu.Unlock()
			var exists *tasks.ExistsError
			switch {
			case err == nil:
				added[by]++
			case errors.As(err, &exists):
				holder[exists.Task.ID]++
			default:
				s.Errorf("Add: %v", err)
			}
		})
		if added["id"] != 1 || added["key"] != 1 {
			s.Errorf("%d of one ID and %d of one key were added", added["id"], added["key"])
		}
		if len(holder) != 2 {
			s.Errorf("those that were refused were told of %v", holder)
		}
	}
}

// testRaceUpdate: no update is lost, and of cancel and finish one wins.
func testRaceUpdate(s *suite) {
	const writers, each = 8, 25
	stores := s.both()
	s.bring("a", tasks.Running)
	parallel(writers, func(i int) {
		for range each {
			_, err := stores[i%2].Update(s.ctx(), "a", noon, func(t *tasks.Task) error {
				p := &tasks.Progress{Done: 1}
				if t.Progress != nil {
					p.Done = t.Progress.Done + 1
				}
				t.Progress = p
				return nil
			})
			if err != nil {
				s.Errorf("Update: %v", err)
			}
		}
	})
	if t := s.get("a"); t.Progress == nil || t.Progress.Done != writers*each ||
		t.Revision != 2+writers*each {
		s.Errorf("revision %d, progress %v after %d updates", t.Revision, t.Progress, writers*each)
	}
	for round := range 20 {
		id := strconv.Itoa(round)
		s.bring(id, tasks.Running)
		var mu sync.Mutex
		var won []tasks.State
		parallel(4, func(i int) {
			state := []tasks.State{tasks.Cancelled, tasks.Succeeded, tasks.Failed, tasks.Dead}[i]
			_, err := stores[i%2].Update(s.ctx(), id, noon,
				func(t *tasks.Task) error { to(state)(t); return nil })
			mu.Lock()
			defer mu.Unlock()
			if err == nil {
				won = append(won, state)
			} else {
				s.wantErr("who comes late", err, tasks.ErrConflict)
			}
		})
		if len(won) != 1 || s.get(id).State != won[0] {
			s.Errorf("%v won, it is %s", won, s.get(id).State)
		}
	}
}

// testRaceWatch: each task's changes come in their order, none is left out.
func testRaceWatch(s *suite) {
	const n, changes = 8, 50
	stores := s.both()
	watch := s.watch(stores[1])
	for i := range n {
		s.add(task(strconv.Itoa(i)))
	}
	parallel(n*2, func(i int) {
		for range changes / 2 {
			if _, err := stores[i%2].Update(s.ctx(), strconv.Itoa(i%n), noon,
				func(t *tasks.Task) error { t.Deaths++; return nil }); err != nil {
				s.Errorf("Update: %v", err)
			}
		}
	})
	revision := map[string]uint64{}
	for range n * (1 + changes) {
		t := s.next(watch)
		if t.Revision != revision[t.ID]+1 || t.Deaths != int(t.Revision)-1 {
			s.Fatalf("%s: revision %d with %d after %d", t.ID, t.Revision, t.Deaths, revision[t.ID])
		}
		revision[t.ID] = t.Revision
	}
	watch.stop()
}
