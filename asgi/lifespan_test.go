package asgi_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/genropy/genro-asgi-go/asgi"
)

// journal makes components that write down what happens to them.
type journal struct {
	mu    sync.Mutex
	lines []string
}

func (j *journal) note(line string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.lines = append(j.lines, line)
}

func (j *journal) want(t *testing.T, lines ...string) {
	t.Helper()
	j.mu.Lock()
	defer j.mu.Unlock()
	if !slices.Equal(j.lines, lines) {
		t.Errorf("happened: %q, want %q", j.lines, lines)
	}
}

func (j *journal) component(name string, startErr, stopErr error) asgi.Hooks {
	return asgi.Hooks{
		Name:    name,
		OnStart: func(context.Context) error { j.note("+" + name); return startErr },
		OnStop:  func(context.Context) error { j.note("-" + name); return stopErr },
	}
}

var (
	errA = errors.New("a broke")
	errB = errors.New("b broke")
)

func TestLifespan_StartsInOrderAndStopsInReverse(t *testing.T) {
	var j journal
	l := asgi.NewLifespan(nil, j.component("a", nil, nil), j.component("b", nil, nil),
		j.component("c", nil, nil))
	if err := l.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := l.Stop(t.Context()); err != nil {
			t.Error(err)
		}
	}
	j.want(t, "+a", "+b", "+c", "-c", "-b", "-a")
}

func TestLifespan_FailedStartIsRolledBackWithAllErrors(t *testing.T) {
	var j journal
	l := asgi.NewLifespan(nil, j.component("a", nil, errA), j.component("b", nil, nil),
		j.component("c", errB, nil), j.component("d", nil, nil))
	err := l.Start(t.Context())
	j.want(t, "+a", "+b", "+c", "-b", "-a")
	if !errors.Is(err, errA) || !errors.Is(err, errB) {
		t.Errorf("error %v", err)
	}
	first, ok := errors.AsType[*asgi.ComponentError](err)
	if !ok || first.Component != "c" || first.Op != "start" {
		t.Errorf("first error %+v", first)
	}
	if err.Error() != "start c: b broke\nstop a: a broke" {
		t.Errorf("text %q", err)
	}
	if err := l.Stop(t.Context()); err != nil {
		t.Errorf("stop after a failed start: %v", err)
	}
	if err := l.Start(t.Context()); !errors.Is(err, asgi.ErrStarted) {
		t.Errorf("second start: %v", err)
	}
}

func TestLifespan_StopGoesOnPastErrorsAndPanics(t *testing.T) {
	var j journal
	l := asgi.NewLifespan(nil,
		j.component("a", nil, errA),
		asgi.Hooks{Name: "panics", OnStop: func(context.Context) error { panic(errB) }},
		asgi.Hooks{
			Name:   "panics too",
			OnStop: func(context.Context) error { panic("no error value") },
		},
		asgi.Hooks{
			Name:   "exits",
			OnStop: func(context.Context) error { runtime.Goexit(); return nil },
		},
		j.component("e", nil, nil))
	if err := l.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	err := l.Stop(t.Context())
	j.want(t, "+a", "+e", "-e", "-a")
	if !errors.Is(err, errA) || !errors.Is(err, errB) {
		t.Errorf("error %v", err)
	}
	for _, text := range []string{
		"stop exits: ", "stop panics: panic: b broke",
		"stop panics too: panic: no error value", "lifespan_test.go",
	} {
		if !strings.Contains(err.Error(), text) {
			t.Errorf("%q is missing in %v", text, err)
		}
	}
	if again := l.Stop(t.Context()); !errors.Is(again, errA) {
		t.Errorf("second stop: %v", again)
	}
}

