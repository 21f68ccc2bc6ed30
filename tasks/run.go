package tasks

import (
	"context"
	"fmt"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// Run is the run of a task as its function sees it. It is safe for concurrent use until the function returns.
type Run struct {
	task *claimed
	to   reporter // nil outside of a task
}

// reporter takes what a running function says.
type reporter interface {
	report(p *Progress) error
	save(checkpoint jsontext.Value) error
}

type runKey struct{}

// RunFrom returns the run whose function was given ctx, in the manager's process or a worker's. Outside of a task, as in a test of the function alone, it is an empty one that
// takes progress and checkpoints and forgets them.
func RunFrom(ctx context.Context) *Run {
	if r, ok := ctx.Value(runKey{}).(*Run); ok {
		return r
	}
	return &Run{task: &claimed{Attempt: 1}}
}

// ID is the task's.
func (r *Run) ID() string { return r.task.ID }

// Kind is the task's.
func (r *Run) Kind() string { return r.task.Kind }

// Attempt counts from 1.
func (r *Run) Attempt() int { return r.task.Attempt }

// Fence is higher than that of every run of the task before: who keeps the function's effects refuses those with a lower one than it has seen.
func (r *Run) Fence() uint64 { return r.task.Fence }

// Metadata is the task's. It must not be changed.
func (r *Run) Metadata() map[string]string { return r.task.Metadata }

// Progress says how far the run is. It is written at most every 100 ms, the last always. At is set here. The error is ErrTooLarge for Data of more than 56 KiB, ErrInvalid for
// Data that is not JSON and for numbers that are none, or ErrStale when the task is not this run's any more.
func (r *Run) Progress(p Progress) error {
	switch {
	case len(p.Data) > maxNote:
		return fmt.Errorf("%w: progress data of %d bytes, limit %d", ErrTooLarge, len(p.Data), maxNote)
	case len(p.Data) > 0 && !p.Data.IsValid():
		return invalid("progress data is not JSON")
	case math.IsNaN(p.Done-p.Done) || math.IsNaN(p.Total-p.Total): // of infinity too
		return invalid("progress of %v of %v, which JSON cannot write", p.Done, p.Total)
	case r.to == nil:
		return nil
	}
	p.Message, p.Data = text(p.Message, maxSaying), p.Data.Clone()
	return r.to.report(&p)
}

// Checkpoint keeps v, of at most 56 KiB as JSON, with the task, for Restore in a later run. It is as durable as the store when Checkpoint returns; from an isolated function it is on its
// way then, and durable before the run's end is. The error is ErrTooLarge, ErrStale when the task is not this run's any more, or the store's.
func (r *Run) Checkpoint(v any) error {
	raw, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("tasks: checkpoint: %w", err)
	}
	if len(raw) > maxNote {
		return fmt.Errorf("%w: checkpoint of %d bytes, limit %d", ErrTooLarge, len(raw), maxNote)
	}
	if r.to == nil {
		return nil
	}
	return r.to.save(raw)
}

// Restore reads the latest checkpoint of the task's earlier runs into v and reports whether there is one.
func (r *Run) Restore(v any) (bool, error) {
	if len(r.task.Checkpoint) == 0 {
		return false, nil
	}
	if err := json.Unmarshal(r.task.Checkpoint, v); err != nil {
		return false, fmt.Errorf("tasks: restore the checkpoint: %w", err)
	}
	return true, nil
}

// runContext is the context of a run. Most functions end without having looked at it, so what carries its end is made when it is first asked for.
type runContext struct {
	run      *Run
	deadline time.Time

	mu     sync.Mutex
	made   atomic.Pointer[context.Context] // ends with a cause
	cancel context.CancelCauseFunc         // of made
}

// full is the context with all its parts.
func (c *runContext) full() context.Context {
	if made := c.made.Load(); made != nil {
		return *made
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if made := c.made.Load(); made != nil {
		return *made
	}
	ctx, cancel := context.WithCancelCause(context.Background())
	c.cancel = cancel
	if !c.deadline.IsZero() {
		until, stop := context.WithDeadline(ctx, c.deadline)
		ctx, c.cancel = until, func(cause error) { cancel(cause); stop() }
	}
	c.made.Store(&ctx)
	return ctx
}

// until makes it end at a deadline, with a context that says so to those derived from it.
func (c *runContext) until(deadline time.Time) {
	c.mu.Lock()
	c.deadline = deadline
	c.mu.Unlock()
	c.full() // if it was made before, it has ended
}

// end ends the context.
func (c *runContext) end(cause error) {
	c.full()
	c.cancel(cause)
}

// over ends it after the run, for what the function left behind.
func (c *runContext) over() {
	if c.made.Load() != nil {
		c.cancel(ErrStale)
	}
}

func (c *runContext) Value(key any) any {
	if key == (runKey{}) {
		return c.run
	}
	if made := c.made.Load(); made != nil {
		return (*made).Value(key) // the context package finds its own
	}
	return nil
}

func (c *runContext) Done() <-chan struct{} { return c.full().Done() }

func (c *runContext) Deadline() (time.Time, bool) { return c.deadline, !c.deadline.IsZero() }

// cause is why it has ended, nil while it has not.
func (c *runContext) cause() error {
	made := c.made.Load()
	if made == nil {
		return nil
	}
	return context.Cause(*made)
}

// Err tells a timeout from other ends, as everybody expects.
func (c *runContext) Err() error {
	cause := c.cause()
	if cause == nil {
		return nil
	}
	if cause == context.DeadlineExceeded { //nolint:errorlint // the very value is what the timer sets
		return context.DeadlineExceeded
	}
	return context.Canceled
}
