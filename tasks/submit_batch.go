package tasks

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/genropy/genro-asgi-go/internal/canonical"
)

// MaxBatch is how many tasks SubmitMany takes at once.
const MaxBatch = 10_000

// Submission is a task that is submitted with others, or that is on its way through
// Options.SubmitMiddleware.
type Submission struct {
	Kind    string
	Payload jsontext.Value
	Options *SubmitOptions // nil are the defaults
	// Task is what became of it, for SubmitMiddleware: nil until next has returned, and where it
	// returned an error. It must not be changed.
	Task *Task
}

// BatchError says which tasks of a batch were refused, so that none was added.
type BatchError struct {
	Errors map[int]error // by their index in the batch; at least one
}

// Error names the first of them.
func (e *BatchError) Error() string {
	first := slices.Min(slices.Collect(maps.Keys(e.Errors)))
	return fmt.Sprintf("tasks: %d of a batch are refused, the first at index %d: %v", len(e.Errors),
		first, e.Errors[first])
}

// Unwrap is their errors, in order.
func (e *BatchError) Unwrap() (all []error) {
	for _, i := range slices.Sorted(maps.Keys(e.Errors)) {
		all = append(all, e.Errors[i])
	}
	return all
}

// SubmitMany adds a task of the kind for each of in, all or none, and returns them in that order.
// It is one write of the store, and where that is durable one sync. Nil options are the defaults;
// they are those of all, so an ID is ErrInvalid. For the errors see Manager.SubmitMany.
func (k *Kind[In, Out]) SubmitMany(ctx context.Context, in []In, opts *SubmitOptions) ([]*Task,
	error,
) {
	if opts != nil && opts.ID != "" {
		return nil, invalid("many tasks cannot have one ID")
	}
	all := make([]Submission, len(in))
	for i := range in {
		var err error
		if all[i], err = k.submission(ctx, in[i], opts); err != nil {
			return nil, &BatchError{map[int]error{i: err}}
		}
	}
	return k.m.submitMany(ctx, all, true)
}

// Submission is one for Manager.SubmitMany with in as payload. The error is an *InputError.
func (k *Kind[In, Out]) Submission(in In, opts *SubmitOptions) (Submission, error) {
	return k.submission(context.Background(), in, opts)
}

func (k *Kind[In, Out]) submission(ctx context.Context, in In, opts *SubmitOptions) (Submission,
	error,
) {
	payload, err := k.m.encodeInput(ctx, &in)
	return Submission{Kind: k.kind.Name, Payload: payload, Options: opts}, err
}

// SubmitMany is Submit of many tasks, of any kinds, all or none: it returns them in the order of
// all, and with an error nothing was added. It is one write of the store, and where that is durable
// one sync. It takes MaxBatch tasks at most. Of two with one ID, or with one unique key that
// UniqueExisting goes with, the first stands for both where the second would be answered with it;
// UniqueReplace is not for a batch: ErrInvalid.
//
// The errors are Submit's, in a *BatchError where they are of single tasks; ErrTooLarge also where
// the batch is larger than the store takes in one write. A store that is no [BatchStore] adds one
// after the other, and takes those back that it has added when one is refused: another process may
// have seen them, or begun to run them. Where that fails the error says so, and wraps the reason.
func (m *Manager) SubmitMany(ctx context.Context, all []Submission) ([]*Task, error) {
	return m.submitMany(ctx, all, false)
}

// draft is a task that is about to be added.
type draft struct {
	t     *Task
	q     *queue
	taken UniqueTaken
	allow func(Operation, *Task) error
}

