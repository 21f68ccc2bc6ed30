package tasks_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/genropy/genro-asgi-go/tasks"
	"github.com/genropy/genro-asgi-go/tasks/memstore"
)

// family registers a parent that submits a child, into its own queue only once that is paused if
// so, and does with it what await does.
func family(t *testing.T, queue string, paused bool,
	await func(ctx context.Context, m *tasks.Manager, child string) error,
) *tasks.Manager {
	t.Helper()
	m := tasks.New(memstore.New(), &tasks.Options{
		Logger: quiet,
		Queues: map[string]tasks.QueueOptions{
			"default": {Concurrency: 4},
			"closed":  {Concurrency: -1},
		},
	})
	tasks.Register(m, "child", 1, nothing, &tasks.KindOptions{Queue: queue})
	tasks.Register(m, "parent", 1, func(ctx context.Context, _ struct{}) (struct{}, error) {
		if paused {
			if err := m.Pause("default"); err != nil {
				return struct{}{}, err
			}
		}
		child, err := m.Submit(ctx, "child", nil, &tasks.SubmitOptions{ID: "child"})
		if err == nil {
			err = await(ctx, m, child.ID)
		}
		return struct{}{}, err
	}, nil)
	start(t, m)
	return m
}

// TestWait_ForATaskOfTheSameQueue is an error, also where there is a place for it: else it would be
// one only under load.
func TestWait_ForATaskOfTheSameQueue(t *testing.T) {
	for name, await := range map[string]func(ctx context.Context, m *tasks.Manager,
		child string) error{
		"Wait": func(ctx context.Context, m *tasks.Manager, child string) error {
			_, err := m.Wait(ctx, child)
			return err
		},
		"Result": func(ctx context.Context, m *tasks.Manager, child string) error {
			_, err := m.Result(ctx, child)
			return err
		},
		"Follow": func(ctx context.Context, m *tasks.Manager, child string) error {
			var last error
			for _, err := range m.Follow(ctx, child) {
				last = err
			}
			return last
		},
		"a context made of it": func(ctx context.Context, m *tasks.Manager, child string) error {
			ctx, cancel := context.WithTimeout(ctx, time.Hour)
			defer cancel()
			_, err := m.Wait(ctx, child)
			return err
		},
		"itself": func(ctx context.Context, m *tasks.Manager, _ string) error {
			_, err := m.Wait(ctx, tasks.RunFrom(ctx).ID())
			return err
		},
	} {
		for _, queue := range []string{"", "other"} {
			t.Run(name+" "+queue, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					var got error
					m := family(t, queue, true,
						func(ctx context.Context, m *tasks.Manager, child string) error {
							got = await(ctx, m, child)
							return got
						})
					id := submit(t, m, "parent", nil).ID
					parent := must[*tasks.Task](t)(m.Wait(t.Context(), id))
					if refused := queue == "" ||
						name == "itself"; refused != errors.Is(got, tasks.ErrConflict) ||
						refused == (parent.State == tasks.Succeeded) {
						t.Errorf("%v: %s", got, parent.State)
					}
					if got != nil && !strings.Contains(got.Error(), "KindOptions.Queue") {
						t.Errorf("%q does not say what to do", got)
					}
				})
			})
		}
	}
}

// TestWait_ForATaskThatIsDone: of whatever queue, there is nothing to wait for.
func TestWait_ForATaskThatIsDone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := family(t, "", false, func(ctx context.Context, m *tasks.Manager, child string) error {
			synctest.Wait() // the child runs beside it
			_, err := m.Wait(ctx, child)
			return err
		})
		if parent := must[*tasks.Task](t)(m.Wait(t.Context(),
			submit(t, m, "parent", nil).ID)); parent.State != tasks.Succeeded {
			t.Errorf("%+v", parent)
		}
	})
}

// TestStop_InterruptsWhatWaitsForATask: nobody may run that any more, and Stop has no deadline.
func TestStop_InterruptsWhatWaitsForATask(t *testing.T) {
	for _, late := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			proceed := make(chan struct{})
			m := family(t, "closed", false,
				func(ctx context.Context, m *tasks.Manager, child string) error {
					if late {
						<-proceed
					}
					_, err := m.Wait(ctx, child)
					return err
				})
			id := submit(t, m, "parent", nil).ID
			synctest.Wait()
			stopped := make(chan error)
			go func() { stopped <- m.Stop(context.Background()) }()
			if late {
				synctest.Wait()
				close(proceed)
			}
			if err := <-stopped; err != nil {
				t.Error(err)
			}
			if parent := must[*tasks.Task](t)(m.Get(t.Context(), id)); parent.State !=
				tasks.Queued || parent.Attempt != 0 {
				t.Errorf("late %v: %s, attempt %d, %v", late, parent.State, parent.Attempt,
					parent.Error)
			}
		})
	}
}
