package tasks

import (
	"context"
	"fmt"
	"slices"
	"time"
)

// Store keeps tasks. What an implementation must hold is what taskstest.ExerciseStore tests; the
// essence is:
//
//   - Every change of a task is atomic, and the changes of one task have one order, which Revision
//     counts and every watcher sees.
//   - What Add or Update returned without an error is as durable as the store says. Claims, and
//     updates that change nothing but LeaseUntil and Progress, may be less durable than the rest:
//     losing them costs a run twice, and never a fence twice.
//   - The fence of a claim is higher than that of every claim of the same task before it, also
//     across restarts of the store.
//   - Tasks handed out are snapshots that nobody changes, neither store nor caller. Those that a
//     function is called with are the caller's no longer than the call: the function copies what it
//     keeps.
//
// Errors are the package's conditions, or the context's, or the store's own. All methods are safe
// for concurrent use. A store has no clock: times come from its callers.
type Store interface {
	// Add adds a waiting task and returns it as stored, with Seq and Revision. On success t is the
	// store's: the caller does not touch it any more. What is no task that can wait is ErrInvalid.
	// When its ID is taken, or its unique key held at now, nothing is added: the error is an
	// *ExistsError with the other task. When as many tasks as maxWaiting wait in its queue already,
	// the error is ErrOverloaded; 0 is no limit.
	Add(ctx context.Context, t *Task, now time.Time, maxWaiting int) (*Task, error)

	// Claim hands up to c.Max tasks of a queue that wait and are due (see Task.Due) to c.Claimed,
	// in the queue's order (see Task.Before), and makes each Running with the claim's owner and
	// lease, Started now, the next Attempt and a new Fence. It never waits: with none it hands out
	// none. next is when the next waiting task that the claim accepts is due, c.Now when one is due
	// that Max left there, as far as the store knows without a long search; zero when there is
	// none. An error is returned only where none was handed out.
	Claim(ctx context.Context, c *Claim) (next time.Time, err error)

	// Update changes a task: change gets a copy, and what it leaves there replaces the task in one
	// step, unless it returns an error, which Update returns as it is. change may be called more
	// than once, must be quick and must not use the store. It replaces what fields point to and
	// does not change it, as the copy shares it. ID, Kind, Queue, Fence, Seq and Revision are not
	// its to change: ErrInvalid. Only Claim makes a task Running. Another transition that is not in
	// the table of states is ErrConflict. A task that takes a unique key again (Retry) is refused
	// with an *ExistsError where another holds it now.
	Update(ctx context.Context, id string, now time.Time, change func(t *Task) error) (Task, error)

	// Get returns a task, or ErrNotFound.
	Get(ctx context.Context, id string) (*Task, error)

	// List returns one page of the tasks that match, in order of submission, newest first, and
	// where the next page begins, "" at the end. A task that is there all the while is on exactly
	// one page. f.Limit bounds the page, and what the call holds in memory. A nil f is the zero
	// Filter.
	List(ctx context.Context, f *Filter) (page []*Task, next string, err error)

	// Expired returns up to limit running tasks whose lease has ended at now.
	Expired(ctx context.Context, now time.Time, limit int) ([]*Task, error)

	// Delete removes a task that is done, in the state that it was in at revision: else
	// ErrConflict, or ErrNotFound. Its unique key stays held where that is UniqueFor and not over
	// at now.
	Delete(ctx context.Context, id string, revision uint64, now time.Time) error

	// Counts tells how many tasks are in each queue and state; those with none are left out.
	Counts(ctx context.Context) (map[string]map[State]int, error)

	// Watch calls f after every change of every task, by whomever, until the returned stop: in the
	// order of the changes of each task, with the task as it then was. A task that was deleted is
	// not told of. f must be quick and must not use the store. After stop returns f is not called
	// any more.
	Watch(f func(t *Task)) (stop func(), err error)
}

// BatchStore is a [Store] that adds many tasks in one step. Without it Manager.SubmitMany adds one
// after the other.
type BatchStore interface {
	Store
	// AddMany is Add of each task, in order, all or none: also to who reads meanwhile, and after a
	// crash. maxWaiting is that of each queue, 0 and none is no limit; the tasks of the batch
	// count. When tasks are refused the error is a *BatchError, with all those that are refused
	// with an *ExistsError by what the store has; of two tasks of the batch with one ID or unique
	// key the second is refused, and that error has the first. Another error is of the whole batch.
	// No tasks is no error.
	AddMany(ctx context.Context, ts []*Task, now time.Time, maxWaiting map[string]int) ([]*Task,
		error)
}

