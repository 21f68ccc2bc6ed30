package asgi

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"time"
)

// Component is something with a life of its own beside requests: a pool, a connection, a hub.
//
// Start returns when the component is ready, or with the reason why it is not; ctx limits the
// starting, not the life. Stop ends it and waits until it has ended or ctx is done; it is
// idempotent and tolerates a component that never started.
type Component interface {
	Start(ctx context.Context) error
	Stop(ctx context.Context) error
}

// Hooks is a Component made of plain functions. Each may be nil.
type Hooks struct {
	Name    string                      // in errors and logs; "hooks" if empty
	OnStart func(context.Context) error // nil starts at once
	OnStop  func(context.Context) error // nil stops at once
	OnReady func(context.Context) error // nil is ready while started
}

// Start runs OnStart.
func (h Hooks) Start(ctx context.Context) error { return callHook(ctx, h.OnStart) }

// Stop runs OnStop.
func (h Hooks) Stop(ctx context.Context) error { return callHook(ctx, h.OnStop) }

// Ready runs OnReady.
func (h Hooks) Ready(ctx context.Context) error { return callHook(ctx, h.OnReady) }

// String is the name.
func (h Hooks) String() string {
	if h.Name == "" {
		return "hooks"
	}
	return h.Name
}

func callHook(ctx context.Context, hook func(context.Context) error) error {
	if hook == nil {
		return nil
	}
	return hook(ctx)
}

// ComponentError is the error of one component's hook. Errors of several are joined: errors.As
// finds the first, and the text of the whole names each.
type ComponentError struct {
	Component string // its name: String() if it has it, its type otherwise
	Op        string // "start", "stop" or "ready"
	// wraps ErrHookAbandoned when the hook was left behind; a panic's text and stack when it
	// panicked
	Err error
}

// Error names the operation and the component.
func (e *ComponentError) Error() string { return e.Op + " " + e.Component + ": " + e.Err.Error() }

// Unwrap gives Err.
func (e *ComponentError) Unwrap() error { return e.Err }

func componentName(c Component) string {
	if _, ok := c.(fmt.Stringer); ok {
		return fmt.Sprint(c) // not c.String(): fmt survives a nil receiver
	}
	return fmt.Sprintf("%T", c)
}

// hookGrace is how long a hook may take to return once its context has ended.
const hookGrace = time.Second

var errGoexit = errors.New("asgi: hook ended its goroutine (runtime.Goexit)")

// runBounded calls run with ctx, ended after limit unless that is negative, and returns its error,
// a panic of it as an error too. Once its context has ended, run has grace to return; then it is
// left behind in its goroutine and the error wraps ErrHookAbandoned and the reason why the context
// ended.
func runBounded(ctx context.Context, limit, grace time.Duration,
	run func(context.Context) error,
) error {
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

// panicError is the error of a recovered panic: its value, reachable by errors.As if it is an
// error, and the stack.
func panicError(v any) error {
	if err, ok := v.(error); ok {
		return fmt.Errorf("panic: %w\n%s", err, debug.Stack())
	}
	return fmt.Errorf("panic: %v\n%s", v, debug.Stack())
}
