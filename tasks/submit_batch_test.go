package tasks_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/genropy/genro-asgi-go/tasks"
	"github.com/genropy/genro-asgi-go/tasks/memstore"
)

// plainStore is a store that adds one task at a time.
type plainStore struct{ tasks.Store }

type item struct {
	N int `json:"n"`
}

func TestSubmitMany_AllOrNone(t *testing.T) {
	for name, store := range map[string]func() tasks.Store{
		"in one step": func() tasks.Store { return memstore.New() },
		"one by one":  func() tasks.Store { return plainStore{memstore.New()} },
	} {
		t.Run(name, func(t *testing.T) {
			ctx := t.Context()
			m := tasks.New(store(), &tasks.Options{
				Queues: map[string]tasks.QueueOptions{"small": {MaxWaiting: 3}},
			})
			k := tasks.Register(m, "k", 1,
				func(_ context.Context, in item) (item, error) { return in, nil }, nil)
			count := func() (n int) {
				for _, err := range m.All(ctx, nil) {
					if err != nil {
						t.Fatal(err)
					}
					n++
				}
				return n
			}
			got, err := k.SubmitMany(ctx, []item{{1}, {2}, {3}},
				&tasks.SubmitOptions{Priority: 7, Metadata: map[string]string{"of": "batch"}})
			if err != nil || len(got) != 3 {
				t.Fatalf("%d tasks, %v", len(got), err)
			}
			for i, task := range got {
				if string(task.Payload) != fmt.Sprintf(`{"n":%d}`, i+1) || task.Priority != 7 ||
					task.Metadata["of"] != "batch" || task.Kind != "k" {
					t.Errorf("place %d: %+v", i, task)
				}
			}
			refuse := func(what string, want error, at int, all ...tasks.Submission) {
				t.Helper()
				before := count()
				_, err := m.SubmitMany(ctx, all)
				batch, ok := errors.AsType[*tasks.BatchError](err)
				if !ok || len(batch.Errors) != 1 || !errors.Is(batch.Errors[at], want) ||
					!errors.Is(err, want) {
					t.Errorf("%s: %v, want %v at %d", what, err, want, at)
				}
				if after := count(); after != before {
					t.Errorf("%s: %d tasks are left", what, after-before)
				}
			}
			of := func(payload string, o *tasks.SubmitOptions) tasks.Submission {
				return tasks.Submission{Kind: "k", Payload: []byte(payload), Options: o}
			}
			id := func(id string) *tasks.SubmitOptions { return &tasks.SubmitOptions{ID: id} }
			key := func(key string, taken tasks.UniqueTaken) *tasks.SubmitOptions {
				return &tasks.SubmitOptions{Unique: &tasks.UniqueOptions{Key: key, Taken: taken}}
			}
			fine := of(`{"n":0}`, nil)
			refuse("a payload that does not fit", tasks.ErrInvalid, 1, fine, of(`{"m":1}`, nil))
			refuse("no such kind", tasks.ErrNotFound, 0, tasks.Submission{Kind: "none"}, fine)
			refuse("no such queue", tasks.ErrNotFound, 1, fine,
				of(`{}`, &tasks.SubmitOptions{Queue: "none"}))
			refuse("a full queue", tasks.ErrOverloaded, 4, fine, of(`{}`, inSmall),
				of(`{}`, inSmall), of(`{}`, inSmall), of(`{}`, inSmall))
			refuse("a policy for one", tasks.ErrInvalid, 1, fine,
				of(`{}`, key("u", tasks.UniqueReplace)))

			first, err := m.SubmitMany(ctx,
				[]tasks.Submission{
					of(`{"n":1}`, id("a")), of(`{"n":2}`, id("b")),
					of(`{"n":3}`, key("u", "")),
				})
			if err != nil {
				t.Fatal(err)
			}
			refuse("an ID of another payload", tasks.ErrConflict, 2, fine, of(`{"n":1}`, id("a")),
				of(`{"n":9}`, id("b")))
			refuse("a held key", tasks.ErrConflict, 1, fine, of(`{}`, key("u", tasks.UniqueReject)))
			refuse("a key of the batch", tasks.ErrConflict, 1, of(`{}`, key("v", "")),
				of(`{}`, key("v", "")))
			refuse("an ID of the batch", tasks.ErrConflict, 1, of(`{"n":1}`, id("c")),
				of(`{"n":2}`, id("c")))

			// Who repeats a batch gets what is there, and what is missing is added.
			before := count()
			again, err := m.SubmitMany(ctx, []tasks.Submission{
				of(`{"n":1}`, id("a")), of(`{"n":4}`, id("d")), of(`{ "n" : 2 }`, id("b")),
				of(`{"n":5}`, key("u", tasks.UniqueExisting)),
				of(`{"n":4}`, id("d")), of(`{"n":6}`, key("w", "")),
				of(`{"n":7}`, key("w", tasks.UniqueExisting)),
			})
			if err != nil || count() != before+2 {
				t.Fatalf("%d tasks are added, %v, want 2", count()-before, err)
			}
			for i, want := range map[int]string{
				0: "a", 1: "d", 2: "b", 3: first[2].ID, 4: "d",
				6: again[5].ID,
			} {
				if again[i] == nil || again[i].ID != want {
					t.Errorf("place %d: %+v, want %s", i, again[i], want)
				}
			}
		})
	}
}

