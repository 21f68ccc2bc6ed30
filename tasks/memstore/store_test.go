package memstore_test

import (
	"bytes"
	"context"
	"errors"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/genropy/genro-asgi-go/tasks"
	"github.com/genropy/genro-asgi-go/tasks/memstore"
	"github.com/genropy/genro-asgi-go/tasks/taskstest"
)

var t0 = time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)

func newTask(id, key string) *tasks.Task {
	return &tasks.Task{
		ID: id, Kind: "k", Version: 1, Queue: "default", Key: key,
		State: tasks.Queued, Created: t0, RunAt: t0,
	}
}

func claimOf(n int) *tasks.Claim {
	return &tasks.Claim{
		Queue: "default", Max: n, Owner: "me", Now: t0.Add(time.Hour),
		Lease: time.Minute, Kinds: map[string]int{"k": 1},
	}
}

// claim returns what c is handed.
func claim(ctx context.Context, store tasks.Store, c *tasks.Claim) (got []*tasks.Task,
	next time.Time, err error,
) {
	c.Claimed = func(t *tasks.Task) {
		kept := *t
		got = append(got, &kept)
	}
	next, err = store.Claim(ctx, c)
	return got, next, err
}

// finish ends what is running.
func finish(t *tasks.Task) error {
	t.State, t.Owner, t.LeaseUntil, t.Finished = tasks.Succeeded, "", time.Time{}, t0
	return nil
}

// TestStore_Contract: a memory store outlives whoever uses it, so that one who comes later finds
// what a durable store would have kept.
func TestStore_Contract(t *testing.T) {
	same := func(_ testing.TB, s tasks.Store) tasks.Store { return s }
	taskstest.ExerciseStore(t,
		taskstest.Harness{
			Open: func(testing.TB) tasks.Store { return memstore.New() },
			Join: same, Reopen: same,
		})
}

func TestStore_ClaimsPastASaturatedKey(t *testing.T) {
	s := memstore.New()
	for i := range 1000 {
		if _, err := s.Add(t.Context(), newTask("busy"+strconv.Itoa(i), "busy"), t0, 0); err !=
			nil {
			t.Fatal(err)
		}
	}
	for i := range 3 {
		if _, err := s.Add(t.Context(), newTask("free"+strconv.Itoa(i), "free"), t0, 0); err !=
			nil {
			t.Fatal(err)
		}
	}
	asked := 0
	c := claimOf(5)
	c.Full = func(key string) bool { asked++; return key == "busy" }
	got, next, err := claim(t.Context(), s, c)
	if err != nil || len(got) != 3 || got[0].ID != "free0" || !next.IsZero() {
		t.Fatalf("claimed %d, next %v, %v; want the 3 of the free key", len(got), next, err)
	}
	if asked != 4 {
		t.Errorf("Full was asked %d times for two keys and 3 tasks, want 4", asked)
	}
	c.Full = nil
	if got, next, err = claim(t.Context(), s, c); err != nil || len(got) != 5 ||
		got[4].ID != "busy4" || next != c.Now {
		t.Fatalf("claimed %d, next %v, %v; want 5 of the key that was full", len(got), next, err)
	}
}

func TestStore_TasksLeaveFromTheMiddle(t *testing.T) {
	s := memstore.New()
	cancel := func(t *tasks.Task) error { t.State = tasks.Cancelled; return nil }
	for i := range 5000 {
		// most leave, in an order that is not theirs; the subqueue is packed again and again
		if _, err := s.Add(t.Context(), newTask(strconv.Itoa(i), ""), t0, 0); err != nil {
			t.Fatal(err)
		}
		if i%100 != 0 {
			if _, err := s.Update(t.Context(), strconv.Itoa(i), t0, cancel); err != nil {
				t.Fatal(err)
			}
		}
	}
	got, _, err := claim(t.Context(), s, claimOf(100))
	if err != nil || len(got) != 50 {
		t.Fatalf("claimed %d, %v; want 50", len(got), err)
	}
	for i, task := range got {
		if task.ID != strconv.Itoa(100*i) {
			t.Fatalf("place %d has %s", i, task.ID)
		}
	}
	if _, err := s.Update(t.Context(), "1", t0, cancel); err != nil {
		t.Errorf("an update that changes nothing: %v", err)
	}
	if _, err := s.Update(t.Context(), "1", t0, finish); !errors.Is(err, tasks.ErrConflict) {
		t.Errorf("cancelled to succeeded: %v", err)
	}
}