// draft makes a task of what is submitted. The payload is checked and nobody else's.
func (m *Manager) draft(name string, k *kind, payload jsontext.Value, opts *SubmitOptions,
	now time.Time,
) (d draft, err error) {
	if len(payload) > m.opts.MaxPayload {
		return d, tooLarge("payload", len(payload), m.opts.MaxPayload)
	}
	t, unique, err := newTask(name, k, payload, opts, now)
	if err != nil {
		return d, err
	}
	if t.ID == "" {
		t.ID = rand.Text()
	}
	d = draft{t: t, q: m.queues.get(t.Queue), allow: func(Operation, *Task) error { return nil }}
	if d.q == nil {
		return d,
			fmt.Errorf(
				"%w: queue %q of a task of kind %q: it is not in Options.Queues, and no "+
					"registered kind has it", ErrNotFound, t.Queue, name)
	}
	if opts != nil && opts.Authorize != nil {
		d.allow = opts.Authorize
	}
	if unique != nil {
		d.taken = unique.Taken
		err = unique.applyTo(t, now)
	}
	return d, err
}

// submitMany is SubmitMany; own says that the payloads are checked and nobody else's.
func (m *Manager) submitMany(ctx context.Context, all []Submission, own bool) ([]*Task, error) {
	switch {
	case m.stopping.Load():
		return nil, ErrNotRunning
	case len(all) > MaxBatch:
		return nil, tooManyTasks(len(all))
	}
	refused := map[int]error{}
	if !own {
		all = slices.Clone(all)
		for i := range all {
			s := &all[i]
			var err error
			if s.Payload, err = m.receive(ctx, s.Kind, m.kinds.get(s.Kind), s.Payload); err != nil {
				refused[i] = err
			}
		}
	}
	if len(m.opts.SubmitMiddleware) > 0 && len(refused) == 0 {
		return m.submitManyThrough(ctx, all)
	}
	return m.addBatch(ctx, all, refused)
}

// addBatch adds tasks whose payloads are checked, but for those that are refused already, and
// nobody else's.
func (m *Manager) addBatch(ctx context.Context, all []Submission, refused map[int]error) ([]*Task,
	error,
) {
	now := m.now()
	drafts := make([]draft, len(all))
	for i, s := range all {
		if refused[i] != nil {
			continue
		}
		var err error
		drafts[i], err = m.draft(s.Kind, m.kinds.get(s.Kind), s.Payload, s.Options, now)
		if err == nil && drafts[i].taken == UniqueReplace {
			err = invalid("UniqueReplace is not for a batch")
		}
		if err != nil {
			refused[i] = err
		}
	}
	if len(refused) > 0 {
		return nil, &BatchError{refused}
	}
	return m.addMany(ctx, drafts, now)
}

func tooManyTasks(n int) error {
	return fmt.Errorf("%w: %d tasks in a batch, limit %d", ErrTooLarge, n, MaxBatch)
}

// isAnsweredBy reports whether the task that is in the way of d, by its ID or its unique key, is to
// stand for it.
func (d *draft) isAnsweredBy(by *ExistsError) bool {
	if by.ID {
		return by.Task.Kind == d.t.Kind && canonical.Equal(by.Task.Payload, d.t.Payload)
	}
	return d.taken == UniqueExisting
}

// explain is err with what a store does not know.
func (d *draft) explain(err error) error {
	if err == ErrOverloaded { //nolint:errorlint // the bare condition
		return fmt.Errorf("%w: %d tasks wait in queue %q (QueueOptions.MaxWaiting)", ErrOverloaded,
			d.q.opts.MaxWaiting, d.q.name)
	}
	return err
}

