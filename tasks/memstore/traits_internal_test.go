package memstore

import (
	"math"
	"math/rand/v2"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/genropy/genro-asgi-go/tasks"
)

// TestStore_ListsWhatTheTraitsPassOver changes and deletes tasks of many kinds, queues, states
// and metadata, and lists what a search through all of them finds.
func TestStore_ListsWhatTheTraitsPassOver(t *testing.T) {
	s, now, random := New(), time.Now(),
		rand.New(rand.NewPCG(3, 4))
	ctx, name := t.Context(), func(of string, n int) string {
		return of + strconv.Itoa(random.IntN(n))
	}
	const n = 4000
	for i := range n {
		task := &tasks.Task{
			ID: strconv.Itoa(i), Kind: name("k", 40), Version: 1, Queue: name("q", 9),
			State: tasks.Queued, RunAt: now,
		}
		if random.IntN(3) == 0 {
			task.Metadata = map[string]string{"customer": name("c", 60), "plan": name("p", 3)}
		}
		if _, err := s.Add(ctx, task, now, 0); err != nil {
			t.Fatal(err)
		}
	}
	for range 3 * n {
		id := strconv.Itoa(random.IntN(n))
		got, err := s.Update(ctx, id, now, func(t *tasks.Task) error {
			switch random.IntN(4) {
			case 0:
				t.Metadata = map[string]string{"customer": name("c", 60)}
			case 1:
				t.Version++
			case 2:
				if t.State == tasks.Queued {
					t.State = tasks.Cancelled
				}
			case 3:
				if t.State == tasks.Cancelled {
					t.State = tasks.Queued
				}
			}
			return nil
		})
		if err == nil && got.State == tasks.Cancelled && random.IntN(3) == 0 {
			if err := s.Delete(ctx, id, got.Revision, now); err != nil {
				t.Fatal(err)
			}
		}
	}
	list := func(f tasks.Filter) (ids []string) {
		for {
			page, next, err := s.List(ctx, &f)
			if err != nil {
				t.Fatal(err)
			}
			for _, task := range page {
				ids = append(ids, task.ID)
			}
			if f.Cursor = next; next == "" {
				return ids
			}
		}
	}
	var all []*tasks.Task
	for _, id := range list(tasks.Filter{}) {
		task, err := s.Get(ctx, id)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, task)
	}
	if len(all) < n/4 {
		t.Fatalf("%d tasks are left", len(all))
	}
	for range 300 {
		f := tasks.Filter{Limit: 1 + random.IntN(200)}
		if random.IntN(3) == 0 {
			f.Kind = name("k", 41)
		}
		if random.IntN(3) == 0 {
			f.Queue = name("q", 10)
		}
		if random.IntN(3) == 0 {
			f.States = []tasks.State{states[random.IntN(len(states))], tasks.Cancelled}
		}
		if random.IntN(2) == 0 {
			f.Metadata = map[string]string{"customer": name("c", 61)}
		}
		var want []string
		for _, task := range all {
			if f.Matches(task) {
				want = append(want, task.ID)
			}
		}
		if got := list(f); !slices.Equal(got, want) {
			t.Fatalf("%+v lists %d tasks, want %d", f, len(got), len(want))
		}
	}
}

// TestStore_PassesOverWhatIsNotLookedFor counts the tasks that a listing has to look at among
// very many of other kinds, states and metadata. What it looks for has two bits of the filter to
// itself, as nearly every name has. A name that shares one with the kind or the queue that every
// chunk has is found by the other bit alone, in four times as many chunks; which names these are is
// chance, as the hash's seed is.
func TestStore_PassesOverWhatIsNotLookedFor(t *testing.T) {
	s, now := New(), time.Now()
	seed := s.byID.seed
	var common traits
	common.set(kindTrait(seed, "common"))
	common.set(queueTrait(seed, "common"))
	own := func(name string, of func(name string) trait) string {
		for {
			if x := of(name); x.a != x.b && !common.has(trait{x.a, x.a}) &&
				!common.has(trait{x.b, x.b}) {
				return name
			}
			name += "+"
		}
	}
	customer := func(name string) trait { return entryTrait(seed, "customer", name) }
	kind := own("rare", func(name string) trait { return kindTrait(seed, name) })
	queue := own("rare", func(name string) trait { return queueTrait(seed, name) })
	somebody, nobody := own("somebody", customer), own("nobody", customer)
	const n = 100 * chunkSize
	for i := range n {
		task := &tasks.Task{
			ID: strconv.Itoa(i), Kind: "common", Version: 1, Queue: "common", State: tasks.Queued,
			RunAt:    now,
			Metadata: map[string]string{"customer": strconv.Itoa(i)},
		}
		if i == n/2 {
			task.Kind, task.Queue, task.Metadata["customer"] = kind, queue, somebody
		}
		if _, err := s.Add(t.Context(), task, now, 0); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.Update(t.Context(), strconv.Itoa(n/2), now,
		func(t *tasks.Task) error { t.State = tasks.Cancelled; return nil }); err != nil {
		t.Fatal(err)
	}
	for what, f := range map[string]tasks.Filter{
		"a kind": {Kind: kind}, "a queue": {Queue: queue},
		"a state":  {States: []tasks.State{tasks.Cancelled}},
		"metadata": {Metadata: map[string]string{"customer": somebody}},
		"nothing":  {Metadata: map[string]string{"customer": nobody}},
	} {
		l, looked, found := s.lookFor(&f), 0, 0
		s.bySeq.down(s.seq, math.MaxInt, &l, func(e *entry) bool {
			if looked++; e.matches(&f) {
				found++
			}
			return true
		})
		if looked > n/5 || (found != 1) != (what == "nothing") {
			t.Errorf("%s: %d were found among %d, of %d", what, found, looked, n)
		}
	}
}
