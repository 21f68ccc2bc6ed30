package tasks_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/genropy/genro-asgi-go/tasks"
	"github.com/genropy/genro-asgi-go/tasks/memstore"
)

// finished is what Options.OnFinish was told.
type finished struct {
	mu  sync.Mutex
	all []string // "state kind"
}

func (f *finished) told(t *tasks.Task) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.all = append(f.all, string(t.State)+" "+t.Kind)
}

func (f *finished) sorted() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Sorted(slices.Values(f.all))
}

// TestEnds_LoggedAndTold: an end that is no success is one line, with the task and never its
// payload, and OnFinish is told of every end.
func TestEnds_LoggedAndTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log lines
		var ends finished
		m := tasks.New(memstore.New(), &tasks.Options{Logger: slog.New(&log), OnFinish: ends.told})
		fails := tasks.Register(m, "fails", 1,
			func(context.Context, string) (int, error) { return 0, errors.New("no space on /var") },
			&tasks.KindOptions{Retry: tasks.RetryPolicy{Attempts: 3}})
		boom := tasks.Register(m, "boom", 1,
			func(context.Context, string) (int, error) { panic("oh no") }, nil)
		good := tasks.Register(m, "good", 1,
			func(context.Context, string) (int, error) { return 1, nil }, nil)
		waits := tasks.Register(m, "waits", 1,
			func(ctx context.Context, _ string) (int, error) { <-ctx.Done(); return 0, ctx.Err() },
			nil)
		start(t, m)
		const canary = "the payload is nobody's business"
		failed := must[*tasks.Task](t)(fails.Submit(t.Context(), canary, nil))
		panicked := must[*tasks.Task](t)(boom.Submit(t.Context(), canary, nil))
		wait(t, m, failed.ID, tasks.Failed)
		wait(t, m, panicked.ID, tasks.Failed)
		wait(t, m, must[*tasks.Task](t)(good.Submit(t.Context(), canary, nil)).ID, tasks.Succeeded)
		cancelled := must[*tasks.Task](t)(waits.Submit(t.Context(), canary, nil))
		synctest.Wait()
		must[*tasks.Task](t)(m.Cancel(t.Context(), cancelled.ID))
		must[*tasks.Task](t)(m.Cancel(t.Context(), cancelled.ID)) // which changes nothing
		unique := &tasks.UniqueOptions{Key: "one", Taken: tasks.UniqueReplace}
		replaced := must[*tasks.Task](t)(good.Submit(t.Context(), canary,
			&tasks.SubmitOptions{Unique: unique, Delay: time.Hour}))
		must[*tasks.Task](t)(good.Submit(t.Context(), canary,
			&tasks.SubmitOptions{Unique: unique, Delay: time.Hour}))
		synctest.Wait()

		text := log.String()
		for line, n := range map[string]int{
			`level=WARN msg="tasks: attempt failed" task=` + failed.ID +
				" kind=fails attempt=1 attempts=3 retry_at=": 1,
			`level=WARN msg="tasks: attempt failed" task=` + failed.ID +
				" kind=fails attempt=2 attempts=3 retry_at=": 1,
			`level=ERROR msg="tasks: task failed" task=` + failed.ID +
				` kind=fails attempt=3 reason=error error="no space on /var"`: 1,
			`level=ERROR msg="tasks: task failed" task=` + panicked.ID +
				` kind=boom attempt=1 reason=panic error="oh no" stack=`: 1,
			`level=INFO msg="tasks: task cancelled" task=` + cancelled.ID +
				" kind=waits attempt=1\n": 1,
			`level=INFO msg="tasks: task cancelled" task=` + replaced.ID +
				" kind=good attempt=0\n": 1,
			"\n": 6, canary: 0,
		} {
			if got := strings.Count(text, line); got != n {
				t.Errorf("%d times %q, want %d, in\n%s", got, line, n, text)
			}
		}
		if got, want := ends.sorted(), []string{
			"cancelled good", "cancelled waits", "failed boom",
			"failed fails", "succeeded good",
		}; !slices.Equal(got, want) {
			t.Errorf("told of %q, want %q", got, want)
		}
	})
}

