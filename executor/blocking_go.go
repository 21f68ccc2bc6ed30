package executor

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/genropy/genro-asgi-go/internal/lockorder"
)

// Go runs fn in the blocking pool and does not wait for it. An error says that fn will not run:
// ErrOverloaded when the queue is full, ErrNotRunning from Stop on. What fn returns goes to
// Options.Logger, if it is an error, and so does a panic, with its stack.
//
// fn gets a context that ends with ctx. If ctx has ended before fn's turn comes, fn does not run,
// and Options.Logger is told; for work that is to outlive a request, give
// context.WithoutCancel(r.Context()). Stop waits for all functions, and those still in the queue
// when its own context ends do not run.
func (ex *Executor) Go(ctx context.Context, fn func(context.Context) error) error {
	return ex.GoWith(ctx, fn, nil)
}

// GoWith is Go with options, of which it knows Priority, Key, Wait and Class: with Wait it waits
// until a full queue has a place, or ctx ends. Nil options are the defaults.
func (ex *Executor) GoWith(ctx context.Context, fn func(context.Context) error,
	opts *CallOptions,
) error {
	if ex == nil || fn == nil {
		return errNil
	}
	if opts == nil {
		opts = &defaultCall
	}
	g, err := ex.class(opts.Class)
	if err != nil {
		return err
	}
	if ctx.Err() != nil {
		return contextError(ctx, "call not begun")
	}
	r := ex.runners.Get().(*runner)
	r.job, r.gate, r.key, r.waited = &goCall{
		place: place{Context: ctx, gate: g}, ex: ex, fn: fn,
		class: opts.Class,
	}, g, opts.Key, false
	full, err := g.submit(r, opts, false)
	if err != nil {
		r.reuse()
		return err
	}
	if full == nil {
		return nil
	}
	select {
	case err = <-full:
	case <-ctx.Done():
		if !g.withdraw(&r.waiter) {
			if err = <-full; err == nil {
				return nil // queued at the same moment
			}
		} else {
			err = contextError(ctx, "queued call")
		}
	}
	if err != nil {
		r.reuse()
	}
	return err
}

// goCall is a function that nobody waits for.
type goCall struct {
	place
	ex    *Executor
	class string
	fn    func(context.Context) error
}

// run implements job.
func (c *goCall) run() (how outcome) {
	how = outcomeFailed
	var err error
	returned := false
	defer func() {
		if !returned {
			err = panicked(recover())
		}
		c.returned.Store(true)
		if err != nil {
			c.report(err)
		}
	}()
	if c.Err() != nil {
		c.ex.unrun.add(c, c.ex.opts.Logger, 1, contextError(c, "function of Go not begun"))
	} else if err = c.call(); err == nil {
		how = outcomeDone
	}
	returned = true
	return how
}

// call calls the function, with the middleware around it.
func (c *goCall) call() error {
	if len(c.ex.opts.Middleware) == 0 {
		return c.fn(c)
	}
	info := &CallInfo{Class: c.class, Blocking: true}
	_, err := through(c, c.ex.opts.Middleware, info,
		func(ctx context.Context) (_ struct{}, err error) {
			returned := false
			defer func() {
				if !returned {
					err = panicked(recover())
				}
			}()
			err = c.fn(ctx)
			returned = true
			return struct{}{}, err
		})
	return err
}

// unrun counts functions of Go that never ran. They may be many at once: it logs the first, and
// those that follow within a second together with the next one after it, or at Stop.
type unrun struct {
	mu     lockorder.Mutex
	count  int
	err    error // the last one's
	logged bool
	last   time.Duration // when, on clock
}

func (u *unrun) add(ctx context.Context, logger *slog.Logger, n int, err error) {
	u.mu.Lock()
	u.count, u.err = u.count+n, err
	now := clock()
	early := u.logged && now-u.last < time.Second
	if !early {
		u.logged, u.last = true, now
	}
	u.mu.Unlock()
	if !early {
		u.flush(ctx, logger)
	}
}

func (u *unrun) flush(ctx context.Context, logger *slog.Logger) {
	u.mu.Lock()
	n, err := u.count, u.err
	u.count = 0
	u.mu.Unlock()
	if n > 0 {
		logger.LogAttrs(ctx, slog.LevelError,
			"executor: functions of Go did not run", slog.Int("functions", n),
			slog.Any("error", err))
	}
}

func (c *goCall) report(err error) {
	attrs := []slog.Attr{slog.String("class", c.class), slog.String("error", err.Error())}
	var panicked *PanicError
	if errors.As(err, &panicked) {
		attrs = append(attrs, slog.String("stack", panicked.Stack))
	}
	c.ex.opts.Logger.LogAttrs(c, slog.LevelError, "executor: a function of Go failed", attrs...)
}
