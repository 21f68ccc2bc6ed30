package executor

import (
	"context"
	"time"

	"github.com/genropy/genro-asgi-go/executor/internal/histogram"
	"github.com/genropy/genro-asgi-go/internal/lockorder"
)

// gate admits a bounded number of calls; the others wait in a bounded queue, by priority and then
// by age. Calls with one key may be bounded as well: those over the bound stand aside, so that they
// hold up nobody else.
//
// What is admitted is a caller, who has waited for it (enter), or a function, which the gate then
// starts (submit).
type gate struct {
	options  string // that set the bounds
	capacity int
	queueMax int
	keyLimit int // 0: none

	mu         lockorder.Mutex
	extra      int // more callers that are admitted, to wait elsewhere; they count as queued
	running    int
	seq        uint64
	waiting    waiterHeap
	aside      int        // waiters in some key's aside
	submitters waiterHeap // functions whose submitters wait for a place in the queue
	keys       map[string]*keyState
	err        error         // set: nobody is admitted any more, and this is why
	idle       chan struct{} // closed once running and queue are empty after err was set
	jobs       runner        // the root of a ring of the functions that run
	counts     counters
	waits      histogram.Histogram
	runs       histogram.Histogram
}

type counters struct {
	done, failed, killed, rejected, abandoned uint64
}

type keyState struct {
	running int
	aside   waiterHeap
}

// outcome says how an admitted call ended, for the statistics.
type outcome uint8

const (
	outcomeDone outcome = iota
	outcomeFailed
	outcomeKilled // its worker was killed for it
)

func newGate(options string, capacity, queueMax, keyLimit int) *gate {
	g := &gate{
		options: options, capacity: capacity, queueMax: queueMax, keyLimit: keyLimit,
		idle: make(chan struct{}),
	}
	g.jobs.next, g.jobs.prev = &g.jobs, &g.jobs
	return g
}

var started = time.Now()

// clock is monotonic time; it costs half of time.Now.
func clock() time.Duration { return time.Since(started) }

// enter admits the caller, who then owes one leave, or says why not. It returns when it was
// admitted, on clock.
//
// w is its place in the queue, or nil. A caller that may go ahead is admitted beyond the bound,
// too, as long as there are extra places.
func (g *gate) enter(ctx context.Context, o *CallOptions, w *waiter, ahead bool) (time.Duration,
	error,
) {
	if ctx.Err() != nil {
		return 0, contextError(ctx, "call not begun")
	}
	g.mu.Lock()
	if g.freeLocked(o, ahead) {
		g.admitLocked(o.Key)
		g.waits.Add(0)
		g.mu.Unlock()
		return clock(), nil
	}
	if err := g.refusalLocked(o); err != nil {
		g.mu.Unlock()
		return 0, err
	}
	if w == nil {
		w = &waiter{verdict: make(chan error, 1)}
	}
	w.mayGoAhead = ahead
	g.queueLocked(w, o, &g.waiting)
	g.dispatchLocked(false) // a free place may be there: those who wait may all be of full keys
	g.mu.Unlock()
	select {
	case err := <-w.verdict:
		return clock(), err
	case <-ctx.Done():
		if !g.withdraw(w) && <-w.verdict == nil { // admitted at the same moment
			g.leave(o.Key, -1, outcomeFailed)
		}
		return 0, contextError(ctx, "queued call")
	}
}

// submit starts or queues a function, which owes the leave. With o.Wait it is queued beyond the
// bound, for a caller who waits for its end; one who does not is bound to wait for a place in the
// queue, and full is the channel that says so.
func (g *gate) submit(r *runner, o *CallOptions, callerWaits bool) (full <-chan error, err error) {
	now := clock()
	g.mu.Lock()
	if g.freeLocked(o, false) {
		g.admitLocked(o.Key)
		g.waits.Add(0)
		g.listLocked(r, now)
		g.mu.Unlock()
		go r.start() // without the lock, for which the others would wait the longer
		return nil, nil
	}
	defer g.mu.Unlock()
	crowded := g.queuedLocked() >= g.queueMax
	if err := g.refusalLocked(o); err != nil {
		return nil, err
	}
	w := &r.waiter
	*w = waiter{job: r}
	if crowded && !callerWaits {
		w.verdict = make(chan error, 1)
		g.queueLocked(w, o, &g.submitters)
		return w.verdict, nil
	}
	g.queueLocked(w, o, &g.waiting)
	g.dispatchLocked(false)
	return nil, nil
}