// TestEnds_ScheduleThatFailsEachTime has a line a failure, with the schedule's name.
func TestEnds_ScheduleThatFailsEachTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log lines
		m := tasks.New(memstore.New(), &tasks.Options{Logger: slog.New(&log)})
		k := tasks.Register(m, "clean", 1,
			func(context.Context, struct{}) (struct{}, error) {
				return struct{}{}, errors.New("denied")
			}, nil)
		if err := k.Schedule(struct{}{}, tasks.Schedule{Name: "nightly", Every: time.Hour}); err !=
			nil {
			t.Fatal(err)
		}
		start(t, m)
		<-time.After(5*time.Hour + time.Minute)
		synctest.Wait()
		if n := strings.Count(log.String(), `schedule=nightly reason=error error=denied`); n != 5 ||
			log.count("tasks: task failed") != 5 {
			t.Errorf("%d lines in five hours: %s", n, log.String())
		}
	})
}

// TestEnds_Deaths: a holder that vanishes is logged by whoever takes its task over, once each.
func TestEnds_Deaths(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mem := memstore.New()
		var log lines
		var ends finished
		// runs nothing of that kind
		start(t, tasks.New(mem, &tasks.Options{Logger: slog.New(&log), OnFinish: ends.told}))
		for range 3 {
			conn := &cut{Store: mem}
			m := tasks.New(conn, &tasks.Options{Logger: quiet})
			k := tasks.Register(m, "dies", 1,
				func(ctx context.Context, _ struct{}) (struct{}, error) {
					<-ctx.Done()
					return struct{}{}, nil
				}, nil)
			start(t, m)
			if _, err := k.Submit(t.Context(), struct{}{}, &tasks.SubmitOptions{ID: "one"}); err !=
				nil {
				t.Fatal(err)
			}
			synctest.Wait()
			conn.off.Store(true)
			<-time.After(31 * time.Second)
			synctest.Wait()
		}
		if died, dead := log.count("tasks: run died"), log.count("tasks: task is dead"); died !=
			2 || dead != 1 {
			t.Errorf("%d died, %d are dead: %s", died, dead, log.String())
		}
		if got := ends.sorted(); !slices.Equal(got, []string{"dead dies"}) {
			t.Errorf("told of %q", got)
		}
	})
}

// TestOptions_OnFinishThatPanics ends nothing.
func TestOptions_OnFinishThatPanics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log lines
		m := tasks.New(memstore.New(), &tasks.Options{
			Logger:   slog.New(&log),
			OnFinish: func(*tasks.Task) { panic("in the hook") },
			Queues:   map[string]tasks.QueueOptions{"default": {Concurrency: 1}},
		})
		k := tasks.Register(m, "k", 1, nothing, nil)
		start(t, m)
		for range 3 {
			wait(t, m, must[*tasks.Task](t)(k.Submit(t.Context(), struct{}{}, nil)).ID,
				tasks.Succeeded)
		}
		synctest.Wait()
		if n := strings.Count(log.String(), `panic="in the hook"`); n != 3 {
			t.Errorf("%d lines: %s", n, log.String())
		}
	})
}

type traceKey struct{}

