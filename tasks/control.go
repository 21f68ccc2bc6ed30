package tasks

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

// Cancel cancels a task and returns it as cancelled. Where it runs its function's context ends, and
// its process is killed where it is isolated; what it returns is not looked at. A task that is
// cancelled already is no error; one that is done otherwise is ErrConflict, and there may be none:
// ErrNotFound.
func (m *Manager) Cancel(ctx context.Context, id string) (*Task, error) {
	now := m.now()
	already := errors.New("cancelled already")
	t, err := snapshot(m.store.Update(ctx, id, now, func(t *Task) error {
		switch {
		case t.State == Cancelled:
			return already // nothing changes
		case t.State.Done():
			return fmt.Errorf("%w: the task has %s", ErrConflict, t.State)
		}
		t.cancel(now)
		return nil
	}))
	switch {
	case err == nil:
		m.outcomes.report(*t)
	case errors.Is(err, already):
		return m.store.Get(ctx, id)
	}
	return t, err
}

func snapshot(t Task, err error) (*Task, error) {
	if err != nil {
		return nil, err
	}
	return &t, nil
}

// Retry queues a failed, dead or cancelled task again, with all its attempts and its checkpoint.
// One in another state is ErrConflict, as is one whose unique key another holds.
func (m *Manager) Retry(ctx context.Context, id string) (*Task, error) {
	now := m.now()
	return snapshot(m.store.Update(ctx, id, now, func(t *Task) error {
		if !t.State.MayBecome(Queued) || !t.State.Done() {
			return fmt.Errorf("%w: the task is %s", ErrConflict, t.State)
		}
		t.State, t.RunAt, t.Finished = Queued, now, time.Time{}
		t.Attempt, t.Deaths, t.Progress = 0, 0, nil
		return nil
	}))
}

// Clear deletes the tasks that are done and that f selects, nil all, and returns how many it
// deleted. It goes on page by page until ctx ends.
func (m *Manager) Clear(ctx context.Context, f *Filter) (int, error) {
	var done Filter
	if f != nil {
		done = *f
	}
	states := []State{Succeeded, Failed, Cancelled, Dead}
	if len(done.States) > 0 {
		states = slices.DeleteFunc(states,
			func(s State) bool { return !slices.Contains(done.States, s) })
		if len(states) == 0 {
			return 0, invalid("only tasks that are done can be cleared")
		}
	}
	done.States, done.Cursor = states, ""
	n := 0
	for {
		deleted, next, err := m.clearPage(ctx, &done)
		n += deleted
		if err != nil || next == "" {
			return n, err
		}
		done.Cursor = next
	}
}

// clearPage deletes the tasks of one page.
func (m *Manager) clearPage(ctx context.Context, f *Filter) (n int, next string, err error) {
	page, next, err := m.store.List(ctx, f)
	if err != nil {
		return 0, "", err
	}
	for _, t := range page {
		switch err := m.store.Delete(ctx, t.ID, t.Revision, m.now()); {
		case err == nil:
			n++
		// else somebody was quicker
		case !errors.Is(err, ErrNotFound) && !errors.Is(err, ErrConflict):
			return n, "", err
		}
	}
	return n, next, nil
}

// Pause stops claiming tasks of a queue; those that run go on, and submits go on. It waits for a
// claim under way, as long as the store takes for it or until Stop: what is submitted after it does
// not begin. It holds for this manager and as long as it lives: nothing of it is in the store. The
// error is ErrNotFound.
func (m *Manager) Pause(queue string) error { return m.setPaused(queue, true) }

// Resume ends Pause. The error is ErrNotFound.
func (m *Manager) Resume(queue string) error { return m.setPaused(queue, false) }

func (m *Manager) setPaused(name string, paused bool) error {
	q := m.queues.get(name)
	if q == nil {
		return fmt.Errorf("%w: queue %q", ErrNotFound, clip(name, maxName))
	}
	q.setPaused(paused)
	return nil
}