func TestStore_ListsPastWhatDoesNotMatch(t *testing.T) {
	s := memstore.New()
	const n = 10_000 // more than a listing looks at before it lets others in
	var want []string
	for i := range n {
		task := newTask(strconv.Itoa(i), "")
		some := (n-1-i)%4096 < 3 // where a look ends, and the next begins
		task.Metadata = map[string]string{"some": strconv.FormatBool(some)}
		if _, err := s.Add(t.Context(), task, t0, 0); err != nil {
			t.Fatal(err)
		}
		if some {
			want = append([]string{task.ID}, want...)
		}
	}
	var got []string
	f := tasks.Filter{Metadata: map[string]string{"some": "true"}, Limit: len(want)}
	page, next, err := s.List(t.Context(), &f)
	if err != nil || len(page) != len(want) || next != "" {
		t.Fatalf("%d tasks, next %q, %v: want %d, and no other page", len(page), next, err,
			len(want))
	}
	for f.Limit = 2; ; f.Cursor = next {
		if page, next, err = s.List(t.Context(), &f); err != nil {
			t.Fatal(err)
		}
		for _, task := range page {
			got = append(got, task.ID)
		}
		if next == "" {
			break
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("listed %v, want %v", got, want)
	}
	if _, _, err := s.List(t.Context(), &tasks.Filter{Cursor: "0"}); !errors.Is(err,
		tasks.ErrInvalid) {
		t.Errorf("a cursor of no task: %v", err)
	}
}

// A list by state finds what came back to a state as it finds what was never elsewhere.
func TestStore_ListsWhatCameBackToAState(t *testing.T) {
	s := memstore.New()
	for _, id := range []string{"stays", "moves"} {
		if _, err := s.Add(t.Context(), newTask(id, ""), t0, 0); err != nil {
			t.Fatal(err)
		}
	}
	for range 3 {
		for _, state := range []tasks.State{tasks.Cancelled, tasks.Queued} {
			_, err := s.Update(t.Context(), "moves", t0, func(task *tasks.Task) error {
				if task.State, task.Finished = state, t0; state == tasks.Queued {
					task.Finished = time.Time{}
				}
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
			want := map[tasks.State]int{tasks.Queued: 2, tasks.Cancelled: 0}
			if state == tasks.Cancelled {
				want = map[tasks.State]int{tasks.Queued: 1, tasks.Cancelled: 1}
			}
			for listed, want := range want {
				page, _, err := s.List(t.Context(), &tasks.Filter{States: []tasks.State{listed}})
				if err != nil || len(page) != want {
					t.Errorf("%d are %s after one has become %s, %v", len(page), listed, state, err)
				}
			}
		}
	}
}

func TestStore_NextIsNotNowForWhatIsNotDue(t *testing.T) {
	s := memstore.New()
	c := claimOf(1)
	for i, at := range []time.Time{c.Now, c.Now.Add(time.Second)} {
		task := newTask(strconv.Itoa(i), "")
		task.State, task.RunAt = tasks.Scheduled, at
		if _, err := s.Add(t.Context(), task, c.Now, 0); err != nil {
			t.Fatal(err)
		}
	}
	if got, next, err := claim(t.Context(), s, c); err != nil || len(got) != 1 ||
		!next.Equal(c.Now.Add(time.Second)) {
		t.Errorf("claimed %d, next %v, %v", len(got), next, err)
	}
}

func TestStore_ForgetsWhatIsDeleted(t *testing.T) {
	s := memstore.New()
	before := heapInUse()
	for i := range 32 {
		task := newTask(strconv.Itoa(i), "")
		task.Payload = append(append([]byte{'"'}, bytes.Repeat([]byte{'x'}, 1<<20)...), '"')
		if _, err := s.Add(t.Context(), task, t0, 0); err != nil {
			t.Fatal(err)
		}
		if got, _, err := claim(t.Context(), s, claimOf(1)); err != nil || len(got) != 1 {
			t.Fatal(len(got), err)
		}
		if _, err := s.Update(t.Context(), task.ID, t0, finish); err != nil {
			t.Fatal(err)
		}
		if err := s.Delete(t.Context(), task.ID, 3, t0); err != nil {
			t.Fatal(err)
		}
	}
	if after := heapInUse(); after > before+8<<20 {
		t.Errorf("32 deleted tasks of 1 MiB hold %d bytes", after-before)
	}
	runtime.KeepAlive(s)
}

// What was deleted before a restart holds its unique key for its time, and then nothing: kinds may
// have any name, and any number of them.
func TestStore_ForgetsWhatWasDeletedBeforeARestart(t *testing.T) {
	s := memstore.New()
	before := heapInUse()
	for i := range 32 {
		task := newTask(strconv.Itoa(i), "")
		task.Kind = strings.Repeat("k", 1<<20) + task.ID
		task.Seq, task.Revision, task.State = uint64(i+1), 3, tasks.Succeeded
		task.Unique = &tasks.Unique{Key: task.ID, While: tasks.UniqueFor, Until: t0.Add(time.Hour)}
		if err := s.Restore(task, true); err != nil {
			t.Fatal(err)
		}
	}
	next := newTask("next", "")
	next.Unique = &tasks.Unique{Key: "0", While: tasks.UniqueUndone}
	if _, err := s.Add(t.Context(), next, t0.Add(time.Hour-1), 0); !errors.Is(err,
		tasks.ErrConflict) {
		t.Errorf("while the key is held: %v", err)
	}
	if _, err := s.Add(t.Context(), next, t0.Add(time.Hour), 0); err != nil {
		t.Error(err)
	}
	if after := heapInUse(); after > before+8<<20 {
		t.Errorf("32 kinds of 1 MiB hold %d bytes", after-before)
	}
	runtime.KeepAlive(s)
}

// BenchmarkStore_Cycle is Add, Claim of one and Update to the end, alone and beside 100,000
// tasks of a full key.
func BenchmarkStore_Cycle(b *testing.B) {
	for name, busy := range map[string]int{"empty": 0, "saturated": 100_000} {
		b.Run(name, func(b *testing.B) {
			s := memstore.New()
			for i := range busy {
				_, _ = s.Add(b.Context(), newTask("busy"+strconv.Itoa(i), "busy"), t0, 0)
			}
			c := claimOf(1)
			c.Full = func(key string) bool { return key == "busy" }
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				if _, err := s.Add(b.Context(), newTask(strconv.Itoa(i), ""), t0, 0); err != nil {
					b.Fatal(err)
				}
				got, _, err := claim(b.Context(), s, c)
				if err != nil || len(got) != 1 {
					b.Fatal(len(got), err)
				}
				if _, err := s.Update(b.Context(), got[0].ID, t0, finish); err != nil {
					b.Fatal(err)
				}
				_ = s.Delete(b.Context(), got[0].ID, 3, t0)
			}
		})
	}
}

// BenchmarkStore_Naive is the same with a map and a slice that is searched, as one writes it
// first.
func BenchmarkStore_Naive(b *testing.B) {
	var mu sync.Mutex
	byID := map[string]*tasks.Task{}
	var waiting []*tasks.Task
	for i := range 100_000 {
		waiting = append(waiting, newTask("busy"+strconv.Itoa(i), "busy"))
	}
	for i := 0; b.Loop(); i++ {
		task := newTask(strconv.Itoa(i), "")
		mu.Lock()
		byID[task.ID] = task
		waiting = append(waiting, task)
		mu.Unlock()
		mu.Lock()
		for j, w := range waiting {
			if w.Key != "busy" {
				waiting = append(waiting[:j], waiting[j+1:]...)
				break
			}
		}
		mu.Unlock()
		mu.Lock()
		delete(byID, task.ID)
		mu.Unlock()
	}
}

// BenchmarkStore_Finished reports what a task that is done takes, without payload and result.
func BenchmarkStore_Finished(b *testing.B) {
	const n = 200_000
	for b.Loop() {
		s := memstore.New()
		before := heapInUse()
		for i := range n {
			if _, err := s.Add(b.Context(),
				newTask("01890a5d-ac96-774b-bcce-"+strconv.Itoa(1e11+i), ""), t0, 0); err != nil {
				b.Fatal(err)
			}
			got, _, err := claim(b.Context(), s, claimOf(1))
			if err != nil || len(got) != 1 {
				b.Fatal(len(got), err)
			}
			if _, err := s.Update(b.Context(), got[0].ID, t0, finish); err != nil {
				b.Fatal(err)
			}
		}
		b.ReportMetric(float64(heapInUse()-before)/n, "B/task")
		runtime.KeepAlive(s)
	}
}

func heapInUse() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
