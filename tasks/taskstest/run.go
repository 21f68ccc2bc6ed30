package taskstest

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/genropy/genro-asgi-go/tasks"
	"github.com/genropy/genro-asgi-go/tasks/memstore"
)

// NewManager returns a manager of the tasks in a store, nil of one in memory. It is stopped at the
// end of the test, which fails when a function of it has not returned within 10 s then.
func NewManager(t testing.TB, store tasks.Store, opts *tasks.Options) *tasks.Manager {
	t.Helper()
	if store == nil {
		store = memstore.New()
	}
	m := tasks.New(store, opts)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := m.Stop(ctx); err != nil {
			t.Errorf("taskstest: stop the manager: %v", err)
		}
	})
	return m
}

// maxRuns is how many tasks RunNow runs.
const maxRuns = 10_000

// RunNow runs the tasks that are due in a manager that was not started, in this goroutine and in
// their order, with those that they submit, until none is, and returns each as it was after its
// run. It fails the test after 10,000, as tasks that submit each other would never end. Queues that
// are paused or at their rate's limit are passed over.
func RunNow(t testing.TB, m *tasks.Manager) []*tasks.Task {
	t.Helper()
	var ran []*tasks.Task
	for len(ran) < maxRuns {
		task, err := m.RunNext(context.Background())
		switch {
		case errors.Is(err, tasks.ErrNotFound):
			return ran
		case err != nil:
			t.Fatalf("taskstest: run the tasks that are due: %v", err)
		}
		ran = append(ran, task)
	}
	t.Fatalf("taskstest: %d tasks have run, and another is due", len(ran))
	return nil
}
