package filestore

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/genropy/genro-asgi-go/problem"
	"github.com/genropy/genro-asgi-go/tasks"
)

// TestBudget_SizeOf compares what a task is counted as with what a snapshot has of it.
func TestBudget_SizeOf(t *testing.T) {
	long, now := strings.Repeat("x", 1000), time.Now()
	name := long[:128]
	full := tasks.Task{
		ID: name, Kind: name, Version: 1 << 40, Queue: name, Priority: -1 << 40, Key: name,
		Metadata: map[string]string{"a": long, "b": long}, Payload: []byte(long),
		Unique:  &tasks.Unique{Key: name, While: tasks.UniqueFor, Until: now},
		Retry:   tasks.RetryPolicy{Attempts: 1 << 30, Min: time.Hour, Max: 1 << 60},
		Timeout: 1 << 60, Delay: 1 << 60, State: tasks.Succeeded, Created: now, RunAt: now,
		Started: now, Finished: now, Attempt: 1 << 30, Deaths: 3, Owner: name, Fence: 1 << 60,
		LeaseUntil: now, Checkpoint: []byte(long), Result: []byte(long),
		Progress: &tasks.Progress{Done: 1, Total: 2, Message: long, Data: []byte(long), At: now},
		Error: &tasks.TaskError{
			Kind: tasks.ErrorReturned, Message: long, Detail: long, Status: 500, Attempt: 3,
			Fence: 1 << 60, Started: now, At: now, Problem: problem.New(409, long),
		},
		Seq: 1 << 60, Revision: 1 << 30,
	}
	small := tasks.Task{
		ID: "a", Kind: "k", Version: 1, Queue: "q", State: tasks.Queued, Created: now, RunAt: now,
	}
	for _, task := range []*tasks.Task{&full, &small} {
		size := sizeOf(task)
		written := int64(len(appendChange(nil, opChange, task, diff(&blank, task))))
		if size < written || size > written+taskSize {
			t.Errorf("counted as %d, written as %d", size, written)
		}
	}
}

func TestBudget_LearnsFromEnds(t *testing.T) {
	var b budget
	b.init(0, 100<<30)
	queued := &tasks.Task{Kind: "k", State: tasks.Queued}
	for n := range 2 * firstTasks {
		want := int64(keptForFirst + recordsOf)
		if n >= firstTasks {
			want = keptForOthers + recordsOf
		}
		expected, next := b.expected, b.forNew("k")
		if b.change(nil, queued); next != want || b.expected != expected+want {
			t.Fatalf("task %d is to add %d, and is expected to add %d; want %d", n, next,
				b.expected-expected, want)
		}
	}
	for range 2 * firstTasks {
		b.change(queued, nil)
	}
	end := func(n int, state tasks.State, result int) int64 {
		for range n {
			b.change(nil, queued)
			b.change(queued, &tasks.Task{Kind: "k", State: state, Result: make([]byte, result)})
		}
		return b.forNew("k")
	}
	low := end(1000, tasks.Succeeded, 100)
	if got := end(1000, tasks.Cancelled, 0); got != low || low > 2<<10 {
		t.Errorf("after results of 100 bytes %d, after cancellations %d", low, got)
	}
	if got := end(4000, tasks.Failed, 200_000); got < 200_000 || got > 260_000 {
		t.Errorf("after results of 200,000 bytes %d", got)
	}
	if got := b.forNew("other"); got != keptForFirst+recordsOf || b.expected != 0 {
		t.Errorf("a task of another kind is to add %d, and all that have finished %d", got,
			b.expected)
	}
	b.init(777, 100<<30)
	if b.change(nil, queued); b.forNew("k") != 777+recordsOf {
		t.Errorf("with a Reserve of 777: %d", b.forNew("k"))
	}
	b.init(0, 1<<20)
	if got := b.forNew("k"); got != 1<<20/partForFirst+recordsOf {
		t.Errorf("on a small disk: %d", got)
	}
}

// TestBudget_IsTheSameAfterOpen changes tasks at random, and counts them again in the store that is
// opened then.
func TestBudget_IsTheSameAfterOpen(t *testing.T) {
	dir, o := t.TempDir(), &Options{SegmentSize: minSegment, Reserve: 1000}
	s, err := Open(dir, o)
	if err != nil {
		t.Fatal(err)
	}
	random := rand.New(rand.NewPCG(1, 2))
	now := time.Now()
	change := func(t *tasks.Task) error {
		switch {
		case t.State.Done() && random.IntN(3) == 0:
			t.State, t.Finished, t.Result = tasks.Queued, time.Time{}, nil
		case random.IntN(2) == 0:
			t.State, t.Finished = tasks.Cancelled, now
			t.Result = []byte(`"` + strings.Repeat("y", random.IntN(500)) + `"`)
		default:
			t.Progress = &tasks.Progress{Done: random.Float64(), At: now}
		}
		return nil
	}
	var ids []string
	for i := range 1000 {
		id := fmt.Sprint("t", i)
		_, err := s.Add(t.Context(), &tasks.Task{
			ID: id, Kind: fmt.Sprint("k", i%3), Version: 1, Queue: "q", State: tasks.Queued,
			Created: now, RunAt: now, Payload: []byte(`"` + strings.Repeat("x", i%300) + `"`),
			Unique: &tasks.Unique{Key: id, While: tasks.UniqueFor, Until: now.Add(time.Hour)},
		}, now, 0)
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, id)
		at := random.IntN(len(ids))
		done, err := s.Update(t.Context(), ids[at], now, change)
		if err == nil && done.State.Done() && random.IntN(2) == 0 {
			err = s.Delete(t.Context(), ids[at], done.Revision, now)
			ids = append(ids[:at], ids[at+1:]...)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	live, expected := s.budget.live, s.budget.expected
	if err := s.Stop(context.Background()); err != nil {
		t.Fatal(err)
	}
	if s, err = Open(dir, o); err != nil {
		t.Fatal(err)
	}
	if s.budget.live != live || s.budget.expected != expected || expected == 0 {
		t.Errorf("live %d and expected %d bytes, before it %d and %d", s.budget.live,
			s.budget.expected,
			live, expected)
	}
	if err := s.Stop(context.Background()); err != nil {
		t.Error(err)
	}
}
