package tasks_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/genropy/genro-asgi-go/tasks"
	"github.com/genropy/genro-asgi-go/tasks/memstore"
	"github.com/genropy/genro-asgi-go/tasks/taskstest"
)

// TestSetClock_SchedulesGoOn: however the clock is set, a schedule runs again after two of its
// intervals at most, with a restart and without.
func TestSetClock_SchedulesGoOn(t *testing.T) {
	noon := time.Date(2026, 3, 4, 12, 0, 30, 0, time.UTC) // a Wednesday
	for _, s := range []tasks.Schedule{
		{Cron: "* * * * *"},
		{Cron: "*/7 9-17 * * 1-5"},
		{Cron: "@hourly"},
		{Every: time.Second},
		{Every: 90 * time.Second},
		{Every: 10 * time.Minute, At: time.Date(1960, 1, 1, 0, 0, 7, 0, time.UTC)},
		{Every: time.Minute, Overlap: tasks.OverlapSkip},
		{Every: time.Minute, Missed: tasks.MissedAll},
	} {
		interval := max(s.Every, time.Minute)
		switch s.Cron {
		case "*/7 9-17 * * 1-5":
			interval = 7 * time.Minute
		case "@hourly":
			interval = time.Hour
		}
		for _, sets := range [][]time.Duration{
			{2 * time.Hour, -2 * time.Hour},
			{-3 * time.Hour},
			{3 * time.Hour},
			{-20 * time.Minute, -20 * time.Minute},
			{-56 * 365 * 24 * time.Hour, 56 * 365 * 24 * time.Hour},
			{10 * 365 * 24 * time.Hour, -10 * 365 * 24 * time.Hour},
		} {
			for _, restart := range []bool{false, true} {
				t.Run(fmt.Sprint(s.Cron, s.Every, s.Overlap, s.Missed, sets, restart),
					func(t *testing.T) {
						synctest.Test(t, func(t *testing.T) {
							clock, store := taskstest.NewClock(noon), memstore.New()
							var ran atomic.Int64
							begun := func() *tasks.Manager {
								m := tasks.New(store, &tasks.Options{
									Clock: clock, Logger: quiet,
								})
								k := tasks.Register(m, "job", 1,
									func(context.Context, struct{}) (struct{}, error) {
										ran.Add(1)
										return struct{}{}, nil
									}, nil)
								s.Name = "job"
								if err := k.Schedule(struct{}{}, s); err != nil {
									t.Fatal(err)
								}
								start(t, m)
								return m
							}
							m := begun()
							walk(clock, min(2*interval, 30*time.Minute))
							for _, by := range sets {
								if restart {
									stop(t, m)
								}
								clock.Jump(by)
								if restart {
									m = begun()
								}
								before, hour := ran.Load(), clock.Now().UTC().Hour()
								walk(clock, 2*interval+time.Minute)
								if ran.Load() == before &&
									(s.Cron != "*/7 9-17 * * 1-5" || hour >= 9 && hour < 17 &&
										by > -time.Hour && by < time.Hour) {
									t.Errorf(
										"no run in %v after the clock was set by %v; it is %v, "+
											"next is %v", 2*interval+time.Minute, by, clock.Now(),
										m.Schedules()[0].Next)
								}
							}
						})
					})
			}
		}
	}
}

// TestSetClock_WhatRanDoesNotRunTwice: where the clock is set back by less than an interval, or
// another machine's is ahead.
func TestSetClock_WhatRanDoesNotRunTwice(t *testing.T) {
	for _, cron := range []string{"0 12 * * *", "@hourly"} {
		synctest.Test(t, func(t *testing.T) {
			clock, store := taskstest.NewClock(time.Date(2026, 3, 4, 11, 59, 0, 0, time.UTC)),
				memstore.New()
			var m *tasks.Manager
			for range 2 { // the second is a machine that starts when the clock has been set
				m = tasks.New(store, &tasks.Options{
					Clock: clock, Logger: quiet,
					Retention: -1,
				})
				k := tasks.Register(m, "job", 1, nothing, nil)
				if err := k.Schedule(struct{}{}, tasks.Schedule{Name: "job", Cron: cron}); err !=
					nil {
					t.Fatal(err)
				}
				start(t, m)
				walk(clock, 10*time.Minute)
				clock.Jump(-20 * time.Minute)
			}
			walk(clock, 30*time.Minute)
			if got := occurrences(t, m, tasks.Succeeded); !slices.Equal(got,
				[]string{"2026-03-04T12:00:00Z"}) {
				t.Errorf("%s ran at %v", cron, got)
			}
		})
	}
}

