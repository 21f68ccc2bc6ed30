package tasks

import (
	"errors"
	"fmt"
	"sync"
	"time"
)

// queue runs the tasks of one queue, in worker goroutines that are made when they are needed and then reused. There is no goroutine that hands tasks out:
// a worker that has finished takes one that is ready, or claims again, for all places that are free. One claims at a time. A worker that leaves work
// behind wakes another, which does the same before it runs: tasks that take long have a worker each at once, and many short ones are run without waking anyone for each.
type queue struct {
	m    *Manager
	name string
	opts QueueOptions

	claim   Claim      // of whoever claims
	spare   []*attempt // for what it may claim, made while nobody waits for the store
	claimed []*attempt // by it

	mu       sync.Mutex
	idle     []worker   // the one that idled last is last
	ready    []*attempt // claimed, without a worker yet; there is one on its way while there are any
	free     int        // places
	waking   bool       // a worker is on its way to look
	claiming bool       // a worker claims
	claims   sync.Cond  // told when none does any more
	hungry   bool       // there may be a task to claim
	paused   bool
	stopped  bool
	runs     map[string]*attempt // by task
	keys     map[string]int      // running tasks by key
	bucket   bucket
	alarm    func() bool // takes back the wake-up at alarmAt
	alarmAt  time.Time   // zero when there is none
}

// worker is a goroutine that runs tasks. It is sent the word to look for one.
type worker chan struct{}

const (
	maxClaim = 64               // tasks a claim
	minSleep = time.Millisecond // between looks at a store that says that something is due and gives nothing
	maxSleep = time.Minute      // without a look at the time of day, which may jump
	sulk     = time.Second      // after a store that failed
)

func newQueue(m *Manager, name string, opts QueueOptions) *queue {
	q := &queue{
		m: m, name: name, opts: opts, free: max(opts.Concurrency, 0), hungry: true,
		runs: make(map[string]*attempt), keys: make(map[string]int), bucket: bucket{rate: opts.Rate, burst: float64(opts.Burst), tokens: float64(opts.Burst)},
	}
	q.claims.L = &q.mu
	q.claim = Claim{Queue: name, Owner: m.owner, Lease: m.opts.Lease, Claimed: q.take}
	if opts.KeyLimit > 0 {
		q.claim.Full = q.full
	}
	return q
}

// full is Claim.Full.
func (q *queue) full(key string) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.keys[key] >= q.opts.KeyLimit
}

// take is Claim.Claimed: from here on changes of the task are noticed.
func (q *queue) take(t *Task) {
	last := len(q.spare) - 1
	a := q.spare[last]
	q.spare = q.spare[:last]
	q.hold(a, t)
	q.claimed = append(q.claimed, a)
}

// hold makes a the attempt of a task that was claimed.
func (q *queue) hold(a *attempt, t *Task) {
	a.hold(t)
	q.mu.Lock()
	q.runs[t.ID] = a
	if q.opts.KeyLimit > 0 && t.Key != "" {
		q.keys[t.Key]++
	}
	q.mu.Unlock()
	select {
	case <-q.m.interrupt: // the claim was under way when Stop ended what runs
		a.ctx.end(ErrNotRunning)
	default:
	}
}

// release gives back the place of an attempt.
func (q *queue) release(a *attempt) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.runs[a.task.ID] == a { // else it was lost, and the task runs here again
		delete(q.runs, a.task.ID)
	}
	if key := a.task.Key; q.opts.KeyLimit > 0 && key != "" {
		if q.keys[key]--; q.keys[key] == 0 {
			delete(q.keys, key)
		}
		q.hungry = true
	}
	q.free++
}

// wake lets a worker look for tasks.
func (q *queue) wake() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.hungry = true
	q.wakeLocked()
}

// wakeLocked lets a worker look for tasks when there may be any, an idle one or a new one.
func (q *queue) wakeLocked() {
	if q.waking || len(q.ready) == 0 && !q.mayClaimLocked() {
		return
	}
	q.waking = true
	if last := len(q.idle) - 1; last >= 0 {
		w := q.idle[last]
		q.idle = q.idle[:last]
		w <- struct{}{}
		return
	}
	q.m.workers.Go(func() { q.work(true) })
}

func (q *queue) mayClaimLocked() bool {
	return q.hungry && !q.claiming && q.free > 0 && !q.paused && !q.stopped && q.m.running.Load()
}

// work is a worker: it runs tasks until the queue is stopped. woken is that it was told to look.
func (q *queue) work(woken bool) {
	w := make(worker, 1)
	for {
		a := q.next(w, woken)
		if a == nil {
			return
		}
		a.execute()
		woken = false
	}
}

