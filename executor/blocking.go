package executor

import (
	"context"
	"fmt"
)

// RunBlocking runs fn in the blocking pool and returns what it returns. It works from New until
// Stop, before Start as well.
//
// It ends with ErrOverloaded when the queue is full, with the context's error as soon as ctx ends,
// though fn then keeps its place until it returns, and with a PanicError when fn panics. fn gets a
// context that ends with ctx. When ctx can never end, fn runs in the caller's own goroutine.
//
// A call that fn makes itself, in the same class and with its context, runs in fn's own place, one
// such call at a time: it never waits for places that are all taken by functions that wait. Without
// that context it queues like any other, and may wait for ever.
func RunBlocking[T any](ctx context.Context, ex *Executor, fn func(context.Context) (T, error)) (T,
	error,
) {
	return RunBlockingWith(ctx, ex, fn, nil)
}

// RunBlockingWith is RunBlocking with options, of which it knows Priority, Key, Wait and Class. Nil
// options are the defaults.
func RunBlockingWith[T any](ctx context.Context, ex *Executor, fn func(context.Context) (T, error),
	opts *CallOptions,
) (T, error) {
	if ex == nil || fn == nil {
		var none T
		return none, errNil
	}
	if len(ex.opts.Middleware) > 0 {
		return throughBlocking(ctx, ex, "", opts,
			func(ctx context.Context) (T, error) { return block(ctx, ex, fn, opts) })
	}
	return block(ctx, ex, fn, opts)
}

// throughBlocking calls run, a call of the blocking pool, with the middleware of ex around it.
func throughBlocking[T any](ctx context.Context, ex *Executor, name string, opts *CallOptions,
	run func(context.Context) (T, error),
) (T, error) {
	c := &CallInfo{Func: name, Blocking: true}
	if opts != nil {
		c.Class = opts.Class
	}
	return through(ctx, ex.opts.Middleware, c, run)
}

// block is a call of the blocking pool.
func block[T any](ctx context.Context, ex *Executor, fn func(context.Context) (T, error),
	opts *CallOptions,
) (T, error) {
	var none T
	if opts == nil {
		opts = &defaultCall
	}
	g, err := ex.class(opts.Class)
	if err != nil {
		return none, err
	}
	if ctx.Err() != nil {
		return none, contextError(ctx, "call not begun")
	}
	c := &blockingCall[T]{fn: fn}
	c.Context, c.gate = ctx, g
	if outer := placeOf(ctx, g); outer != nil {
		if err := outer.borrow(ctx, ex.killed); err != nil {
			return none, err
		}
		c.outer = outer
	}
	if ctx.Done() == nil {
		return c.runHere(opts)
	}
	r := ex.runners.Get().(*runner)
	r.job, r.gate, r.key, r.waited = c, g, opts.Key, true
	r.state.Store(stateOpen)
	var stopped chan struct{}
	if c.outer != nil {
		r.gate, stopped = nil, ex.killed
		go r.start()
	} else if _, err := g.submit(r, opts, true); err != nil {
		r.reuse()
		return none, err
	}
	state, reusable := r.await(ctx, stopped)
	if reusable {
		r.reuse()
	}
	switch state {
	case stateReturned:
		return c.value, c.err
	case stateStopped:
		g.abandoned()
		return none, fmt.Errorf("%w: stopped during the call, which goes on", ErrNotRunning)
	case stateRefused:
		if ctx.Err() != nil {
			return none, contextError(ctx, "queued call")
		}
		return none, ErrNotRunning
	}
	g.abandoned()
	return none, contextError(ctx, "blocking call")
}

// class is the gate of a class.
func (ex *Executor) class(name string) (*gate, error) {
	if g := ex.classes[name]; g != nil {
		return g, nil
	}
	return nil, fmt.Errorf("executor: unknown class %q: Options.Classes has none of that name",
		name)
}

// defaultCall is read only.
var defaultCall CallOptions

// blockingCall is a function whose caller waits. It is the function's context, too.
type blockingCall[T any] struct {
	place
	outer *place // whose place this call runs in, if it has none of its own
	fn    func(context.Context) (T, error)
	value T
	err   error
}

// run implements job.
func (c *blockingCall[T]) run() (how outcome) {
	how = outcomeFailed
	returned := false
	defer func() {
		if !returned {
			c.err = panicked(recover())
		}
		c.returned.Store(true)
		if c.outer != nil {
			c.gate.counted(how)
			c.outer.giveBack()
		}
	}()
	c.value, c.err = c.fn(c)
	if returned = true; c.err == nil {
		how = outcomeDone
	}
	return how
}

// runHere runs the function in the caller's goroutine.
func (c *blockingCall[T]) runHere(opts *CallOptions) (T, error) {
	if c.outer != nil {
		c.run()
		return c.value, c.err
	}
	begun, err := c.gate.enter(c.Context, opts, nil, false)
	if err != nil {
		return c.value, err
	}
	how := outcomeFailed
	defer func() { c.gate.leave(opts.Key, clock()-begun, how) }()
	how = c.run()
	return c.value, c.err
}