var inSmall = &tasks.SubmitOptions{Queue: "small"}

func TestSubmitMany_Limits(t *testing.T) {
	m := tasks.New(memstore.New(), nil)
	k := tasks.Register(m, "k", 1,
		func(_ context.Context, in item) (item, error) { return in, nil }, nil)
	if got, err := k.SubmitMany(t.Context(), nil, nil); err != nil || len(got) != 0 {
		t.Errorf("nothing: %v, %v", got, err)
	}
	if _, err := k.SubmitMany(t.Context(), []item{{1}},
		&tasks.SubmitOptions{ID: "a"}); !errors.Is(err, tasks.ErrInvalid) {
		t.Errorf("one ID for all: %v", err)
	}
	if _, err := k.SubmitMany(t.Context(), make([]item, tasks.MaxBatch+1), nil); !errors.Is(err,
		tasks.ErrTooLarge) {
		t.Errorf("too many: %v", err)
	}
	got, err := k.SubmitMany(t.Context(), make([]item, tasks.MaxBatch), nil)
	if err != nil || len(got) != tasks.MaxBatch {
		t.Errorf("as many as may be: %d, %v", len(got), err)
	}
	asked := 0
	refusal := errors.New("not yours")
	with := tasks.SubmitOptions{
		Unique: &tasks.UniqueOptions{Taken: tasks.UniqueExisting},
		Authorize: func(op tasks.Operation, task *tasks.Task) error {
			asked++
			if op != tasks.OpGet || string(task.Payload) != `{"n":1}` {
				t.Errorf("asked for %s of %s", op, task.Payload)
			}
			return refusal
		},
	}
	if _, err := k.Submit(t.Context(), item{1}, &with); err != nil {
		t.Fatal(err)
	}
	if _, err := k.SubmitMany(t.Context(), []item{{1}, {2}}, &with); !errors.Is(err, refusal) ||
		asked != 1 {
		t.Errorf("another's task: %v, asked %d times", err, asked)
	}
	if err := m.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := k.SubmitMany(t.Context(), []item{{1}}, nil); !errors.Is(err, tasks.ErrNotRunning) {
		t.Errorf("after Stop: %v", err)
	}
}

// TestSubmitMany_UnlimitedQueue: a limit below 0 is none, for a batch too.
func TestSubmitMany_UnlimitedQueue(t *testing.T) {
	m := tasks.New(memstore.New(), &tasks.Options{
		Queues: map[string]tasks.QueueOptions{"default": {MaxWaiting: -1}},
	})
	k := tasks.Register(m, "k", 1,
		func(_ context.Context, in item) (item, error) { return in, nil }, nil)
	if got, err := k.SubmitMany(t.Context(), make([]item, 3), nil); err != nil || len(got) != 3 {
		t.Errorf("%d tasks, %v", len(got), err)
	}
}

// meddledStore is a plain store in which something happens to a task before it is taken back.
type meddledStore struct {
	plainStore
	meddle func(s tasks.Store, id string) error
}

func (s meddledStore) Update(ctx context.Context, id string, now time.Time,
	change func(t *tasks.Task) error,
) (tasks.Task, error) {
	if err := s.meddle(s.Store, id); err != nil {
		return tasks.Task{}, err
	}
	return s.Store.Update(ctx, id, now, change)
}

// TestSubmitMany_TakesBack: who has a part of a batch in the store is told so, and only then.
func TestSubmitMany_TakesBack(t *testing.T) {
	away := errors.New("the store is away")
	for name, c := range map[string]struct {
		meddle func(s tasks.Store, id string) error
		left   int
		want   error // beside the refusal
	}{
		"it is gone already": {meddle: func(s tasks.Store, id string) error {
			done, err := s.Update(t.Context(), id, time.Now(), func(t *tasks.Task) error {
				t.State = tasks.Cancelled
				return nil
			})
			return errors.Join(err, s.Delete(t.Context(), id, done.Revision, time.Now()))
		}},
		"the store fails": {
			meddle: func(tasks.Store, string) error { return away },
			left:   1, want: away,
		},
	} {
		t.Run(name, func(t *testing.T) {
			store := meddledStore{plainStore{memstore.New()}, c.meddle}
			m := tasks.New(store, &tasks.Options{
				Queues: map[string]tasks.QueueOptions{"default": {MaxWaiting: 1}},
			})
			k := tasks.Register(m, "k", 1,
				func(_ context.Context, in item) (item, error) { return in, nil }, nil)
			_, err := k.SubmitMany(t.Context(), make([]item, 2), nil)
			if !errors.Is(err, tasks.ErrOverloaded) || c.want != nil && !errors.Is(err, c.want) {
				t.Errorf("%v, want ErrOverloaded and %v", err, c.want)
			}
			if told := strings.Contains(err.Error(), "not all taken back"); told != (c.left > 0) {
				t.Errorf("told of what is left: %t, in %v", told, err)
			}
			page, _, err := store.List(t.Context(), nil)
			if err != nil || len(page) != c.left {
				t.Errorf("%d tasks are left, %v, want %d", len(page), err, c.left)
			}
		})
	}
}
