package executor

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/genropy/genro-asgi-go/executor/internal/proc"
	"github.com/genropy/genro-asgi-go/executor/internal/shared"
	"github.com/genropy/genro-asgi-go/executor/internal/stderr"
	"github.com/genropy/genro-asgi-go/internal/lockorder"
)

const (
	// failed starts in a row after which calls no longer wait for a worker
	maxStartFailures = 3
	// how often the size of a worker is looked at, at most
	rssEvery = 100 * time.Millisecond
)

// pool keeps Workers + Spares processes, each owned by one goroutine, and gives calls to at most
// Workers of them.
type pool struct {
	ex      *Executor
	opts    *Options
	gate    *gate
	dir     string        // for files that are exchanged, where that needs one
	program *proc.Program // set by start, as what follows
	build   string
	adopts  bool // orphans become children of this process
	output  *stderr.Relay
	running atomic.Bool
	owners  sync.WaitGroup
	quit    chan struct{} // closed by stop

	mu           lockorder.Mutex
	ready        []*process
	idle         []*process            // those of ready without a call; the last one is the warmest
	processes    map[*process]struct{} // ready, starting or ending
	busy         int                   // those of ready with a call
	stopping     bool
	failures     int                   // failed starts in a row
	failure      error                 // the last of them
	logged       map[string]failureLog // what was logged of starts that failed
	aheadWorkers int                   // those of ready in whose pipe calls may wait
	restarts     uint64
	waiting      int           // calls that wait in take
	assigned     int           // calls that have a worker
	uneven       atomic.Bool   // a worker may be idle while a call waits in the pipe of another
	changed      chan struct{} // closed and replaced when ready, failures or stopping change

	stopOnce sync.Once
	stopErr  error // of awaitOwners
}

func newPool(ex *Executor) *pool {
	o := &ex.opts
	return &pool{
		ex: ex, opts: o,
		gate: newGate("Options.Workers and Queue", o.Workers*o.CallsPerWorker, o.Queue,
			o.KeyLimit),
		output: stderr.NewRelay(o.Stderr), quit: make(chan struct{}), changed: make(chan struct{}),
		processes: make(map[*process]struct{}), logged: make(map[string]failureLog),
	}
}

func (p *pool) start(ctx context.Context) error {
	dir, err := shared.MakeDir()
	if err != nil {
		return &StartError{Reason: "no directory for payloads", Err: err}
	}
	p.mu.Lock()
	p.dir, p.program, p.build, p.adopts = dir, proc.Open(), buildID(), proc.Adopts()
	stopping := p.stopping
	if !stopping {
		go p.output.Run() // awaited by stop, as far as Options.Stderr lets it
		for range p.opts.Workers + p.opts.Spares {
			p.owners.Go(p.own)
		}
	}
	p.mu.Unlock()
	for !stopping {
		p.mu.Lock()
		changed, ready, failure := p.changed, len(p.ready), p.failure
		stopping = p.stopping
		if ready > 0 && !stopping {
			p.running.Store(true)
		}
		p.mu.Unlock()
		if stopping {
			break
		}
		if ready > 0 {
			return nil
		}
		if failure == nil {
			select {
			case <-changed:
				continue
			case <-ctx.Done():
				failure = &StartError{
					Reason: "no worker was ready in time",
					Err:    contextError(ctx, "start"),
				}
			}
		}
		return errors.Join(failure, p.stop(true))
	}
	return errors.Join(fmt.Errorf("%w: stopped while it started", ErrNotRunning), p.stop(true))
}

// stop ends all processes and awaits their owners; at once by SIGKILL if hard.
func (p *pool) stop(hard bool) error {
	p.mu.Lock()
	p.running.Store(false)
	if !p.stopping {
		p.stopping = true
		close(p.quit)
		p.signalChangeLocked()
	}
	processes := make([]*process, 0, len(p.processes))
	for w := range p.processes {
		processes = append(processes, w)
	}
	started := p.program != nil
	p.mu.Unlock()
	if !started {
		return nil
	}
	for _, w := range processes {
		if hard {
			w.group.kill()
		} else {
			w.retire()
		}
	}
	return p.awaitOwners()
}

