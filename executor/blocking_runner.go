package executor

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
)

// job is a function and what became of it.
type job interface {
	run() outcome
}

// runner is the goroutine side of a function in the blocking pool. Runners are reused, start being
// bound once, so that a call allocates nothing but its job (BenchmarkRunner_UsedAgain). An Executor
// reuses its own only: with testing/synctest a channel belongs to one bubble.
type runner struct {
	job    job
	gate   *gate         // nil for a function that runs in the place of another
	key    string        // as admitted
	begun  time.Duration // when it was admitted, on clock
	waiter waiter        // its place in the queue
	start  func()
	home   *sync.Pool

	waited bool // a caller waits for the end
	state  atomic.Int32
	done   chan struct{} // capacity 1: state has left stateOpen

	next, prev *runner // in gate.jobs, guarded by gate.mu
}

// The states of a runner that somebody waits for. It leaves the first once.
const (
	stateOpen      = iota
	stateReturned  // the function has returned
	stateRefused   // it will never run
	stateStopped   // the caller is to go, for Stop
	stateAbandoned // the caller has gone
)

func newRunner(home *sync.Pool) *runner {
	r := &runner{done: make(chan struct{}, 1), home: home}
	r.start = r.run
	return r
}

// reuse is for who is the last to know r.
func (r *runner) reuse() {
	r.job = nil
	r.home.Put(r)
}

// settle tells who waits, if somebody does and was told nothing before.
func (r *runner) settle(state int32) bool {
	if !r.waited || !r.state.CompareAndSwap(stateOpen, state) {
		return false
	}
	r.done <- struct{}{}
	return true
}

// run runs the function, and then those that are admitted when it leaves its place, for as long as
// there are any: that spares them a goroutine (BenchmarkRunner_GoesOn).
func (r *runner) run() {
	for r != nil {
		r = r.once()
	}
}

func (r *runner) once() (next *runner) {
	how, returned := outcomeFailed, false
	defer func() { // deferred, for a function that ends its goroutine
		if r.gate != nil {
			next = r.gate.finish(r, clock()-r.begun, how)
		}
		if r.waited {
			r.settle(stateReturned) // now it is the caller's again
		} else {
			r.reuse()
		}
		if !returned && next != nil {
			go next.start()
		}
	}()
	how = r.job.run()
	returned = true
	return nil
}

// await returns when the function has returned, ctx has ended or Stop sends the caller away: by
// itself, or by stopped, which is nil for functions that Stop finds. The runner can be used again
// when it returns true.
func (r *runner) await(ctx context.Context, stopped <-chan struct{}) (state int32, reusable bool) {
	if stopped != nil {
		select {
		case <-r.done:
		case <-ctx.Done():
			r.state.CompareAndSwap(stateOpen, stateAbandoned)
		case <-stopped:
			r.state.CompareAndSwap(stateOpen, stateStopped)
		}
		state = r.state.Load()
		return state, false
	}
	select { // of two: this is what a call costs most
	case <-r.done:
	case <-ctx.Done():
		if r.gate != nil && r.gate.withdraw(&r.waiter) {
			return stateRefused, true
		}
		if r.state.CompareAndSwap(stateOpen, stateAbandoned) {
			return stateAbandoned, false
		}
		<-r.done // at the same moment: a value is not lost
	}
	state = r.state.Load()
	return state, state == stateReturned || state == stateRefused
}

// place is the context of a function in the blocking pool. It leads the calls that the function
// makes itself, and which it waits for, to its place: they run there, one at a time, for were they
// to wait for another, all places could be taken by functions that wait.
type place struct {
	context.Context
	gate     *gate
	returned atomic.Bool // the function has returned

	once sync.Once
	// capacity 1: full while a call runs in this place; made when the first one comes
	lent chan struct{}
}

// Value implements context.Context. The gate is the key, as a place of another class is of no use.
func (p *place) Value(key any) any {
	if g, ok := key.(*gate); ok && g == p.gate {
		return p
	}
	return p.Context.Value(key)
}

// placeOf is the place in g that ctx comes from, or nil.
func placeOf(ctx context.Context, g *gate) *place {
	if p, _ := ctx.Value(g).(*place); p != nil && !p.returned.Load() {
		return p
	}
	return nil
}

// borrow waits for the turn to run in this place.
func (p *place) borrow(ctx context.Context, stopped <-chan struct{}) error {
	p.once.Do(func() { p.lent = make(chan struct{}, 1) })
	select {
	case p.lent <- struct{}{}:
		return nil
	case <-ctx.Done():
		return contextError(ctx, "queued call")
	case <-stopped:
		return ErrNotRunning
	}
}

func (p *place) giveBack() { <-p.lent }
