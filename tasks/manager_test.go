package tasks_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/genropy/genro-asgi-go/tasks"
	"github.com/genropy/genro-asgi-go/tasks/memstore"
)

// start starts m until the test ends.
func start(t testing.TB, m *tasks.Manager) {
	t.Helper()
	if err := m.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { stop(t, m) })
}

func stop(t testing.TB, m *tasks.Manager) {
	t.Helper()
	if err := m.Stop(context.Background()); err != nil {
		t.Error(err)
	}
}

func must[T any](t testing.TB) func(v T, err error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

type sumIn struct {
	A int `json:"a"`
	B int `json:"b"`
}

func (in sumIn) Validate() error {
	if in.A < 0 {
		return errors.New("a is below 0")
	}
	return nil
}

func sum(_ context.Context, in sumIn) (int, error) { return in.A + in.B, nil }

func TestManager_RunsWhatIsSubmitted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := tasks.New(memstore.New(), nil)
		k := tasks.Register(m, "sum", 1, sum, nil)
		before := must[*tasks.Task](t)(k.Submit(t.Context(), sumIn{1, 2}, nil))
		start(t, m)
		if got := must[int](t)(k.Result(t.Context(), before.ID)); got != 3 {
			t.Errorf("result %d", got)
		}
		var ids []string
		for i := range 100 {
			ids = append(ids,
				must[*tasks.Task](t)(tasks.Submit(t.Context(), m, "sum", sumIn{i, 1}, nil)).ID)
		}
		for i, id := range ids {
			if got := must[int](t)(tasks.Result[int](t.Context(), m, id)); got != i+1 {
				t.Errorf("result %d, want %d", got, i+1)
			}
		}
	})
}

func TestManager_RefusesBadSubmits(t *testing.T) {
	m := tasks.New(memstore.New(), &tasks.Options{MaxPayload: 100})
	k := tasks.Register(m, "sum", 1, sum, nil)
	for _, c := range []struct {
		kind, payload string
		opts          *tasks.SubmitOptions
		want          error
		text          string
	}{
		{"none", `{}`, nil, tasks.ErrNotFound, "none"},
		{"sum", `{"a":1,"c":2}`, nil, tasks.ErrInvalid, "/c"},
		{"sum", `{"a":1,"A":2}`, nil, tasks.ErrInvalid, "/A"},
		{"sum", `{"a":1,"a":2}`, nil, tasks.ErrInvalid, "must be given once"},
		{"sum", `{"a":"x"}`, nil, tasks.ErrInvalid, "/a"},
		{"sum", `{"a":`, nil, tasks.ErrInvalid, "JSON"},
		{"sum", `{"a":-1}`, nil, tasks.ErrInvalid, "below"},
		{"sum", `{"a":1` + strings.Repeat(" ", 100) + `}`, nil, tasks.ErrTooLarge, "limit"},
		{"sum", `{}`, &tasks.SubmitOptions{ID: "a b"}, tasks.ErrInvalid, "ID"},
		{"sum", `{}`, &tasks.SubmitOptions{Queue: "other"}, tasks.ErrNotFound, "other"},
		{"sum", `{}`, &tasks.SubmitOptions{Delay: -1}, tasks.ErrInvalid, "delay"},
		{
			"sum", `{}`, &tasks.SubmitOptions{Delay: 1, RunAt: time.Now()}, tasks.ErrInvalid,
			"either",
		},
		{
			"sum", `{}`, &tasks.SubmitOptions{RunAt: time.Date(10_000, 1, 1, 0, 0, 0, 0, time.UTC)},
			tasks.ErrInvalid, "RFC 3339",
		},
		{
			"sum", `{}`,
			&tasks.SubmitOptions{Metadata: map[string]string{"a": strings.Repeat("x", 5000)}},
			tasks.ErrTooLarge, "metadata",
		},
		{"sum", `{}`, &tasks.SubmitOptions{Key: strings.Repeat("x", 300)}, tasks.ErrInvalid, "key"},
		{
			"sum", `{}`, &tasks.SubmitOptions{Retry: &tasks.RetryPolicy{Attempts: -1}},
			tasks.ErrInvalid, "retry",
		},
		{
			"sum", `{}`, &tasks.SubmitOptions{Unique: &tasks.UniqueOptions{While: "x"}},
			tasks.ErrInvalid, "scope",
		},
		{
			"sum", `{}`, &tasks.SubmitOptions{Unique: &tasks.UniqueOptions{While: tasks.UniqueFor}},
			tasks.ErrInvalid, "time",
		},
		{
			"sum", `{}`, &tasks.SubmitOptions{Unique: &tasks.UniqueOptions{Taken: "x"}},
			tasks.ErrInvalid, "policy",
		},
	} {
		_, err := m.Submit(t.Context(), c.kind, []byte(c.payload), c.opts)
		if !errors.Is(err, c.want) || !strings.Contains(fmt.Sprint(err), c.text) {
			t.Errorf("%s %s: %v, want %v with %q", c.kind, c.payload, err, c.want, c.text)
		}
	}
	if _, err := k.Submit(t.Context(), sumIn{A: -1}, nil); !errors.Is(err, tasks.ErrInvalid) {
		t.Errorf("an invalid value: %v", err)
	}
	stop(t, m)
	if _, err := k.Submit(t.Context(), sumIn{}, nil); !errors.Is(err, tasks.ErrNotRunning) {
		t.Errorf("after Stop: %v", err)
	}
}
