package executor

import (
	"container/heap"
	"context"
	"sync"
	"time"
)

// gate admits a bounded number of calls; the others wait in a bounded queue, by priority and then by age. Calls with one
// key may be bounded as well: those over the bound stand aside, so that they hold up nobody else.
type gate struct {
	capacity int
	queueMax int
	keyLimit int // 0: none

	mu      sync.Mutex
	running int
	seq     uint64
	waiting waiterHeap
	aside   int // waiters in some key's aside
	keys    map[string]*keyState
	err     error         // set: nobody is admitted any more, and this is why
	idle    chan struct{} // closed once running and queue are empty after err was set
	counts  counters
	waits   histogram
	runs    histogram
}

type counters struct {
	done, failed, killed, rejected, abandoned uint64
}

type keyState struct {
	running int
	aside   waiterHeap
}

type waiter struct {
	priority int
	seq      uint64
	key      string
	in       *waiterHeap // where it stands, nil once admitted or refused
	index    int
	verdict  chan error // capacity 1
}

// outcome says how an admitted call ended, for the statistics.
type outcome uint8

const (
	outcomeDone outcome = iota
	outcomeFailed
	outcomeKilled // its worker was killed for it
)

func newGate(capacity, queueMax, keyLimit int) *gate {
	return &gate{capacity: capacity, queueMax: queueMax, keyLimit: keyLimit, idle: make(chan struct{})}
}

var started = time.Now()

// clock is monotonic time; it costs half of time.Now.
func clock() time.Duration { return time.Since(started) }

// enter admits the caller, who then owes one leave, or says why not. It returns when it was admitted, on clock.
func (g *gate) enter(ctx context.Context, o *CallOptions) (time.Duration, error) {
	if ctx.Err() != nil {
		return 0, ended(ctx, "call not begun")
	}
	g.mu.Lock()
	if g.err == nil && g.running < g.capacity && len(g.waiting) == 0 && (o.Key == "" || g.keyFreeLocked(o.Key)) {
		g.admitLocked(o.Key)
		g.waits.add(0)
		g.mu.Unlock()
		return clock(), nil
	}
	err := g.err
	if err == nil && !o.Wait && len(g.waiting)+g.aside >= g.queueMax {
		g.counts.rejected++
		err = ErrOverloaded
	}
	if err != nil {
		g.mu.Unlock()
		return 0, err
	}
	g.seq++
	w := &waiter{priority: o.Priority, seq: g.seq, key: o.Key, verdict: make(chan error, 1)}
	w.push(&g.waiting)
	g.dispatchLocked() // a free place may be there: those who wait may all be of full keys
	g.mu.Unlock()

	since := clock()
	select {
	case err = <-w.verdict:
	case <-ctx.Done():
		if !g.withdraw(w) && <-w.verdict == nil { // admitted at the same moment
			g.leave(o.Key, -1, outcomeFailed)
		}
		return 0, ended(ctx, "queued call")
	}
	if err != nil {
		return 0, err
	}
	now := clock()
	g.mu.Lock()
	g.waits.add(now - since)
	g.mu.Unlock()
	return now, nil
}

// leave ends an admitted call that ran for run, or below 0 never ran.
func (g *gate) leave(key string, run time.Duration, how outcome) {
	g.mu.Lock()
	defer g.mu.Unlock()
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
	if run >= 0 {
		g.runs.add(run)
		switch how {
		case outcomeFailed:
			g.counts.failed++
		case outcomeKilled:
			g.counts.killed++
		default:
			g.counts.done++
		}
	}
	if len(g.waiting) > 0 {
		g.dispatchLocked()
	}
	g.idleLocked()
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

// refuse ends all who wait with the error of close.
func (g *gate) refuse() {
	g.mu.Lock()
	defer g.mu.Unlock()
	for len(g.waiting) > 0 {
		w := g.waiting[0]
		w.remove()
		w.verdict <- g.err
	}
	for key, k := range g.keys {
		for len(k.aside) > 0 {
			w := k.aside[0]
			w.remove()
			g.aside--
			w.verdict <- g.err
		}
		g.forgetLocked(key, k)
	}
	g.idleLocked()
}

// withdraw takes w out of the queue; false if it had left it.
func (g *gate) withdraw(w *waiter) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if w.in == nil {
		return false
	}
	if w.in != &g.waiting {
		g.aside--
	}
	w.remove()
	if k := g.keys[w.key]; k != nil {
		g.forgetLocked(w.key, k)
	}
	g.idleLocked()
	return true
}

func (g *gate) dispatchLocked() {
	for g.running < g.capacity && len(g.waiting) > 0 {
		w := g.waiting[0]
		w.remove()
		if w.key != "" && !g.keyFreeLocked(w.key) {
			w.push(&g.keys[w.key].aside)
			g.aside++
			continue
		}
		g.admitLocked(w.key)
		w.verdict <- nil
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
	if g.err == nil || g.running > 0 || len(g.waiting)+g.aside > 0 {
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
		Queued: len(g.waiting) + g.aside, Running: g.running,
		Done: g.counts.done, Failed: g.counts.failed, Killed: g.counts.killed,
		Rejected: g.counts.rejected, Abandoned: g.counts.abandoned,
		WaitP50: g.waits.quantile(0.5), WaitP99: g.waits.quantile(0.99),
		RunP50: g.runs.quantile(0.5), RunP99: g.runs.quantile(0.99),
	}
}

// waiterHeap is a container/heap: the highest priority first, the oldest first among equals.
type waiterHeap []*waiter

func (h waiterHeap) Len() int { return len(h) }
func (h waiterHeap) Less(i, j int) bool {
	if h[i].priority != h[j].priority {
		return h[i].priority > h[j].priority
	}
	return h[i].seq < h[j].seq
}

func (h waiterHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].index, h[j].index = i, j
}

// Push implements heap.Interface.
func (h *waiterHeap) Push(x any) {
	w := x.(*waiter)
	w.index = len(*h)
	*h = append(*h, w)
}

// Pop implements heap.Interface.
func (h *waiterHeap) Pop() any {
	last := len(*h) - 1
	w := (*h)[last]
	(*h)[last] = nil
	*h = (*h)[:last]
	return w
}

func (w *waiter) push(h *waiterHeap) {
	w.in = h
	heap.Push(h, w)
}

func (w *waiter) remove() {
	heap.Remove(w.in, w.index)
	w.in = nil
}
