package tasks_test

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"testing"
	"testing/synctest"
	"time"
	_ "time/tzdata" // Europe/Rome, wherever the test runs

	"github.com/go-json-experiment/json/jsontext"

	"github.com/genropy/genro-asgi-go/tasks"
	"github.com/genropy/genro-asgi-go/tasks/memstore"
	"github.com/genropy/genro-asgi-go/tasks/taskstest"
)

// occurrences are the times that tasks of a schedule ran or will, oldest first.
func occurrences(t *testing.T, m *tasks.Manager, states ...tasks.State) (all []string) {
	t.Helper()
	for task, err := range m.All(t.Context(),
		&tasks.Filter{States: states, Metadata: map[string]string{"schedule": "job"}}) {
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, task.ID[len("job@"):])
	}
	slices.Reverse(all)
	return all
}

func nothing(context.Context, struct{}) (struct{}, error) { return struct{}{}, nil }

func rome(t *testing.T) *time.Location {
	zone, err := time.LoadLocation("Europe/Rome")
	if err != nil {
		t.Fatal(err)
	}
	return zone
}

// walk lets the clock pass d in steps that are small enough for what wakes up to do its work.
func walk(c *taskstest.Clock, d time.Duration) {
	for end := c.Now().Add(d); c.Now().Before(end); {
		synctest.Wait()
		step, ok := c.Next()
		if left := end.Sub(c.Now()); !ok || step > left {
			step = left
		}
		c.Advance(step)
	}
	synctest.Wait()
}

// A job at 02:30 in Rome: on 29 March 2026 the clocks go from 02:00 to 03:00, on 25 October from
// 03:00 back to 02:00.
func TestSchedule_DaylightSaving(t *testing.T) {
	for _, c := range []struct {
		name, cron string
		from       time.Time
		days       int
		want       []string
	}{
		{"spring", "30 2 * * *", time.Date(2026, 3, 27, 12, 0, 0, 0, time.UTC), 3, []string{
			"2026-03-28T01:30:00Z",
			"2026-03-29T01:00:00Z", // 03:00, the first moment after the gap
			"2026-03-30T00:30:00Z",
		}},
		{"autumn", "30 2 * * *", time.Date(2026, 10, 23, 12, 0, 0, 0, time.UTC), 3, []string{
			"2026-10-24T00:30:00Z",
			"2026-10-25T00:30:00Z", // the first 02:30, and not 01:30Z
			"2026-10-26T01:30:00Z",
		}},
		{
			"several in the gap", "0,30 2 29 3 *", time.Date(2026, 3, 28, 12, 0, 0, 0, time.UTC), 1,
			[]string{"2026-03-29T01:00:00Z"},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				clock := taskstest.NewClock(c.from)
				store := memstore.New()
				var all []*tasks.Manager
				for range 2 { // managers of one store
					m := tasks.New(store, &tasks.Options{Clock: clock, Retention: -1})
					k := tasks.Register(m, "job", 1, nothing, nil)
					if err := k.Schedule(struct{}{},
						tasks.Schedule{Name: "job", Cron: c.cron, Zone: rome(t)}); err != nil {
						t.Fatal(err)
					}
					start(t, m)
					all = append(all, m)
				}
				walk(clock, time.Duration(c.days)*24*time.Hour)
				if got := occurrences(t, all[0], tasks.Succeeded); !slices.Equal(got, c.want) {
					t.Errorf("ran at %v, want %v", got, c.want)
				}
				if waiting := occurrences(t, all[0], tasks.Scheduled); len(waiting) != 1 {
					t.Errorf("waiting: %v", waiting)
				}
			})
		})
	}
}

func TestSchedule_Missed(t *testing.T) {
	begin := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		missed tasks.Missed
		want   []string
	}{
		{"", []string{"2026-01-01T01:00:00Z", "2026-01-01T06:00:00Z"}},
		{
			tasks.MissedOnce,
			[]string{"2026-01-01T01:00:00Z", "2026-01-01T02:00:00Z", "2026-01-01T06:00:00Z"},
		},
		{
			tasks.MissedAll,
			[]string{
				"2026-01-01T01:00:00Z", "2026-01-01T02:00:00Z", "2026-01-01T04:00:00Z",
				"2026-01-01T05:00:00Z", "2026-01-01T06:00:00Z",
			},
		},
	} {
		t.Run(string(c.missed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				clock, store := taskstest.NewClock(begin), memstore.New()
				run := func(d time.Duration) *tasks.Manager {
					m := tasks.New(store, &tasks.Options{Clock: clock})
					k := tasks.Register(m, "job", 1, nothing, nil)
					s := tasks.Schedule{
						Name: "job", Every: time.Hour, Missed: c.missed,
						MaxMissed: 2,
					}
					if err := k.Schedule(struct{}{}, s); err != nil {
						t.Fatal(err)
					}
					if err := m.Start(t.Context()); err != nil {
						t.Fatal(err)
					}
					walk(clock, d)
					stop(t, m)
					return m
				}
				run(90 * time.Minute)        // 01:00 runs, 02:00 waits in the store
				clock.Advance(4 * time.Hour) // 05:30: it and 03:00, 04:00 and 05:00 were missed
				m := run(45 * time.Minute)   // and 06:00 runs
				if got := occurrences(t, m, tasks.Succeeded); !slices.Equal(got, c.want) {
					t.Errorf("ran %v, want %v", got, c.want)
				}
			})
		})
	}
}

