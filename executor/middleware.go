package executor

import (
	"context"
	"fmt"
	"slices"
)

// Middleware is called around calls: to log, to measure, to trace. In the process that calls,
// Options.Middleware is around each call of an Executor; in a worker process what UseWorker was
// given is around each function.
//
// It calls next once, with ctx or one made of it, and returns next's error or another in its place,
// which the call then ends with: a nil error that it makes of a failure is a success with the zero
// value. A call that ends without next, such as by an error of its own, has had no effect. It is
// called by many goroutines at a time.
type Middleware func(ctx context.Context, c *CallInfo, next func(ctx context.Context) error) error

// CallInfo is what a Middleware may know of a call. It is for that call's goroutine.
type CallInfo struct {
	// Func is the name given to NewFunc; of a BlockingHandler its Go function's, "" where that has
	// none, as for all other calls of the blocking pool.
	Func string
	// Class is CallOptions.Class, of a blocking call only.
	Class string
	// Blocking says that the call is one of the blocking pool.
	Blocking bool
	// Meta travels with a call of the process pool to the worker, where the Middleware of UseWorker
	// finds it. It is nil until a Middleware makes a map, before it calls next. Keys and values may
	// be any texts; together, with 4 bytes for each pair, they take 4 KiB at most, or the call ends
	// with ErrTooLarge.
	Meta map[string]string
	// PID is the process id of the worker that has had the call: after next, and 0 if none has had
	// it, or for a blocking call. In a worker it is its own.
	PID int
}

// UseWorker adds middleware around the functions that run in worker processes, the first one given
// outermost. It is called in main before Main (in tests, in TestMain), whatever the arguments of
// the program, of which a worker has none; in a process that is no worker it has no effect. The
// function's context, which the middleware gets, is good for Progress and Logger; a panic of the
// function goes through. UseWorker panics when Main has been called, or when one is nil.
func UseWorker(middleware ...Middleware) {
	registered.Lock()
	defer registered.Unlock()
	if registered.served {
		panic("executor: UseWorker: it comes before Main")
	}
	mustNotBeNil("UseWorker", middleware)
	registered.around = append(registered.around, middleware...)
}

// mustNotBeNil panics if one is.
func mustNotBeNil(where string, middleware []Middleware) {
	if slices.ContainsFunc(middleware, func(m Middleware) bool { return m == nil }) {
		panic(fmt.Sprintf("executor: %s: a Middleware that is nil", where))
	}
}

// through calls run with middleware around it, the first of which is outermost.
func through[T any](ctx context.Context, around []Middleware, c *CallInfo,
	run func(ctx context.Context) (T, error),
) (T, error) {
	var none, out T
	next := func(ctx context.Context) (err error) {
		if out, err = run(ctx); err != nil {
			out = none
		}
		return err
	}
	for _, m := range slices.Backward(around) {
		inner := next
		next = func(ctx context.Context) error { return m(ctx, c, inner) }
	}
	if err := next(ctx); err != nil {
		return none, err
	}
	return out, nil
}
