package taskstest_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/genropy/genro-asgi-go/tasks"
	"github.com/genropy/genro-asgi-go/tasks/memstore"
	"github.com/genropy/genro-asgi-go/tasks/taskstest"
)

var begin = time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)

// failure returns what f said when it failed the test that it was given, "" when it did not.
func failure(t *testing.T, f func(t testing.TB)) string {
	t.Helper()
	r := &recorder{TB: t}
	done := make(chan struct{})
	go func() {
		defer close(done)
		f(r)
	}()
	<-done
	return r.said
}

// recorder is a test that may fail.
type recorder struct {
	testing.TB
	said    string
	cleanup []func()
}

func (r *recorder) Cleanup(f func()) { r.cleanup = append(r.cleanup, f) }

func (r *recorder) Errorf(format string, args ...any) { r.said += fmt.Sprintf(format, args...) }

func (r *recorder) Fatalf(format string, args ...any) {
	r.Errorf(format, args...)
	runtime.Goexit()
}

// expect runs f, which must fail the test and say what.
func expect(t *testing.T, what string, f func(t testing.TB)) {
	t.Helper()
	if said := failure(t, f); what == "" && said != "" || !strings.Contains(said, what) {
		t.Errorf("said %q, want %q", said, what)
	}
}

type order struct{ Number int }

// shop is a manager with kinds to test with.
func shop(t testing.TB) (*tasks.Manager, *taskstest.Clock) {
	clock := taskstest.NewClock(begin)
	m := taskstest.NewManager(t, nil, &tasks.Options{Clock: clock})
	tasks.Register(m, "order", 1, func(ctx context.Context, in order) (string, error) {
		if in.Number < 0 {
			return "", errors.New("below nothing")
		}
		for i := range in.Number { // smaller ones, as tasks of their own
			if _, err := tasks.Submit(ctx, m, "order", order{},
				&tasks.SubmitOptions{ID: fmt.Sprintf("%s.%d", tasks.RunFrom(ctx).ID(), i)}); err !=
				nil {
				return "", err
			}
		}
		return fmt.Sprint("order ", in.Number), nil
	},
		&tasks.KindOptions{
			Retry: tasks.RetryPolicy{Attempts: 2, Min: time.Minute, Max: time.Minute},
		})
	tasks.Register(m, "endless", 1, func(ctx context.Context, in order) (struct{}, error) {
		_, err := tasks.Submit(ctx, m, "endless", in, nil)
		return struct{}{}, err
	}, nil)
	return m, clock
}

func submit(t testing.TB, m *tasks.Manager, kind, id string, in any) *tasks.Task {
	t.Helper()
	task, err := tasks.Submit(context.Background(), m, kind, in, &tasks.SubmitOptions{ID: id})
	if err != nil {
		t.Fatalf("submit: %v", err)
	}
	return task
}

func TestRunNow(t *testing.T) {
	m, clock := shop(t)
	submit(t, m, "order", "a", order{2})
	submit(t, m, "order", "bad", order{-1})
	var ran []string
	for _, task := range taskstest.RunNow(t, m) {
		ran = append(ran, task.ID+" "+string(task.State))
	}
	if got, want := strings.Join(ran,
		", "), "a succeeded, bad retrying, a.0 succeeded, a.1 succeeded"; got != want {
		t.Errorf("ran %s, want %s", got, want)
	}
	clock.Advance(time.Minute)
	again := taskstest.RunNow(t, m)
	if len(again) != 1 || again[0].ID != "bad" || again[0].State != tasks.Failed ||
		again[0].Attempt != 2 {
		t.Errorf("a minute later %+v", again)
	}
}

func TestRunNow_FailsTheTest(t *testing.T) {
	m, _ := shop(t)
	submit(t, m, "endless", "a", order{1})
	expect(t, "10000 tasks have run, and another is due",
		func(t testing.TB) { taskstest.RunNow(t, m) })
	m2, _ := shop(t)
	if err := m2.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	expect(t, "started", func(t testing.TB) { taskstest.RunNow(t, m2) })
}

// A function may end the test: FailNow is called in the test's goroutine.
func TestRunNow_LetsFunctionsEndTheTest(t *testing.T) {
	m := taskstest.NewManager(t, nil, nil)
	var of testing.TB
	tasks.Register(m, "k", 1, func(context.Context, struct{}) (struct{}, error) {
		of.Fatalf("by the function")
		return struct{}{}, nil
	}, nil)
	task := submit(t, m, "k", "a", struct{}{})
	expect(t, "by the function", func(t testing.TB) {
		of = t
		taskstest.RunNow(t, m)
		t.Errorf("it went on")
	})
	if state, err := m.State(t.Context(), task.ID); err != nil || state != tasks.Failed {
		t.Errorf("it is %s, %v", state, err)
	}
}

