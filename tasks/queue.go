package tasks

import (
	"errors"
	"fmt"
	"maps"
	"sync"
	"sync/atomic"
	"time"

	"github.com/genropy/genro-asgi-go/internal/lockorder"
	"github.com/genropy/genro-asgi-go/tasks/internal/bucket"
)

// queue runs the tasks of one queue, in worker goroutines that are made when they are needed and
// then reused. There is no goroutine that hands tasks out: a worker that has finished takes one
// that is ready, or claims again, for all places that are free. One claims at a time. A worker that
// leaves work behind wakes another, which does the same before it runs: tasks that take long have a
// worker each at once, and many short ones are run without waking anyone for each.
type queue struct {
	m          *Manager
	name       string
	claimFault string // that its tasks cannot be claimed
	opts       QueueOptions

	// These two belong to the worker that claims, which claiming says there is.
	claim   Claim      // what it asks of the store, made once for all claims
	claimed []*attempt // what the store has given it so far

	mu   lockorder.Mutex
	idle []worker // the one that idled last is last
	// claimed, without a worker yet; there is one on its way while there are any
	ready       []*attempt
	free        int       // places
	waking      bool      // a worker is on its way to look
	claiming    bool      // a worker claims
	claims      sync.Cond // told when none does any more
	mayHaveWork bool      // there may be a task to claim
	paused      bool
	stopped     bool
	runs        map[string]*attempt // by task
	keys        map[string]int      // running tasks by key
	bucket      bucket.Bucket
	wakeTimer   func() bool // takes back the wake-up at wakeAt
	wakeAt      time.Time   // zero when there is none
	// takes back the next claim after a store that failed; nil when there is none
	retryTimer func() bool
}

// worker is a goroutine that runs tasks. It is sent the word to look for one.
type worker chan struct{}

const (
	maxClaim = 64 // tasks a claim
	// between looks at a store that says that something is due and gives nothing
	minSleep = time.Millisecond
	maxSleep = time.Minute // without a look at the time of day, which may jump
	// by which clocks may differ, and one be corrected, without being said to be set
	skew = time.Second
)

func newQueue(m *Manager, name string, opts QueueOptions) *queue {
	q := &queue{
		m: m, name: name, claimFault: faultClaim + name, opts: opts, free: max(opts.Concurrency, 0),
		mayHaveWork: true,
		runs:        make(map[string]*attempt), keys: make(map[string]int),
		bucket: bucket.New(opts.Rate, opts.Burst),
	}
	q.claims.L = &q.mu
	q.claim = Claim{
		Queue: name, Owner: m.owner, Lease: m.opts.Lease, Claimed: q.takeClaimed,
		SkipDied: m.suspects.oneRuns,
	}
	if opts.KeyLimit > 0 {
		q.claim.Full = q.keyIsFull
	}
	return q
}

// keyIsFull is Claim.Full.
func (q *queue) keyIsFull(key string) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.keys[key] >= q.opts.KeyLimit
}

// takeClaimed is Claim.Claimed: from here on changes of the task are noticed.
func (q *queue) takeClaimed(t *Task) {
	a := newAttempt(q)
	q.bind(a, t)
	q.claimed = append(q.claimed, a)
}

// bind makes a the attempt of a task that was claimed.
func (q *queue) bind(a *attempt, t *Task) {
	a.bind(t)
	q.mu.Lock()
	q.runs[t.ID] = a
	if q.opts.KeyLimit > 0 && t.Key != "" {
		q.keys[t.Key]++
	}
	q.mu.Unlock()
	select {
	case <-q.m.interrupt: // the claim was under way when Stop ended what runs
		a.ctx.cancelWith(ErrNotRunning)
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
		q.mayHaveWork = true
	}
	q.free++
	q.m.suspects.runEnded()
}

// wake lets a worker look for tasks.
func (q *queue) wake() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.mayHaveWork = true
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
	return q.mayHaveWork && !q.claiming && q.retryTimer == nil && !q.m.suspects.exclusive.Load() &&
		q.free > 0 &&
		!q.paused && !q.stopped && q.m.running.Load()
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
			q.claimReleasingLock()
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

// claimReleasingLock claims tasks for all free places and makes them ready. The lock is not held
// meanwhile.
func (q *queue) claimReleasingLock() {
	q.mayHaveWork = false
	now := q.m.now()
	n, at := q.bucket.Take(min(q.free, maxClaim), now)
	if n == 0 {
		q.wakeAtLocked(at, now)
		return
	}
	q.free -= n
	q.claiming = true
	q.mu.Unlock()

	q.claim.Max, q.claim.Now, q.claim.Kinds = n, now, q.m.kinds.claimed()
	next, err := q.m.store.Claim(q.m.ctx, &q.claim)
	var wait time.Duration
	switch {
	case err == nil:
		q.m.faults.Over(q.claimFault)
	case q.m.ctx.Err() == nil:
		wait = q.m.faults.Met(q.claimFault, err)
	}
	got := q.claimed
	q.claimed = q.claimed[:0]

	q.mu.Lock()
	q.claiming = false
	q.claims.Broadcast()
	q.free += n - len(got)
	q.bucket.GiveBack(n - len(got))
	switch {
	case err != nil:
		q.delayClaimsLocked(wait)
	case len(got) == n:
		q.mayHaveWork = true
	case !next.IsZero():
		q.wakeAtLocked(next, now)
	}
	for i := range got { // the last is run first
		q.ready = append(q.ready, got[len(got)-1-i])
	}
	clear(got)
}

