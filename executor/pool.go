package executor

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"
)

const (
	backoffFirst = 10 * time.Millisecond
	backoffLast  = 5 * time.Second
	hopeless     = 3                      // failed starts in a row after which calls no longer wait for a worker
	rssEvery     = 100 * time.Millisecond // how often the size of a worker is looked at, at most
)

// pool keeps Workers + Spares processes, each owned by one goroutine, and gives calls to at most Workers of them.
type pool struct {
	ex      *Executor
	opts    *Options
	gate    *gate
	files   *files
	build   string
	running atomic.Bool
	owners  sync.WaitGroup
	quit    chan struct{} // closed by stop

	mu       sync.Mutex
	ready    []*process
	idle     []*process            // those of ready without a call; the last one is the warmest
	all      map[*process]struct{} // ready, starting or ending
	busy     int                   // those of ready with a call
	stopping bool
	failures int   // failed starts in a row
	failure  error // the last of them
	restarts uint64
	takers   int           // calls that wait in take
	changed  chan struct{} // closed and replaced when ready, failures or stopping change
}

func newPool(ex *Executor) *pool {
	o := &ex.opts
	return &pool{
		ex: ex, opts: o, gate: newGate(o.Workers*o.CallsPerWorker, o.Queue, o.KeyLimit),
		quit: make(chan struct{}), changed: make(chan struct{}), all: make(map[*process]struct{}),
	}
}

func (p *pool) start(ctx context.Context) error {
	var err error
	if p.files, err = newFiles(); err != nil {
		return &StartError{Reason: "no directory for payloads", Err: err}
	}
	p.build = buildID()
	for range p.opts.Workers + p.opts.Spares {
		p.owners.Go(p.own)
	}
	for {
		p.mu.Lock()
		changed, ready, failure := p.changed, len(p.ready), p.failure
		p.mu.Unlock()
		if ready > 0 {
			p.running.Store(true)
			return nil
		}
		if failure == nil {
			select {
			case <-changed:
				continue
			case <-ctx.Done():
				failure = &StartError{Reason: "no worker was ready in time", Err: ended(ctx, "start")}
			}
		}
		return errors.Join(failure, p.stop(true))
	}
}

// stop ends all processes and awaits their owners; at once by SIGKILL if hard.
func (p *pool) stop(hard bool) error {
	p.running.Store(false)
	p.mu.Lock()
	if !p.stopping {
		p.stopping = true
		close(p.quit)
		p.changedLocked()
	}
	processes := make([]*process, 0, len(p.all))
	for w := range p.all {
		processes = append(processes, w)
	}
	p.mu.Unlock()
	for _, w := range processes {
		if hard {
			w.kill()
		} else {
			w.retire()
		}
	}
	p.owners.Wait()
	if p.files == nil {
		return nil
	}
	return p.files.removeAll()
}

// own keeps one process alive until the pool stops.
func (p *pool) own() {
	for first := true; ; first = false {
		w, err := p.spawn()
		if err != nil {
			if !p.backOff(err) {
				return
			}
			continue
		}
		if p.join(w, !first) {
			w.live()
		}
		p.part(w)
		crash := w.reap()
		w.fail(crash)
		if p.quitting() {
			return
		}
		if !w.retired.Load() {
			p.opts.Logger.LogAttrs(context.Background(), slog.LevelWarn, "executor worker died",
				slog.Int("pid", w.pid), slog.String("kind", string(crash.Kind)), slog.String("signal", crash.Signal),
				slog.Int("exit_code", crash.ExitCode), slog.String("reason", crash.Reason))
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

// backOff waits after a failed start; false when the pool stops.
func (p *pool) backOff(err error) bool {
	if p.quitting() {
		return false
	}
	p.mu.Lock()
	p.failures++
	p.failure = err
	delay := min(backoffFirst<<min(p.failures-1, 20), backoffLast)
	p.changedLocked()
	p.mu.Unlock()
	p.opts.Logger.LogAttrs(context.Background(), slog.LevelError, "executor worker did not start",
		slog.Any("error", err), slog.Duration("retry_in", delay))
	timer := time.NewTimer(delay/2 + rand.N(delay/2+1))
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-p.quit:
		return false
	}
}

// join makes w ready; false when the pool is stopping, which w then does as well.
func (p *pool) join(w *process, again bool) bool {
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
	p.changedLocked()
	return true
}

// part takes w out.
func (p *pool) part(w *process) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.dropLocked(w)
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

func (p *pool) changedLocked() {
	close(p.changed)
	p.changed = make(chan struct{})
}

// take gives a worker to a call that the gate admitted. There mostly is one: the gate admits no more than Workers can take, and spares replace the dead.
func (p *pool) take(ctx context.Context) (*process, error) {
	for {
		p.mu.Lock()
		if w := p.pickLocked(); w != nil {
			w.running++
			w.calls++
			p.mu.Unlock()
			return w, nil
		}
		p.takers++
		changed, failures, failure, stopping := p.changed, p.failures, p.failure, p.stopping
		p.mu.Unlock()
		var err error
		if stopping {
			err = ErrNotRunning
		} else if failures >= hopeless {
			err = failure
		} else {
			select {
			case <-changed:
			case <-ctx.Done():
				err = ended(ctx, "waiting for a worker")
			case <-p.ex.killed:
				err = fmt.Errorf("%w: stopped", ErrNotRunning)
			}
		}
		p.mu.Lock()
		p.takers--
		p.mu.Unlock()
		if err != nil {
			return nil, err
		}
	}
}

func (p *pool) pickLocked() *process {
	if n := len(p.idle); n > 0 && p.busy < p.opts.Workers {
		w := p.idle[n-1]
		p.idle = p.idle[:n-1]
		p.busy++
		return w
	}
	var best *process
	for _, w := range p.ready {
		if w.running > 0 && w.running < p.opts.CallsPerWorker && (best == nil || w.running < best.running) {
			best = w
		}
	}
	return best
}

// give takes w back from a call, and replaces it if it has served long enough.
func (p *pool) give(w *process) {
	p.mu.Lock()
	w.running--
	if !w.gone && (p.opts.RecycleCalls > 0 && w.calls >= p.opts.RecycleCalls || w.running == 0 && p.tooLargeLocked(w)) {
		p.dropLocked(w)
		w.tired = true
	}
	if !w.gone && w.running == 0 {
		p.busy--
		p.idle = append(p.idle, w)
	}
	retire := w.tired && w.running == 0
	if p.takers > 0 {
		p.changedLocked()
	}
	p.mu.Unlock()
	if retire {
		w.retire()
	}
}

func (p *pool) tooLargeLocked(w *process) bool {
	if p.opts.RecycleRSS <= 0 {
		return false
	}
	now := clock()
	if now-w.sized < rssEvery {
		return false
	}
	w.sized = now
	rss, err := residentBytes(w.pid)
	return err == nil && rss > p.opts.RecycleRSS
}

func (p *pool) stats() PoolStats {
	s := p.gate.stats()
	p.mu.Lock()
	defer p.mu.Unlock()
	s.Workers, s.Restarts = len(p.ready), p.restarts
	return s
}
