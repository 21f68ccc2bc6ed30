package executor_test

import (
	"context"
	"errors"
	"fmt"
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
	for name, ctx := range map[string]context.Context{
		"in the caller's goroutine": context.Background(), "in its own": t.Context(),
	} {
		t.Run(name, func(t *testing.T) {
			got, err := executor.RunBlocking(ctx, ex,
				func(context.Context) (int, error) { return 7, nil })
			if got != 7 || err != nil {
				t.Errorf("%d, %v", got, err)
			}
			if _, err = executor.RunBlocking(ctx, ex,
				func(context.Context) (int, error) { return 0, broken }); !errors.Is(err, broken) {
				t.Errorf("error: %v", err)
			}
			var panicked *executor.PanicError
			_, err = executor.RunBlocking(ctx, ex,
				func(context.Context) (int, error) { panic("oh no") })
			if !errors.As(err, &panicked) || panicked.Value != "oh no" ||
				!strings.Contains(panicked.Stack, "blocking_test.go") ||
				panicked.StatusCode() != 500 {
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
				if got, err := executor.RunBlockingWith(t.Context(), ex, blocks,
					&executor.CallOptions{Class: class}); got != 1 || err != nil {
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
			_, err := executor.RunBlockingWith(t.Context(), ex, blocks,
				&executor.CallOptions{Class: class})
			var coded interface{ StatusCode() int }
			if !errors.Is(err, executor.ErrOverloaded) || !errors.As(err, &coded) ||
				coded.StatusCode() != 503 {
				t.Errorf("class %q: %v", class, err)
			}
		}
		if s := ex.Stats().Blocking["db"]; s.Running != 2 || s.Queued != 1 || s.Rejected != 1 {
			t.Errorf("%+v", s)
		}
		close(release)
		wg.Wait()
		if _, err := executor.RunBlockingWith(t.Context(), ex, blocks,
			&executor.CallOptions{Class: "unknown"}); err == nil {
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

// BenchmarkRunBlocking has a context that can end, as that of a request. "goroutine and semaphore"
// is the floor, for those who wait and for those who do not.
func BenchmarkRunBlocking(b *testing.B) {
	fn := func(context.Context) (int, error) { return 1, nil }
	for _, callers := range []int{1, 8} {
		var stops []func()
		each := func(name string, call func(ctx context.Context)) {
			b.Run(fmt.Sprintf("%s/callers=%d", name, callers), func(b *testing.B) {
				b.ReportAllocs()
				// not that of b, which ends while functions of Go are queued
				ctx, cancel := context.WithCancel(context.Background())
				stops = append(stops, cancel)
				if callers == 1 {
					for b.Loop() {
						call(ctx)
					}
				} else {
					b.SetParallelism(callers / runtime.GOMAXPROCS(0))
					b.RunParallel(func(pb *testing.PB) {
						for pb.Next() {
							call(ctx)
						}
					})
				}
			})
		}
		places := make(chan struct{}, 64)
		each("goroutine and semaphore", func(ctx context.Context) {
			type result struct {
				value int
				err   error
			}
			done := make(chan result, 1)
			places <- struct{}{}
			go func() {
				defer func() { <-places }()
				value, err := fn(ctx)
				done <- result{value, err}
			}()
			select {
			case <-done:
			case <-ctx.Done():
			}
		})
		ex := executor.New(nil)
		each("RunBlocking", func(ctx context.Context) {
			if _, err := executor.RunBlocking(ctx, ex, fn); err != nil {
				b.Error(err)
			}
		})
		each("RunBlocking, context without an end", func(context.Context) {
			if _, err := executor.RunBlocking(context.Background(), ex, fn); err != nil {
				b.Error(err)
			}
		})
		ready := func(context.Context) error { return nil }
		each("Go", func(ctx context.Context) {
			if err := ex.GoWith(ctx, ready, &executor.CallOptions{Wait: true}); err != nil {
				b.Error(err)
			}
		})
		if err := ex.Stop(context.Background()); err != nil {
			b.Error(err)
		}
		for _, stop := range stops {
			stop()
		}
	}
}