// awaitOwners awaits the owners and what workers have printed. Options.Logger and Options.Stderr
// may hold them up for ever: then it does not wait for ever, but says so.
func (p *pool) awaitOwners() error {
	p.stopOnce.Do(func() {
		owners := make(chan struct{})
		go func() {
			defer close(owners)
			p.owners.Wait()
		}()
		var errs []error
		timer := time.NewTimer(stopGrace + lastGrace)
		defer timer.Stop()
		select {
		case <-owners:
			p.program.Close()
			errs = append(errs, shared.RemoveDir(p.dir))
		case <-timer.C:
			errs = append(errs,
				errors.New(
					"executor: stop: workers are gone, but Options.Logger still holds what "+
						"watched them"))
		}
		p.output.Close()
		timer.Reset(stopGrace)
		select {
		case <-p.output.Done():
		case <-timer.C:
			errs = append(errs,
				errors.New(
					"executor: stop: Options.Stderr does not take what workers have printed"))
		}
		p.stopErr = errors.Join(errs...)
	})
	return p.stopErr
}

// own keeps one process alive until the pool stops.
func (p *pool) own() {
	// in a row: processes that did not start, or died by themselves before they had a call
	failedInARow := 0
	for first := true; ; first = false {
		w, err := p.spawn()
		if err != nil {
			failedInARow++
			p.noteFailure(err)
			if !p.backOff(err, failedInARow) {
				return
			}
			continue
		}
		if p.addReady(w, !first) {
			w.awaitDeath()
		}
		calls := p.removeReady(w)
		end := w.endCalls(w.reap())
		p.rebalance()
		if p.quitting() {
			return
		}
		switch {
		case w.retired.Load():
			failedInARow = 0
		case calls == 0 && end.crash.Kind != CrashKilled:
			failedInARow++
			if !p.backOff(&StartError{
				Reason: "it died before it had a call", Stderr: end.crash.Stderr,
				Err: end.crash,
			}, failedInARow) {
				return
			}
		default:
			failedInARow = 0
			p.opts.Logger.LogAttrs(end.ctx, slog.LevelWarn, "executor worker died",
				end.crash.attrs()...)
		}
	}
}

func (p *pool) quitting() bool {
	select {
	case <-p.quit:
		return true
	default:
		return false
	}
}

// noteFailure tells calls that wait for a worker.
func (p *pool) noteFailure(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.failures++
	p.failure = err
	p.signalChangeLocked()
}

// addReady makes w ready; false when the pool is stopping, which w then does as well.
func (p *pool) addReady(w *process, again bool) bool {
	defer p.rebalance()
	p.mu.Lock()
	defer p.mu.Unlock()
	if again {
		p.restarts++
	}
	if p.stopping {
		return false
	}
	p.failures, p.failure = 0, nil
	p.ready = append(p.ready, w)
	p.idle = append(p.idle, w)
	p.signalChangeLocked()
	p.uneven.Store(true)
	return true
}

// removeReady takes w out and says how many calls it has had.
func (p *pool) removeReady(w *process) (calls int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.dropLocked(w)
	p.uneven.Store(true)
	return w.calls
}

// dropLocked takes w from those that get calls.
func (p *pool) dropLocked(w *process) {
	if !remove(&p.ready, w) {
		return
	}
	if !remove(&p.idle, w) {
		p.busy--
	}
	w.gone = true
	p.setQuickLocked(w, false)
}

func remove(list *[]*process, w *process) bool {
	for i, other := range *list {
		if other == w {
			*list = append((*list)[:i], (*list)[i+1:]...)
			return true
		}
	}
	return false
}

func (p *pool) signalChangeLocked() {
	close(p.changed)
	p.changed = make(chan struct{})
}

func (p *pool) stats() PoolStats {
	s := p.gate.stats()
	p.mu.Lock()
	defer p.mu.Unlock()
	s.Workers, s.Restarts = len(p.ready), p.restarts
	return s
}
