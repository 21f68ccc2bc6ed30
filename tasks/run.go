package tasks

import (
	"context"
	"fmt"
	"math"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/genropy/genro-asgi-go/internal/typed"
)

// Run is the run of a task as its function sees it. It is safe for concurrent use until the
// function returns.
type Run struct {
	task *claimed
	to   reporter // nil outside of a task
}

// reporter takes what a running function says.
type reporter interface {
	report(p *Progress) error
	save(checkpoint jsontext.Value) error
	queueName() string
}

type runKey struct{}

// RunFrom returns the run whose function was given ctx, in the manager's process or a worker's.
// Outside of a task, as in a test of the function alone, it is an empty one that takes progress and
// checkpoints and forgets them.
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

// Queue is where the task waited.
func (r *Run) Queue() string {
	if r.to == nil {
		return ""
	}
	return r.to.queueName()
}

// Created is when the task was submitted.
func (r *Run) Created() time.Time { return r.task.created.time() }

// Waited is how long the task was due before it was claimed for this run: since it was submitted,
// or since the time until which it was put off, its retry's too, or its latest death; what it ran
// before it was interrupted counts.
func (r *Run) Waited() time.Duration { return r.task.Waited }

// Attempt counts from 1.
func (r *Run) Attempt() int { return r.task.Attempt }

// Fence is higher than that of every run of the task before: who keeps the function's effects
// refuses those with a lower one than it has seen.
func (r *Run) Fence() uint64 { return r.task.Fence }

// Metadata is the task's. It must not be changed.
func (r *Run) Metadata() map[string]string { return r.task.Metadata }

// Progress says how far the run is. It is written at most every 100 ms, the last always. At is set
// here. The error is ErrTooLarge for Data of more than 56 KiB, ErrInvalid for Data that is not JSON
// and for numbers that are none, or ErrStale when the task is not this run's any more.
func (r *Run) Progress(p Progress) error {
	switch {
	case len(p.Data) > maxNoteSize:
		return fmt.Errorf("%w: progress data of %d bytes, limit %d", ErrTooLarge, len(p.Data),
			maxNoteSize)
	case len(p.Data) > 0 && !p.Data.IsValid():
		return invalid("progress data is not JSON")
	case math.IsNaN(p.Done-p.Done) || math.IsNaN(p.Total-p.Total): // of infinity too
		return invalid("progress of %v of %v, which JSON cannot write", p.Done, p.Total)
	case r.to == nil:
		return nil
	}
	p.Message, p.Data = text(p.Message, maxProgressMessage), p.Data.Clone()
	return r.to.report(&p)
}

// Checkpoint keeps v, of at most 56 KiB as JSON, with the task, for Restore in a later run. It is
// as durable as the store when Checkpoint returns; from an isolated function it is on its way then,
// and durable before the run's end is. The error is ErrTooLarge, ErrInvalid for what cannot be
// JSON, ErrStale when the task is not this run's any more, or the store's.
func (r *Run) Checkpoint(v any) error {
	raw, err := typed.Marshal(v)
	if err != nil {
		return fmt.Errorf("%w: a checkpoint that cannot be JSON: %w", ErrInvalid, err)
	}
	if len(raw) > maxNoteSize {
		return fmt.Errorf("%w: checkpoint of %d bytes, limit %d", ErrTooLarge, len(raw),
			maxNoteSize)
	}
	if r.to == nil {
		return nil
	}
	return r.to.save(raw)
}

// Restore reads the latest checkpoint of the task's earlier runs into v and reports whether there
// is one.
func (r *Run) Restore(v any) (bool, error) {
	if len(r.task.Checkpoint) == 0 {
		return false, nil
	}
	if err := typed.Unmarshal(r.task.Checkpoint, v); err != nil {
		return false, fmt.Errorf("tasks: restore the checkpoint: %w", err)
	}
	return true, nil
}

// Middleware is called around every run of a task, in this process also where the function is
// isolated: to log, to measure, to trace, to give the context values. It calls next once, with ctx
// or one made of it, and returns next's error or another in its place, which is judged as the
// function's would be: a nil error that it makes of a failure is a success without a result. A run
// that ends without next, such as by an error of its own, has not called the function.
//
// The error of an isolated function has the text and StatusCode of the original, not its type. A
// panic of the function goes through, and ends the attempt only.
type Middleware func(ctx context.Context, run *Run, next func(ctx context.Context) error) error
