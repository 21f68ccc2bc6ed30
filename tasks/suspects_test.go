package tasks_test

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/genropy/genro-asgi-go/tasks"
	"github.com/genropy/genro-asgi-go/tasks/memstore"
)

// TestSuspects_HealthyBesidePoison: of what runs when a process dies only that is condemned which
// dies of itself.
func TestSuspects_HealthyBesidePoison(t *testing.T) {
	for name, c := range map[string]struct {
		owner string
		// how long a poison runs until it kills, and how long the others take
		kills, works  time.Duration
		poisons, more int // at once, and those that come later, one after each crash
		crashes       int // at most
	}{
		"quick":                 {"", 50 * time.Millisecond, time.Minute, 1, 0, 12},
		"quick, same name":      {"me", 50 * time.Millisecond, time.Minute, 1, 0, 6},
		"slow":                  {"me", 3 * time.Minute, 10 * time.Minute, 1, 0, 12},
		"as long as the others": {"me", 9 * time.Minute, 10 * time.Minute, 1, 0, 25},
		"several":               {"", time.Second, 2 * time.Minute, 3, 0, 25},
		"new ones all the time": {"me", time.Second, 2 * time.Minute, 1, 6, 35},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := newHost(tasks.Options{
					Owner:  c.owner,
					Queues: map[string]tasks.QueueOptions{"default": {Concurrency: 20}},
				})
				var more atomic.Int64
				more.Store(int64(c.more))
				h.kinds = func(m *tasks.Manager, die func()) {
					tasks.Register(m, "poison", 1, func(ctx context.Context, _ int) (int, error) {
						if _, err := sleeps(ctx, c.kills); err != nil {
							return 0, err
						}
						if left := more.Add(-1); left >= 0 {
							h.submit(t, "poison", fmt.Sprint("later.", left))
						}
						die()
						<-ctx.Done()
						return 0, nil
					}, nil)
					tasks.Register(m, "work", 1,
						func(ctx context.Context, _ int) (int, error) {
							return sleeps(ctx, c.works)
						}, nil)
				}
				for i := range 8 {
					if i < c.poisons {
						h.submit(t, "poison", fmt.Sprint("poison.", i))
					}
					h.submit(t, "work", fmt.Sprint("work.", i))
				}
				h.boot(t)
				states := h.ends(t)
				if len(states[tasks.Succeeded]) != 8 ||
					len(states[tasks.Dead]) != c.poisons+c.more {
					t.Errorf("%v", states)
				}
				if n := h.died(); n > c.crashes {
					t.Errorf("%d crashes, want at most %d", n, c.crashes)
				}
				for _, id := range states[tasks.Dead] {
					if task := must[*tasks.Task](t)(h.store.Get(t.Context(), id)); task.Deaths !=
						3 || task.Error.Kind != tasks.ErrorLost {
						t.Errorf("%+v", task)
					}
				}
			})
		})
	}
}

// TestSuspects_OneSuspectAtATime: those that died run one after the other until they have lived
// longer, and what never died runs beside them.
func TestSuspects_OneSuspectAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHost(tasks.Options{Owner: "me"})
		h.kinds = func(m *tasks.Manager, _ func()) {
			tasks.Register(m, "long", 1,
				h.counts(m, "long",
					func(ctx context.Context, _ int) (int, error) {
						return sleeps(ctx, time.Hour)
					}), nil)
			tasks.Register(m, "new", 1, nothing1, nil)
		}
		for i := range 5 {
			h.submit(t, "long", fmt.Sprint(i))
		}
		h.boot(t)
		<-time.After(15 * time.Second) // the last sign of life is at 10 s
		if n := h.runs("long"); n != 5 {
			t.Fatalf("%d at once before", n)
		}
		h.crash()
		<-time.After(15 * time.Second)
		if h.runs("long") != 1 {
			t.Errorf("%d suspects at once", h.runs("long"))
		}
		h.submit(t, "new", "new")
		<-time.After(time.Second)
		if task := must[*tasks.Task](t)(h.store.Get(t.Context(), "new")); task.State !=
			tasks.Succeeded {
			t.Errorf("what never died is %s", task.State)
		}
		<-time.After(3 * time.Minute)
		if h.runs("long") != 5 {
			t.Errorf("%d of 5 at once when all have lived longer", h.runs("long"))
		}
		for id, task := range h.all(t) {
			if task.Deaths != 0 {
				t.Errorf("%s is not acquitted: %+v", id, task)
			}
		}
		if states := h.ends(t); len(states[tasks.Succeeded]) != 6 {
			t.Errorf("%v", states)
		}
	})
}

