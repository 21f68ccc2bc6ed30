package tasks

import (
	"maps"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	jsonv1 "github.com/go-json-experiment/json/v1"

	"github.com/genropy/genro-asgi-go/problem"
)

// Task is a task as its store has it. What a store or a manager hands out is a snapshot: it is
// shared, and must not be changed.
type Task struct {
	ID      string `json:"id"`      // 1 to 128 bytes of [A-Za-z0-9_.:@-]
	Kind    string `json:"kind"`    // 1 to 128 bytes of the same
	Version int    `json:"version"` // of the payload, 1 and up
	// 1 to 128 bytes of the same; "default" unless stated
	Queue    string `json:"queue"`
	Priority int    `json:"priority,omitzero"` // higher first
	// groups tasks for the queue's KeyLimit, at most 256 bytes
	Key      string            `json:"key,omitzero"`
	Metadata map[string]string `json:"metadata,omitzero"` // the submitter's
	Payload  jsontext.Value    `json:"payload,omitzero"`
	Unique   *Unique           `json:"unique,omitzero"`
	Retry    RetryPolicy       `json:"retry,omitzero"`
	Timeout  time.Duration     `json:"timeout,omitzero"` // of one attempt; 0 is none
	// that RunAt was made of, for a delayed task and one that retries; 0 where RunAt is a time of
	// day
	Delay time.Duration `json:"delay,omitzero"`

	State   State     `json:"state"`
	Created time.Time `json:"created,omitzero"`
	// its place in the queue; one that is scheduled or retrying is not to be claimed before
	RunAt    time.Time `json:"run_at,omitzero"`
	Started  time.Time `json:"started,omitzero"`  // the latest attempt
	Finished time.Time `json:"finished,omitzero"` // when it was done
	// begun so far, without those that were interrupted
	Attempt int `json:"attempt,omitzero"`
	// holders and workers that died of it, since it was acquitted (see the package, Deaths)
	Deaths int `json:"deaths,omitzero"`

	// the manager that holds it, while it is running
	Owner string `json:"owner,omitzero"`
	// of the latest claim; a later claim of the task has a higher one
	Fence      uint64    `json:"fence,omitzero"`
	LeaseUntil time.Time `json:"lease_until,omitzero"` // while it is running

	Progress   *Progress      `json:"progress,omitzero"`
	Checkpoint jsontext.Value `json:"checkpoint,omitzero"`
	Result     jsontext.Value `json:"result,omitzero"`
	Error      *TaskError     `json:"error,omitzero"` // of the latest attempt that failed

	// Revision counts the changes of this task. The store sets it: 1 when the task is added.
	Revision uint64 `json:"revision"`
	// Seq is the place of the task in the order of submission. The store sets it.
	Seq uint64 `json:"seq"`

	// Position is where the store's journal has the task as it is, where it keeps one. It is of use
	// to the store alone.
	Position uint64 `json:"-"`
}

// Progress is how far a running task says it is.
type Progress struct {
	Done    float64        `json:"done"`             // of Total, or of 1 when Total is 0
	Total   float64        `json:"total,omitzero"`   // 0 is 1
	Message string         `json:"message,omitzero"` // for people
	Data    jsontext.Value `json:"data,omitzero"`    // for programs
	At      time.Time      `json:"at,omitzero"`      // when it was said
}

// RetryPolicy says how often a failing task is tried. The zero value is one attempt.
type RetryPolicy struct {
	// Attempts is how many there are altogether; 1 when zero.
	Attempts int `json:"attempts,omitzero"`
	// Min and Max bound the wait before attempt n+1, which is random from 0 up to Min doubled n-1
	// times, Max at most (full jitter); 1 s and 1 h when zero.
	Min time.Duration `json:"min,omitzero"`
	Max time.Duration `json:"max,omitzero"`
}

// Unique makes a task hold a key that no other task of the store may hold meanwhile.
type Unique struct {
	Key   string      `json:"key"` // 1 to 256 bytes
	While UniqueWhile `json:"while"`
	// Until is when the key is free again, for UniqueFor.
	Until time.Time `json:"until,omitzero"`
}

// UniqueWhile says how long a key is held.
type UniqueWhile string

// The scopes of a unique key.
const (
	UniqueWaiting UniqueWhile = "waiting" // until the task is started
	UniqueUndone  UniqueWhile = "undone"  // until it is done
	UniqueFor     UniqueWhile = "for"     // until Unique.Until, whatever becomes of the task
)

// Holds reports whether t holds its unique key at now.
func (t *Task) Holds(now time.Time) bool {
	if t.Unique == nil {
		return false
	}
	switch t.Unique.While {
	case UniqueWaiting:
		// once started, it never holds it again: another may
		return t.State.Waiting() && t.Fence == 0
	case UniqueUndone:
		return !t.State.Done()
	default:
		return now.Before(t.Unique.Until)
	}
}

