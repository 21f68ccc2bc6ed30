package tasks

import (
	"net/http"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/genropy/genro-asgi-go/problem"
)

// View is a task as clients may see it: what its submitter said and what became of it, without
// payload, result, holder, and the text of its error, of which only the problem is shown.
type View struct {
	ID       string            `json:"id"`
	Kind     string            `json:"kind"`
	Queue    string            `json:"queue"`
	State    State             `json:"state"`
	Metadata map[string]string `json:"metadata,omitzero"`
	Created  time.Time         `json:"created"`
	RunAt    time.Time         `json:"run_at"`
	Started  time.Time         `json:"started,omitzero"`
	Finished time.Time         `json:"finished,omitzero"`
	Attempt  int               `json:"attempt"`
	Progress *Progress         `json:"progress,omitzero"`
	Error    *ViewError        `json:"error,omitzero"`
	Revision uint64            `json:"revision"`
	Result   jsontext.Value    `json:"result,omitzero"` // only where the result was asked for
}

// ViewError is what clients may know of a TaskError.
type ViewError struct {
	Kind    ErrorKind `json:"kind"`
	Status  int       `json:"status"` // an HTTP status
	Attempt int       `json:"attempt"`
	// Problem is what the function said to its caller; nil nothing.
	Problem *problem.Error `json:"problem,omitzero"`
}

// View is t as clients may see it.
func (t *Task) View() View {
	v := View{
		ID: t.ID, Kind: t.Kind, Queue: t.Queue, State: t.State, Metadata: t.Metadata,
		Created: t.Created, RunAt: t.RunAt, Started: t.Started,
		Finished: t.Finished, Attempt: t.Attempt, Progress: t.Progress, Revision: t.Revision,
	}
	if t.Error != nil {
		v.Error = &ViewError{
			Kind: t.Error.Kind, Status: t.Error.StatusCode(),
			Attempt: t.Error.Attempt, Problem: t.Error.Problem,
		}
	}
	return v
}

// Operation is what a request asks for.
type Operation string

// The operations.
const (
	OpSubmit Operation = "submit"
	OpList   Operation = "list"   // and, with a task, each one that would be listed
	OpGet    Operation = "get"    // a task, its result
	OpEvents Operation = "events" // of a task; of all, and then each one that would be told of
	OpCancel Operation = "cancel"
	OpRetry  Operation = "retry"
)

// Call is a request that somebody has to allow.
type Call struct {
	Request   *http.Request
	Operation Operation
	Kind      string // of OpSubmit
	Task      *Task  // nil for OpSubmit, and for OpList and OpEvents of all
}
