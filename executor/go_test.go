//go:build linux

package executor_test

import (
	"context"
	"errors"
	"log/slog"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/genropy/genro-asgi-go/executor"
)

func TestGo_RunsWithoutWaitingAndReportsFailures(t *testing.T) {
	var logs lockedBuffer
	ex := executor.New(&executor.Options{Logger: slog.New(slog.NewTextHandler(&logs, nil))})
	var ran atomic.Int32
	for _, fn := range []func(context.Context) error{
		func(context.Context) error { ran.Add(1); return nil },
		func(context.Context) error { ran.Add(1); return errors.New("broken pipe of mine") },
		func(context.Context) error { ran.Add(1); panic("oh no") },
		func(context.Context) error { ran.Add(1); runtime.Goexit(); return nil },
	} {
		if err := ex.Go(t.Context(), fn); err != nil {
			t.Error(err)
		}
	}
	if err := ex.Stop(t.Context()); err != nil {
		t.Error(err)
	}
	s, text := ex.Stats().Blocking[""], logs.String()
	if ran.Load() != 4 || s.Done != 1 || s.Failed != 3 || s.Running != 0 {
		t.Errorf("%d ran: %+v", ran.Load(), s)
	}
	if strings.Count(text, "a function of Go failed") != 3 ||
		!strings.Contains(text, "broken pipe of mine") || !strings.Contains(text, "oh no") ||
		!strings.Contains(text, "go_test.go") || !strings.Contains(text, "Goexit") {
		t.Errorf("%s", text)
	}
	if err := ex.Go(t.Context(), func(context.Context) error { return nil }); !errors.Is(err,
		executor.ErrNotRunning) {
		t.Errorf("after Stop: %v", err)
	}
}

func TestGo_IsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var logs lockedBuffer
		ex := executor.New(&executor.Options{
			Blocking: executor.ClassOptions{Concurrency: 1, Queue: 2},
			Classes:  map[string]executor.ClassOptions{"none waits": {Concurrency: 1, Queue: -1}},
			Logger:   slog.New(slog.NewTextHandler(&logs, nil)),
		})
		release := make(chan none)
		var order []int
		add := func(n int, opts *executor.CallOptions) error {
			return ex.GoWith(t.Context(), func(context.Context) error {
				<-release
				order = append(order, n) // one at a time
				return nil
			}, opts)
		}
		if err := errors.Join(add(0, nil), add(1, nil),
			add(2, &executor.CallOptions{Priority: 1})); err != nil {
			t.Fatal(err)
		}
		if err := add(3, nil); !errors.Is(err, executor.ErrOverloaded) ||
			!strings.Contains(err.Error(), "Options.Blocking.Concurrency and Queue") {
			t.Errorf("a full queue: %v", err)
		}
		var wg sync.WaitGroup
		wg.Go(func() {
			if err := add(4, &executor.CallOptions{Wait: true}); err != nil {
				t.Errorf("a submitter that waits: %v", err)
			}
		})
		gone, leave := context.WithCancel(t.Context())
		wg.Go(func() {
			err := ex.GoWith(gone, func(context.Context) error { t.Error("it ran"); return nil },
				&executor.CallOptions{Wait: true})
			if !errors.Is(err, context.Canceled) {
				t.Errorf("a submitter that leaves: %v", err)
			}
		})
		synctest.Wait()
		leave()
		synctest.Wait()
		if s := ex.Stats().Blocking[""]; s.Queued != 3 || s.Running != 1 || s.Rejected != 1 {
			t.Errorf("%+v", s)
		}
		close(release)
		wg.Wait()
		synctest.Wait()
		// Without a queue a submitter that waits still gets its turn.
		for n := range 5 {
			if err := add(10+n, &executor.CallOptions{Class: "none waits", Wait: true}); err !=
				nil {
				t.Error(err)
			}
			synctest.Wait()
		}
		if err := add(0, &executor.CallOptions{Class: "what?"}); err == nil ||
			!strings.Contains(err.Error(), "Options.Classes") {
			t.Errorf("an unknown class: %v", err)
		}
		if err := ex.Stop(t.Context()); err != nil {
			t.Error(err)
		}
		if want := []int{0, 2, 1, 4, 10, 11, 12, 13, 14}; len(order) != len(want) {
			t.Errorf("%v", order)
		} else {
			for i := range want {
				if order[i] != want[i] {
					t.Errorf("%v, want %v", order, want)
					break
				}
			}
		}
		if logs.String() != "" {
			t.Errorf("%s", &logs)
		}
	})
}