// Due reports whether t may be claimed at now, as far as time goes. One that is queued waits for a
// place and never for the time of day, which may have been set back since.
func (t *Task) Due(now time.Time) bool {
	return t.State == Queued || t.State.Waiting() && !t.RunAt.After(now)
}

// Before reports whether t goes before o when both are due: the order of a queue.
func (t *Task) Before(o *Task) bool {
	switch {
	case t.Priority != o.Priority:
		return t.Priority > o.Priority
	case !t.RunAt.Equal(o.RunAt):
		return t.RunAt.Before(o.RunAt)
	}
	return t.Seq < o.Seq
}

// plainTask is a Task without its methods.
type plainTask Task

// MarshalJSONTo writes durations as nanoseconds: JSON v2 has no way of its own for them.
func (t *Task) MarshalJSONTo(enc *jsontext.Encoder) error {
	return json.MarshalEncode(enc, (*plainTask)(t), jsonv1.FormatDurationAsNano(true))
}

// UnmarshalJSONFrom is its opposite.
func (t *Task) UnmarshalJSONFrom(dec *jsontext.Decoder) error {
	return json.UnmarshalDecode(dec, (*plainTask)(t), jsonv1.FormatDurationAsNano(true))
}

// Err is why a task that is done has no result: its Error, ErrCancelled, or nil where it succeeded
// or is not done.
func (t *Task) Err() error {
	switch {
	case t.State == Cancelled:
		return ErrCancelled
	case (t.State == Failed || t.State == Dead) && t.Error != nil:
		return t.Error
	}
	return nil
}

// Problem is why a task that is done has no result, as clients may know it: what its function said,
// or else a bare status, 409 where the task was cancelled, each with the members task (its ID),
// state and, where it was not cancelled, error (a ViewError). It is nil where the task succeeded or
// is not done.
func (t *Task) Problem() *problem.Error {
	err := t.Err()
	if err == nil {
		return nil
	}
	p := *problem.From(err)
	p.Err = err
	if p.Extensions = maps.Clone(p.Extensions); p.Extensions == nil {
		p.Extensions = make(map[string]any, 3)
	}
	p.Extensions["task"], p.Extensions["state"] = t.ID, t.State
	if t.State != Cancelled {
		p.Extensions["error"] = &ViewError{
			Kind: t.Error.Kind, Status: t.Error.StatusCode(),
			Attempt: t.Error.Attempt,
		}
	}
	return &p
}

// check refuses what cannot be.
func (p RetryPolicy) check() error {
	if p.Attempts < 0 || p.Min < 0 || p.Max < 0 {
		return invalid("a retry policy below 0")
	}
	return nil
}

// wait is how long to wait after the attempt of that number, 1 and up: full jitter, so that tasks
// that failed together do not come back together
// (https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/).
func (p RetryPolicy) wait(attempt int) time.Duration {
	limit, most := orDefault(p.Min, time.Second), orDefault(p.Max, time.Hour)
	for range attempt - 1 {
		if limit > most/2 { // and never doubled beyond what a Duration holds
			limit = most
			break
		}
		limit *= 2
	}
	return rand.N(max(min(limit, most), 1))
}

// State is what has become of a task so far. The package's documentation has the table of
// transitions.
type State string

// The states.
const (
	Scheduled State = "scheduled"
	Queued    State = "queued"
	Running   State = "running"
	Retrying  State = "retrying"
	Succeeded State = "succeeded"
	Failed    State = "failed"
	Cancelled State = "cancelled"
	Dead      State = "dead"
)

// Enum are the states.
func (State) Enum() []State {
	return []State{Scheduled, Queued, Running, Retrying, Succeeded, Failed, Cancelled, Dead}
}

// Done reports whether the state is one that only Retry leaves.
func (s State) Done() bool { return s == Succeeded || s == Failed || s == Cancelled || s == Dead }

// Waiting reports whether a task in this state may be claimed once it is due.
func (s State) Waiting() bool { return s == Scheduled || s == Queued || s == Retrying }

// allowed are the transitions; Retry's are those from a done state.
var allowed = map[State][]State{
	Scheduled: {Running, Cancelled},
	Queued:    {Running, Cancelled},
	Retrying:  {Running, Cancelled},
	Running:   {Succeeded, Failed, Retrying, Cancelled, Dead, Queued},
	Failed:    {Queued},
	Dead:      {Queued},
	Cancelled: {Queued},
}

// MayBecome reports whether the table of states has a transition from s to next.
func (s State) MayBecome(next State) bool { return slices.Contains(allowed[s], next) }

// cancel makes t cancelled.
func (t *Task) cancel(now time.Time) {
	t.State, t.Finished = Cancelled, now
	t.release()
}

// release forgets who held t.
func (t *Task) release() { t.Owner, t.LeaseUntil = "", time.Time{} }

// retryAt makes t wait for its next attempt.
func (t *Task) retryAt(at, now time.Time) {
	t.State, t.RunAt, t.Delay = Retrying, at, max(at.Sub(now), 0)
}