// TestSuspects_ACheckpointEndsATrial: who has come further than when it died is no suspect any
// more, and the next need not wait until it has lived longer too.
func TestSuspects_ACheckpointEndsATrial(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHost(tasks.Options{Owner: "me"})
		h.kinds = func(m *tasks.Manager, _ func()) {
			tasks.Register(m, "long", 1,
				h.counts(m, "long", func(ctx context.Context, _ int) (int, error) {
					if err := tasks.RunFrom(ctx).Checkpoint(h.died()); err != nil {
						return 0, err
					}
					return sleeps(ctx, time.Hour)
				}), nil)
		}
		for i := range 3 {
			h.submit(t, "long", fmt.Sprint(i))
		}
		h.boot(t)
		<-time.After(10 * time.Minute)
		h.crash()
		<-time.After(15 * time.Second)
		if n := h.runs("long"); n != 3 {
			t.Errorf("%d of 3 at once, though each has come further", n)
		}
	})
}

// TestSuspects_AloneBeforeTheLast: a task that another death would make dead runs when nothing else
// does, and nothing is begun beside it.
func TestSuspects_AloneBeforeTheLast(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHost(tasks.Options{MaxDeaths: 2}) // the second is the last
		h.kinds = func(m *tasks.Manager, _ func()) {
			tasks.Register(m, "suspect", 1,
				h.counts(m, "suspect",
					func(ctx context.Context, _ int) (int, error) {
						return sleeps(ctx, 3*time.Minute)
					}), nil)
			tasks.Register(m, "other", 1,
				h.counts(m, "other",
					func(ctx context.Context, _ int) (int, error) {
						return sleeps(ctx, 40*time.Second)
					}), nil)
		}
		suspect := func() *tasks.Task {
			return must[*tasks.Task](t)(h.store.Get(t.Context(), "suspect"))
		}
		h.submit(t, "suspect", "suspect")
		h.boot(t)
		<-time.After(time.Second)
		h.crash()
		synctest.Wait()
		h.submit(t, "other", "before")
		<-time.After(35 * time.Second) // the lease is over, and the other runs for 5 s more
		if h.runs("other") != 1 || h.runs("suspect") != 0 || suspect().State != tasks.Running ||
			suspect().Deaths != 0 {
			t.Errorf("while it waits: %+v", suspect())
		}
		<-time.After(6 * time.Second)
		if h.runs("suspect") != 1 || suspect().Deaths != 1 {
			t.Errorf("when it is alone: %+v", suspect())
		}
		h.submit(t, "other", "after")
		<-time.After(5 * time.Second)
		if h.runs("other") != 0 {
			t.Error("another was begun beside it")
		}
		<-time.After(20 * time.Second)
		if h.runs("other") != 1 || h.runs("suspect") != 1 || suspect().Deaths != 0 {
			t.Errorf("when it has lived longer than before: %+v", suspect())
		}
		if states := h.ends(t); len(states[tasks.Succeeded]) != 3 {
			t.Errorf("%v", states)
		}
	})
}

// TestSuspects_PatienceEnds: others that run for long keep a suspect for half a minute, and then a
// death beside them is not its last.
func TestSuspects_PatienceEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHost(tasks.Options{MaxDeaths: 2})
		h.kinds = func(m *tasks.Manager, _ func()) {
			tasks.Register(m, "suspect", 1,
				h.counts(m, "suspect",
					func(ctx context.Context, _ int) (int, error) {
						return sleeps(ctx, 3*time.Minute)
					}), nil)
			tasks.Register(m, "other", 1,
				h.counts(m, "other",
					func(ctx context.Context, _ int) (int, error) {
						return sleeps(ctx, time.Hour)
					}), nil)
		}
		h.submit(t, "suspect", "suspect")
		h.boot(t)
		<-time.After(time.Second)
		h.crash()
		synctest.Wait()
		h.submit(t, "other", "other") // while the lease of the dead lasts
		<-time.After(35 * time.Second)
		if h.runs("other") != 1 || h.runs("suspect") != 0 {
			t.Fatal("it did not wait")
		}
		<-time.After(27 * time.Second)
		if h.runs("suspect") != 1 {
			t.Fatal("it waits for ever")
		}
		h.crash()
		<-time.After(40 * time.Second)
		if task := must[*tasks.Task](t)(h.store.Get(t.Context(), "suspect")); task.State ==
			tasks.Dead {
			t.Errorf("dead of what it was not alone with: %+v", task)
		}
		if states := h.ends(t); len(states[tasks.Succeeded]) != 2 {
			t.Errorf("%v", states)
		}
	})
}

