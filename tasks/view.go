package tasks

import (
	"time"

	"github.com/go-json-experiment/json/jsontext"
)

// View is a task as clients may see it: what its submitter said and what became of it, without payload, result, holder, and the text of its error.
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
}

// View is t as clients may see it.
func (t *Task) View() View {
	v := View{
		ID: t.ID, Kind: t.Kind, Queue: t.Queue, State: t.State, Metadata: t.Metadata, Created: t.Created, RunAt: t.RunAt, Started: t.Started,
		Finished: t.Finished, Attempt: t.Attempt, Progress: t.Progress, Revision: t.Revision,
	}
	if t.Error != nil {
		v.Error = &ViewError{Kind: t.Error.Kind, Status: t.Error.StatusCode(), Attempt: t.Error.Attempt}
	}
	return v
}