func TestLifespan_NeverStartedStops(t *testing.T) {
	var j journal
	l := asgi.NewLifespan(nil, j.component("a", nil, nil))
	if err := l.Stop(t.Context()); err != nil {
		t.Error(err)
	}
	if err := l.Start(t.Context()); !errors.Is(err, asgi.ErrStarted) {
		t.Errorf("start after stop: %v", err)
	}
	j.want(t)
}

func TestLifespan_Nested(t *testing.T) {
	var j journal
	inner := asgi.NewLifespan(&asgi.LifespanOptions{Name: "inner"}, j.component("b", nil, nil),
		j.component("c", nil, errA))
	outer := asgi.NewLifespan(nil, j.component("a", nil, nil), inner, j.component("d", nil, nil))
	if err := outer.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	err := outer.Stop(t.Context())
	j.want(t, "+a", "+b", "+c", "+d", "-d", "-c", "-b", "-a")
	if err == nil || err.Error() != "stop inner: stop c: a broke" {
		t.Errorf("error %v", err)
	}
}

func TestLifespan_NestedHasItsOwnDeadlines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slow := asgi.Hooks{OnStart: sleep(50 * time.Second)}
		inner := asgi.NewLifespan(&asgi.LifespanOptions{StartTimeout: time.Minute}, slow, slow)
		outer := asgi.NewLifespan(nil, inner) // whose 30 s are for one hook
		if err := outer.Start(t.Context()); err != nil {
			t.Error(err)
		}
		if err := outer.Stop(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

// sleep is a hook that takes so long and honours its context.
func sleep(d time.Duration) func(context.Context) error {
	return func(ctx context.Context) error {
		select {
		case <-time.After(d):
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func TestLifespan_HookDeadlines(t *testing.T) {
	cases := map[string]struct {
		opts        *asgi.LifespanOptions
		start, stop time.Duration
	}{
		"defaults": {nil, 30 * time.Second, 10 * time.Second},
		"options": {
			&asgi.LifespanOptions{StartTimeout: time.Second, StopTimeout: 2 * time.Second},
			time.Second, 2 * time.Second,
		},
		"none": {&asgi.LifespanOptions{StartTimeout: -1, StopTimeout: -1}, 0, 0},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				limit := func(ctx context.Context) time.Duration {
					deadline, ok := ctx.Deadline()
					if !ok {
						return 0
					}
					return time.Until(deadline)
				}
				var start, stop time.Duration
				l := asgi.NewLifespan(c.opts, asgi.Hooks{
					OnStart: func(ctx context.Context) error { start = limit(ctx); return nil },
					OnStop:  func(ctx context.Context) error { stop = limit(ctx); return nil },
				})
				if err := errors.Join(l.Start(t.Context()), l.Stop(t.Context())); err != nil {
					t.Fatal(err)
				}
				if start != c.start || stop != c.stop {
					t.Errorf("start %v, stop %v; want %v, %v", start, stop, c.start, c.stop)
				}
			})
		})
	}
}

func TestLifespan_HookThatIgnoresItsContextIsLeftBehind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var j journal
		release := make(chan struct{})
		l := asgi.NewLifespan(nil, j.component("a", nil, nil), asgi.Hooks{
			Name:   "hangs",
			OnStop: func(context.Context) error { <-release; return nil },
		})
		if err := l.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		begin := time.Now()
		err := l.Stop(t.Context())
		if !errors.Is(err, asgi.ErrHookAbandoned) || !errors.Is(err, context.DeadlineExceeded) ||
			!strings.Contains(err.Error(), "hangs") {
			t.Errorf("error %v", err)
		}
		if took := time.Since(begin); took != 11*time.Second { // the deadline and the grace
			t.Errorf("took %v", took)
		}
		j.want(t, "+a", "-a")
		close(release)
	})
}

func TestLifespan_SlowHookGetsItsGrace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := asgi.NewLifespan(nil, asgi.Hooks{OnStart: func(ctx context.Context) error {
			<-ctx.Done()
			<-time.After(900 * time.Millisecond) // it tidies up
			return errA
		}})
		if err := l.Start(t.Context()); !errors.Is(err, errA) ||
			errors.Is(err, asgi.ErrHookAbandoned) {
			t.Errorf("error %v", err)
		}
	})
}