// freeLocked reports whether a call is admitted at once.
func (g *gate) freeLocked(o *CallOptions, ahead bool) bool {
	room := g.running < g.capacity || ahead && g.running < g.capacity+min(g.extra, g.queueMax)
	return room && g.err == nil && len(g.waiting) == 0 && (o.Key == "" || g.keyFreeLocked(o.Key))
}

// queuedLocked is how many calls wait, here and elsewhere, but for those that wait for a place in
// the queue.
func (g *gate) queuedLocked() int { return len(g.waiting) + g.aside + max(g.running-g.capacity, 0) }

// extend sets the number of extra places.
func (g *gate) extend(places int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.extra = places
	g.dispatchLocked(false)
}

// admitted is how many callers have been admitted and have not left.
func (g *gate) admitted() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.running
}

// refusalLocked says why a call may not even queue.
func (g *gate) refusalLocked(o *CallOptions) error {
	if g.err != nil {
		return g.err
	}
	if queued := g.queuedLocked(); !o.Wait && queued >= g.queueMax {
		g.counts.rejected++
		return &overload{g.options, min(g.running, g.capacity), queued}
	}
	return nil
}

func (g *gate) queueLocked(w *waiter, o *CallOptions, in *waiterHeap) {
	g.seq++
	w.priority, w.seq, w.key, w.since = o.Priority, g.seq, o.Key, clock()
	w.push(in)
}

// startLocked starts an admitted function in a goroutine.
func (g *gate) startLocked(r *runner, now time.Duration) {
	g.listLocked(r, now)
	go r.start()
}

// listLocked enters r among the functions that run.
func (g *gate) listLocked(r *runner, now time.Duration) {
	r.begun = now
	r.next, r.prev = &g.jobs, g.jobs.prev
	r.prev.next, r.next.prev = r, r
}

// leave ends an admitted call that ran for run, or below 0 never ran.
func (g *gate) leave(key string, run time.Duration, how outcome) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.leaveLocked(key, run, how, false)
}

// leaveLocked returns, where adopt says that the caller will run it, a function that was admitted
// instead.
func (g *gate) leaveLocked(key string, run time.Duration, how outcome, adopt bool) *runner {
	g.running--
	if key != "" {
		if k := g.keys[key]; k != nil {
			k.running--
			if len(k.aside) > 0 {
				w := k.aside[0]
				w.remove()
				g.aside--
				w.push(&g.waiting)
			}
			g.forgetLocked(key, k)
		}
	}
	g.countLocked(run, how)
	var next *runner
	if len(g.waiting) > 0 || len(g.submitters) > 0 {
		next = g.dispatchLocked(adopt)
	}
	g.idleLocked()
	return next
}

// finish is leave for a function.
func (g *gate) finish(r *runner, run time.Duration, how outcome) *runner {
	g.mu.Lock()
	defer g.mu.Unlock()
	r.prev.next, r.next.prev = r.next, r.prev
	return g.leaveLocked(r.key, run, how, true)
}

// counted counts a call that ran in the place of another.
func (g *gate) counted(how outcome) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if how == outcomeDone {
		g.counts.done++
	} else {
		g.counts.failed++
	}
}

// abandoned counts a caller that has gone before its function.
func (g *gate) abandoned() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.counts.abandoned++
}

func (g *gate) countLocked(run time.Duration, how outcome) {
	if run < 0 {
		return
	}
	g.runs.Add(run)
	switch how {
	case outcomeFailed:
		g.counts.failed++
	case outcomeKilled:
		g.counts.killed++
	default:
		g.counts.done++
	}
}

