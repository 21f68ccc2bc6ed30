package tasks

import (
	"context"
	"fmt"
	"runtime/debug"
	"sync/atomic"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/genropy/genro-asgi-go/tasks/internal/faults"
	"github.com/genropy/genro-asgi-go/tasks/internal/throttle"
)

// attempt is one run of a task in this manager.
type attempt struct {
	q         *queue
	task      claimed
	run       Run // as the function sees it
	ctx       runContext
	progress  throttle.Throttle[Progress]
	expiry    func() bool // takes back the end of the lease; only the heartbeat uses it
	leaseLost atomic.Bool // the lease was not renewed for its length: another may hold the task
	returned  atomic.Bool // the function has returned

	writeError atomic.Pointer[error] // why what it returned is not in the store
	beats      atomic.Int32          // heartbeats that were written
	trouble    *trouble              // nil mostly
	deaths     *deathRecord          // nil where the task has not died; set when it is claimed
}

// trouble is what few attempts have. It is its worker's alone.
type trouble struct {
	// why there is no worker process; nil when there is, or none is needed
	noProcess error
	// a checkpoint of the worker process that could not be written; nil none
	unsavedCheckpoint jsontext.Value
}

// claimed is what a run needs of its task, as it was when it was claimed: the whole Task would be
// most of what a run allocates.
type claimed struct {
	ID, Kind   string
	Version    int
	Key        string
	Metadata   map[string]string
	Payload    jsontext.Value
	Retry      RetryPolicy
	Timeout    time.Duration
	Attempt    int
	Fence      uint64
	Checkpoint jsontext.Value
	Revision   uint64
	Waited     time.Duration // see Run.Waited
	created    instant
}

// instant is a time of day in less room than a time.Time takes.
type instant struct {
	seconds     int64 // since 1970
	nanoseconds int32
}

func (i instant) time() time.Time {
	if i == (instant{}) {
		return time.Time{}
	}
	return time.Unix(i.seconds, int64(i.nanoseconds)).UTC()
}

func instantOf(t time.Time) instant {
	if t.IsZero() {
		return instant{}
	}
	return instant{t.Unix(), int32(t.Nanosecond())} //nolint:gosec // below 1,000,000,000
}

// waited is how long t was due when it was claimed.
func (t *Task) waited() time.Duration {
	due := t.RunAt
	if t.Error != nil && t.Error.At.After(due) { // it died, and kept its place
		due = t.Error.At
	}
	return max(t.Started.Sub(due), 0)
}

// bind makes the attempt one of t, which was claimed.
func (a *attempt) bind(t *Task) {
	a.task = claimed{
		t.ID, t.Kind, t.Version, t.Key, t.Metadata, t.Payload, t.Retry, t.Timeout, t.Attempt,
		t.Fence, t.Checkpoint, t.Revision, t.waited(), instantOf(t.Created),
	}
	if t.Deaths > 0 {
		a.deaths = deathRecordOf(t, a.q.m.opts.DeathWindow)
		a.q.m.suspects.admit(a)
	}
}

// makeTrouble is a.trouble, which is there from now on.
func (a *attempt) makeTrouble() *trouble {
	if a.trouble == nil {
		a.trouble = new(trouble)
	}
	return a.trouble
}

func newAttempt(q *queue) *attempt {
	a := &attempt{q: q}
	a.run = Run{task: &a.task, to: a}
	a.ctx.run = &a.run
	return a
}

// holds reports whether t is still this attempt's.
func (a *attempt) holds(t *Task) bool {
	return t.State == Running && t.Owner == a.q.m.owner && t.Fence == a.task.Fence
}

// endAsLost ends the context when the task became another's, or nobody's, unless the function has
// returned: the attempt itself may have written that.
func (a *attempt) endAsLost(t *Task) {
	if a.returned.Load() {
		return
	}
	if t.State == Cancelled {
		a.ctx.cancelWith(ErrCancelled)
	} else {
		a.ctx.cancelWith(ErrStale)
	}
}

