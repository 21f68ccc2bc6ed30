package filestore_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/genropy/genro-asgi-go/internal/leakcheck"
	"github.com/genropy/genro-asgi-go/tasks"
	"github.com/genropy/genro-asgi-go/tasks/filestore"
	"github.com/genropy/genro-asgi-go/tasks/taskstest"
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(childDir); dir != "" {
		child(dir)
		return
	}
	leakcheck.Main(m)
}

// small segments, so that tests go through many.
var small = &filestore.Options{SegmentSize: 64 << 10}

func open(t testing.TB, dir string, o *filestore.Options) *filestore.Store {
	t.Helper()
	s, err := filestore.Open(dir, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Stop(context.Background()) })
	return s
}

func TestStore_Contract(t *testing.T) {
	dirs := map[tasks.Store]string{}
	taskstest.ExerciseStore(t, taskstest.Harness{
		Open: func(t testing.TB) tasks.Store {
			dir := t.TempDir()
			s := open(t, dir, small)
			dirs[s] = dir
			return s
		},
		Reopen: func(t testing.TB, s tasks.Store) tasks.Store {
			if err := s.(*filestore.Store).Stop(context.Background()); err != nil {
				t.Fatal(err)
			}
			again := open(t, dirs[s], small)
			dirs[again] = dirs[s]
			return again
		},
	})
}

var noon = time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)

func newTask(id string) *tasks.Task {
	return &tasks.Task{
		ID: id, Kind: "k", Version: 1, Queue: "q", State: tasks.Queued,
		Created: noon, RunAt: noon, Payload: []byte(`{"n":1}`),
	}
}

func claimOne() *tasks.Claim {
	return &tasks.Claim{
		Queue: "q", Max: 1, Owner: "me", Now: noon, Lease: time.Minute,
		Kinds: map[string]int{"k": 1},
	}
}

func finish(t *tasks.Task) error {
	t.State, t.Owner, t.LeaseUntil, t.Finished, t.Result = tasks.Succeeded, "", time.Time{}, noon,
		[]byte(`"done"`)
	return nil
}

// cycle adds a task, runs it and returns it.
func cycle(t testing.TB, s *filestore.Store, id string) *tasks.Task {
	t.Helper()
	return cycleOf(t, s, id, 0)
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

// cycleOf has a payload of so many bytes more.
func cycleOf(t testing.TB, s *filestore.Store, id string, more int) *tasks.Task {
	t.Helper()
	ctx := context.Background()
	task := newTask(id)
	task.Payload = []byte(`{"n":"` + strings.Repeat("x", more) + `"}`)
	if _, err := s.Add(ctx, task, noon, 0); err != nil {
		t.Fatal(err)
	}
	got, _, err := claim(ctx, s, claimOne())
	if err != nil || len(got) != 1 {
		t.Fatalf("claimed %d, %v", len(got), err)
	}
	done, err := s.Update(ctx, got[0].ID, noon, finish)
	if err != nil {
		t.Fatal(err)
	}
	return &done
}

func TestStore_LocksItsDirectory(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, nil)
	if _, err := filestore.Open(dir, nil); !errors.Is(err, filestore.ErrLocked) {
		t.Errorf("a second opening: %v", err)
	}
	if err := s.Stop(context.Background()); err != nil {
		t.Fatal(err)
	}
	if err := s.Stop(context.Background()); err != nil {
		t.Errorf("a second Stop: %v", err)
	}
	if _, err := s.Add(t.Context(), newTask("a"), noon, 0); !errors.Is(err, tasks.ErrNotRunning) {
		t.Errorf("Add after Stop: %v", err)
	}
	if _, err := s.Get(t.Context(), "a"); !errors.Is(err, tasks.ErrNotRunning) {
		t.Errorf("Get after Stop: %v", err)
	}
	open(t, dir, nil)
}