// TestSuspects_WhatCounts: which deaths add up.
func TestSuspects_WhatCounts(t *testing.T) {
	for name, c := range map[string]struct {
		options tasks.Options
		kills   func(run *tasks.Run, crashes int) bool // whether the process dies in this run
		lives   time.Duration                          // until then
		dead    bool
		crashes int
	}{
		"three of its own": {
			kills: func(*tasks.Run, int) bool { return true }, dead: true,
			crashes: 3,
		},
		"MaxDeaths 1": {
			options: tasks.Options{MaxDeaths: 1},
			kills:   func(*tasks.Run, int) bool { return true }, dead: true, crashes: 1,
		},
		"MaxDeaths 5": {
			options: tasks.Options{MaxDeaths: 5},
			kills:   func(*tasks.Run, int) bool { return true }, dead: true, crashes: 5,
		},
		"no MaxDeaths": {
			options: tasks.Options{MaxDeaths: -1},
			kills:   func(_ *tasks.Run, crashes int) bool { return crashes < 40 }, crashes: 40,
		},
		"far apart": {
			options: tasks.Options{DeathWindow: time.Minute},
			lives:   2 * time.Minute,
			kills:   func(_ *tasks.Run, crashes int) bool { return crashes < 9 }, crashes: 9,
		},
		"far apart, no window": {
			options: tasks.Options{DeathWindow: -1}, lives: 2 * time.Hour,
			kills: func(*tasks.Run, int) bool { return true }, dead: true, crashes: 3,
		},
		"far apart for ever": {
			lives: 2 * time.Hour,
			kills: func(*tasks.Run, int) bool { return true }, dead: true, crashes: 31,
		},
		"longer each time": {
			options: tasks.Options{},
			kills: func(run *tasks.Run, crashes int) bool {
				// longer than before, and a heartbeat
				<-time.After(time.Duration(crashes) * 30 * time.Second)
				return crashes < 8
			}, crashes: 8,
		},
		"a new checkpoint each time": {kills: func(run *tasks.Run, crashes int) bool {
			return run.Checkpoint(crashes) == nil && crashes < 8
		}, crashes: 8},
		"the same checkpoint": {kills: func(run *tasks.Run, _ int) bool {
			return run.Checkpoint("begun") == nil
		}, dead: true, crashes: 3},
		"new checkpoints for ever": {kills: func(run *tasks.Run, crashes int) bool {
			return run.Checkpoint(crashes) == nil
		}, dead: true, crashes: 31},
		"longer than the window": {
			options: tasks.Options{DeathWindow: time.Minute},
			lives:   10 * time.Minute, kills: func(run *tasks.Run, crashes int) bool {
				return crashes < 5
			}, crashes: 5,
		},
		"an error in between": {kills: func(_ *tasks.Run, crashes int) bool {
			return crashes%3 != 2
		}, crashes: 2},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c.options.Owner = "me"
				h := newHost(c.options)
				h.kinds = func(m *tasks.Manager, die func()) {
					tasks.Register(m, "k", 1, func(ctx context.Context, _ int) (int, error) {
						if _, err := sleeps(ctx, c.lives+time.Millisecond); err != nil {
							return 0, err
						}
						if !c.kills(tasks.RunFrom(ctx), h.died()) {
							return 1, nil
						}
						die()
						<-ctx.Done()
						return 0, errors.New("never seen")
					}, nil)
				}
				h.submit(t, "k", "one")
				h.boot(t)
				states := h.ends(t)
				if dead := len(states[tasks.Dead]) == 1; dead != c.dead || h.died() != c.crashes {
					t.Errorf("%v after %d crashes, want %d", states, h.died(), c.crashes)
				}
			})
		})
	}
}

// TestSuspects_StoreThatSkipsNothing hands out what it likes: what died waits for its turn all the
// same, and none is lost.
func TestSuspects_StoreThatSkipsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mem := memstore.New()
		conn := &cut{Store: mem}
		// one runs at a time, else it is wrong by at most what it shows
		var running, most atomic.Int64
		register := func(m *tasks.Manager) *tasks.Kind[int, int] {
			return tasks.Register(m, "k", 1, func(ctx context.Context, _ int) (int, error) {
				most.Store(max(most.Load(), running.Add(1)))
				defer running.Add(-1)
				return sleeps(ctx, 3*time.Second)
			}, nil)
		}
		first := tasks.New(conn, &tasks.Options{Owner: "me", Logger: quiet})
		k := register(first)
		start(t, first)
		for range 5 {
			must[*tasks.Task](t)(k.Submit(t.Context(), 1, nil))
		}
		<-time.After(time.Second)
		conn.off.Store(true)
		next := tasks.New(unwary{mem}, &tasks.Options{Owner: "me", Logger: quiet})
		<-time.After(time.Minute) // the runs of the first are over
		most.Store(0)
		register(next)
		start(t, next)
		for task, err := range next.All(t.Context(), nil) {
			if err != nil {
				t.Fatal(err)
			}
			wait(t, next, task.ID, tasks.Succeeded)
		}
		if n := most.Load(); n != 1 {
			t.Errorf("%d at once", n)
		}
	})
}

type unwary struct{ tasks.Store }

func (s unwary) Claim(ctx context.Context, c *tasks.Claim) (time.Time, error) {
	inner := *c
	inner.SkipDied = nil
	return s.Store.Claim(ctx, &inner)
}
