package asgi

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"time"
)

// hookGrace is how long a hook may take to return once its context has ended.
const hookGrace = time.Second

var errGoexit = errors.New("asgi: hook ended its goroutine (runtime.Goexit)")

// runBounded calls run with ctx, ended after limit unless that is negative, and returns its error, a panic of it as an
// error too. Once its context has ended, run has grace to return; then it is left behind in its goroutine and the
// error wraps ErrHookAbandoned and the reason why the context ended.
func runBounded(ctx context.Context, limit, grace time.Duration, run func(context.Context) error) error {
	if limit >= 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, limit)
		defer cancel()
	}
	done := make(chan error, 1) // buffered: one that was left behind ends without a listener
	go func() {
		err := errGoexit
		defer func() {
			if v := recover(); v != nil {
				err = panicError(v)
			}
			done <- err
		}()
		err = run(ctx)
	}()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
	}
	timer := time.NewTimer(grace)
	defer timer.Stop()
	select {
	case err := <-done:
		return err
	case <-timer.C:
		return fmt.Errorf("%w (%w)", ErrHookAbandoned, context.Cause(ctx))
	}
}

// panicError is the error of a recovered panic: its value, reachable by errors.As if it is an error, and the stack.
func panicError(v any) error {
	if err, ok := v.(error); ok {
		return fmt.Errorf("panic: %w\n%s", err, debug.Stack())
	}
	return fmt.Errorf("panic: %v\n%s", v, debug.Stack())
}