// execute runs the task's function and writes down what became of it.
func (a *attempt) execute() {
	returned := false
	defer func() {
		if !returned { // the function called runtime.Goexit, and takes the worker with it
			a.finish(a.failed(&TaskError{Kind: ErrorPanic, Message: "runtime.Goexit was called"},
				hint{}))
			a.q.m.workers.Go(func() { a.q.work(false) })
		}
	}()
	o := a.callUnlessSuspect()
	returned = true
	a.finish(o)
}

// callUnlessSuspect calls the function, but for a suspect while another runs, which is put back.
func (a *attempt) callUnlessSuspect() outcome {
	if a.deaths == nil {
		return a.call()
	}
	ok, end := a.q.m.suspects.start(a)
	defer end()
	if !ok {
		return outcome{interrupted: true, retry: a.q.m.now().Add(faults.RetryDelay)}
	}
	return a.call()
}

// finish writes down what became of the run, and gives back its place.
func (a *attempt) finish(o outcome) {
	a.returned.Store(true)
	a.settle(o)
	a.ctx.finish()
	a.q.release(a)
	if a.deaths != nil {
		a.q.m.suspects.release(a)
	}
}

// call calls the function, with its timeout, and judges what it returned: its error is a part of
// the program, whose methods may panic as the function may.
func (a *attempt) call() (o outcome) {
	m, t := a.q.m, &a.task
	if t.Timeout > 0 {
		if _, ok := m.clock.(machineClock); ok {
			a.ctx.until(time.Now().Add(t.Timeout))
		} else {
			stop := m.clock.AfterFunc(t.Timeout,
				func() { a.ctx.cancelWith(context.DeadlineExceeded) })
			defer stop()
		}
	}
	defer func() {
		switch v := recover(); {
		case v == nil:
		case a.interrupted():
			o = outcome{interrupted: true}
		default:
			o = a.failed(&TaskError{
				Kind: ErrorPanic, Message: fmt.Sprint(v),
				Detail: string(debug.Stack()),
			}, hint{})
		}
	}()
	return a.judge(a.runFunction())
}

// runFunction calls the function, with the middleware around it.
func (a *attempt) runFunction() (result jsontext.Value, err error) {
	t := &a.task
	k := a.q.m.kinds.get(t.Kind)
	if k == nil {
		return nil,
			Permanent(fmt.Errorf("%w: the store gave a task of a kind that was not asked for: %q",
				ErrNotFound, t.Kind))
	}
	if len(k.around) > 0 {
		return a.callThroughMiddleware(k,
			func(ctx context.Context) (jsontext.Value, error) { return a.callUpgraded(ctx, k) })
	}
	return a.callUpgraded(&a.ctx, k)
}

// callUpgraded calls the function with a payload of the registered version.
func (a *attempt) callUpgraded(ctx context.Context, k *kind) (_ jsontext.Value, err error) {
	t := &a.task
	payload := t.Payload
	if t.Version < k.Version && k.opts.Upgrade != nil {
		if payload, err = k.opts.Upgrade(t.Version, payload.Clone()); err != nil {
			return nil, &unfitError{fmt.Errorf("upgrade from version %d: %w", t.Version, err)}
		}
	}
	return k.run(ctx, a, payload)
}

// callThroughMiddleware runs k with its middleware, the first of which is outermost.
func (a *attempt) callThroughMiddleware(k *kind,
	run func(ctx context.Context) (jsontext.Value, error),
) (result jsontext.Value, err error) {
	next := func(ctx context.Context) error {
		result = nil
		v, err := run(ctx)
		if err == nil {
			result = v
		}
		return err
	}
	for i := len(k.around) - 1; i >= 0; i-- {
		around, inner := k.around[i], next
		next = func(ctx context.Context) error { return around(ctx, &a.run, inner) }
	}
	if err := next(&a.ctx); err != nil {
		return nil, err
	}
	return result, nil
}
