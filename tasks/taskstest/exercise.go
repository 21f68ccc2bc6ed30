package taskstest

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/genropy/genro-asgi-go/tasks"
)

// Harness tells [ExerciseStore] how a kind of store is opened.
type Harness struct {
	// Open returns an empty store, apart from all others. What is to be closed is closed by
	// t.Cleanup.
	Open func(t testing.TB) tasks.Store
	// Join returns another store on the same tasks, as another process would have. Nil for stores
	// of one process.
	Join func(t testing.TB, s tasks.Store) tasks.Store
	// Reopen closes the store and returns it as it is after a restart. Nil for stores that forget.
	Reopen func(t testing.TB, s tasks.Store) tasks.Store
	// Patience is how long a watcher may take to be told of a change; 10 s when zero.
	Patience time.Duration
}

// ExerciseStore tests every sentence of [tasks.Store], and of [tasks.BatchStore] where the store is
// one, that can be tested from outside. Run it with the race detector.
func ExerciseStore(t *testing.T, h Harness) {
	if h.Open == nil {
		t.Fatal("taskstest: ExerciseStore: Harness.Open is needed")
	}
	if h.Patience == 0 {
		h.Patience = 10 * time.Second
	}
	for _, r := range rules {
		t.Run(r.name, func(t *testing.T) { r.test(&suite{TB: t, h: h, s: h.Open(t)}) })
	}
	if h.Reopen == nil {
		return
	}
	t.Run("ReopenAddMany",
		func(t *testing.T) { testReopenAddMany(&suite{TB: t, h: h, s: h.Open(t)}) })
	t.Run("Reopen", func(t *testing.T) { testReopen(&suite{TB: t, h: h, s: h.Open(t)}) })
	t.Run("ReopenFence", func(t *testing.T) { testReopenFence(&suite{TB: t, h: h, s: h.Open(t)}) })
}

// rules are what is tested of each store.
var rules = [...]struct {
	name string
	test func(s *suite)
}{
	{"Add", testAdd},
	{"AddTakenID", testTakenID},
	{"AddInvalid", testAddInvalid},
	{"AddMaxWaiting", testMaxWaiting},
	{"AddMany", testAddMany},
	{"AddManyRefused", testAddManyRefused},
	{"UniqueWaiting", testUniqueWaiting},
	{"UniqueUndone", testUniqueUndone},
	{"UniqueFor", testUniqueFor},
	{"UniqueChanged", testUniqueChanged},
	{"Claim", testClaim},
	{"ClaimOrder", testClaimOrder},
	{"ClaimKinds", testClaimKinds},
	{"ClaimKeys", testClaimKeys},
	{"ClaimSkipDied", testClaimSkipDied},
	{"ClaimDue", testClaimDue},
	{"ClaimQueued", testClaimQueued},
	{"ClaimFence", testClaimFence},
	{"Transitions", testTransitions},
	{"Update", testUpdate},
	{"UpdateRefused", testUpdateRefused},
	{"UpdateMoves", testUpdateMoves},
	{"StaleHolder", testStaleHolder},
	{"Expired", testExpired},
	{"Delete", testDelete},
	{"Counts", testCounts},
	{"ListPages", testListPages},
	{"ListFilters", testListFilters},
	{"ListWhileChanging", testListWhileChanging},
	{"Watch", testWatch},
	{"Context", testContext},
	{"RaceClaim", testRaceClaim},
	{"RaceAdd", testRaceAdd},
	{"RaceAddMany", testRaceAddMany},
	{"RaceUpdate", testRaceUpdate},
	{"RaceWatch", testRaceWatch},
}

// noon is when the tests take place.
var noon = time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)

// suite is one test with its store, whose methods fail it.
type suite struct {
	testing.TB
	h Harness
	s tasks.Store
}

func (s *suite) ctx() context.Context { return context.WithoutCancel(s.Context()) }

// both returns the store twice, by two openings where it has them.
func (s *suite) both() [2]tasks.Store {
	if s.h.Join == nil {
		return [2]tasks.Store{s.s, s.s}
	}
	return [2]tasks.Store{s.s, s.h.Join(s, s.s)}
}

// task is a task that is due at noon.
func task(id string, with ...func(*tasks.Task)) *tasks.Task {
	t := &tasks.Task{
		ID: id, Kind: "k", Version: 1, Queue: "q", State: tasks.Queued, Created: noon,
		RunAt: noon,
	}
	for _, f := range with {
		f(t)
	}
	return t
}

func (s *suite) add(t *tasks.Task) *tasks.Task {
	s.Helper()
	got, err := s.s.Add(s.ctx(), t, noon, 0)
	if err != nil {
		s.Fatalf("Add: %v", err)
	}
	return got
}

// claim claims up to n tasks of queue q and kind k at noon.
func (s *suite) claim(n int, with ...func(*tasks.Claim)) []*tasks.Task {
	s.Helper()
	got, _ := s.claimNext(n, with...)
	return got
}

func (s *suite) claimNext(n int, with ...func(*tasks.Claim)) ([]*tasks.Task, time.Time) {
	s.Helper()
	c := &tasks.Claim{
		Queue: "q", Max: n, Owner: "me", Now: noon, Lease: time.Minute,
		Kinds: map[string]int{"k": 1},
	}
	for _, f := range with {
		f(c)
	}
	got, next, err := claim(s.ctx(), s.s, c)
	if err != nil {
		s.Fatalf("Claim: %v", err)
	}
	if len(got) > n {
		s.Fatalf("Claim of %d returned %d", n, len(got))
	}
	return got, next
}

