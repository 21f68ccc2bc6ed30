package tasks

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"strings"
	"time"

	"github.com/go-json-experiment/json/jsontext"
)

const (
	// between tries to write the end of a run, doubled each time
	settleFirst = 50 * time.Millisecond
	settleMost  = 5 * time.Second
)

// settle writes the outcome, unless the task is not this attempt's any more. A store that fails is
// tried again for as long as the heartbeat keeps the lease. One that takes heartbeats all the
// while, and not this, never will: then less is written, and in the end nothing, so that the lease
// ends and the run is a death.
func (a *attempt) settle(o outcome) {
	o.progress = a.progress.End()
	if a.trouble != nil {
		o.checkpoint = a.trouble.unsavedCheckpoint
	}
	m := a.q.m
	beats, logged, full := a.beats.Load(), false, false
	for wait := settleFirst; ; wait = min(2*wait, settleMost) {
		t, err := a.write(o)
		switch {
		case err == nil:
			if full {
				m.faults.Over(faultEnd)
			}
			if !o.interrupted {
				m.outcomes.report(t)
			}
			return
		case errors.Is(err, ErrCancelled), errors.Is(err, ErrNotFound):
			return
		case errors.Is(err, ErrStale):
			m.log.Warn(
				"tasks: a run has ended after its lease: what it returned is not kept, and the "+
					"task runs again",
				"task", a.task.ID, "kind", a.task.Kind, "attempt", a.task.Attempt)
			return
		case refused(err), a.beats.Load()-beats >= leaseBeats && !errors.Is(err, ErrStoreFull):
			less, ok := o.less(err)
			if !ok {
				m.log.Error("tasks: the end of a run cannot be written; it will count as a death",
					"task", a.task.ID, "kind", a.task.Kind, "error", err)
				return
			}
			o, beats, wait = less, a.beats.Load(), settleFirst/2
			continue
		}
		why := err
		a.writeError.Store(&why)
		switch {
		case errors.Is(err, ErrStoreFull): // all ends wait then: one line is for them
			full = true
			m.faults.Met(faultEnd, err, "task", a.task.ID, "kind", a.task.Kind)
		case !logged:
			logged = true
			m.log.Error("tasks: the end of a run is not written yet", "task", a.task.ID, "kind",
				a.task.Kind, "error", err)
		}
		if a.leaseLost.Load() || !pause(m.clock, wait, m.ctx.Done()) {
			return
		}
	}
}

// refused reports whether a store says by err that it never takes what it was to write.
func refused(err error) bool {
	return errors.Is(err, ErrTooLarge) || errors.Is(err, ErrInvalid) || errors.Is(err, ErrConflict)
}

// less is what is written in place of an outcome that the store refuses: of a result that it is
// refused, of anything else the bare end. ok is false when it is that already.
func (o outcome) less(err error) (less outcome, ok bool) {
	switch {
	case o.interrupted || o.bare:
		return o, false
	case o.err == nil:
		f := describe(&resultError{err})
		o = outcome{err: &TaskError{Kind: f.Kind, Message: f.Message}, progress: o.progress}
	default:
		o.bare, o.progress, o.checkpoint = true, nil, nil
		o.err = &TaskError{
			Kind: o.err.Kind, Status: o.err.Status,
			Message: "the store takes no more than that it failed",
		}
	}
	return o, true
}

// write writes the outcome, or gives ErrStale or ErrCancelled.
func (a *attempt) write(o outcome) (Task, error) {
	now := a.q.m.now()
	return a.q.m.store.Update(a.q.m.ctx, a.task.ID, now, func(t *Task) error {
		switch {
		case t.State == Cancelled:
			return ErrCancelled
		case !a.holds(t):
			return ErrStale
		}
		o.apply(a.q.m, t, now)
		return nil
	})
}

// outcome is what becomes of a running task.
type outcome struct {
	result      jsontext.Value
	err         *TaskError // nil is success
	death       bool
	interrupted bool           // not its fault: no attempt is used
	retry       time.Time      // when it is to be tried again; zero never
	progress    *Progress      // its last
	checkpoint  jsontext.Value // one that could not be written before; nil none
	bare        bool           // the store refused more
}

// apply puts the outcome into t, which is running.
func (o outcome) apply(m *Manager, t *Task, now time.Time) {
	alive := t.LeaseUntil.Add(-m.opts.Lease) // the last sign of life
	known := !t.LeaseUntil.IsZero()
	t.release()
	if o.progress != nil {
		t.Progress = o.progress
	}
	if o.checkpoint != nil {
		t.Checkpoint = o.checkpoint
	}
	if o.err != nil {
		e := *o.err
		e.Attempt, e.Fence, e.Started, e.At = t.Attempt, t.Fence, t.Started, now
		if e.Kind == ErrorLost && known {
			e.At = alive
		}
		if o.death {
			t.addDeath(e.At, m.opts.DeathWindow)
		} else {
			t.Deaths = 0 // it has come to an end without taking anything along
		}
		t.Error = &e
	}
	switch {
	case o.interrupted:
		t.State = Queued
		t.Attempt--
		if !o.retry.IsZero() {
			t.retryAt(o.retry, now)
		}
	case o.death && !t.diedTooOften(m.opts.MaxDeaths): // suspects.go says which deaths count
		t.State = Queued
	case o.death:
		t.State, t.Finished = Dead, now
	case o.err == nil:
		t.State, t.Finished, t.Result, t.Checkpoint = Succeeded, now, o.result, nil
	case !o.retry.IsZero():
		t.retryAt(o.retry, now)
	default:
		t.State, t.Finished = Failed, now
	}
}

