package executor

import (
	"context"
	"fmt"
	"runtime/debug"
	"time"
)

// RunBlocking runs fn in the blocking pool and returns what it returns. It works from New until Stop, before Start as well.
//
// It ends with ErrOverloaded when the queue is full, with the context's error as soon as ctx ends, though fn, which gets the same ctx,
// then keeps its place until it returns, and with a PanicError when fn panics. When ctx can never end, fn runs in the caller's own goroutine.
func RunBlocking[T any](ctx context.Context, ex *Executor, fn func(context.Context) (T, error)) (T, error) {
	return RunBlockingWith(ctx, ex, fn, nil)
}

// RunBlockingWith is RunBlocking with options, of which it knows Priority, Key, Wait and Class. Nil options are the defaults.
func RunBlockingWith[T any](ctx context.Context, ex *Executor, fn func(context.Context) (T, error), opts *CallOptions) (T, error) {
	if opts == nil {
		opts = &defaultCall
	}
	var none T
	g := ex.classes[opts.Class]
	if g == nil {
		return none, fmt.Errorf("executor: unknown class %q", opts.Class)
	}
	begun, err := g.enter(ctx, opts)
	if err != nil {
		return none, err
	}
	c := &blockingCall[T]{fn: fn, ctx: ctx}
	if ctx.Done() == nil {
		func() {
			defer func() { g.leave(opts.Key, clock()-begun, c.outcome()) }()
			c.run()
		}()
		return c.value, c.err
	}
	r := ex.runners.Get().(*runner)
	r.task, r.gate, r.key, r.begun = c, g, opts.Key, begun
	go r.start()
	select {
	case <-r.done:
		ex.runners.Put(r)
		return c.value, c.err
	case <-ctx.Done():
		err = ended(ctx, "blocking call")
	case <-ex.killed:
		err = fmt.Errorf("%w: stopped", ErrNotRunning)
	}
	select {
	case <-r.done: // it returned at the same moment: its value is not lost
		ex.runners.Put(r)
		return c.value, c.err
	default:
	}
	g.mu.Lock()
	g.counts.abandoned++
	g.mu.Unlock()
	return none, err // r is left to its goroutine
}

// defaultCall is read only.
var defaultCall CallOptions

type blockingCall[T any] struct {
	fn       func(context.Context) (T, error)
	ctx      context.Context
	value    T
	err      error
	returned bool
}

type task interface {
	run()
	outcome() outcome
}

func (c *blockingCall[T]) run() {
	defer func() {
		if !c.returned {
			c.err = panicked(recover())
		}
	}()
	c.value, c.err = c.fn(c.ctx)
	c.returned = true
}

func (c *blockingCall[T]) outcome() outcome {
	if c.err != nil || !c.returned {
		return outcomeFailed
	}
	return outcomeDone
}

// panicked is the error of a function that did not return: it panicked with v, or v is nil and it ended its goroutine.
func panicked(v any) *PanicError {
	if v == nil {
		return &PanicError{Value: "the function called runtime.Goexit", Stack: ""}
	}
	stack := debug.Stack()
	return &PanicError{Value: clip(fmt.Sprint(v)), Stack: string(stack[:min(len(stack), noteMax)])}
}

// clip bounds a text that is sent or kept.
func clip(s string) string { return s[:min(len(s), noteMax)] }

// runner is the goroutine side of a blocking call. An Executor reuses its own only: with testing/synctest a channel belongs to one bubble. They are reused, start being bound once, so that a call allocates nothing but its blockingCall.
type runner struct {
	task  task
	gate  *gate
	key   string
	begun time.Duration
	done  chan struct{} // capacity 1: the caller may have gone
	start func()
}

func newRunner() any {
	r := &runner{done: make(chan struct{}, 1)}
	r.start = r.run
	return r
}

func (r *runner) run() {
	defer func() { // deferred, for a function that ends its goroutine
		t := r.task
		r.task = nil
		r.gate.leave(r.key, clock()-r.begun, t.outcome())
		r.done <- struct{}{}
	}()
	r.task.run()
}