// addMany adds the drafts, or finds them there already.
func (m *Manager) addMany(ctx context.Context, drafts []draft, now time.Time) ([]*Task, error) {
	same, err := duplicatesWithin(drafts)
	if err != nil {
		return nil, err
	}
	got := make([]*Task, len(drafts))
	for {
		var left []int
		var ts []*Task
		limits := map[string]int{}
		for i := range drafts {
			if _, ok := same[i]; got[i] == nil && !ok {
				d := &drafts[i]
				left, ts = append(left, i), append(ts, d.t)
				limits[d.t.Queue] = max(d.q.opts.MaxWaiting, 0)
			}
		}
		added, err := addMany(ctx, m.store, ts, now, limits)
		if err == nil {
			for n, i := range left {
				got[i] = added[n]
			}
			for i, j := range same {
				got[i] = got[j]
			}
			return got, nil
		}
		batch, ok := errors.AsType[*BatchError](err)
		if !ok {
			return nil, err
		}
		refused := map[int]error{}
		for n, err := range batch.Errors {
			d := &drafts[left[n]]
			if other, ok := errors.AsType[*ExistsError](err); ok && d.isAnsweredBy(other) {
				if err = d.allow(OpGet, other.Task); err == nil {
					got[left[n]] = other.Task
					continue
				}
			}
			refused[left[n]] = d.explain(err)
		}
		if len(refused) > 0 {
			if left, ok := errors.AsType[*leftError](err); ok {
				return nil, &leftError{&BatchError{refused}, left.cause}
			}
			return nil, &BatchError{refused}
		}
	}
}

// duplicatesWithin finds the drafts for which an earlier one of the same batch stands.
func duplicatesWithin(drafts []draft) (same map[int]int, err error) {
	same = map[int]int{}
	ids, keys, refused := map[string]int{}, map[string]int{}, map[int]error{}
	for i := range drafts {
		d := &drafts[i]
		j, taken := ids[d.t.ID]
		exists := &ExistsError{ID: taken}
		if !taken && d.t.Unique != nil {
			j, taken = keys[d.t.Unique.Key]
		}
		if taken {
			if exists.Task = drafts[j].t; d.isAnsweredBy(exists) {
				same[i] = j
			} else {
				refused[i] = exists
			}
			continue
		}
		ids[d.t.ID] = i
		if d.t.Unique != nil {
			keys[d.t.Unique.Key] = i
		}
	}
	if len(refused) > 0 {
		return nil, &BatchError{refused}
	}
	return same, nil
}

// addMany adds tasks to any store.
func addMany(ctx context.Context, store Store, ts []*Task, now time.Time,
	maxWaiting map[string]int,
) ([]*Task, error) {
	if len(ts) == 0 {
		return nil, ctx.Err()
	}
	if b, ok := store.(BatchStore); ok {
		return b.AddMany(ctx, ts, now, maxWaiting)
	}
	added, refused := make([]*Task, len(ts)), map[int]error{}
	for i, t := range ts {
		copied := *t // the store's, once it is added
		var err error
		if added[i], err = store.Add(ctx, &copied, now, maxWaiting[t.Queue]); err != nil {
			refused[i] = err
			if _, ok := errors.AsType[*ExistsError](err); !ok {
				break
			}
		}
	}
	if len(refused) == 0 {
		return added, nil
	}
	ctx = context.WithoutCancel(ctx)
	var errs []error
	for _, t := range added {
		if t != nil {
			errs = append(errs, takeBack(ctx, store, t.ID, now))
		}
	}
	if err := errors.Join(errs...); err != nil {
		return nil, &leftError{&BatchError{refused}, err}
	}
	return nil, &BatchError{refused}
}

// leftError is a refusal of which something is left in the store.
type leftError struct {
	refusal *BatchError
	cause   error
}

func (e *leftError) Error() string {
	return fmt.Sprintf("%v; and what was added is not all taken back: %v", e.refusal, e.cause)
}

func (e *leftError) Unwrap() []error { return []error{e.refusal, e.cause} }

// takeBack cancels and deletes a task that was added.
func takeBack(ctx context.Context, store Store, id string, now time.Time) error {
	t, err := store.Update(ctx, id, now, func(t *Task) error {
		if !t.State.Done() {
			t.cancel(now)
		}
		t.Unique = nil
		return nil
	})
	if err == nil {
		err = store.Delete(ctx, id, t.Revision, now)
	}
	if errors.Is(err, ErrNotFound) {
		return nil
	}
	return err
}
