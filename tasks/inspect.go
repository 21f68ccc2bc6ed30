package tasks

import (
	"context"
	"iter"

	"github.com/go-json-experiment/json/jsontext"
)

// Info returns a task, or ErrNotFound.
func (m *Manager) Info(ctx context.Context, id string) (*Task, error) { return m.store.Get(ctx, id) }

// Status returns a task's state, or ErrNotFound.
func (m *Manager) Status(ctx context.Context, id string) (State, error) {
	t, err := m.store.Get(ctx, id)
	if err != nil {
		return "", err
	}
	return t.State, nil
}

// Wait waits until a task is done and returns it. The error is ErrNotFound, ctx's, ErrNotRunning after Stop, or the store's.
func (m *Manager) Wait(ctx context.Context, id string) (*Task, error) {
	var last *Task
	var failed error
	m.follow(ctx, &listener{id: id, latest: true, wants: func(t *Task) bool { return t.State.Done() }}, func(t *Task, err error) bool {
		last, failed = t, err
		return true
	})
	return last, failed
}

// Result waits until a task is done and returns its result, nil when it has none. A task that failed or died gives its *TaskError, a cancelled one ErrCancelled;
// the other errors are Wait's.
func (m *Manager) Result(ctx context.Context, id string) (jsontext.Value, error) {
	t, err := m.Wait(ctx, id)
	if err != nil {
		return nil, err
	}
	return t.Result, t.Err()
}

// Err is why a task that is done has no result: its Error, ErrCancelled, or nil where it succeeded or is not done.
func (t *Task) Err() error {
	switch {
	case t.State == Cancelled:
		return ErrCancelled
	case (t.State == Failed || t.State == Dead) && t.Error != nil:
		return t.Error
	}
	return nil
}

// List returns a page of tasks, newest first, and the cursor of the next, "" at the end. A nil filter is all of them.
func (m *Manager) List(ctx context.Context, f *Filter) (page []*Task, next string, err error) {
	if f == nil {
		f = &Filter{}
	}
	return m.store.List(ctx, f)
}

// All iterates over tasks, newest first, page by page; f.Limit is the page's size. An error ends it.
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
