package tasks

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"strings"
	"sync/atomic"
	"time"

	"github.com/go-json-experiment/json/jsontext"
)

// attempt is one run of a task in this manager.
type attempt struct {
	q      *queue
	task   claimed
	run    Run
	ctx    runContext
	said   progress
	expiry func() bool // takes back the end of the lease; only the heartbeat uses it
	gone   atomic.Bool // the lease was not renewed for its length: another may hold the task
	ended  atomic.Bool // the function has returned
}

// claimed is what a run needs of its task, as it was when it was claimed: the whole Task would be most of what a run allocates.
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
}

// hold makes the attempt one of t, which was claimed.
func (a *attempt) hold(t *Task) {
	a.task = claimed{
		t.ID, t.Kind, t.Version, t.Key, t.Metadata, t.Payload, t.Retry, t.Timeout, t.Attempt, t.Fence, t.Checkpoint, t.Revision,
	}
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

// lost ends the context when the task became another's, or nobody's, unless the function has returned: the attempt itself may have written that.
func (a *attempt) lost(t *Task) {
	if a.ended.Load() {
		return
	}
	if t.State == Cancelled {
		a.ctx.end(ErrCancelled)
	} else {
		a.ctx.end(ErrStale)
	}
}

// execute runs the task's function and writes down what became of it.
func (a *attempt) execute() {
	returned := false
	defer func() {
		if !returned { // the function called runtime.Goexit, and takes the worker with it
			a.finish(a.failed(&TaskError{Kind: ErrorPanic, Message: "runtime.Goexit was called"}, errors.New("goexit")))
			a.q.m.workers.Go(func() { a.q.work(false) })
		}
	}()
	result, err := a.call()
	returned = true
	a.finish(a.outcome(result, err))
}

// finish writes down what became of the run, and gives back its place.
func (a *attempt) finish(o outcome) {
	a.ended.Store(true)
	a.settle(o)
	a.ctx.over()
	a.q.release(a)
}

// panicked is a panic of a function.
type panicked struct {
	value any
	stack []byte
}

func (p *panicked) Error() string { return fmt.Sprint(p.value) }

// call calls the function, with its timeout.
func (a *attempt) call() (result jsontext.Value, err error) {
	m, t := a.q.m, &a.task
	if t.Timeout > 0 {
		if _, ok := m.clock.(machineClock); ok {
			a.ctx.until(time.Now().Add(t.Timeout))
		} else {
			stop := m.clock.AfterFunc(t.Timeout, func() { a.ctx.end(context.DeadlineExceeded) })
			defer stop()
		}
	}
	defer func() {
		if v := recover(); v != nil {
			err = &panicked{v, debug.Stack()}
		}
	}()
	k := (*m.kinds.Load())[t.Kind]
	if k == nil {
		return nil, fmt.Errorf("%w: the store gave a task of a kind that was not asked for: %q", ErrNotFound, t.Kind)
	}
	payload := t.Payload
	if t.Version < k.Version && k.opts.Upgrade != nil {
		if payload, err = k.opts.Upgrade(t.Version, payload.Clone()); err != nil {
			return nil, &unfitError{fmt.Errorf("upgrade from version %d: %w", t.Version, err)}
		}
	}
	return k.run(&a.ctx, a, payload)
}

// outcome is what becomes of a running task.
type outcome struct {
	result      jsontext.Value
	err         *TaskError // nil is success
	death       bool
	interrupted bool      // not its fault: no attempt is used
	retry       time.Time // when it is to be tried again; zero never
	progress    *Progress // its last
}

// apply puts the outcome into t, which is running.
func (o outcome) apply(t *Task, now time.Time) {
	t.release()
	if o.progress != nil {
		t.Progress = o.progress
	}
	if o.err != nil {
		e := *o.err
		e.Attempt, e.Fence = t.Attempt, t.Fence
		t.Error = &e
	}
	if o.death {
		t.Deaths++
	}
	switch {
	case o.interrupted:
		t.State = Queued
		t.Attempt--
	case o.death && t.Deaths < maxDeaths:
		t.State = Queued
	case o.death:
		t.State, t.Finished = Dead, now
	case o.err == nil:
		t.State, t.Finished, t.Result, t.Checkpoint = Succeeded, now, o.result, nil
	case !o.retry.IsZero():
		t.State = Retrying
	default:
		t.State, t.Finished = Failed, now
	}
	if t.State.Waiting() && o.retry.After(t.RunAt) {
		t.RunAt = o.retry
	}
}

// outcome judges what the function returned.
func (a *attempt) outcome(result jsontext.Value, err error) outcome {
	m, cause := a.q.m, a.ctx.cause()
	if err == nil {
		if len(result) > m.opts.MaxPayload {
			err = Permanent(m.tooLarge("result", len(result), m.opts.MaxPayload))
			return a.failed(&TaskError{Kind: ErrorReturned, Message: err.Error()}, err)
		}
		return outcome{result: result}
	}
	if errors.Is(cause, ErrNotRunning) || errors.Is(cause, ErrStale) { // stopped, or the lease given up while the store could not be reached
		return outcome{interrupted: true}
	}
	if p, ok := errors.AsType[*panicked](err); ok {
		return a.failed(&TaskError{Kind: ErrorPanic, Message: p.Error(), Detail: string(p.stack)}, err)
	}
	if errors.Is(cause, context.DeadlineExceeded) {
		return a.failed(&TaskError{Kind: ErrorTimeout, Message: fmt.Sprintf("longer than %v: %v", a.task.Timeout, err)}, err)
	}
	if _, ok := errors.AsType[*unfitError](err); ok {
		return a.failed(&TaskError{Kind: ErrorInput, Message: err.Error()}, Permanent(err))
	}
	if o, ok := a.isolatedOutcome(err); ok {
		return o
	}
	e := &TaskError{Kind: ErrorReturned, Message: err.Error()}
	if status := statusOf(err); status >= 400 && status <= 599 {
		e.Status = status
	}
	return a.failed(e, err)
}

// failed is a failure that is tried again as the task's policy and the hints in err say.
func (a *attempt) failed(e *TaskError, err error) outcome {
	e.Message, e.Detail = text(e.Message, maxMessage), text(e.Detail, maxDetail)
	o := outcome{err: e}
	if h := hintOf(err); !h.permanent && a.task.Attempt < a.task.Retry.Attempts {
		o.retry = a.q.m.now().Add(max(a.task.Retry.wait(a.task.Attempt), h.after))
	}
	return o
}

// settle writes the outcome, unless the task is not this attempt's any more. A store that fails is tried again for as long as the heartbeat keeps the lease.
func (a *attempt) settle(o outcome) {
	o.progress = a.said.end()
	m := a.q.m
	for wait := 50 * time.Millisecond; ; wait = min(2*wait, 5*time.Second) {
		err := a.write(o)
		switch {
		case err == nil, errors.Is(err, ErrStale), errors.Is(err, ErrNotFound):
			return
		case errors.Is(err, ErrTooLarge) && o.err == nil:
			o = outcome{err: &TaskError{Kind: ErrorReturned, Message: text(err.Error(), maxMessage)}}
			continue
		}
		m.log.Error("tasks: write the end of a run", "task", a.task.ID, "kind", a.task.Kind, "error", err)
		if a.gone.Load() || !pause(m.clock, wait, m.ctx.Done()) {
			return
		}
	}
}

// write writes the outcome, or gives ErrStale.
func (a *attempt) write(o outcome) error {
	now := a.q.m.now()
	_, err := a.q.m.store.Update(a.q.m.ctx, a.task.ID, now, func(t *Task) error {
		if !a.holds(t) {
			return ErrStale
		}
		o.apply(t, now)
		return nil
	})
	return err
}

// text is s as JSON can hold it, and at most n bytes of it.
func text(s string, n int) string { return strings.ToValidUTF8(clip(s, n), "") }
