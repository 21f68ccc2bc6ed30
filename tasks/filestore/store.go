package filestore

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/genropy/genro-asgi-go/tasks"
)

// Add is described by [tasks.Store]. When it returns, the task is on the disk.
func (s *Store) Add(ctx context.Context, t *tasks.Task, now time.Time, maxWaiting int) (*tasks.Task, error) {
	if err := s.open(); err != nil {
		return nil, err
	}
	t, err := s.mem.Add(ctx, t, now, maxWaiting)
	if err != nil {
		return nil, s.exists(ctx, err)
	}
	return s.durable(ctx, t)
}

// exists waits until the task that err names is on the disk: who hears that it exists may count on it.
func (s *Store) exists(ctx context.Context, err error) error {
	var exists *tasks.ExistsError
	if errors.As(err, &exists) {
		if err := s.wait(ctx, s.mem.Position(exists.Task)); err != nil {
			return err
		}
	}
	return err
}

func (s *Store) durable(ctx context.Context, t *tasks.Task) (*tasks.Task, error) {
	if err := s.wait(ctx, s.mem.Position(t)); err != nil {
		return nil, err
	}
	return t, nil
}

// Claim is described by [tasks.Store]. It does not wait for the disk: its record is written with the next frame and synced with the next change.
func (s *Store) Claim(ctx context.Context, c *tasks.Claim) (next time.Time, err error) {
	if err := s.open(); err != nil {
		return time.Time{}, err
	}
	for {
		if next, err = s.mem.Claim(ctx, c); !errors.Is(err, errReserve) {
			return next, err
		}
		if err := s.reserve(ctx); err != nil {
			return time.Time{}, err
		}
	}
}

// Update is described by [tasks.Store]. When it returns, the change is on the disk, but for one of LeaseUntil and Progress alone.
func (s *Store) Update(ctx context.Context, id string, now time.Time, change func(t *tasks.Task) error) (tasks.Task, error) {
	if err := s.open(); err != nil {
		return tasks.Task{}, err
	}
	t, err := s.mem.Update(ctx, id, now, change)
	if err != nil {
		return tasks.Task{}, s.exists(ctx, err)
	}
	if err := s.wait(ctx, s.mem.Position(&t)); err != nil {
		return tasks.Task{}, err
	}
	return t, nil
}

// Get is described by [tasks.Store]. What it returns is on the disk.
func (s *Store) Get(ctx context.Context, id string) (*tasks.Task, error) {
	if err := s.open(); err != nil {
		return nil, err
	}
	t, err := s.mem.Get(ctx, id)
	if err != nil {
		return nil, err
	}
	return s.durable(ctx, t)
}

// List is described by [tasks.Store]. What it returns is on the disk.
func (s *Store) List(ctx context.Context, f *tasks.Filter) (page []*tasks.Task, next string, err error) {
	if err := s.open(); err != nil {
		return nil, "", err
	}
	page, next, err = s.mem.List(ctx, f)
	if err != nil {
		return nil, "", err
	}
	var last uint64
	for _, t := range page {
		last = max(last, s.mem.Position(t))
	}
	return page, next, s.wait(ctx, last)
}

// Expired is described by [tasks.Store].
func (s *Store) Expired(ctx context.Context, now time.Time, limit int) ([]*tasks.Task, error) {
	if err := s.open(); err != nil {
		return nil, err
	}
	return s.mem.Expired(ctx, now, limit)
}

// Delete is described by [tasks.Store]. When it returns, that is on the disk.
func (s *Store) Delete(ctx context.Context, id string, revision uint64, now time.Time) error {
	if err := s.open(); err != nil {
		return err
	}
	s.mu.Lock()
	if now.After(s.latest) {
		s.latest = now
	}
	s.mu.Unlock()
	if err := s.mem.Delete(ctx, id, revision, now); err != nil {
		return err
	}
	s.mu.Lock()
	last := s.staged // it, or one after it
	s.mu.Unlock()
	return s.wait(ctx, last)
}

// Counts is described by [tasks.Store].
func (s *Store) Counts(ctx context.Context) (map[string]map[tasks.State]int, error) {
	if err := s.open(); err != nil {
		return nil, err
	}
	return s.mem.Counts(ctx)
}

type watcher struct{ f func(t *tasks.Task) }

// Watch is described by [tasks.Store]. f is told of a change when it is on the disk, of a claim and the like when they are written.
func (s *Store) Watch(f func(t *tasks.Task)) (stop func(), err error) {
	if err := s.open(); err != nil {
		return nil, err
	}
	w := &watcher{f}
	s.watch.Lock()
	defer s.watch.Unlock()
	s.watchers = append(s.watchers, w)
	s.watched.Store(true)
	return func() {
		s.watch.Lock()
		defer s.watch.Unlock()
		s.watchers = slices.DeleteFunc(s.watchers, func(o *watcher) bool { return o == w })
		s.watched.Store(len(s.watchers) > 0)
	}, nil
}

func (s *Store) tell(changed []tasks.Task) {
	if len(changed) == 0 {
		return
	}
	s.watch.Lock()
	defer s.watch.Unlock()
	for i := range changed {
		for _, w := range s.watchers {
			w.f(&changed[i])
		}
	}
}