// TestSetClock_WhatWaitsWaitsNoLonger: a delay and the wait for a retry are times that pass. A time
// of day is one, though.
func TestSetClock_WhatWaitsWaitsNoLonger(t *testing.T) {
	for _, restart := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			clock, store := taskstest.NewClock(begin), memstore.New()
			begun := func() *tasks.Manager {
				m := tasks.New(store, &tasks.Options{Clock: clock, Logger: quiet})
				tasks.Register(m, "job", 1, nothing, nil)
				tasks.Register(m, "fails", 1,
					func(ctx context.Context, _ struct{}) (struct{}, error) {
						if tasks.RunFrom(ctx).Attempt() == 1 {
							return struct{}{}, tasks.RetryAfter(errors.New("once"), 10*time.Second)
						}
						return struct{}{}, nil
					}, &tasks.KindOptions{Retry: tasks.RetryPolicy{Attempts: 2}})
				start(t, m)
				return m
			}
			m := begun()
			retries := submit(t, m, "fails", nil)
			delayed := submit(t, m, "job", &tasks.SubmitOptions{Delay: 30 * time.Second})
			fixed := submit(t, m, "job", &tasks.SubmitOptions{RunAt: begin.Add(time.Minute)})
			synctest.Wait()
			if restart {
				stop(t, m)
			}
			clock.Jump(-time.Hour)
			if restart {
				m = begun()
			}
			walk(clock, time.Minute)
			for id, want := range map[string]tasks.State{
				retries.ID: tasks.Succeeded,
				delayed.ID: tasks.Succeeded, fixed.ID: tasks.Scheduled,
			} {
				if got := must[*tasks.Task](t)(m.Get(t.Context(), id)); got.State != want {
					t.Errorf("after a minute, restarted %v: %s %s is %s, to run at %v; want %s",
						restart, got.Kind, id, got.State, got.RunAt, want)
				}
			}
			walk(clock, time.Hour)
			if got := must[*tasks.Task](t)(m.Get(t.Context(), fixed.ID)); got.State !=
				tasks.Succeeded {
				t.Errorf("at its time: %+v", got)
			}
		})
	}
}

// TestSetClock_QueuedKeepTheirPlace: what was queued before the clock was set back goes before what
// came after.
func TestSetClock_QueuedKeepTheirPlace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		clock := taskstest.NewClock(begin)
		m := tasks.New(memstore.New(), &tasks.Options{
			Clock: clock, Logger: quiet,
			Queues: map[string]tasks.QueueOptions{"default": {Concurrency: 1}},
		})
		next := make(chan struct{})
		tasks.Register(m, "job", 1,
			func(context.Context, struct{}) (struct{}, error) { <-next; return struct{}{}, nil },
			nil)
		start(t, m)
		for i := range 4 {
			submit(t, m, "job", &tasks.SubmitOptions{ID: fmt.Sprint("before", i)})
		}
		synctest.Wait()
		clock.Jump(-time.Hour)
		walk(clock, time.Minute)
		for i := range 4 {
			submit(t, m, "job", &tasks.SubmitOptions{ID: fmt.Sprint("after", i)})
		}
		for i := range 4 {
			next <- struct{}{}
			synctest.Wait()
			if got := must[*tasks.Task](t)(m.Get(t.Context(),
				fmt.Sprint("before", i))); got.State != tasks.Succeeded {
				t.Errorf("%s is %s", got.ID, got.State)
			}
		}
		close(next)
		synctest.Wait()
	})
}

