package tasks_test

import (
	"context"
	"errors"
	"iter"
	"testing"
	"testing/synctest"

	"github.com/genropy/genro-asgi-go/tasks"
	"github.com/genropy/genro-asgi-go/tasks/memstore"
)

// TestManager_AnIteratorEndsWithItsError: it is yielded once, and last.
func TestManager_AnIteratorEndsWithItsError(t *testing.T) {
	type (
		sequence = iter.Seq2[*tasks.Task, error]
		begin    = func(ctx context.Context, m *tasks.Manager) sequence
	)
	all := func(limit int) begin {
		return func(ctx context.Context, m *tasks.Manager) sequence {
			return m.All(ctx, &tasks.Filter{Limit: limit})
		}
	}
	follow := func(id string) begin {
		return func(ctx context.Context, m *tasks.Manager) sequence { return m.Follow(ctx, id) }
	}
	events := func(ctx context.Context, m *tasks.Manager) sequence {
		changes, err := m.Events(ctx, nil)
		if err != nil {
			t.Error(err)
		}
		return changes
	}
	cancelled := func(_ *tasks.Manager, cancel func()) { cancel() }
	stopped := func(m *tasks.Manager, _ func()) { _ = m.Stop(context.Background()) }
	for name, tc := range map[string]struct {
		before, meanwhile func(m *tasks.Manager, cancel func())
		begin             begin
		some              bool // tasks come before the error
		want              error
	}{
		"All, of a filter that is none": {nil, nil, all(-1), false, tasks.ErrInvalid},
		"All, cancelled":                {nil, cancelled, all(1), true, context.Canceled},
		"Follow, of nothing": {
			nil, nil, follow("none"), false,
			tasks.ErrNotFound,
		},
		"Follow, cancelled": {
			nil, cancelled, follow("a"), true,
			context.Canceled,
		},
		"Follow, stopped": {
			nil, stopped, follow("a"), true,
			tasks.ErrNotRunning,
		},
		"Follow, of a manager that has stopped": {
			stopped, nil, follow("a"), false,
			tasks.ErrNotRunning,
		},
		"Events, cancelled": {nil, cancelled, events, false, context.Canceled},
		"Events, stopped":   {nil, stopped, events, false, tasks.ErrNotRunning},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := tasks.New(memstore.New(), nil)
				defer func() { _ = m.Stop(context.Background()) }()
				k := tasks.Register(m, "k", 1,
					func(context.Context, struct{}) (struct{}, error) { return struct{}{}, nil },
					nil)
				for _, id := range []string{"a", "b"} {
					must[*tasks.Task](t)(k.Submit(t.Context(), struct{}{},
						&tasks.SubmitOptions{ID: id}))
				}
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				var last error
				some := 0
				if tc.before != nil {
					tc.before(m, cancel)
				}
				if tc.meanwhile != nil && !tc.some {
					go func() {
						synctest.Wait() // the loop waits
						tc.meanwhile(m, cancel)
					}()
				}
				for task, err := range tc.begin(ctx, m) {
					if last != nil {
						t.Errorf("%v, %v after %v", task, err, last)
					}
					if last = err; err != nil {
						continue
					}
					if some++; some == 1 && tc.meanwhile != nil {
						tc.meanwhile(m, cancel)
					}
				}
				if !errors.Is(last, tc.want) || (some > 0) != tc.some {
					t.Errorf("%d tasks, and then %v, want %v", some, last, tc.want)
				}
			})
		})
	}
}