// close admits no further callers; those in the queue still come to their turn.
func (g *gate) close(err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.err == nil {
		g.err = err
		g.idleLocked()
	}
}

// refuse ends all who wait with the error of close, and the wait of callers for functions that run:
// those cannot be ended. It returns how many functions nobody waits for were queued.
func (g *gate) refuse() (unheard int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	end := func(w *waiter) {
		w.remove()
		switch {
		case w.verdict != nil:
			w.verdict <- g.err
		case !w.job.settle(stateRefused):
			unheard++
		}
	}
	for _, heap := range [...]*waiterHeap{&g.waiting, &g.submitters} {
		for len(*heap) > 0 {
			end((*heap)[0])
		}
	}
	for key, k := range g.keys {
		for len(k.aside) > 0 {
			g.aside--
			end(k.aside[0])
		}
		g.forgetLocked(key, k)
	}
	for r := g.jobs.next; r != &g.jobs; r = r.next {
		r.settle(stateStopped)
	}
	g.idleLocked()
	return unheard
}

// withdraw takes w out of the queue; false if it had left it.
func (g *gate) withdraw(w *waiter) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if w.in == nil {
		return false
	}
	if w.in != &g.waiting && w.in != &g.submitters {
		g.aside--
	}
	w.remove()
	if k := g.keys[w.key]; k != nil {
		g.forgetLocked(w.key, k)
	}
	g.dispatchLocked(false)
	g.idleLocked()
	return true
}

// dispatchLocked admits who can be. It starts the functions among them, or with adopt leaves one of
// them to the caller.
func (g *gate) dispatchLocked(adopt bool) (next *runner) {
	for {
		switch {
		case len(g.waiting) > 0 &&
			(g.running < g.capacity || g.waiting[0].mayGoAhead && g.running < g.capacity+g.extra):
			w := g.waiting[0]
			w.remove()
			if w.key != "" && !g.keyFreeLocked(w.key) {
				w.push(&g.keys[w.key].aside)
				g.aside++
				continue
			}
			g.admitLocked(w.key)
			now := clock()
			g.waits.Add(now - w.since)
			switch {
			case w.job == nil:
				w.verdict <- nil
			case adopt && next == nil:
				next = w.job
				g.listLocked(next, now)
			default:
				g.startLocked(w.job, now)
			}
		case len(g.submitters) > 0 && (g.queuedLocked() < g.queueMax || g.running < g.capacity):
			w := g.submitters[0]
			w.remove()
			verdict := w.verdict
			w.verdict = nil
			w.push(&g.waiting)
			verdict <- nil
		default:
			return next
		}
	}
}

func (g *gate) keyFreeLocked(key string) bool {
	k := g.keys[key]
	return g.keyLimit == 0 || k == nil || k.running < g.keyLimit
}

func (g *gate) admitLocked(key string) {
	g.running++
	if key == "" || g.keyLimit == 0 {
		return
	}
	k := g.keys[key]
	if k == nil {
		if g.keys == nil {
			g.keys = make(map[string]*keyState)
		}
		k = &keyState{}
		g.keys[key] = k
	}
	k.running++
}

func (g *gate) forgetLocked(key string, k *keyState) {
	if k.running == 0 && len(k.aside) == 0 {
		delete(g.keys, key)
	}
}

func (g *gate) idleLocked() {
	if g.err == nil || g.running > 0 || len(g.waiting)+g.aside+len(g.submitters) > 0 {
		return
	}
	select {
	case <-g.idle:
	default:
		close(g.idle)
	}
}

func (g *gate) stats() PoolStats {
	g.mu.Lock()
	defer g.mu.Unlock()
	return PoolStats{
		Queued: g.queuedLocked() + len(g.submitters), Running: min(g.running, g.capacity),
		Done: g.counts.done, Failed: g.counts.failed, Killed: g.counts.killed,
		Rejected: g.counts.rejected, Abandoned: g.counts.abandoned,
		WaitP50: g.waits.Quantile(0.5), WaitP99: g.waits.Quantile(0.99),
		RunP50: g.runs.Quantile(0.5), RunP99: g.runs.Quantile(0.99),
	}
}