func TestSchedule_JumpingClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		clock := taskstest.NewClock(time.Date(2026, 1, 1, 0, 30, 0, 0, time.UTC))
		m := tasks.New(memstore.New(), &tasks.Options{Clock: clock})
		k := tasks.Register(m, "job", 1, nothing, nil)
		if err := k.Schedule(struct{}{}, tasks.Schedule{Name: "job", Every: time.Hour}); err !=
			nil {
			t.Fatal(err)
		}
		start(t, m)
		walk(clock, time.Minute)
		clock.Jump(time.Hour) // 01:31
		walk(clock, 2*time.Minute)
		want := []string{"2026-01-01T01:00:00Z"}
		if got := occurrences(t, m, tasks.Succeeded); !slices.Equal(got, want) {
			t.Errorf("ran %v, want %v", got, want)
		}
		clock.Jump(-time.Hour) // 00:33
		walk(clock, time.Hour)
		if got := occurrences(t, m, tasks.Succeeded); !slices.Equal(got, want) {
			t.Errorf("ran %v, want %v", got, want)
		}
		walk(clock, time.Hour)
		if got := occurrences(t, m, tasks.Succeeded); len(got) != 2 {
			t.Errorf("ran %v, want one more", got)
		}
	})
}

func TestSchedule_ChangeAndEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		clock, store := taskstest.NewClock(time.Date(2026, 1, 1, 0, 30, 0, 0, time.UTC)),
			memstore.New()
		declare := func(cron string) *tasks.Manager {
			m := tasks.New(store, &tasks.Options{Clock: clock})
			k := tasks.Register(m, "job", 1, nothing,
				&tasks.KindOptions{Unique: &tasks.UniqueOptions{}})
			start(t, m)
			if err := k.Schedule(struct{}{}, tasks.Schedule{Name: "job", Cron: cron}); err != nil {
				t.Fatal(err)
			}
			if err := k.Schedule(struct{}{},
				tasks.Schedule{Name: "job", Cron: cron}); !errors.Is(err, tasks.ErrConflict) {
				t.Errorf("declared twice: %v", err)
			}
			synctest.Wait()
			return m
		}
		stop(t, declare("0 4 * * *"))
		m := declare("0 3 * * *")
		if got, want := occurrences(t, m,
			tasks.Scheduled), []string{"2026-01-01T03:00:00Z"}; !slices.Equal(got, want) {
			t.Errorf("waiting %v, want %v", got, want)
		}
		if all := m.Schedules(); len(all) != 1 ||
			!all[0].Next.Equal(time.Date(2026, 1, 1, 3, 0, 0, 0, time.UTC)) {
			t.Errorf("schedules: %+v", all)
		}
		if err := m.Unschedule(t.Context(), "job"); err != nil {
			t.Fatal(err)
		}
		walk(clock, 24*time.Hour)
		if got := occurrences(t, m, tasks.Scheduled, tasks.Succeeded); len(got) != 0 {
			t.Errorf("after Unschedule: %v", got)
		}
		if err := m.Unschedule(t.Context(), "job"); !errors.Is(err, tasks.ErrNotFound) {
			t.Errorf("twice: %v", err)
		}
	})
}

func TestSchedule_Once(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		clock, store := taskstest.NewClock(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)),
			memstore.New()
		at := clock.Now().Add(-time.Hour)
		for range 2 {
			m := tasks.New(store, &tasks.Options{Clock: clock})
			k := tasks.Register(m, "job", 1, nothing, nil)
			if err := k.Schedule(struct{}{},
				tasks.Schedule{Name: "job", At: at, Missed: tasks.MissedOnce}); err != nil {
				t.Fatal(err)
			}
			start(t, m)
			walk(clock, time.Minute)
			if got := occurrences(t, m, tasks.Succeeded); !slices.Equal(got,
				[]string{at.Format(time.RFC3339)}) {
				t.Errorf("ran %v", got)
			}
			stop(t, m)
		}
	})
}