// TestSetClock_NothingIsDeletedBeforeItsTime: a clock that is set ahead makes everything look old.
func TestSetClock_NothingIsDeletedBeforeItsTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		clock := taskstest.NewClock(begin)
		m := tasks.New(memstore.New(),
			&tasks.Options{Clock: clock, Logger: quiet, Retention: time.Hour})
		tasks.Register(m, "job", 1, nothing, nil)
		start(t, m)
		there := func(id string) bool {
			_, err := m.Get(t.Context(), id)
			return err == nil
		}
		before := submit(t, m, "job", nil).ID
		walk(clock, 10*time.Minute)
		clock.Jump(365 * 24 * time.Hour)
		walk(clock, 20*time.Minute)
		after := submit(t, m, "job", nil).ID
		if walk(clock, 25*time.Minute); !there(before) {
			t.Error("deleted 55 minutes after its end")
		}
		if walk(clock, 10*time.Minute); there(before) || !there(after) {
			t.Errorf("after 65 and 35 minutes: there %v and %v, want the second only",
				there(before), there(after))
		}
		if walk(clock, 30*time.Minute); there(after) {
			t.Error("kept for 65 minutes")
		}
	})
}

// TestSetClock_NothingIsKeptForEver: what ended while the clock was ahead is deleted when its
// retention has passed since the clock was set right.
func TestSetClock_NothingIsKeptForEver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		clock := taskstest.NewClock(begin)
		m := tasks.New(memstore.New(),
			&tasks.Options{Clock: clock, Logger: quiet, Retention: time.Hour})
		tasks.Register(m, "job", 1, nothing, nil)
		start(t, m)
		clock.Jump(365 * 24 * time.Hour)
		walk(clock, time.Minute)
		id := submit(t, m, "job", nil).ID
		synctest.Wait()
		clock.Jump(-365 * 24 * time.Hour)
		walk(clock, 55*time.Minute)
		if _, err := m.Get(t.Context(), id); err != nil {
			t.Errorf("after 55 minutes: %v", err)
		}
		walk(clock, 10*time.Minute)
		if task, err := m.Get(t.Context(), id); !errors.Is(err, tasks.ErrNotFound) {
			t.Errorf("after 65 minutes: %+v, %v", task, err)
		}
	})
}

// TestSetClock_LostClaim: the answer to a claim was lost before the clock was set back, so that by
// the time of day its lease lasts an hour and more.
func TestSetClock_LostClaim(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &lostAnswer{Store: memstore.New()}
		clock := taskstest.NewClock(begin)
		m := tasks.New(store, &tasks.Options{Clock: clock, Logger: quiet})
		tasks.Register(m, "job", 1, nothing, nil)
		start(t, m)
		walk(clock, time.Second)
		id := submit(t, m, "job", nil).ID
		synctest.Wait()
		if got := must[*tasks.Task](t)(m.Get(t.Context(), id)); got.State != tasks.Running {
			t.Fatalf("the claim whose answer is lost: %s", got.State)
		}
		clock.Jump(-time.Hour)
		walk(clock, 2*time.Minute)
		if got := must[*tasks.Task](t)(m.Get(t.Context(), id)); got.State != tasks.Succeeded {
			t.Errorf("two minutes later it is %s", got.State)
		}
	})
}

// stuck is a store that answers no list until the caller gives up.
type stuck struct{ tasks.Store }

func (stuck) List(ctx context.Context, _ *tasks.Filter) ([]*tasks.Task, string, error) {
	<-ctx.Done()
	return nil, "", ctx.Err()
}

// TestManager_StopEndsAStart: and while a store hangs, what only looks does not.
func TestManager_StopEndsAStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := tasks.New(stuck{memstore.New()}, &tasks.Options{Logger: quiet})
		k := tasks.Register(m, "job", 1, nothing, nil)
		if err := k.Schedule(struct{}{}, tasks.Schedule{Name: "job", Every: time.Minute}); err !=
			nil {
			t.Fatal(err)
		}
		started := make(chan error)
		go func() { started <- m.Start(context.Background()) }()
		synctest.Wait() // the planner waits for the store
		if got := m.Schedules(); len(got) != 1 {
			t.Errorf("schedules: %v", got)
		}
		if err := k.Schedule(struct{}{},
			tasks.Schedule{Name: "another", Every: time.Minute}); err != nil {
			t.Errorf("schedule: %v", err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := m.Unschedule(ctx, "job"); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("unschedule: %v", err)
		}
		if err := m.Stop(context.Background()); err != nil {
			t.Errorf("stop: %v", err)
		}
		if err := <-started; !errors.Is(err, tasks.ErrNotRunning) {
			t.Errorf("start: %v", err)
		}
	})
}
