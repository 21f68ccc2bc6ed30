package tasks

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"runtime/debug"
)

// errNotSubmitted is what a SubmitMiddleware makes that neither calls next nor says why.
var errNotSubmitted = errors.New("tasks: a SubmitMiddleware has not called next, and gave no error")

// submission is what SubmitMiddleware gets, with options of its own.
func submission(kind string, s Submission) *Submission {
	var o SubmitOptions
	if s.Options != nil {
		o = *s.Options
	}
	if o.Metadata = maps.Clone(o.Metadata); o.Metadata == nil {
		o.Metadata = make(map[string]string)
	}
	return &Submission{Kind: kind, Payload: s.Payload, Options: &o}
}

// submitThrough submits through the middleware, the first of which is outermost. The error is that
// of the middleware, or where it made none of a failure the failure.
func (m *Manager) submitThrough(ctx context.Context, s *Submission,
	submit func(ctx context.Context) error,
) error {
	failed := errNotSubmitted
	next := func(ctx context.Context) error {
		failed = submit(ctx)
		return failed
	}
	for i := len(m.opts.SubmitMiddleware) - 1; i >= 0; i-- {
		around, inner := m.opts.SubmitMiddleware[i], next
		next = func(ctx context.Context) error { return around(ctx, s, inner) }
	}
	if err := next(ctx); err != nil {
		return err
	}
	return failed
}

// submitOne is submitNow through the middleware.
func (m *Manager) submitOne(ctx context.Context, k *kind, of Submission) (*Task, error) {
	s := submission(of.Kind, of)
	occurrence := s.Options.occurrence
	submit := m.submitThrough
	if occurrence {
		submit = m.submitThroughSafely
	}
	err := submit(ctx, s, func(ctx context.Context) (err error) {
		s.Options.occurrence = occurrence
		s.Task, err = m.submitNow(ctx, of.Kind, k, of.Payload, s.Options)
		return err
	})
	if err != nil {
		return nil, err
	}
	return s.Task, nil
}

// submitThroughSafely is submitThrough for the planner's goroutine, which a panic must not end.
func (m *Manager) submitThroughSafely(ctx context.Context, s *Submission,
	submit func(ctx context.Context) error,
) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("tasks: a SubmitMiddleware panicked: %v\n%s", v, debug.Stack())
		}
	}()
	return m.submitThrough(ctx, s, submit)
}

// throughBatch is a batch on its way through the middleware, which is called for each of its tasks:
// the calls are inside of each other, around the one write that adds them all. Each has the
// context of the batch and not that of the call around it, whose task is another's.
type throughBatch struct {
	m       *Manager
	ctx     context.Context
	all     []Submission  // as they are submitted
	through []*Submission // as the middleware has them
	added   []*Task
	failed  error         // why nothing was added
	undone  map[int]error // what the middleware made of the success of single tasks
}

// submitManyThrough is addBatch through the middleware.
func (m *Manager) submitManyThrough(ctx context.Context, all []Submission) ([]*Task, error) {
	b := &throughBatch{m: m, ctx: ctx, all: all, through: make([]*Submission, len(all))}
	for i, s := range all {
		b.through[i] = submission(s.Kind, s)
	}
	b.submit(0)
	switch {
	case b.failed != nil:
		return nil, b.failed
	case len(b.undone) > 0:
		return nil, &BatchError{b.undone}
	}
	return b.added, nil
}

// submit goes on from the task at i.
func (b *throughBatch) submit(i int) {
	if i == len(b.all) {
		batch := make([]Submission, len(b.all))
		for j, s := range b.all {
			batch[j] = Submission{Kind: s.Kind, Payload: s.Payload, Options: b.through[j].Options}
		}
		b.added, b.failed = b.m.addBatch(b.ctx, batch, map[int]error{})
		for j, t := range b.added {
			b.through[j].Task = t
		}
		return
	}
	b.note(i, b.m.submitThrough(b.ctx, b.through[i], func(context.Context) error {
		b.submit(i + 1)
		return b.errorAt(i)
	}))
}

// errorAt is why the task at i was not added: the error of the batch where it is of others.
func (b *throughBatch) errorAt(i int) error {
	if batch, ok := errors.AsType[*BatchError](b.failed); ok && batch.Errors[i] != nil {
		return batch.Errors[i]
	}
	return b.failed
}

// note is told what the middleware has made of the task at i.
func (b *throughBatch) note(i int, err error) {
	if err == nil || b.failed != nil && errors.Is(err, b.failed) {
		return // or it is the error of the batch, and none of this task
	}
	batch, ok := errors.AsType[*BatchError](b.failed)
	switch {
	case ok:
		batch.Errors[i] = err
	case b.failed != nil: // the store's, which is of all
	case b.through[i].Task == nil: // it was not let through
		b.failed = &BatchError{map[int]error{i: err}}
	case b.undone == nil:
		b.undone = map[int]error{i: err}
	default:
		b.undone[i] = err
	}
}
