package tasks_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/genropy/genro-asgi-go/tasks"
	"github.com/genropy/genro-asgi-go/tasks/memstore"
	"github.com/genropy/genro-asgi-go/tasks/taskstest"
)

// TestSchedule_Overlap: a job each minute that takes more than two.
func TestSchedule_Overlap(t *testing.T) {
	for _, c := range []struct {
		name     string
		schedule tasks.Schedule
		places   int
		want     []string // ran in ten minutes
		// lines: of the first in a row that is left out, and of how many when it was more
		out int
	}{
		{
			"beside each other",
			tasks.Schedule{},
			5,
			[]string{"01", "02", "03", "04", "05", "06", "07"},
			0,
		},
		{"one waits", tasks.Schedule{}, 1, []string{"01", "02", "04"}, 5},
		{"left out", tasks.Schedule{Overlap: tasks.OverlapSkip}, 5, []string{"01", "04", "07"}, 6},
		{"each runs", tasks.Schedule{Missed: tasks.MissedAll}, 1, []string{"01", "02", "03"}, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				clock, store := taskstest.NewClock(begin), memstore.New()
				over := make(chan struct{})
				var log bytes.Buffer
				var m *tasks.Manager
				for i := range 2 { // managers of one store; one runs its tasks
					opts := &tasks.Options{
						Clock: clock, Logger: quiet,
						Queues: map[string]tasks.QueueOptions{"default": {Concurrency: -1}},
					}
					if i == 1 {
						opts.Queues["default"], opts.Logger = tasks.QueueOptions{
							Concurrency: c.places,
						}, slog.New(slog.NewTextHandler(&log, nil))
					}
					m = tasks.New(store, opts)
					k := tasks.Register(m, "job", 1,
						func(context.Context, struct{}) (struct{}, error) {
							passed := make(chan struct{})
							clock.AfterFunc(145*time.Second, func() { close(passed) })
							select {
							case <-passed:
							case <-over:
							}
							return struct{}{}, nil
						}, nil)
					c.schedule.Name, c.schedule.Every = "job", time.Minute
					if err := k.Schedule(struct{}{}, c.schedule); err != nil {
						t.Fatal(err)
					}
					start(t, m)
				}
				walk(clock, 10*time.Minute)
				defer close(over)
				var ran []string
				for _, at := range occurrences(t, m, tasks.Succeeded) {
					ran = append(ran, at[len("2026-01-01T00:"):len("2026-01-01T00:00")])
				}
				if !slices.Equal(ran, c.want) {
					t.Errorf("ran at %v, want %v", ran, c.want)
				}
				if out := strings.Count(log.String(), "left out"); out != c.out {
					t.Errorf("%d lines of occurrences that were left out, want %d:\n%s", out, c.out,
						&log)
				}
			})
		})
	}
}

// TestSchedule_OverlapNextIsThere: the next occurrence is in the store as soon as the one that it
// waits for is over, and a retry is not over.
func TestSchedule_OverlapNextIsThere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		clock := taskstest.NewClock(begin)
		m := tasks.New(memstore.New(), &tasks.Options{Clock: clock, Logger: quiet})
		tries := make(chan error)
		k := tasks.Register(m, "job", 1,
			func(context.Context, struct{}) (struct{}, error) { return struct{}{}, <-tries },
			&tasks.KindOptions{Retry: tasks.RetryPolicy{Attempts: 2}})
		if err := k.Schedule(struct{}{},
			tasks.Schedule{Name: "job", Every: time.Hour, Overlap: tasks.OverlapSkip}); err != nil {
			t.Fatal(err)
		}
		start(t, m)
		waits := func(when string, want ...string) {
			t.Helper()
			synctest.Wait()
			if got := occurrences(t, m, tasks.Scheduled); !slices.Equal(got, want) {
				t.Errorf("%s: in the store %v, want %v", when, got, want)
			}
			if next := m.Schedules()[0].Next; !next.After(clock.Now()) {
				t.Errorf("%s: next %v", when, next)
			}
		}
		waits("at first", "2026-01-01T01:00:00Z")
		walk(clock, time.Hour)
		waits("while it runs")
		tries <- errors.New("once")
		waits("while it waits for a retry")
		walk(clock, time.Minute)
		tries <- nil
		waits("when it is done", "2026-01-01T02:00:00Z")
	})
}

func TestSchedule_OverlapRefused(t *testing.T) {
	m := taskstest.NewManager(t, nil, nil)
	k := tasks.Register(m, "job", 1, nothing, nil)
	for _, s := range []tasks.Schedule{
		{Overlap: "sometimes"},
		{Overlap: tasks.OverlapSkip, Missed: tasks.MissedAll},
	} {
		s.Name, s.Every = "job", time.Minute
		if err := k.Schedule(struct{}{}, s); !errors.Is(err, tasks.ErrInvalid) {
			t.Errorf("%+v: %v", s, err)
		}
	}
}

// foundStore has somebody run what waits when a planner has looked where its schedule stands.
type foundStore struct {
	tasks.Store
	found func()
}

func (s *foundStore) List(ctx context.Context, f *tasks.Filter) ([]*tasks.Task, string, error) {
	page, next, err := s.Store.List(ctx, f)
	if s.found != nil && f.Metadata["schedule"] != "" && f.Limit == 1 {
		s.found()
	}
	return page, next, err
}

// TestSchedule_MissedOnceIsOnce: the occurrence that waits in the store is the one that is run of
// those that were missed, also where another manager has begun it before the planner goes on.
func TestSchedule_MissedOnceIsOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		clock, store := taskstest.NewClock(begin), &foundStore{Store: memstore.New()}
		manager := func(of tasks.Store) *tasks.Manager {
			m := tasks.New(of, &tasks.Options{Clock: clock, Logger: quiet})
			k := tasks.Register(m, "job", 1, nothing, nil)
			if err := k.Schedule(struct{}{}, tasks.Schedule{
				Name: "job", Every: time.Hour, Missed: tasks.MissedOnce,
			}); err != nil {
				t.Fatal(err)
			}
			return m
		}
		first := manager(store)
		start(t, first)
		synctest.Wait()
		stop(t, first)                // the next occurrence waits
		clock.Advance(5 * time.Hour)  // and is missed, with four more
		other := manager(store.Store) // is not started
		ran := 0
		store.found = func() {
			if _, err := other.RunNext(t.Context()); err == nil {
				ran++
			}
		}
		m := manager(store)
		start(t, m)
		synctest.Wait()
		if got := occurrences(t, m, tasks.Succeeded); ran != 1 || len(got) != 1 {
			t.Errorf("%d ran, and have succeeded: %v; want the one that was missed", ran, got)
		}
		stop(t, m)
		stop(t, other)
	})
}