func TestSchedule_Refuses(t *testing.T) {
	m := tasks.New(memstore.New(), nil)
	k := tasks.Register(m, "sum", 1, sum, nil)
	for name, s := range map[string]tasks.Schedule{
		"no name":    {Every: time.Hour},
		"nothing":    {Name: "a"},
		"two":        {Name: "a", Cron: "* * * * *", Every: time.Hour},
		"short":      {Name: "a", Every: time.Millisecond},
		"six fields": {Name: "a", Cron: "* * * * * *"},
		"bad field":  {Name: "a", Cron: "61 * * * *"},
		"zone":       {Name: "a", Cron: "TZ=Europe/Rome 0 0 * * *"},
		"every":      {Name: "a", Cron: "@every 1h"},
		"never":      {Name: "a", Cron: "0 0 30 2 *"},
		"policy":     {Name: "a", Every: time.Hour, Missed: "x"},
		"own ID":     {Name: "a", Every: time.Hour, Options: tasks.SubmitOptions{ID: "x"}},
		"unique": {
			Name: "a", Every: time.Hour,
			Options: tasks.SubmitOptions{Unique: &tasks.UniqueOptions{}},
		},
		"below nothing": {Name: "a", Every: time.Hour, MaxMissed: -1},
	} {
		if err := k.Schedule(sumIn{}, s); !errors.Is(err, tasks.ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := m.Schedule("none", nil, tasks.Schedule{Name: "a", Every: time.Hour}); !errors.Is(err,
		tasks.ErrNotFound) {
		t.Errorf("unknown kind: %v", err)
	}
}

// TestSchedule_OnceAndRetention: a single time that is long past is not run again, as its task may
// have been deleted.
func TestSchedule_OnceAndRetention(t *testing.T) {
	for _, c := range []struct {
		retention time.Duration
		want      int
	}{{24 * time.Hour, 0}, {26 * time.Hour, 1}, {-1, 1}} {
		synctest.Test(t, func(t *testing.T) {
			clock := taskstest.NewClock(begin)
			m := tasks.New(memstore.New(), &tasks.Options{Clock: clock, Retention: c.retention})
			k := tasks.Register(m, "job", 1, nothing, nil)
			if err := k.Schedule(struct{}{},
				tasks.Schedule{
					Name: "job", At: begin.Add(-25 * time.Hour),
					Missed: tasks.MissedAll,
				}); err != nil {
				t.Fatal(err)
			}
			start(t, m)
			walk(clock, time.Minute)
			if got := occurrences(t, m, tasks.Succeeded); len(got) != c.want {
				t.Errorf("retention %v: ran %v", c.retention, got)
			}
		})
	}
}

// TestSchedule_ALittleLateIsNotMissed starts a manager half a minute after the time of an
// occurrence that waits in the store.
func TestSchedule_ALittleLateIsNotMissed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		clock, store := taskstest.NewClock(begin), memstore.New()
		for i := range 2 {
			m := tasks.New(store, &tasks.Options{Clock: clock})
			k := tasks.Register(m, "job", 1, nothing, nil)
			if err := k.Schedule(struct{}{}, tasks.Schedule{Name: "job", Every: time.Hour}); err !=
				nil {
				t.Fatal(err)
			}
			start(t, m)
			walk(clock, time.Second)
			if got := occurrences(t, m, tasks.Succeeded); len(got) != i {
				t.Errorf("ran %v", got)
			}
			stop(t, m)
			clock.Advance(time.Hour + 29*time.Second)
		}
	})
}

// TestSchedule_TwoPayloads: managers that do not agree on the payload of a schedule make one task
// of each occurrence all the same.
func TestSchedule_TwoPayloads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		clock, store := taskstest.NewClock(begin), memstore.New()
		var m *tasks.Manager
		for i := range 2 {
			m = tasks.New(store, &tasks.Options{Clock: clock, Logger: quiet})
			k := tasks.Register(m, "job", 1,
				func(context.Context, int) (int, error) { return 0, nil }, nil)
			if err := k.Schedule(i, tasks.Schedule{Name: "job", Every: time.Hour}); err != nil {
				t.Fatal(err)
			}
			start(t, m)
		}
		walk(clock, 3*time.Hour+time.Second)
		if got := occurrences(t, m, tasks.Succeeded); len(got) != 3 ||
			!m.Schedules()[0].Next.Equal(begin.Add(4*time.Hour)) {
			t.Errorf("ran %v, next %v", got, m.Schedules()[0].Next)
		}
	})
}

