package executor_test

import (
	"context"
	"errors"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/genropy/genro-asgi-go/executor"
)

func TestRunBlocking_ReturnsWhatTheFunctionReturns(t *testing.T) {
	ex := executor.New(nil)
	broken := errors.New("broken")
	for name, ctx := range map[string]context.Context{"in the caller's goroutine": context.Background(), "in its own": t.Context()} {
		t.Run(name, func(t *testing.T) {
			got, err := executor.RunBlocking(ctx, ex, func(context.Context) (int, error) { return 7, nil })
			if got != 7 || err != nil {
				t.Errorf("%d, %v", got, err)
			}
			if _, err = executor.RunBlocking(ctx, ex, func(context.Context) (int, error) { return 0, broken }); !errors.Is(err, broken) {
				t.Errorf("error: %v", err)
			}
			var panicked *executor.PanicError
			_, err = executor.RunBlocking(ctx, ex, func(context.Context) (int, error) { panic("oh no") })
			if !errors.As(err, &panicked) || panicked.Value != "oh no" || !strings.Contains(panicked.Stack, "blocking_test.go") || panicked.StatusCode() != 500 {
				t.Errorf("panic: %#v", err)
			}
		})
	}
	_, err := executor.RunBlocking(t.Context(), ex, func(context.Context) (int, error) {
		runtime.Goexit()
		return 0, nil
	})
	if err == nil || !strings.Contains(err.Error(), "Goexit") {
		t.Errorf("goexit: %v", err)
	}
	if s := ex.Stats().Blocking[""]; s.Done != 2 || s.Failed != 5 || s.Running != 0 {
		t.Errorf("%+v", s)
	}
}

func TestRunBlocking_IsBoundedByClass(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ex := executor.New(&executor.Options{
			Blocking: executor.ClassOptions{Concurrency: 1, Queue: -1},
			Classes:  map[string]executor.ClassOptions{"db": {Concurrency: 2, Queue: 1}},
		})
		release := make(chan struct{})
		blocks := func(context.Context) (int, error) {
			<-release
			return 1, nil
		}
		var wg sync.WaitGroup
		run := func(class string) {
			wg.Go(func() {
				if got, err := executor.RunBlockingWith(t.Context(), ex, blocks, &executor.CallOptions{Class: class}); got != 1 || err != nil {
					t.Errorf("class %q: %d, %v", class, got, err)
				}
			})
			synctest.Wait()
		}
		run("db")
		run("db")
		run("db")
		run("")
		for _, class := range []string{"db", ""} {
			_, err := executor.RunBlockingWith(t.Context(), ex, blocks, &executor.CallOptions{Class: class})
			var coded interface{ StatusCode() int }
			if !errors.Is(err, executor.ErrOverloaded) || !errors.As(err, &coded) || coded.StatusCode() != 503 {
				t.Errorf("class %q: %v", class, err)
			}
		}
		if s := ex.Stats().Blocking["db"]; s.Running != 2 || s.Queued != 1 || s.Rejected != 1 {
			t.Errorf("%+v", s)
		}
		close(release)
		wg.Wait()
		if _, err := executor.RunBlockingWith(t.Context(), ex, blocks, &executor.CallOptions{Class: "unknown"}); err == nil {
			t.Error("an unknown class was taken")
		}
	})
}

func TestRunBlocking_CallerLeavesWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ex := executor.New(&executor.Options{Blocking: executor.ClassOptions{Concurrency: 1}})
		ctx, cancel := context.WithCancel(t.Context())
		release := make(chan struct{})
		errs := make(chan error, 2)
		for range 2 { // one runs, one queues
			go func() {
				_, err := executor.RunBlocking(ctx, ex, func(context.Context) (int, error) {
					<-release
					return 1, nil
				})
				errs <- err
			}()
		}
		synctest.Wait()
		cancel()
		for range 2 {
			if err := <-errs; !errors.Is(err, context.Canceled) {
				t.Errorf("%v", err)
			}
		}
		if s := ex.Stats().Blocking[""]; s.Running != 1 || s.Queued != 0 || s.Abandoned != 1 {
			t.Errorf("%+v", s)
		}
		close(release)
		synctest.Wait()
		if s := ex.Stats().Blocking[""]; s.Running != 0 {
			t.Errorf("%+v", s)
		}
	})
}

func BenchmarkRunBlocking(b *testing.B) {
	b.Run("goroutine and semaphore", func(b *testing.B) {
		b.ReportAllocs()
		places := make(chan struct{}, 64)
		type result struct {
			value int
			err   error
		}
		fn := func(context.Context) (int, error) { return 1, nil }
		for b.Loop() {
			done := make(chan result, 1)
			places <- struct{}{}
			go func() {
				defer func() { <-places }()
				value, err := fn(b.Context())
				done <- result{value, err}
			}()
			select {
			case <-done:
			case <-b.Context().Done():
			}
		}
	})
	b.Run("RunBlocking", func(b *testing.B) {
		b.ReportAllocs()
		ex := executor.New(nil)
		for b.Loop() {
			if _, err := executor.RunBlocking(b.Context(), ex, func(context.Context) (int, error) { return 1, nil }); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("RunBlocking without an end", func(b *testing.B) {
		b.ReportAllocs()
		ex := executor.New(nil)
		for b.Loop() {
			if _, err := executor.RunBlocking(context.Background(), ex, func(context.Context) (int, error) { return 1, nil }); err != nil {
				b.Fatal(err)
			}
		}
	})
}