// Claim asks for tasks.
type Claim struct {
	Queue string
	Max   int
	Owner string
	Now   time.Time
	Lease time.Duration
	// Kinds are those that the claimer runs, each with the highest version of a payload that it
	// takes. Others are passed over.
	Kinds map[string]int
	// Full reports whether no task of that key is to be claimed now; it may be nil, is called for
	// keys other than "", must be quick and must not use the store. A claim that returns several
	// tasks of one key asks before each, after Claimed was told of those before.
	Full func(key string) bool
	// SkipDied reports whether no task that has died before (Deaths above 0) is to be claimed now;
	// it may be nil, and is asked as Full is. A manager runs one of them at a time.
	SkipDied func() bool
	// Claimed takes each task that is claimed, before the next Full or SkipDied; it must be quick
	// and must not use the store.
	Claimed func(t *Task)
}

// Filter selects tasks. The zero value is all of them, the first page.
type Filter struct {
	States   []State           // any of them; none is all
	Queue    string            // "" is all
	Kind     string            // "" is all
	Metadata map[string]string // all of them
	// leaves out those that were done at this time or later; zero leaves out none
	Before time.Time
	Limit  int // tasks a page; 100 when zero, 1,000 at most, else ErrInvalid
	// where the last page said that the next begins; ErrInvalid when it is none of the store's
	Cursor string
}

// ExistsError says which task has the ID or holds the unique key. It is ErrConflict.
type ExistsError struct {
	Task *Task
	ID   bool // the ID is taken; false is the unique key
}

func (e *ExistsError) Error() string {
	if e.Task == nil {
		return "tasks: the ID is taken or the unique key held"
	}
	if e.ID {
		return fmt.Sprintf(
			"tasks: the ID %s is taken, by a task of kind %q and with another payload or kind "+
				"than this one's", e.Task.ID, e.Task.Kind)
	}
	return fmt.Sprintf(
		"tasks: the unique key is held by task %s of kind %q (UniqueOptions.Taken says what "+
			"becomes of the other)", e.Task.ID, e.Task.Kind)
}

// Unwrap is ErrConflict.
func (e *ExistsError) Unwrap() error { return ErrConflict }

// Matches reports whether f selects t. Limit and Cursor do not matter.
func (f *Filter) Matches(t *Task) bool {
	if f == nil {
		return true
	}
	if len(f.States) > 0 && !slices.Contains(f.States, t.State) ||
		f.Queue != "" && f.Queue != t.Queue || f.Kind != "" && f.Kind != t.Kind ||
		!f.Before.IsZero() && t.State.Done() && !t.Finished.Before(f.Before) {
		return false
	}
	for k, v := range f.Metadata {
		if got, ok := t.Metadata[k]; !ok || got != v {
			return false
		}
	}
	return true
}

// CheckChange reports what forbids that an update makes old into t: ErrConflict for a transition
// that is not in the table, ErrInvalid for a change of what is not an update's to change, or into
// what no task can be. Stores use it.
func CheckChange(old, t *Task) error {
	switch {
	case t.ID != old.ID || t.Kind != old.Kind || t.Queue != old.Queue || t.Fence != old.Fence ||
		t.Seq != old.Seq || t.Revision != old.Revision:
		return fmt.Errorf("%w: an update changes no ID, kind, queue, fence, sequence or revision",
			ErrInvalid)
	case t.State == old.State:
		return t.checkNumbers()
	case t.State == Running || !old.State.MayBecome(t.State):
		return fmt.Errorf("%w: a task that is %s cannot become %.20s", ErrConflict, old.State,
			t.State)
	}
	return t.checkNumbers()
}

// CheckNew reports what is no task that can be added. Stores use it.
func CheckNew(t *Task) error {
	switch {
	case !t.State.Waiting() || t.Fence != 0 || t.Owner != "":
		return fmt.Errorf("%w: a task that is added waits and was never claimed", ErrInvalid)
	case t.ID == "" || t.Kind == "" || t.Queue == "":
		return fmt.Errorf("%w: a task needs ID, kind and queue", ErrInvalid)
	}
	return t.checkNumbers()
}

// checkNumbers reports what no task can have.
func (t *Task) checkNumbers() error {
	if min(t.Attempt, t.Deaths) < 0 || t.Timeout < 0 || t.Delay < 0 {
		return invalid("attempts, deaths, a timeout or a delay below 0")
	}
	return t.Retry.check()
}