// delayClaimsLocked keeps the queue from claiming for a while, whatever comes meanwhile.
func (q *queue) delayClaimsLocked(wait time.Duration) {
	if q.stopped {
		return
	}
	q.retryTimer = q.m.clock.AfterFunc(wait, func() {
		q.mu.Lock()
		defer q.mu.Unlock()
		q.retryTimer, q.mayHaveWork = nil, true
		q.wakeLocked()
	})
}

// wakeAtLocked wakes the queue at a time, if nothing does before.
func (q *queue) wakeAtLocked(at, now time.Time) {
	if q.stopped || !q.wakeAt.IsZero() && !at.Before(q.wakeAt) {
		return
	}
	if q.wakeTimer != nil {
		q.wakeTimer()
	}
	q.wakeAt = at
	q.wakeTimer = q.m.clock.AfterFunc(min(max(at.Sub(now), minSleep), maxSleep), func() {
		q.mu.Lock()
		defer q.mu.Unlock()
		q.wakeTimer, q.wakeAt, q.mayHaveWork = nil, time.Time{}, true
		q.wakeLocked()
	})
}

// changed is told of every change of a task of the queue.
func (q *queue) changed(t *Task) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if t.Fence > 0 { // else nobody has claimed it yet
		if a := q.runs[t.ID]; a != nil && t.Revision > a.task.Revision &&
			(t.State != Running || t.Fence != a.task.Fence) {
			// somebody has ended the task or claimed it anew; where the run itself has written its
			// end, its function has returned, and this does nothing
			a.endAsLost(t)
		}
	}
	switch {
	case !t.State.Waiting() || q.opts.Concurrency < 0 || !q.m.running.Load():
	case t.State == Queued:
		q.mayHaveWork = true
		q.wakeLocked()
	default:
		q.wakeAtLocked(t.RunAt, q.m.now())
	}
}

func (q *queue) setPaused(paused bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.paused = paused
	q.mayHaveWork = true
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
	if q.wakeTimer != nil {
		q.wakeTimer()
	}
	if q.retryTimer != nil {
		q.retryTimer()
	}
}

// interrupt ends the contexts of what runs.
func (q *queue) interrupt() {
	for _, a := range q.active() {
		a.ctx.cancelWith(ErrNotRunning)
	}
}

// abandon puts back the tasks whose functions do not return, or whose end the store has not taken,
// and names them.
func (q *queue) abandon() (left []error) {
	for _, a := range q.active() {
		err := fmt.Errorf(
			"tasks: stop: the function of task %s, kind %q, has not returned though its "+
				"context has ended", a.task.ID, a.task.Kind)
		if unwritten := a.writeError.Load(); unwritten != nil {
			err = fmt.Errorf(
				"tasks: stop: what the function of task %s, kind %q, returned is not in the "+
					"store, and it will run again: %w", a.task.ID, a.task.Kind, *unwritten)
		}
		if _, werr := a.write(outcome{interrupted: true}); werr != nil &&
			!errors.Is(werr, ErrStale) && !errors.Is(werr, ErrCancelled) {
			err = fmt.Errorf("%w, and the task is not put back: %w", err, werr)
		}
		left = append(left, err)
	}
	return left
}

// queueSet are the queues of a manager, which are read without a lock.
type queueSet struct {
	m   *Manager
	all atomic.Pointer[map[string]*queue] // copied to be changed

	mu lockorder.Mutex // of who changes all
}

func (s *queueSet) init(m *Manager) {
	s.m = m
	s.all.Store(&map[string]*queue{})
}

// add adds a queue unless it is there.
func (s *queueSet) add(name string, opts QueueOptions) {
	s.mu.Lock()
	defer s.mu.Unlock()
	old := *s.all.Load()
	if old[name] != nil {
		return
	}
	all := maps.Clone(old)
	all[name] = newQueue(s.m, name, opts.withDefaults())
	s.all.Store(&all)
}

// get is the queue of that name, nil when there is none.
func (s *queueSet) get(name string) *queue { return (*s.all.Load())[name] }

// byName are all of them. The map must not be changed.
func (s *queueSet) byName() map[string]*queue { return *s.all.Load() }

// wakeAll lets every queue look for tasks.
func (s *queueSet) wakeAll() {
	for _, q := range s.byName() {
		q.wake()
	}
}

// active are the attempts that are under way, of all queues.
func (s *queueSet) active() (all []*attempt) {
	for _, q := range s.byName() {
		all = append(all, q.active()...)
	}
	return all
}

// running reports whether t runs here, by the very claim.
func (s *queueSet) running(t *Task) bool {
	q := s.get(t.Queue)
	if q == nil {
		return false
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	a := q.runs[t.ID]
	return a != nil && a.task.Fence == t.Fence
}