func TestNewManager_FailsATestThatLeavesAFunctionRunning(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &recorder{TB: t}
		m := taskstest.NewManager(r, nil, &tasks.Options{Logger: slog.New(slog.DiscardHandler)})
		began, end := make(chan struct{}), make(chan struct{})
		tasks.Register(m, "k", 1, func(context.Context, struct{}) (struct{}, error) {
			close(began)
			<-end
			return struct{}{}, nil
		}, nil)
		if err := m.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		submit(t, m, "k", "a", struct{}{})
		<-began
		r.cleanup[0]()
		close(end)
		if !strings.Contains(r.said, "has not returned") {
			t.Errorf("said %q", r.said)
		}
	})
}

// A function has 10 s to end by itself before its context ends.
func TestNewManager_GivesFunctionsTimeToEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &recorder{TB: t}
		m := taskstest.NewManager(r, nil, nil)
		began, took := make(chan struct{}), time.Duration(0)
		tasks.Register(m, "k", 1, func(ctx context.Context, _ struct{}) (struct{}, error) {
			close(began)
			start := time.Now()
			<-ctx.Done()
			took = time.Since(start)
			return struct{}{}, nil
		}, nil)
		if err := m.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		submit(t, m, "k", "a", struct{}{})
		<-began
		r.cleanup[0]()
		if r.said != "" || took != 10*time.Second {
			t.Errorf("said %q, and gave the function %v", r.said, took)
		}
	})
}

func TestRequireSubmitted(t *testing.T) {
	m, _ := shop(t)
	require := func(t testing.TB) { taskstest.RequireSubmitted[order](t, m, "order") }
	none := func(t testing.TB) { taskstest.RequireNoneSubmitted(t, m, "order") }
	expect(t, `no task of kind "order" was submitted`, require)
	expect(t, "", none)
	submit(t, m, "order", "a", order{1})
	submit(t, m, "endless", "b", order{7})
	if got := taskstest.RequireSubmitted[order](t, m, "order"); got.ID != "a" ||
		got.In.Number != 1 || got.State != tasks.Queued {
		t.Errorf("%+v", got)
	}
	if got := taskstest.RequireSubmitted[jsontext.Value](t, m, "order"); string(got.In) !=
		`{"Number":1}` {
		t.Errorf("raw %s", got.In)
	}
	expect(t, "task a of kind \"order\" was submitted with {\"Number\":1}", none)
	expect(t, "which is no int",
		func(t testing.TB) { taskstest.RequireSubmitted[int](t, m, "order") })
	expect(t, "which is no struct { Digit int }",
		func(t testing.TB) { taskstest.RequireSubmitted[struct{ Digit int }](t, m, "order") })
	submit(t, m, "order", "c", order{3})
	expect(t, `2 tasks of kind "order" were submitted, want one: {"Number":1}, {"Number":3}`,
		require)
	for i := range 20 {
		submit(t, m, "order", "", order{i})
	}
	expect(t, "{\"Number\":7}, …", require)
	all := taskstest.AllSubmitted[order](t, m, "order")
	if len(all) != 22 || all[0].ID != "a" || all[1].ID != "c" || all[21].In.Number != 19 {
		t.Errorf("all: %+v", all)
	}
}

func TestRequireResult(t *testing.T) {
	m, _ := shop(t)
	result := func(t testing.TB) { taskstest.RequireResult[string](t, m, "a") }
	expect(t, "task a: ", result)
	submit(t, m, "order", "a", order{0})
	submit(t, m, "order", "bad", order{-1})
	expect(t, `task a, kind "order", is queued`, result)
	taskstest.RunNow(t, m)
	if got := taskstest.RequireResult[string](t, m, "a"); got != "order 0" {
		t.Errorf("result %q", got)
	}
	expect(t, `kind "order"`, func(t testing.TB) { taskstest.RequireResult[int](t, m, "a") })
	expect(t, `task bad, kind "order", is retrying: `,
		func(t testing.TB) { taskstest.RequireResult[string](t, m, "bad") })
}

// The store's own failures end the test too.
func TestRequire_StoreThatFails(t *testing.T) {
	m := taskstest.NewManager(t, failing{memstore.New()}, nil)
	tasks.Register(m, "k", 1,
		func(context.Context, struct{}) (struct{}, error) { return struct{}{}, nil }, nil)
	for what, f := range map[string]func(t testing.TB){
		"RunNow":       func(t testing.TB) { taskstest.RunNow(t, m) },
		"AllSubmitted": func(t testing.TB) { taskstest.AllSubmitted[order](t, m, "k") },
		"RequireNone":  func(t testing.TB) { taskstest.RequireNoneSubmitted(t, m, "k") },
	} {
		if said := failure(t, f); !strings.Contains(said, "on fire") {
			t.Errorf("%s said %q", what, said)
		}
	}
}

type failing struct{ tasks.Store }

var errFire = errors.New("on fire")

func (failing) Claim(context.Context, *tasks.Claim) (time.Time, error) {
	return time.Time{}, errFire
}

func (failing) List(context.Context, *tasks.Filter) ([]*tasks.Task, string, error) {
	return nil, "", errFire
}
