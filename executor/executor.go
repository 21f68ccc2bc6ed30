package executor

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/genropy/genro-asgi-go/internal/lockorder"
)

// Executor is a blocking pool and a process pool. It is made by New and is an asgi component: it
// has Start and Stop.
type Executor struct {
	opts    Options
	classes map[string]*gate // of the blocking pool; not changed after New
	runners sync.Pool        // of *runner
	unrun   unrun
	pool    *pool

	mu       lockorder.Mutex
	started  bool
	stopped  bool
	killed   chan struct{} // closed when Stop's deadline has passed
	stopDone chan struct{} // closed when Stop has done its work
}

// New makes an Executor. Nil options are the defaults. Nothing is started: RunBlocking works from
// now on, the process pool from Start. It panics when an Options.Middleware is nil.
func New(opts *Options) *Executor {
	o := withDefaults(opts)
	mustNotBeNil("New: Options.Middleware", o.Middleware)
	ex := &Executor{
		opts: o, classes: make(map[string]*gate), killed: make(chan struct{}),
		stopDone: make(chan struct{}),
	}
	class := func(options string, c ClassOptions) *gate {
		return newGate(options+".Concurrency and Queue", orDefault(c.Concurrency, 64),
			orDefault(c.Queue, 1024), c.KeyLimit)
	}
	for name, c := range o.Classes {
		ex.classes[name] = class(fmt.Sprintf("Options.Classes[%q]", name), c)
	}
	ex.classes[""] = class("Options.Blocking", o.Blocking)
	ex.runners.New = func() any { return newRunner(&ex.runners) }
	ex.pool = newPool(ex)
	return ex
}

// Start starts the worker processes, if any Func is registered, and returns when the first is
// ready, or with a StartError. ctx governs that wait only; Stop ends it too. An Executor starts
// once, whatever came of it.
func (ex *Executor) Start(ctx context.Context) error {
	ex.mu.Lock()
	again := ex.started || ex.stopped
	ex.started = true
	ex.mu.Unlock()
	if again {
		return errors.New("executor: Start: it was started or stopped before")
	}
	if _, inWorker := os.LookupEnv(marker); inWorker {
		// This very process is a worker whose main does not call Main: without this it would start
		// workers of its own, and so on.
		return &StartError{
			Reason: "this process is a worker: main must call executor.Main() before anything else",
		}
	}
	if registryEmpty() {
		return nil
	}
	return ex.pool.start(ctx)
}

// Stop admits no more calls, waits until those that run or queue have ended, then ends the worker
// processes. When ctx ends before, the queue is emptied and the workers are killed (those calls end
// with ErrNotRunning), and the error says so. No process is left when Stop returns, and no
// goroutine but those of blocking calls whose functions have not returned and those that
// Options.Stderr or Options.Logger hold, which Stop gives a second and then names. Stop may be
// called often, and without Start.
func (ex *Executor) Stop(ctx context.Context) error {
	ex.mu.Lock()
	first := !ex.stopped
	ex.stopped = true
	ex.mu.Unlock()
	if !first {
		select {
		case <-ex.stopDone:
			return nil
		case <-ctx.Done():
			return contextError(ctx, "stop")
		}
	}
	defer close(ex.stopDone)
	gates := []*gate{ex.pool.gate}
	for _, g := range ex.classes {
		gates = append(gates, g)
	}
	for _, g := range gates {
		g.close(ErrNotRunning)
	}
	var err error
	for _, g := range gates {
		select {
		case <-g.idle:
			continue
		case <-ctx.Done():
		}
		s := g.stats()
		err = errors.Join(err,
			contextError(ctx,
				fmt.Sprintf("stop: %d calls running and %d queued", s.Running, s.Queued)))
	}
	if err != nil {
		close(ex.killed)
		unheard := 0
		for _, g := range gates {
			unheard += g.refuse()
		}
		if unheard > 0 {
			ex.unrun.add(ctx, ex.opts.Logger, unheard,
				fmt.Errorf("%w: Stop's time was up", ErrNotRunning))
		}
	}
	ex.unrun.flush(ctx, ex.opts.Logger)
	return errors.Join(err, ex.pool.stop(err != nil))
}

// Stats is a snapshot.
func (ex *Executor) Stats() Stats {
	s := Stats{Process: ex.pool.stats(), Blocking: make(map[string]PoolStats, len(ex.classes))}
	for name, g := range ex.classes {
		s.Blocking[name] = g.stats()
	}
	return s
}

// stopGrace is how long an idle worker may take to exit by itself.
const stopGrace = time.Second
