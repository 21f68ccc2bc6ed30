package tasks_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/genropy/genro-asgi-go/tasks"
	"github.com/genropy/genro-asgi-go/tasks/memstore"
	"github.com/genropy/genro-asgi-go/tasks/taskstest"
)

// TestUnique_HeldAndFree submits a second task while the first holds the key, in every phase of the
// first, for every scope and policy.
func TestUnique_HeldAndFree(t *testing.T) {
	for while, held := range map[tasks.UniqueWhile][]string{
		tasks.UniqueWaiting: {"waits"},
		tasks.UniqueUndone:  {"waits", "runs"},
		tasks.UniqueFor:     {"waits", "runs", "done"},
	} {
		for _, taken := range []tasks.UniqueTaken{
			tasks.UniqueReject, tasks.UniqueExisting,
			tasks.UniqueReplace,
		} {
			for _, phase := range []string{"waits", "runs", "done", "later"} {
				t.Run(fmt.Sprint(while, " ", taken, " ", phase), func(t *testing.T) {
					synctest.Test(t,
						func(t *testing.T) {
							testUnique(t, while, taken, phase, slices.Contains(held, phase))
						})
				})
			}
		}
	}
}

func testUnique(t *testing.T, while tasks.UniqueWhile, taken tasks.UniqueTaken, phase string,
	held bool,
) {
	m := tasks.New(memstore.New(), nil)
	release := make(chan struct{})
	k := tasks.Register(m, "work", 1, func(ctx context.Context, _ int) (struct{}, error) {
		select {
		case <-release:
		case <-ctx.Done():
		}
		return struct{}{}, nil
	}, nil)
	start(t, m)
	if err := m.Pause("default"); err != nil {
		t.Fatal(err)
	}
	opts := tasks.SubmitOptions{
		Unique: &tasks.UniqueOptions{Key: "one", While: while, Taken: taken},
	}
	if while == tasks.UniqueFor {
		opts.Unique.For = time.Hour
	}
	first := must[*tasks.Task](t)(k.Submit(t.Context(), 1, &opts))
	if phase != "waits" {
		_ = m.Resume("default")
		synctest.Wait()
	}
	done := phase == "done" || phase == "later"
	if done {
		close(release)
		wait(t, m, first.ID, tasks.Succeeded)
	}
	if phase == "later" {
		<-time.After(time.Hour)
	}
	second, err := k.Submit(t.Context(), 2, &opts)
	synctest.Wait()
	before := must[*tasks.Task](t)(m.Get(t.Context(), first.ID))
	switch exists, _ := errors.AsType[*tasks.ExistsError](err); {
	case held && taken == tasks.UniqueReject:
		if !errors.Is(err, tasks.ErrConflict) || exists == nil || exists.ID ||
			exists.Task.ID != first.ID {
			t.Errorf("not refused with the holder: %v", err)
		}
	case err != nil:
		t.Error(err)
	case held && taken == tasks.UniqueExisting:
		if second.ID != first.ID {
			t.Errorf("got %s, not the holder", second.ID)
		}
	case second.ID == first.ID:
		t.Error("got the first task")
	case held && !done && before.State != tasks.Cancelled:
		t.Errorf("replaced, and is %s", before.State)
	case (!held || done) && before.State == tasks.Cancelled:
		t.Error("cancelled, and held nothing that could be")
	}
	if !done {
		close(release)
		_ = m.Resume("default")
	}
}

func TestUnique_DefaultKeyIsThePayload(t *testing.T) {
	m := tasks.New(memstore.New(), nil)
	tasks.Register(m, "sum", 1, sum, &tasks.KindOptions{Unique: &tasks.UniqueOptions{}})
	submit := func(payload string) error {
		_, err := m.Submit(t.Context(), "sum", []byte(payload), nil)
		return err
	}
	if err := errors.Join(submit(`{"a":1,"b":2}`), submit(`{"a":1,"b":3}`)); err != nil {
		t.Error(err)
	}
	if err := submit(` { "b": 2, "a": 1 } `); !errors.Is(err, tasks.ErrConflict) {
		t.Errorf("the same in another spelling: %v", err)
	}
	stop(t, m)
}

// TestUnique_Races lets many submitters want one key at once: one of them has it in the end, and
// nobody is told otherwise.
func TestUnique_Races(t *testing.T) {
	for _, while := range []tasks.UniqueWhile{
		tasks.UniqueWaiting, tasks.UniqueUndone,
		tasks.UniqueFor,
	} {
		for _, taken := range []tasks.UniqueTaken{
			tasks.UniqueReject, tasks.UniqueExisting,
			tasks.UniqueReplace,
		} {
			t.Run(fmt.Sprint(while, " ", taken), func(t *testing.T) {
				m := tasks.New(memstore.New(), nil) // not started: they stay queued
				k := tasks.Register(m, "work", 1,
					func(context.Context, int) (struct{}, error) { return struct{}{}, nil }, nil)
				u := &tasks.UniqueOptions{Key: "one", While: while, Taken: taken}
				if while == tasks.UniqueFor {
					u.For = time.Hour
				}
				ids, errs := race(16,
					func(i int) (*tasks.Task, error) {
						return k.Submit(t.Context(), i, &tasks.SubmitOptions{Unique: u})
					})
				for _, err := range errs {
					if taken == tasks.UniqueExisting || !errors.Is(err, tasks.ErrConflict) {
						t.Error(err)
					}
				}
				live, all := 0, 0
				for task, err := range m.All(t.Context(), nil) {
					if err != nil {
						t.Fatal(err)
					}
					all++
					if task.State == tasks.Queued {
						live++
					}
					if !slices.Contains(ids, task.ID) {
						t.Errorf("%s is nobody's", task.ID)
					}
				}
				if live != 1 || taken != tasks.UniqueReplace && all != 1 ||
					taken == tasks.UniqueReject && len(errs) != 15 {
					t.Errorf("%d live of %d, %d refused", live, all, len(errs))
				}
				stop(t, m)
			})
		}
	}
}

