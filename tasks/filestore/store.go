package filestore

import (
	"context"
	"errors"
	"time"

	"github.com/genropy/genro-asgi-go/tasks"
)

// Add is described by [tasks.Store]. When it returns, the task is on the disk.
func (s *Store) Add(ctx context.Context, t *tasks.Task, now time.Time, maxWaiting int) (*tasks.Task,
	error,
) {
	if err := s.checkOpen(); err != nil {
		return nil, err
	}
	for {
		added, err := s.mem.Add(ctx, t, now, maxWaiting)
		if err == nil {
			return s.durable(ctx, added)
		}
		if err = s.log.awaitRetry(ctx, err); err != nil {
			return nil, s.awaitExisting(ctx, err)
		}
	}
}

// AddMany is described by [tasks.BatchStore]. The tasks are in one frame of the log: they take one
// sync, and together they must fit into a segment, else tasks.ErrTooLarge.
func (s *Store) AddMany(ctx context.Context, ts []*tasks.Task, now time.Time,
	maxWaiting map[string]int,
) ([]*tasks.Task, error) {
	if err := s.checkOpen(); err != nil {
		return nil, err
	}
	for {
		added, err := s.mem.AddMany(ctx, ts, now, maxWaiting)
		if err == nil {
			if len(added) > 0 {
				err = s.log.wait(ctx, added[0].Position)
			}
			if err != nil {
				return nil, err
			}
			return added, nil
		}
		if err = s.log.awaitRetry(ctx, err); err != nil {
			return nil, s.awaitExistingMany(ctx, err)
		}
	}
}

// awaitExistingMany is awaitExisting for those of a batch that the store has.
func (s *Store) awaitExistingMany(ctx context.Context, err error) error {
	var batch *tasks.BatchError
	if errors.As(err, &batch) {
		for _, err := range batch.Errors {
			var exists *tasks.ExistsError
			if errors.As(err, &exists) {
				if err := s.log.wait(ctx, exists.Task.Position); err != nil {
					return err
				}
			}
		}
	}
	return err
}

// awaitExisting waits until the task that err names is on the disk: who hears that it exists may
// count on it.
func (s *Store) awaitExisting(ctx context.Context, err error) error {
	var exists *tasks.ExistsError
	if errors.As(err, &exists) {
		if err := s.log.wait(ctx, exists.Task.Position); err != nil {
			return err
		}
	}
	return err
}

// durable returns t when it is on the disk.
func (s *Store) durable(ctx context.Context, t *tasks.Task) (*tasks.Task, error) {
	if err := s.log.wait(ctx, t.Position); err != nil {
		return nil, err
	}
	return t, nil
}

// Claim is described by [tasks.Store]. It does not wait for the disk: its record is written with
// the next frame and synced with the next change.
func (s *Store) Claim(ctx context.Context, c *tasks.Claim) (next time.Time, err error) {
	if err := s.checkOpen(); err != nil {
		return time.Time{}, err
	}
	for {
		if next, err = s.mem.Claim(ctx, c); err == nil {
			return next, nil
		}
		if err = s.log.awaitRetry(ctx, err); err != nil {
			return time.Time{}, err
		}
	}
}

// Update is described by [tasks.Store]. When it returns, the change is on the disk, but for one of
// LeaseUntil and Progress alone.
func (s *Store) Update(ctx context.Context, id string, now time.Time,
	change func(t *tasks.Task) error,
) (tasks.Task, error) {
	if err := s.checkOpen(); err != nil {
		return tasks.Task{}, err
	}
	for {
		t, err := s.mem.Update(ctx, id, now, change)
		if err == nil {
			// A heartbeat leaves Position where it was (stagedLocked): it waits for the change
			// before it, which is mostly on the disk long since, and never for its own record.
			if err = s.log.wait(ctx, t.Position); err != nil {
				return tasks.Task{}, err
			}
			return t, nil
		}
		if err = s.log.awaitRetry(ctx, err); err != nil {
			return tasks.Task{}, s.awaitExisting(ctx, err)
		}
	}
}

// Get is described by [tasks.Store]. What it returns is on the disk.
func (s *Store) Get(ctx context.Context, id string) (*tasks.Task, error) {
	if err := s.checkOpen(); err != nil {
		return nil, err
	}
	t, err := s.mem.Get(ctx, id)
	if err != nil {
		return nil, err
	}
	return s.durable(ctx, t)
}

// List is described by [tasks.Store]. What it returns is on the disk.
func (s *Store) List(ctx context.Context, f *tasks.Filter) (page []*tasks.Task, next string,
	err error,
) {
	if err := s.checkOpen(); err != nil {
		return nil, "", err
	}
	page, next, err = s.mem.List(ctx, f)
	if err != nil {
		return nil, "", err
	}
	var last uint64
	for _, t := range page {
		last = max(last, t.Position)
	}
	return page, next, s.log.wait(ctx, last)
}

// Expired is described by [tasks.Store].
func (s *Store) Expired(ctx context.Context, now time.Time, limit int) ([]*tasks.Task, error) {
	if err := s.checkOpen(); err != nil {
		return nil, err
	}
	return s.mem.Expired(ctx, now, limit)
}

// Delete is described by [tasks.Store]. When it returns, that is on the disk.
func (s *Store) Delete(ctx context.Context, id string, revision uint64, now time.Time) error {
	if err := s.checkOpen(); err != nil {
		return err
	}
	s.journal.deleting(now)
	for {
		err := s.mem.Delete(ctx, id, revision, now)
		if err == nil {
			break
		}
		if err = s.log.awaitRetry(ctx, err); err != nil {
			return err
		}
	}
	s.mu.Lock()
	last := s.log.staged // it, or one after it
	s.mu.Unlock()
	return s.log.wait(ctx, last)
}

// Counts is described by [tasks.Store].
func (s *Store) Counts(ctx context.Context) (map[string]map[tasks.State]int, error) {
	if err := s.checkOpen(); err != nil {
		return nil, err
	}
	return s.mem.Counts(ctx)
}
