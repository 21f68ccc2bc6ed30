package tasks_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/genropy/genro-asgi-go/tasks"
)

// tight is a store whose tasks have no room for a long result.
type tight struct{ tasks.Store }

func (s tight) Update(ctx context.Context, id string, now time.Time, change func(*tasks.Task) error) (tasks.Task, error) {
	return s.Store.Update(ctx, id, now, func(t *tasks.Task) error {
		if err := change(t); err != nil {
			return err
		}
		if len(t.Result) > 50 {
			return fmt.Errorf("%w: no room", tasks.ErrTooLarge)
		}
		return nil
	})
}

func TestRun_ResultThatIsTooLarge(t *testing.T) {
	for name, opts := range map[string]tasks.Options{
		"for the manager": {MaxPayload: 50}, "for the store": {Store: tight{tasks.NewMemStore()}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				opts.Logger = quiet
				m := tasks.New(&opts)
				k := tasks.Register(m, "long", 1, func(_ context.Context, n int) (string, error) { return strings.Repeat("x", n), nil },
					&tasks.KindOptions{Retry: tasks.RetryPolicy{Attempts: 3}})
				start(t, m)
				wait(t, m, must[*tasks.Task](t)(k.Submit(t.Context(), 48, nil)).ID, tasks.Succeeded) // and two quotation marks
				task := wait(t, m, must[*tasks.Task](t)(k.Submit(t.Context(), 49, nil)).ID, tasks.Failed)
				if task.Attempt != 1 || task.Error.Kind != tasks.ErrorReturned || !strings.Contains(task.Error.Message, "too large") || task.Result != nil {
					t.Errorf("%+v, error %+v", task, task.Error)
				}
			})
		})
	}
}

// TestRun_EndIsWrittenOnceTheStoreIsBack: what a run returned is not lost with a write that fails.
func TestRun_EndIsWrittenOnceTheStoreIsBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &cut{Store: tasks.NewMemStore()}
		m := tasks.New(&tasks.Options{Store: store, Logger: quiet})
		k := tasks.Register(m, "work", 1, func(context.Context, struct{}) (int, error) {
			store.off.Store(true)
			return 7, nil
		}, nil)
		start(t, m)
		id := must[*tasks.Task](t)(k.Submit(t.Context(), struct{}{}, nil)).ID
		<-time.After(3 * time.Second)
		store.off.Store(false)
		<-time.After(10 * time.Second)
		if task := must[*tasks.Task](t)(m.Info(t.Context(), id)); string(task.Result) != "7" || task.Attempt != 1 || task.Deaths != 0 {
			t.Errorf("%+v", task)
		}
	})
}