// interrupted reports whether the context ended through no fault of the task: stopped, or the lease
// given up while the store could not be reached.
func (a *attempt) interrupted() bool {
	cause := a.ctx.cause()
	return errors.Is(cause, ErrNotRunning) || errors.Is(cause, ErrStale)
}

// judge says what becomes of the task after what its function returned. The package's documentation
// has the table.
func (a *attempt) judge(result jsontext.Value, err error) outcome {
	switch {
	case err == nil && len(result) <= a.q.m.opts.MaxPayload:
		return outcome{result: result}
	case err == nil:
		err = &resultError{tooLarge("result", len(result), a.q.m.opts.MaxPayload)}
	case a.interrupted():
		return outcome{interrupted: true}
	}
	timeout := errors.Is(a.ctx.cause(), context.DeadlineExceeded)
	if x, ok := errors.AsType[*isolation](err); ok && !timeout {
		return a.judgeIsolation(x.error)
	}
	r := describe(err)
	e := &TaskError{Kind: r.Kind, Message: r.Message, Status: r.Status, Problem: r.Problem}
	if timeout && e.Kind == ErrorReturned {
		e.Kind, e.Message = ErrorTimeout,
			fmt.Sprintf("longer than %v (Timeout of KindOptions or SubmitOptions): %s",
				a.task.Timeout, r.Message)
	}
	return a.failed(e, hint{permanent: r.Permanent, after: time.Duration(r.After)})
}

// failed is a failure that is tried again as the task's policy and the hints say.
func (a *attempt) failed(e *TaskError, h hint) outcome {
	e.Message, e.Detail = text(e.Message, maxMessage), text(e.Detail, maxDetail)
	o := outcome{err: e}
	if !h.permanent && a.task.Attempt < a.task.Retry.Attempts {
		o.retry = a.q.m.now().Add(max(a.task.Retry.wait(a.task.Attempt), h.after))
	}
	return o
}

// text is s as JSON can hold it, and at most n bytes of it.
func text(s string, n int) string { return strings.ToValidUTF8(clip(s, n), "") }

// outcomes tells of what has become of tasks.
type outcomes struct {
	log      *slog.Logger
	onFinish func(t *Task) // nil is nobody
}

// report tells the log, and whoever wants to know, what has become of t: the run that is
// over, whether it was its last, or that t was cancelled. It is in the store then.
func (o *outcomes) report(t Task) {
	if t.State != Succeeded || o.onFinish != nil {
		o.deliver(t)
	}
}

// deliver is apart from report, so that a task that succeeds and is told to nobody is
// not moved to the heap.
func (o *outcomes) deliver(t Task) {
	if t.State != Succeeded {
		o.logEnd(&t)
	}
	if o.onFinish != nil && t.State.Done() {
		o.callOnFinish(&t)
	}
}

// callOnFinish calls Options.OnFinish, whose panic must not end what is done here.
func (o *outcomes) callOnFinish(t *Task) {
	defer func() {
		if v := recover(); v != nil {
			o.log.Error("tasks: Options.OnFinish panicked", "task", t.ID, "kind", t.Kind, "panic",
				fmt.Sprint(v), "stack", string(debug.Stack()))
		}
	}()
	o.onFinish(t)
}

// logEnd logs an end that is no success. It is one line a failure, and never has the payload.
func (o *outcomes) logEnd(t *Task) {
	level, what := slog.LevelError, "tasks: task failed"
	switch t.State {
	case Dead:
		what = "tasks: task is dead"
	case Cancelled:
		level, what = slog.LevelInfo, "tasks: task cancelled"
	case Retrying:
		level, what = slog.LevelWarn, "tasks: attempt failed"
	case Queued:
		level, what = slog.LevelWarn, "tasks: run died"
	}
	attrs := []slog.Attr{
		slog.String("task", t.ID), slog.String("kind", t.Kind),
		slog.Int("attempt", t.Attempt),
	}
	if name := t.Metadata[scheduleKey]; name != "" {
		attrs = append(attrs, slog.String("schedule", name))
	}
	if t.Deaths > 0 {
		attrs = append(attrs, slog.Int("deaths", t.Deaths))
	}
	if t.State == Retrying {
		attrs = append(attrs, slog.Int("attempts", t.Retry.Attempts),
			slog.Time("retry_at", t.RunAt))
	}
	if e := t.Error; e != nil && t.State != Cancelled {
		attrs = append(attrs, slog.String("reason", string(e.Kind)),
			slog.String("error", e.Message))
		if e.Kind == ErrorPanic && e.Detail != "" {
			attrs = append(attrs, slog.String("stack", e.Detail))
		}
	}
	o.log.LogAttrs(context.Background(), level, what, attrs...)
}
