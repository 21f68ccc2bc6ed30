package taskstest

import (
	"context"
	"fmt"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/genropy/genro-asgi-go/tasks"
	"github.com/genropy/genro-asgi-go/tasks/memstore"
)

// verdict is a testing.TB that only remembers what went wrong.
type verdict struct {
	testing.TB // for what is not below

	mu       sync.Mutex
	failures []string
	texts    []string // the same, without what differs from one store to another
	cleanups []func()
}

func (v *verdict) Helper() {}

func (v *verdict) Cleanup(f func()) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.cleanups = append(v.cleanups, f)
}

func (v *verdict) Failed() bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	return len(v.failures) > 0
}

func (v *verdict) fail(text, failure string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.texts = append(v.texts, text)
	v.failures = append(v.failures, failure)
}

func (v *verdict) Error(args ...any) { v.fail(fmt.Sprint(args...), fmt.Sprint(args...)) }

func (v *verdict) Errorf(format string, args ...any) {
	v.fail(text(format, args...), fmt.Sprintf(format, args...))
}

func (v *verdict) Fatal(args ...any) { v.Error(args...); runtime.Goexit() }

func (v *verdict) Fatalf(format string, args ...any) { v.Errorf(format, args...); runtime.Goexit() }

// wrong is a memory store with a fault.
type wrong struct {
	*memstore.Store
	add func(s *wrong, ctx context.Context, t *tasks.Task, now time.Time,
		maxWaiting int) (*tasks.Task, error)
	addMany func(s *wrong, ctx context.Context, ts []*tasks.Task, now time.Time,
		maxWaiting map[string]int) ([]*tasks.Task, error)
	claim  func(c *tasks.Claim)
	update func(s *wrong, ctx context.Context, id string, now time.Time,
		change func(t *tasks.Task) error) (tasks.Task, error)
	list    func(f *tasks.Filter)
	listed  func(page []*tasks.Task, next string) ([]*tasks.Task, string)
	expired func(s *wrong, ctx context.Context, now time.Time, limit int) ([]*tasks.Task, error)
	remove  func(s *wrong, ctx context.Context, id string, revision uint64, now time.Time) error
	counts  func(map[string]map[tasks.State]int)
	watch   func(s *wrong, f func(t *tasks.Task)) (stop func(), err error)

	mu       sync.Mutex // of what a fault does in two steps
	watchers sync.Map   // of those that a fault tells by itself
}

func (s *wrong) Add(ctx context.Context, t *tasks.Task, now time.Time, maxWaiting int) (*tasks.Task,
	error,
) {
	if s.add != nil {
		return s.add(s, ctx, t, now, maxWaiting)
	}
	return s.Store.Add(ctx, t, now, maxWaiting)
}

func (s *wrong) AddMany(ctx context.Context, ts []*tasks.Task, now time.Time,
	maxWaiting map[string]int,
) ([]*tasks.Task, error) {
	if s.addMany != nil {
		return s.addMany(s, ctx, ts, now, maxWaiting)
	}
	return s.Store.AddMany(ctx, ts, now, maxWaiting)
}

func (s *wrong) Claim(ctx context.Context, c *tasks.Claim) (time.Time, error) {
	other := *c
	if s.claim != nil {
		s.claim(&other)
	}
	return s.Store.Claim(ctx, &other)
}

func (s *wrong) Update(ctx context.Context, id string, now time.Time,
	change func(t *tasks.Task) error,
) (tasks.Task, error) {
	if s.update != nil {
		return s.update(s, ctx, id, now, change)
	}
	return s.Store.Update(ctx, id, now, change)
}

func (s *wrong) List(ctx context.Context, f *tasks.Filter) ([]*tasks.Task, string, error) {
	var other tasks.Filter
	if f != nil {
		other = *f
	}
	if s.list != nil {
		s.list(&other)
	}
	page, next, err := s.Store.List(ctx, &other)
	if s.listed != nil {
		page, next = s.listed(page, next)
	}
	return page, next, err
}

func (s *wrong) Expired(ctx context.Context, now time.Time, limit int) ([]*tasks.Task, error) {
	if s.expired != nil {
		return s.expired(s, ctx, now, limit)
	}
	return s.Store.Expired(ctx, now, limit)
}

func (s *wrong) Delete(ctx context.Context, id string, revision uint64, now time.Time) error {
	if s.remove != nil {
		return s.remove(s, ctx, id, revision, now)
	}
	return s.Store.Delete(ctx, id, revision, now)
}

func (s *wrong) Counts(ctx context.Context) (map[string]map[tasks.State]int, error) {
	all, err := s.Store.Counts(ctx)
	if s.counts != nil {
		s.counts(all)
	}
	return all, err
}

func (s *wrong) Watch(f func(t *tasks.Task)) (stop func(), err error) {
	if s.watch != nil {
		return s.watch(s, f)
	}
	return s.Store.Watch(f)
}

// toldOf tells the watchers of t, which they should not be told of.
func (s *wrong) toldOf(t *tasks.Task) {
	s.watchers.Range(func(_, f any) bool { f.(func(t *tasks.Task))(t); return true })
}

// watchedToo is a watch whose f the fault can call.
func watchedToo(s *wrong, f func(t *tasks.Task)) (func(), error) {
	key := new(int)
	s.watchers.Store(key, f)
	stop, err := s.Store.Watch(f)
	return func() { stop(); s.watchers.Delete(key) }, err
}

// twice hands out the first task that was claimed to everybody who asks for such a one.
func twice() func(c *tasks.Claim) {
	var first *tasks.Task
	return func(c *tasks.Claim) {
		claimed := c.Claimed
		if first != nil && c.Kinds[first.Kind] >= first.Version && !c.Now.Before(first.RunAt) {
			claimed(first)
		}
		c.Claimed = func(t *tasks.Task) {
			if first == nil {
				kept := *t
				first = &kept
			}
			claimed(t)
		}
	}
}

// watchedLast is watchedToo for the last watcher alone.
func watchedLast(s *wrong, f func(t *tasks.Task)) (func(), error) {
	s.watchers.Clear()
	return watchedToo(s, f)
}