func TestGo_TellsWhatDidNotRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var logs lockedBuffer
		ex := executor.New(&executor.Options{
			Blocking: executor.ClassOptions{Concurrency: 1},
			Logger:   slog.New(slog.NewTextHandler(&logs, nil)),
		})
		release := make(chan none)
		never := func(context.Context) error { t.Error("it ran"); return nil }
		ctx, cancel := context.WithCancel(t.Context())
		if err := errors.Join(
			ex.Go(t.Context(), func(context.Context) error { <-release; return nil }),
			ex.Go(ctx, never), // its context ends before its turn
		); err != nil {
			t.Fatal(err)
		}
		if err := ex.Go(ctx, func(context.Context) error { return nil }); err != nil {
			t.Error(err)
		}
		cancel()
		if err := ex.Go(ctx, never); !errors.Is(err, context.Canceled) {
			t.Errorf("a context that has ended: %v", err)
		}
		release <- none{}
		synctest.Wait()
		if text := logs.String(); strings.Count(text, "did not run") != 1 ||
			!strings.Contains(text, "functions=1 ") {
			t.Errorf("%s", text)
		}
		if err := errors.Join(ex.Go(t.Context(),
			func(context.Context) error { <-release; return nil }),
			ex.Go(t.Context(), never)); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if text := logs.String(); strings.Count(text, "did not run") != 1 {
			t.Errorf("a line for each: %s", text)
		}
		hurry, stop := context.WithTimeout(t.Context(), time.Second)
		defer stop()
		if err := ex.Stop(hurry); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Stop: %v", err)
		}
		if text := logs.String(); strings.Count(text, "did not run") != 2 ||
			!strings.Contains(text, "functions=2 error=\"executor: not running") {
			t.Errorf("%s", text)
		}
		close(release)
	})
}

// TestRunBlocking_WithinItself has every place taken by a function that waits for calls of its own.
func TestRunBlocking_WithinItself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ex := executor.New(&executor.Options{
			Blocking: executor.ClassOptions{Concurrency: 2},
			Classes:  map[string]executor.ClassOptions{"db": {Concurrency: 1}},
		})
		var at, most atomic.Int32
		work := func(context.Context) (int, error) {
			most.Store(max(most.Load(), at.Add(1)))
			<-time.After(time.Millisecond)
			at.Add(-1)
			return 1, nil
		}
		var nest func(ctx context.Context, depth int) (int, error)
		nest = func(ctx context.Context, depth int) (int, error) {
			class := []string{"", "db"}[depth%2]
			return executor.RunBlockingWith(ctx, ex, func(ctx context.Context) (int, error) {
				if depth == 0 {
					return work(ctx)
				}
				sums := make(chan int)
				for range 2 { // at once, in one place
					go func() {
						n, err := nest(context.WithValue(ctx, envOfTest{}, depth), depth-1)
						if err != nil {
							t.Error(err)
						}
						sums <- n
					}()
				}
				return <-sums + <-sums, nil
			}, &executor.CallOptions{Class: class})
		}
		for name, ctx := range map[string]context.Context{
			"in goroutines":   t.Context(),
			"in the caller's": context.WithoutCancel(t.Context()),
		} {
			var wg sync.WaitGroup
			for range 5 {
				wg.Go(func() {
					if n, err := nest(ctx, 4); n != 16 || err != nil {
						t.Errorf("%s: %d, %v", name, n, err)
					}
				})
			}
			wg.Wait()
		}
		if most.Load() > 2 {
			t.Errorf("%d functions ran at once in two places", most.Load())
		}
		// A function of Go holds a place too.
		done := make(chan error, 1)
		if err := ex.Go(t.Context(), func(ctx context.Context) error {
			_, err := executor.RunBlocking(ctx, ex, work)
			done <- err
			return err
		}); err != nil {
			t.Error(err)
		}
		if err := <-done; err != nil {
			t.Error(err)
		}
		synctest.Wait()
		if s := ex.Stats().Blocking; s[""].Running != 0 || s["db"].Running != 0 ||
			s[""].Failed+s["db"].Failed != 0 {
			t.Errorf("%+v", s)
		}
	})
}

type envOfTest struct{}

// TestRunBlocking_WithinWhatHasEnded: a place that was given back lends nothing.
func TestRunBlocking_WithinWhatHasEnded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ex := executor.New(
			&executor.Options{Blocking: executor.ClassOptions{Concurrency: 1, Queue: -1}})
		kept, err := executor.RunBlocking(t.Context(), ex,
			func(ctx context.Context) (context.Context, error) { return ctx, nil })
		if err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		release := make(chan none)
		if err := ex.Go(t.Context(), func(context.Context) error { <-release; return nil }); err !=
			nil {
			t.Fatal(err)
		}
		if _, err := executor.RunBlocking(kept, ex,
			func(context.Context) (int, error) {
				return 1, nil
			}); !errors.Is(err, executor.ErrOverloaded) {
			t.Errorf("it ran in a place that was another's: %v", err)
		}
		synctest.Wait()
		close(release)
	})
}

func TestRunBlocking_InnerCallHearsItsContextAndStop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ex := executor.New(&executor.Options{Blocking: executor.ClassOptions{Concurrency: 1}})
		release := make(chan none)
		block := func(context.Context) (int, error) { <-release; return 1, nil }
		result := make(chan error, 3)
		go func() {
			_, err := executor.RunBlocking(t.Context(), ex, func(ctx context.Context) (int, error) {
				for _, wait := range []time.Duration{time.Second, time.Minute} {
					// the first has the place, the second waits for its turn
					ctx, cancel := context.WithTimeout(ctx, wait)
					_, err := executor.RunBlocking(ctx, ex, block)
					cancel()
					if wait == time.Minute {
						return 0, err
					}
					result <- err
				}
				return 0, nil
			})
			result <- err
		}()
		if err := <-result; !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("the inner call's deadline: %v", err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := ex.Stop(ctx); err == nil {
			t.Error("Stop did not say that calls are running")
		}
		if err := <-result; !errors.Is(err, executor.ErrNotRunning) {
			t.Errorf("%v", err)
		}
		close(release)
	})
}