func TestLifespan_EndOfContextRollsBackWithFreshDeadlines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		stopCtxErr := errA
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		l := asgi.NewLifespan(nil,
			asgi.Hooks{OnStop: func(ctx context.Context) error {
				stopCtxErr = ctx.Err()
				return nil
			}},
			asgi.Hooks{OnStart: sleep(5 * time.Second)})
		if err := l.Start(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("error %v", err)
		}
		if stopCtxErr != nil {
			t.Errorf("the rollback had an ended context: %v", stopCtxErr)
		}
	})
}

func TestLifespan_StartWithEndedContextStartsNothing(t *testing.T) {
	var j journal
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errA)
	if err := asgi.NewLifespan(nil, j.component("a", nil, nil)).Start(ctx); !errors.Is(err, errA) {
		t.Errorf("error %v", err)
	}
	j.want(t)
}

func TestLifespan_StopDuringStart(t *testing.T) {
	cases := map[string]func(started chan<- struct{}) func(context.Context) error{
		"interrupts the hook": func(started chan<- struct{}) func(context.Context) error {
			return func(ctx context.Context) error {
				close(started)
				<-ctx.Done()
				return context.Cause(ctx)
			}
		},
		"also one that succeeds " +
			"nevertheless": func(started chan<- struct{}) func(context.Context) error {
			return func(ctx context.Context) error {
				close(started)
				<-ctx.Done()
				return nil
			}
		},
	}
	for name, hook := range cases {
		t.Run(name, func(t *testing.T) {
			var j journal
			started := make(chan struct{})
			l := asgi.NewLifespan(nil, j.component("a", nil, nil),
				asgi.Hooks{OnStart: hook(started)})
			result := make(chan error, 1)
			go func() { result <- l.Start(context.Background()) }()
			<-started
			if err := l.Stop(t.Context()); err != nil {
				t.Errorf("stop: %v", err)
			}
			j.want(t, "+a", "-a") // rolled back before Stop returned
			if err := <-result; !errors.Is(err, asgi.ErrShutdown) {
				t.Errorf("start: %v", err)
			}
		})
	}
}

func TestLifespan_ConcurrentStops(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := asgi.NewLifespan(nil, asgi.Hooks{OnStop: func(ctx context.Context) error {
			return errors.Join(sleep(5*time.Second)(ctx), errA)
		}})
		if err := l.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		var wg sync.WaitGroup
		for range 3 {
			wg.Go(func() {
				if err := l.Stop(t.Context()); !errors.Is(err, errA) {
					t.Errorf("error %v", err)
				}
			})
		}
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := l.Stop(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("impatient stop: %v", err)
		}
		wg.Wait()
	})
}

func TestLifespan_UnnamedComponentsHaveTheirType(t *testing.T) {
	err := asgi.NewLifespan(nil, neverStarts{}).Start(t.Context())
	if err == nil || err.Error() != "start asgi_test.neverStarts: a broke" {
		t.Errorf("error %v", err)
	}
}

type neverStarts struct{}

func (neverStarts) Start(context.Context) error { return errA }
func (neverStarts) Stop(context.Context) error  { return nil }

func ExampleLifespan() {
	say := func(text string) func(context.Context) error {
		return func(context.Context) error { fmt.Println(text); return nil }
	}
	l := asgi.NewLifespan(nil,
		asgi.Hooks{Name: "db", OnStart: say("open db"), OnStop: say("close db")},
		asgi.Hooks{
			Name:    "mail",
			OnStart: func(context.Context) error { return errors.New("no server") },
		},
	)
	fmt.Println(l.Start(context.Background()))
	// Output:
	// open db
	// close db
	// start mail: no server
}