func TestStore_CompactsWhileItWorks(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, small)
	for i := range 800 {
		done := cycleOf(t, s, strconv.Itoa(i), 1000)
		if i%10 != 0 {
			if err := s.Delete(t.Context(), done.ID, done.Revision, noon); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := s.Stop(context.Background()); err != nil {
		t.Fatal(err)
	}
	snaps, _ := filepath.Glob(filepath.Join(dir, "*.snap"))
	logs, _ := filepath.Glob(filepath.Join(dir, "*.log"))
	if len(snaps) != 1 || len(logs) > 12 {
		t.Errorf("%d snapshots and %d segments are left", len(snaps), len(logs))
	}
	s = open(t, dir, small)
	for i := range 800 {
		got, err := s.Get(t.Context(), strconv.Itoa(i))
		if i%10 != 0 {
			if !errors.Is(err, tasks.ErrNotFound) {
				t.Fatalf("deleted task %d: %v", i, err)
			}
		} else if err != nil || got.State != tasks.Succeeded || string(got.Result) != `"done"` ||
			got.Revision != 3 {
			t.Fatalf("task %d: %+v, %v", i, got, err)
		}
	}
}

func TestStore_RunningTasksHaveNoHolderAfterOpening(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, small)
	if _, err := s.Add(t.Context(), newTask("a"), noon, 0); err != nil {
		t.Fatal(err)
	}
	if _, _, err := claim(t.Context(), s, claimOne()); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if err := s.Stop(context.Background()); err != nil {
			t.Fatal(err)
		}
		s = open(t, dir, small)
		got, err := s.Expired(t.Context(), noon, 9)
		if err != nil || len(got) != 1 || got[0].Attempt != 1 {
			t.Fatalf("expired after a restart: %v, %v", got, err)
		}
	}
}

// TestStore_AValueThatIsTakenAwayIsNone, and not an empty one, which no JSON is.
func TestStore_AValueThatIsTakenAwayIsNone(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, small)
	if _, err := s.Add(t.Context(), newTask("a"), noon, 0); err != nil {
		t.Fatal(err)
	}
	for _, value := range []jsontext.Value{jsontext.Value("1"), nil} {
		if _, err := s.Update(t.Context(), "a", noon, func(t *tasks.Task) error {
			t.Checkpoint, t.Payload = value, value
			return nil
		}); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Stop(context.Background()); err != nil {
		t.Fatal(err)
	}
	got, err := open(t, dir, small).Get(t.Context(), "a")
	if err != nil || got.Checkpoint != nil || got.Payload != nil {
		t.Errorf("%+v, %v", got, err)
	}
}

// TestStore_FencesRiseOverLostClaims opens the files as they are after a power cut that took a
// claim with it.
func TestStore_FencesRiseOverLostClaims(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, small)
	if _, err := s.Add(t.Context(), newTask("a"), noon, 0); err != nil {
		t.Fatal(err)
	}
	log, err := os.ReadFile(filepath.Join(dir, "0000000000000001.log"))
	if err != nil {
		t.Fatal(err)
	}
	lost, _, err := claim(t.Context(), s, claimOne())
	if err != nil || len(lost) != 1 {
		t.Fatalf("claimed %d, %v", len(lost), err)
	}
	again, err := reopen(t, log)
	if err != nil {
		t.Fatal(err)
	}
	got, _, err := claim(t.Context(), again, claimOne())
	if err != nil || len(got) != 1 || got[0].Attempt != 1 || got[0].Fence <= lost[0].Fence {
		t.Errorf("claimed %+v, %v; want a fence above %d, whose claim was lost", got, err,
			lost[0].Fence)
	}
}

// TestStore_TakesNothingThatItCouldNotReadAgain: Open refuses tasks with such numbers, as damage.
func TestStore_TakesNothingThatItCouldNotReadAgain(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, small)
	cycle(t, s, "done")
	change := map[string]func(t *tasks.Task){
		"timeout":  func(t *tasks.Task) { t.Timeout = -1 },
		"delay":    func(t *tasks.Task) { t.Delay = -1 },
		"attempt":  func(t *tasks.Task) { t.Attempt = -1 },
		"deaths":   func(t *tasks.Task) { t.Deaths = -1 },
		"attempts": func(t *tasks.Task) { t.Retry.Attempts = -1 },
	}
	for name, change := range change {
		task := newTask(name)
		change(task)
		if _, err := s.Add(t.Context(), task, noon, 0); !errors.Is(err, tasks.ErrInvalid) {
			t.Errorf("added with a bad %s: %v", name, err)
		}
		_, err := s.Update(t.Context(), "done", noon,
			func(t *tasks.Task) error { change(t); return nil })
		if !errors.Is(err, tasks.ErrInvalid) {
			t.Errorf("updated to a bad %s: %v", name, err)
		}
	}
	m := tasks.New(s, nil)
	k := tasks.Register(m, "k", 1, func(context.Context, int) (int, error) { return 0, nil },
		&tasks.KindOptions{Timeout: -1})
	task, err := k.Submit(t.Context(), 1, nil)
	if err != nil || task.Timeout != 0 {
		t.Errorf("a kind with a timeout below 0: %+v, %v", task, err)
	}
	if err := errors.Join(m.Stop(t.Context()), s.Stop(context.Background())); err != nil {
		t.Fatal(err)
	}
	open(t, dir, small)
}
