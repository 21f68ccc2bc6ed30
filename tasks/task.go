package tasks

import (
	"slices"
	"time"

	"github.com/go-json-experiment/json/jsontext"
)

// State is what has become of a task so far. The package's documentation has the table of transitions.
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

var states = [...]State{Scheduled, Queued, Running, Retrying, Succeeded, Failed, Cancelled, Dead}

// index is the state's place in states, -1 when it is none of them.
func (s State) index() int {
	switch s {
	case Scheduled:
		return 0
	case Queued:
		return 1
	case Running:
		return 2
	case Retrying:
		return 3
	case Succeeded:
		return 4
	case Failed:
		return 5
	case Cancelled:
		return 6
	case Dead:
		return 7
	}
	return -1
}

// Done reports whether the state is one that only Retry leaves.
func (s State) Done() bool { return s == Succeeded || s == Failed || s == Cancelled || s == Dead }

// Waiting reports whether a task in this state may be claimed once it is due.
func (s State) Waiting() bool { return s == Scheduled || s == Queued || s == Retrying }

// Task is a task as its store has it. What a store or a manager hands out is a snapshot: it is shared, and must not be changed.
type Task struct {
	ID       string            `json:"id"`                // 1 to 128 bytes of [A-Za-z0-9_.:@-]
	Kind     string            `json:"kind"`              // 1 to 128 bytes of the same
	Version  int               `json:"version"`           // of the payload, 1 and up
	Queue    string            `json:"queue"`             // 1 to 128 bytes of the same; "default" unless stated
	Priority int               `json:"priority,omitzero"` // higher first
	Key      string            `json:"key,omitzero"`      // groups tasks for the queue's KeyLimit, at most 256 bytes
	Metadata map[string]string `json:"metadata,omitzero"` // the submitter's
	Payload  jsontext.Value    `json:"payload,omitzero"`
	Unique   *Unique           `json:"unique,omitzero"`
	Retry    RetryPolicy       `json:"retry,omitzero"`
	Timeout  time.Duration     `json:"timeout,omitzero"` // of one attempt; 0 is none

	State    State     `json:"state"`
	Created  time.Time `json:"created,omitzero"`
	RunAt    time.Time `json:"run_at,omitzero"`   // not to be claimed before
	Started  time.Time `json:"started,omitzero"`  // the latest attempt
	Finished time.Time `json:"finished,omitzero"` // when it was done
	Attempt  int       `json:"attempt,omitzero"`  // begun so far, without those that were interrupted
	Deaths   int       `json:"deaths,omitzero"`   // holders and workers that died of it

	Owner      string    `json:"owner,omitzero"`       // the manager that holds it, while it is running
	Fence      uint64    `json:"fence,omitzero"`       // of the latest claim; a later claim of the task has a higher one
	LeaseUntil time.Time `json:"lease_until,omitzero"` // while it is running

	Progress   *Progress      `json:"progress,omitzero"`
	Checkpoint jsontext.Value `json:"checkpoint,omitzero"`
	Result     jsontext.Value `json:"result,omitzero"`
	Error      *TaskError     `json:"error,omitzero"` // of the latest attempt that failed

	// Revision counts the changes of this task. The store sets it: 1 when the task is added.
	Revision uint64 `json:"revision"`
	// Seq is the place of the task in the order of submission. The store sets it.
	Seq uint64 `json:"seq"`

	position uint64 // see MemStore.Position
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
	// Min and Max bound the wait before attempt n+1, which is random from 0 up to Min doubled n-1 times, Max at most (full jitter); 1 s and 1 h when zero.
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
	return t.Unique != nil && t.Unique.held(t.State, t.Fence, now)
}

// held reports whether a task in that state, and of that fence, holds the key at now.
func (u *Unique) held(state State, fence uint64, now time.Time) bool {
	switch u.While {
	case UniqueWaiting:
		return state.Waiting() && fence == 0 // once started, it never holds it again: another may
	case UniqueUndone:
		return !state.Done()
	default:
		return now.Before(u.Until)
	}
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