// claim returns what Claim hands out, after c.Claimed has been told.
func claim(ctx context.Context, store tasks.Store, c *tasks.Claim) (got []*tasks.Task,
	next time.Time, err error,
) {
	asked := *c
	asked.Claimed = func(t *tasks.Task) {
		if c.Claimed != nil {
			c.Claimed(t)
		}
		kept := *t
		got = append(got, &kept)
	}
	next, err = store.Claim(ctx, &asked)
	return got, next, err
}

// one claims exactly one.
func (s *suite) one() *tasks.Task {
	s.Helper()
	got := s.claim(1)
	if len(got) != 1 {
		s.Fatal("Claim returned none, want one")
	}
	return got[0]
}

func (s *suite) update(id string, change func(t *tasks.Task)) *tasks.Task {
	s.Helper()
	got, err := s.s.Update(s.ctx(), id, noon, func(t *tasks.Task) error { change(t); return nil })
	if err != nil {
		s.Fatalf("Update of %s: %v", id, err)
	}
	return &got
}

// to makes a change that ends in a state.
func to(state tasks.State) func(t *tasks.Task) {
	return func(t *tasks.Task) {
		t.State = state
		if state != tasks.Running {
			t.Owner, t.LeaseUntil = "", time.Time{}
		}
		if state.Done() {
			t.Finished = noon
		}
	}
}

// bring adds a task and brings it to a state.
func (s *suite) bring(id string, state tasks.State, with ...func(*tasks.Task)) *tasks.Task {
	s.Helper()
	t := task(id, with...)
	if state.Waiting() && state != tasks.Retrying {
		t.State = state
		return s.add(t)
	}
	// A queue of its own keeps the claim from what else waits; a task's queue cannot change.
	s.add(t)
	got := s.claim(1,
		func(c *tasks.Claim) { c.Queue, c.Kinds = t.Queue, map[string]int{t.Kind: t.Version} })
	if len(got) != 1 || got[0].ID != id {
		s.Fatalf("bringing %s to %s: claimed %v", id, state, ids(got))
	}
	if state == tasks.Running {
		return got[0]
	}
	return s.update(id, to(state))
}

func (s *suite) get(id string) *tasks.Task {
	s.Helper()
	got, err := s.s.Get(s.ctx(), id)
	if err != nil {
		s.Fatalf("Get of %s: %v", id, err)
	}
	return got
}

// find is get of what may be gone: nil then.
func (s *suite) find(id string) *tasks.Task {
	s.Helper()
	got, err := s.s.Get(s.ctx(), id)
	if errors.Is(err, tasks.ErrNotFound) {
		return nil
	}
	if err != nil {
		s.Fatalf("Get of %s: %v", id, err)
	}
	return got
}

func (s *suite) delete(t *tasks.Task) {
	s.Helper()
	if err := s.s.Delete(s.ctx(), t.ID, t.Revision, noon); err != nil {
		s.Fatalf("Delete of %s: %v", t.ID, err)
	}
}

// list returns all pages.
func (s *suite) list(f tasks.Filter) (all []*tasks.Task) {
	s.Helper()
	for {
		page, next, err := s.s.List(s.ctx(), &f)
		if err != nil {
			s.Fatalf("List: %v", err)
		}
		all = append(all, page...)
		if next == "" {
			return all
		}
		if len(page) == 0 {
			s.Fatal("List: an empty page that is not the last")
		}
		f.Cursor = next
	}
}

func (s *suite) wantErr(what string, err, want error) {
	s.Helper()
	if !errors.Is(err, want) {
		s.Errorf("%s: error %v, want %v", what, err, want)
	}
}

// wantExists expects an *ExistsError with the task.
func (s *suite) wantExists(what string, err error, id string, byID bool) {
	s.Helper()
	var exists *tasks.ExistsError
	if !errors.As(err, &exists) || !errors.Is(err, tasks.ErrConflict) {
		s.Errorf("%s: error %v, want an *ExistsError that is ErrConflict", what, err)
		return
	}
	if exists.Task == nil || exists.Task.ID != id || exists.ID != byID {
		s.Errorf("%s: the error names %v (ID %v), want %s (ID %v)", what, exists.Task, exists.ID,
			id, byID)
	}
}

// wantSame expects two tasks to be alike in all that JSON shows, which is all.
func (s *suite) wantSame(what string, got, want *tasks.Task) {
	s.Helper()
	if g, w := s.text(got), s.text(want); g != w {
		s.Errorf("%s:\n got %s\nwant %s", what, g, w)
	}
}

func (s *suite) text(t *tasks.Task) string {
	s.Helper()
	b, err := json.Marshal(t, json.Deterministic(true))
	if err != nil {
		s.Fatal(err)
	}
	return string(b)
}

func (s *suite) wantIDs(what string, got []*tasks.Task, want ...string) {
	s.Helper()
	g := ids(got)
	same := len(g) == len(want)
	for i := 0; same && i < len(g); i++ {
		same = g[i] == want[i]
	}
	if !same {
		s.Errorf("%s: %q, want %q", what, g, want)
	}
}

func ids(of []*tasks.Task) []string {
	var all []string
	for _, t := range of {
		all = append(all, t.ID)
	}
	return all
}
