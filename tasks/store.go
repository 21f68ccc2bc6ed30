package tasks

import (
	"context"
	"time"
)

// Store keeps tasks. What an implementation must hold is what taskstest.ExerciseStore tests; the essence is:
//
//   - Every change of a task is atomic, and the changes of one task have one order, which Revision counts and every watcher sees.
//   - What Add or Update returned without an error is as durable as the store says. Claims, and updates that change nothing but
//     LeaseUntil and Progress, may be less durable than the rest: losing them costs a run twice, and never a fence twice.
//   - The fence of a claim is higher than that of every claim of the same task before it, also across restarts of the store.
//   - Tasks handed out are snapshots that nobody changes, neither store nor caller. Those that a function is called with are the caller's no longer than the call:
//     the function copies what it keeps.
//
// Errors are the package's conditions, or the context's, or the store's own. All methods are safe for concurrent use. A store has no
// clock: times come from its callers.
type Store interface {
	// Add adds a waiting task and returns it as stored, with Seq and Revision. On success t is the store's: the caller does not touch it any more.
	// What is no task that can wait is ErrInvalid. When its ID is taken, or its unique key held at now, nothing is added: the error is an
	// *ExistsError with the other task. When as many tasks as maxWaiting wait in its queue already, the error is ErrOverloaded; 0 is no limit.
	Add(ctx context.Context, t *Task, now time.Time, maxWaiting int) (*Task, error)

	// Claim hands up to c.Max tasks of a queue that wait and are due to c.Claimed, in the queue's order (see Task.Before), and makes each Running with the claim's owner
	// and lease, Started now, the next Attempt and a new Fence. It never waits: with none it hands out none. next is when the next waiting task that the claim
	// accepts is due, c.Now when one is due that Max left there, as far as the store knows without a long search; zero when there is none. An error is
	// returned only where none was handed out.
	Claim(ctx context.Context, c *Claim) (next time.Time, err error)

	// Update changes a task: change gets a copy, and what it leaves there replaces the task in one step, unless it returns an error, which Update returns as it
	// is. change may be called more than once, must be quick and must not use the store. It replaces what fields point to and does not change it, as the
	// copy shares it. ID, Kind, Queue, Fence, Seq and Revision are not its to change: ErrInvalid. Only Claim makes a task Running. Another transition that is not in the table of states is ErrConflict. A task that takes a unique key again (Retry) is refused with an *ExistsError where another holds it now.
	Update(ctx context.Context, id string, now time.Time, change func(t *Task) error) (Task, error)

	// Get returns a task, or ErrNotFound.
	Get(ctx context.Context, id string) (*Task, error)

	// List returns one page of the tasks that match, in order of submission, newest first, and where the next page begins, "" at the end. A task that is
	// there all the while is on exactly one page. f.Limit bounds the page, and what the call holds in memory. A nil f is the zero Filter.
	List(ctx context.Context, f *Filter) (page []*Task, next string, err error)

	// Expired returns up to limit running tasks whose lease has ended at now.
	Expired(ctx context.Context, now time.Time, limit int) ([]*Task, error)

	// Delete removes a task that is done, in the state that it was in at revision: else ErrConflict, or ErrNotFound. Its unique key stays held where that is UniqueFor and not over at now.
	Delete(ctx context.Context, id string, revision uint64, now time.Time) error

	// Counts tells how many tasks are in each queue and state; those with none are left out.
	Counts(ctx context.Context) (map[string]map[State]int, error)

	// Watch calls f after every change of every task, by whomever, until the returned stop: in the order of the changes of each task, with the task as it
	// then was. A task that was deleted is not told of. f must be quick and must not use the store. After stop returns f is not called any more.
	Watch(f func(t *Task)) (stop func(), err error)
}

// Claim asks for tasks.
type Claim struct {
	Queue string
	Max   int
	Owner string
	Now   time.Time
	Lease time.Duration
	// Kinds are those that the claimer runs, each with the highest version of a payload that it takes. Others are passed over.
	Kinds map[string]int
	// Full reports whether no task of that key is to be claimed now; it may be nil, is called for keys other than "", must be quick and must not use the store. A claim
	// that returns several tasks of one key asks before each, after Claimed was told of those before.
	Full func(key string) bool
	// Claimed takes each task that is claimed, before the next Full; it must be quick and must not use the store.
	Claimed func(t *Task)
}

// Filter selects tasks. The zero value is all of them, the first page.
type Filter struct {
	States   []State           // any of them; none is all
	Queue    string            // "" is all
	Kind     string            // "" is all
	Metadata map[string]string // all of them
	Before   time.Time         // leaves out those that were done at this time or later; zero leaves out none
	Limit    int               // tasks a page; 100 when zero, 1,000 at most, else ErrInvalid
	Cursor   string            // where the last page said that the next begins; ErrInvalid when it is none of the store's
}

// ExistsError says which task has the ID or holds the unique key. It is ErrConflict.
type ExistsError struct {
	Task *Task
	ID   bool // the ID is taken; false is the unique key
}

func (e *ExistsError) Error() string {
	if e.ID {
		return "tasks: the ID is taken"
	}
	return "tasks: the unique key is held by another task"
}

// Unwrap is ErrConflict.
func (e *ExistsError) Unwrap() error { return ErrConflict }