// next is what w is to run next, nil when the queue is stopped.
func (q *queue) next(w worker, woken bool) *attempt {
	q.mu.Lock()
	defer q.mu.Unlock()
	for {
		if woken {
			q.waking, woken = false, false
		}
		switch {
		case len(q.ready) > 0:
			last := len(q.ready) - 1
			a := q.ready[last]
			q.ready[last] = nil
			q.ready = q.ready[:last]
			q.wakeLocked()
			return a
		case q.mayClaimLocked():
			q.claimLocked()
		case q.stopped:
			return nil
		default:
			q.idle = append(q.idle, w)
			q.mu.Unlock()
			_, woken = <-w
			q.mu.Lock()
		}
	}
}

// claimLocked claims tasks for all free places and makes them ready. The lock is not held meanwhile.
func (q *queue) claimLocked() {
	q.hungry = false
	now := q.m.now()
	n, at := q.bucket.take(min(q.free, maxClaim), now)
	if n == 0 {
		q.alarmLocked(at, now)
		return
	}
	q.free -= n
	q.claiming = true
	q.mu.Unlock()

	q.claim.Max, q.claim.Now, q.claim.Kinds = n, now, *q.m.versions.Load()
	for len(q.spare) < n {
		q.spare = append(q.spare, newAttempt(q))
	}
	next, err := q.m.store.Claim(q.m.ctx, &q.claim)
	got := q.claimed
	q.claimed = q.claimed[:0]

	q.mu.Lock()
	q.claiming = false
	q.claims.Broadcast()
	q.free += n - len(got)
	q.bucket.giveBack(n - len(got))
	switch {
	case err != nil:
		q.m.log.Error("tasks: claim", "queue", q.name, "error", err)
		q.alarmLocked(now.Add(sulk), now)
	case len(got) == n:
		q.hungry = true
	case !next.IsZero():
		q.alarmLocked(next, now)
	}
	for i := range got { // the last is run first
		q.ready = append(q.ready, got[len(got)-1-i])
	}
	clear(got)
}

// alarmLocked wakes the queue at a time, if nothing does before.
func (q *queue) alarmLocked(at, now time.Time) {
	if q.stopped || !q.alarmAt.IsZero() && !at.Before(q.alarmAt) {
		return
	}
	if q.alarm != nil {
		q.alarm()
	}
	q.alarmAt = at
	q.alarm = q.m.clock.AfterFunc(min(max(at.Sub(now), minSleep), maxSleep), func() {
		q.mu.Lock()
		defer q.mu.Unlock()
		q.alarm, q.alarmAt, q.hungry = nil, time.Time{}, true
		q.wakeLocked()
	})
}

// changed is told of every change of a task of the queue.
func (q *queue) changed(t *Task) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if t.Fence > 0 { // else nobody has claimed it yet
		if a := q.runs[t.ID]; a != nil && t.Revision > a.task.Revision && (t.State != Running || t.Fence != a.task.Fence) {
			a.lost(t) // or this is its own doing, and it is over
		}
	}
	switch {
	case !t.State.Waiting() || q.opts.Concurrency < 0 || !q.m.running.Load():
	case t.State == Queued:
		q.hungry = true
		q.wakeLocked()
	default:
		q.alarmLocked(t.RunAt, q.m.now())
	}
}

func (q *queue) setPaused(paused bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.paused = paused
	q.hungry = true
	q.wakeLocked()
	for q.paused && q.claiming {
		q.claims.Wait() // it would take what is submitted after Pause
	}
}

func (q *queue) info() QueueInfo {
	q.mu.Lock()
	defer q.mu.Unlock()
	return QueueInfo{Name: q.name, Paused: q.paused, Active: len(q.runs)}
}

// active are the attempts that are under way.
func (q *queue) active() []*attempt {
	q.mu.Lock()
	defer q.mu.Unlock()
	all := make([]*attempt, 0, len(q.runs))
	for _, a := range q.runs {
		all = append(all, a)
	}
	return all
}

// stop claims no more and lets idle workers go.
func (q *queue) stop() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.stopped = true
	for _, w := range q.idle {
		close(w)
	}
	q.idle = nil
	if q.alarm != nil {
		q.alarm()
	}
}

// interrupt ends the contexts of what runs.
func (q *queue) interrupt() {
	for _, a := range q.active() {
		a.ctx.end(ErrNotRunning)
	}
}

// abandon puts back the tasks whose functions do not return, and names them.
func (q *queue) abandon() (left []error) {
	for _, a := range q.active() {
		err := fmt.Errorf("tasks: stop: the function of task %s, kind %q, has not returned", a.task.ID, a.task.Kind)
		if werr := a.write(outcome{interrupted: true}); werr != nil && !errors.Is(werr, ErrStale) {
			err = fmt.Errorf("%w, and the task is not put back: %w", err, werr)
		}
		left = append(left, err)
	}
	return left
}