// race calls f n times at once.
func race(n int, f func(i int) (*tasks.Task, error)) (ids []string, errs []error) {
	var mu sync.Mutex
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			task, err := f(i)
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				errs = append(errs, err)
			} else {
				ids = append(ids, task.ID)
			}
		})
	}
	wg.Wait()
	return ids, errs
}

func TestSubmit_SameID(t *testing.T) {
	m := tasks.New(memstore.New(), nil)
	tasks.Register(m, "sum", 1, sum, nil)
	tasks.Register(m, "other", 1, sum, nil)
	submit := func(kind, payload string) (*tasks.Task, error) {
		return m.Submit(t.Context(), kind, []byte(payload), &tasks.SubmitOptions{ID: "id"})
	}
	first := must[*tasks.Task](t)(submit("sum", `{"a":1,"b":2}`))
	check := func(state tasks.State) {
		t.Helper()
		if again := must[*tasks.Task](t)(submit("sum", " {\"b\": 2,\n\"a\": 1} ")); again.Seq !=
			first.Seq || again.State != state {
			t.Errorf("the same in another spelling: %+v", again)
		}
		for _, c := range [][2]string{
			{"sum", `{"a":1,"b":3}`},
			{"sum", `{"a":1}`},
			{"other", `{"a":1,"b":2}`},
		} {
			_, err := submit(c[0], c[1])
			if exists, _ := errors.AsType[*tasks.ExistsError](err); exists == nil || !exists.ID ||
				exists.Task.ID != "id" || !errors.Is(err, tasks.ErrConflict) {
				t.Errorf("%v: %v", c, err)
			}
		}
	}
	check(tasks.Queued)
	start(t, m)
	wait(t, m, "id", tasks.Succeeded)
	check(tasks.Succeeded) // it does not run again
	if ids, errs := race(16, func(int) (*tasks.Task, error) {
		return m.Submit(t.Context(), "sum", []byte(`{"a":1}`), &tasks.SubmitOptions{ID: "raced"})
	}); len(ids) != 16 || len(errs) != 0 {
		t.Errorf("%d of 16, %v", len(ids), errs)
	}
	if task := wait(t, m, "raced", tasks.Succeeded); task.Attempt != 1 {
		t.Errorf("ran again: %+v", task)
	}
}

// Invoices are numbered with 64 bits, and a double has 53.
func TestSubmit_TellsLongNumbersApart(t *testing.T) {
	m := tasks.New(memstore.New(), nil)
	tasks.Register(m, "k", 1,
		func(context.Context, jsontext.Value) (struct{}, error) { return struct{}{}, nil }, nil)
	near := func(i int) jsontext.Value {
		return jsontext.Value(fmt.Sprintf(`{"no":900719925474099%d}`, i))
	}
	submit := func(payload jsontext.Value, o tasks.SubmitOptions) (*tasks.Task, error) {
		return m.Submit(t.Context(), "k", payload, &o)
	}

	if _, err := submit(near(2), tasks.SubmitOptions{ID: "a"}); err != nil {
		t.Fatal(err)
	}
	if _, err := submit(near(3), tasks.SubmitOptions{ID: "a"}); !errors.Is(err, tasks.ErrConflict) {
		t.Errorf("another payload with the ID: %v", err)
	}
	if _, err := submit(jsontext.Value(`{ "no": 9007199254740992.0 }`),
		tasks.SubmitOptions{ID: "a"}); err != nil {
		t.Errorf("the same payload, written in another way: %v", err)
	}
	unique := tasks.SubmitOptions{Unique: &tasks.UniqueOptions{}}
	for i := range 4 {
		if _, err := submit(near(i), unique); err != nil {
			t.Errorf("payload %d has another's key: %v", i, err)
		}
	}
	if _, err := submit(jsontext.Value(`{"no":90071992547409910e-1}`), unique); !errors.Is(err,
		tasks.ErrConflict) {
		t.Errorf("a payload that is there, written in another way: %v", err)
	}
}

func TestSchedule_ReplacesAPayloadThatDiffersInItsLastDigit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		clock, store := taskstest.NewClock(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)),
			memstore.New()
		for _, payload := range []string{`9007199254740992`, `9007199254740993`} {
			m := tasks.New(store, &tasks.Options{Clock: clock})
			tasks.Register(m, "k", 1,
				func(context.Context, uint64) (struct{}, error) { return struct{}{}, nil }, nil)
			if err := m.Schedule("k", jsontext.Value(payload),
				tasks.Schedule{Name: "s", Every: time.Hour}); err != nil {
				t.Fatal(err)
			}
			start(t, m)
			page, _, err := m.List(t.Context(), nil)
			if err != nil || len(page) != 1 || string(page[0].Payload) != payload {
				t.Errorf("waiting %v, %v, want one with %s", page, err, payload)
			}
			stop(t, m)
		}
	})
}
