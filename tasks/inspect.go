package tasks

import (
	"cmp"
	"context"
	"iter"
	"slices"

	"github.com/go-json-experiment/json/jsontext"
)

// Get returns a task, or ErrNotFound.
func (m *Manager) Get(ctx context.Context, id string) (*Task, error) {
	return m.store.Get(ctx, id)
}

// State returns a task's state, or ErrNotFound.
func (m *Manager) State(ctx context.Context, id string) (State, error) {
	t, err := m.store.Get(ctx, id)
	if err != nil {
		return "", err
	}
	return t.State, nil
}

// Wait waits until a task is done and returns it. The error is ErrNotFound, ctx's, ErrNotRunning
// after Stop, ErrConflict where the function of a task would wait for one of its own queue, or the
// store's.
func (m *Manager) Wait(ctx context.Context, id string) (*Task, error) {
	var last *Task
	var failed error
	m.listeners.follow(ctx,
		&listener{id: id, latest: true, wants: func(t *Task) bool { return t.State.Done() }},
		func(t *Task, err error) bool {
			last, failed = t, err
			return true
		})
	return last, failed
}

// Result waits until a task is done and returns its result, nil when it has none. A task that
// failed or died gives its *TaskError, a cancelled one ErrCancelled; the other errors are Wait's.
func (m *Manager) Result(ctx context.Context, id string) (jsontext.Value, error) {
	t, err := m.Wait(ctx, id)
	if err != nil {
		return nil, err
	}
	return t.Result, t.Err()
}

// List returns a page of tasks, newest first, and the cursor of the next, "" at the end. A nil
// filter is all of them.
func (m *Manager) List(ctx context.Context, f *Filter) (page []*Task, next string, err error) {
	if f == nil {
		f = &Filter{}
	}
	return m.store.List(ctx, f)
}

// All iterates over tasks, newest first, page by page; f.Limit is the page's size. An error ends
// it.
func (m *Manager) All(ctx context.Context, f *Filter) iter.Seq2[*Task, error] {
	return func(yield func(*Task, error) bool) {
		var page Filter
		if f != nil {
			page = *f
		}
		for {
			list, next, err := m.store.List(ctx, &page)
			if err != nil {
				yield(nil, err)
				return
			}
			for _, t := range list {
				if !yield(t, nil) {
					return
				}
			}
			if next == "" {
				return
			}
			page.Cursor = next
		}
	}
}

// QueueInfo describes a queue as this manager knows it.
type QueueInfo struct {
	Name   string
	Paused bool          // by this manager
	Active int           // tasks that run in this manager
	Counts map[State]int // tasks in the store
}

// Queues describes the queues of this manager and those that only the store has tasks of, sorted by
// name.
func (m *Manager) Queues(ctx context.Context) ([]QueueInfo, error) {
	counts, err := m.store.Counts(ctx)
	if err != nil {
		return nil, err
	}
	var all []QueueInfo
	for name, q := range m.queues.byName() {
		info := q.info()
		info.Counts = counts[name]
		delete(counts, name)
		all = append(all, info)
	}
	for name, states := range counts {
		all = append(all, QueueInfo{Name: name, Counts: states})
	}
	slices.SortFunc(all, func(a, b QueueInfo) int { return cmp.Compare(a.Name, b.Name) })
	return all, nil
}