// TestSchedule_IsNeverUnique: an occurrence is in the store ahead of its time, where the key of the
// one that runs must not keep it out.
func TestSchedule_IsNeverUnique(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		clock := taskstest.NewClock(begin)
		m := tasks.New(memstore.New(), &tasks.Options{Clock: clock, Logger: quiet})
		held := make(chan struct{})
		k := tasks.Register(m, "job", 1, func(context.Context, int) (int, error) {
			<-held
			return 0, nil
		}, &tasks.KindOptions{Unique: &tasks.UniqueOptions{}})
		if err := k.Schedule(1, tasks.Schedule{Name: "job", Every: time.Hour}); err != nil {
			t.Fatal(err)
		}
		start(t, m)
		walk(clock, 3*time.Hour+time.Second)
		if got := occurrences(t, m, tasks.Running); len(got) != 3 {
			t.Errorf("%v are running", got)
		}
		close(held)
		synctest.Wait()
		if _, err := k.Submit(t.Context(), 1, nil); err != nil { // and none of them holds the key
			t.Errorf("submitted beside the schedule: %v", err)
		}
	})
}

// TestSchedule_WhatIsWaitingIsWhatWasDeclaredLast: an occurrence that waits in the store when a
// program with another payload, kind or options starts, or the same schedule is declared after its
// end, is that of the new schedule. One that was cancelled by hand, or that has not changed, is
// left.
func TestSchedule_WhatIsWaitingIsWhatWasDeclaredLast(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		clock, store := taskstest.NewClock(begin), memstore.New()
		at := begin.Add(time.Hour).Format(time.RFC3339)
		declare := func(kind string, version, payload int, o tasks.SubmitOptions) *tasks.Manager {
			t.Helper()
			m := tasks.New(store, &tasks.Options{Clock: clock, Logger: quiet})
			k := tasks.Register(m, kind, version,
				func(context.Context, int) (int, error) { return 0, nil }, nil)
			start(t, m)
			for i := range 2 { // again after its end
				if err := k.Schedule(payload,
					tasks.Schedule{Name: "job", Every: time.Hour, Options: o}); err != nil {
					t.Fatal(err)
				}
				synctest.Wait()
				if got := occurrences(t, m, tasks.Scheduled); !slices.Equal(got, []string{at}) {
					t.Fatalf("waiting: %v", got)
				}
				if i == 0 {
					if err := m.Unschedule(t.Context(), "job"); err != nil {
						t.Fatal(err)
					}
				}
			}
			return m
		}
		var last *tasks.Task
		check := func(m *tasks.Manager, same bool) {
			t.Helper()
			now, err := m.Get(t.Context(), "job@"+at)
			if err != nil {
				t.Fatal(err)
			}
			if last != nil && same != (now.Seq == last.Seq) {
				t.Errorf("%+v after %+v", now, last)
			}
			last = now
			stop(t, m)
		}
		check(declare("a", 1, 1, tasks.SubmitOptions{}), false)
		for _, c := range []struct {
			kind    string
			version int
			payload int
			o       tasks.SubmitOptions
		}{
			{"a", 1, 2, tasks.SubmitOptions{}},
			{"b", 1, 2, tasks.SubmitOptions{}},
			{"b", 2, 2, tasks.SubmitOptions{}},
			{"b", 2, 2, tasks.SubmitOptions{Priority: 1, Timeout: time.Minute}},
			{"b", 2, 2, tasks.SubmitOptions{Metadata: map[string]string{"for": "ada"}}},
		} {
			for i, same := range []bool{false, true} {
				m := tasks.New(store, &tasks.Options{Clock: clock, Logger: quiet})
				k := tasks.Register(m, c.kind, c.version,
					func(context.Context, int) (int, error) { return 0, nil }, nil)
				if err := k.Schedule(c.payload,
					tasks.Schedule{Name: "job", Every: time.Hour, Options: c.o}); err != nil {
					t.Fatal(err)
				}
				start(t, m)
				synctest.Wait()
				if got := occurrences(t, m); !slices.Equal(got, []string{at}) {
					t.Fatalf("%+v, %d: %v in the store", c, i, got)
				}
				check(m, same)
				if last.Kind != c.kind || string(last.Payload) != strconv.Itoa(c.payload) ||
					last.Version != c.version || last.Priority != c.o.Priority {
					t.Errorf("%+v waits, want %+v", last, c)
				}
			}
		}
		m := tasks.New(store, &tasks.Options{Clock: clock, Logger: quiet, AnyKind: true})
		if _, err := m.Cancel(t.Context(), last.ID); err != nil {
			t.Fatal(err)
		}
		if err := m.Schedule("b", jsontext.Value("3"),
			tasks.Schedule{Name: "job", Every: time.Hour}); err != nil {
			t.Fatal(err)
		}
		start(t, m)
		synctest.Wait()
		if got := occurrences(t, m, tasks.Cancelled); !slices.Equal(got, []string{at}) {
			t.Errorf("cancelled: %v", got)
		}
	})
}