func TestMiddleware(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var seen []string
		note := func(name string) tasks.Middleware {
			return func(ctx context.Context, run *tasks.Run,
				next func(context.Context) error,
			) error {
				trace, _ := ctx.Value(traceKey{}).(string)
				seen = append(seen,
					fmt.Sprintf("%s before %s %d %q", name, run.Kind(), run.Attempt(), trace))
				err := next(context.WithValue(ctx, traceKey{}, trace+name))
				seen = append(seen, fmt.Sprintf("%s after %v", name, err))
				return err
			}
		}
		m := tasks.New(memstore.New(), &tasks.Options{
			Logger:     quiet,
			Middleware: []tasks.Middleware{note("a"), note("b")},
		})
		k := tasks.Register(m, "k", 2, func(ctx context.Context, fail bool) (string, error) {
			trace, _ := ctx.Value(traceKey{}).(string)
			if fail {
				return "", errors.New("no")
			}
			return trace + " " + tasks.RunFrom(ctx).Kind(), nil
		},
			&tasks.KindOptions{
				Middleware: []tasks.Middleware{note("c")},
				Upgrade: func(int, jsontext.Value) (jsontext.Value, error) {
					return nil, errors.New("cannot")
				},
			})
		start(t, m)
		if got := must[string](t)(k.Result(t.Context(),
			must[*tasks.Task](t)(k.Submit(t.Context(), false, nil)).ID)); got != "abc k" {
			t.Errorf("result %q", got)
		}
		want := []string{
			`a before k 1 ""`, `b before k 1 "a"`, `c before k 1 "ab"`,
			"c after <nil>", "b after <nil>", "a after <nil>",
		}
		if !slices.Equal(seen, want) {
			t.Errorf("saw %q, want %q", seen, want)
		}
		seen = nil
		wait(t, m, must[*tasks.Task](t)(k.Submit(t.Context(), true, nil)).ID, tasks.Failed)
		if len(seen) != 6 || seen[5] != "a after no" {
			t.Errorf("saw %q", seen)
		}
	})
}

func TestMiddleware_DecidesHowARunEnds(t *testing.T) {
	for name, c := range map[string]struct {
		around func(ctx context.Context, run *tasks.Run, next func(context.Context) error) error
		state  tasks.State
		runs   int
		text   string // result or error
	}{
		"it does not call": {func(context.Context, *tasks.Run, func(context.Context) error) error {
			return tasks.Permanent(errors.New("closed"))
		}, tasks.Failed, 0, "closed"},
		"it wraps": {
			func(ctx context.Context, _ *tasks.Run, next func(context.Context) error) error {
				return fmt.Errorf("around: %w", next(ctx))
			}, tasks.Failed, 2, "around: no",
		},
		"it makes it permanent": {
			func(ctx context.Context, _ *tasks.Run, next func(context.Context) error) error {
				return tasks.Permanent(next(ctx))
			}, tasks.Failed, 1, "no",
		},
		"it forgives": {
			func(ctx context.Context, _ *tasks.Run, next func(context.Context) error) error {
				_ = next(ctx)
				return nil
			}, tasks.Succeeded, 1, "",
		},
		"it tries again": {
			func(ctx context.Context, _ *tasks.Run, next func(context.Context) error) error {
				if next(ctx) != nil {
					return next(ctx)
				}
				return nil
			}, tasks.Succeeded, 2, "2",
		},
		"it panics": {
			func(ctx context.Context, _ *tasks.Run, next func(context.Context) error) error {
				_ = next(ctx)
				panic("around")
			}, tasks.Failed, 2, "around",
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				runs := 0
				m := tasks.New(memstore.New(), &tasks.Options{Logger: quiet})
				k := tasks.Register(m, "k", 1, func(context.Context, struct{}) (int, error) {
					if runs++; runs == 2 && name == "it tries again" {
						return runs, nil
					}
					return 0, errors.New("no")
				},
					&tasks.KindOptions{
						Middleware: []tasks.Middleware{c.around},
						Retry:      tasks.RetryPolicy{Attempts: 2},
					})
				start(t, m)
				task := wait(t, m, must[*tasks.Task](t)(k.Submit(t.Context(), struct{}{}, nil)).ID,
					c.state)
				got := string(task.Result)
				if c.state == tasks.Failed {
					got = task.Error.Message
				}
				if runs != c.runs || got != c.text {
					t.Errorf("%d runs, %q", runs, got)
				}
			})
		})
	}
}
