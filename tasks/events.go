package tasks

import (
	"context"
	"iter"
	"slices"
)

// Matches reports whether f selects t. Limit and Cursor do not matter.
func (f *Filter) Matches(t *Task) bool {
	if f == nil {
		return true
	}
	if len(f.States) > 0 && !slices.Contains(f.States, t.State) ||
		f.Queue != "" && f.Queue != t.Queue || f.Kind != "" && f.Kind != t.Kind ||
		!f.Before.IsZero() && t.State.Done() && !t.Finished.Before(f.Before) {
		return false
	}
	for k, v := range f.Metadata {
		if got, ok := t.Metadata[k]; !ok || got != v {
			return false
		}
	}
	return true
}

// Events yields every change, from the call of Events on, of the tasks that f selects as they are after it, nil all; those of one task in order. It ends with ctx, with its
// error; with Stop, with ErrNotRunning; or when the loop ends. It is for one loop. A consumer that is 1,024 changes behind misses some, and gets ErrBehind in their place.
func (m *Manager) Events(ctx context.Context, f *Filter) iter.Seq2[*Task, error] {
	l := &listener{wants: f.Matches}
	err := m.listen(l)
	removed := context.AfterFunc(ctx, func() { m.listeners.remove(l) }) // there may be no loop
	return func(yield func(*Task, error) bool) {
		if err != nil {
			yield(nil, err)
			return
		}
		defer m.listeners.remove(l)
		defer removed()
		m.hear(ctx, l, yield)
	}
}

// Follow yields a task as it is and then after each of its changes, or of several at once when the consumer is slow; the last is the one that it ends with. It ends with
// ctx, with its error; with Stop, with ErrNotRunning; with ErrNotFound where there is no such task.
func (m *Manager) Follow(ctx context.Context, id string) iter.Seq2[*Task, error] {
	return func(yield func(*Task, error) bool) {
		m.follow(ctx, &listener{id: id, latest: true}, yield)
	}
}

// follow yields what l gets from now on, until a task that it follows is done.
func (m *Manager) follow(ctx context.Context, l *listener, yield func(*Task, error) bool) {
	if err := m.listen(l); err != nil {
		yield(nil, err)
		return
	}
	defer m.listeners.remove(l)
	m.hear(ctx, l, yield)
}

// listen begins to tell l of changes; who calls it removes l.
func (m *Manager) listen(l *listener) error {
	if err := m.watch(); err != nil {
		return err
	}
	m.listeners.add(l)
	return nil
}

// hear yields what l gets since it listens.
func (m *Manager) hear(ctx context.Context, l *listener, yield func(*Task, error) bool) {
	revision := uint64(0)
	if l.id != "" {
		t, err := m.store.Get(ctx, l.id)
		if !yield(t, err) || err != nil || t.State.Done() {
			return
		}
		revision = t.Revision
	}
	for {
		select {
		case <-l.woken:
		case <-ctx.Done():
			yield(nil, ctx.Err())
			return
		}
		changes, lost, closed := l.take()
		for _, t := range changes {
			if t.Revision <= revision {
				continue // it changed before it was read
			}
			if !yield(t, nil) || l.id != "" && t.State.Done() {
				return
			}
		}
		if lost && !yield(nil, ErrBehind) {
			return
		}
		if closed {
			yield(nil, ErrNotRunning)
			return
		}
	}
}
