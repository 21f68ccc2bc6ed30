package wsxtasks

import (
	"sync"

	"github.com/go-json-experiment/json"

	"github.com/genropy/genro-asgi-go/tasks"
	"github.com/genropy/genro-asgi-go/wsx"
	"github.com/genropy/genro-asgi-go/wsx/broker"
)

// filter lets those changes through that the subscriber may know of at that moment: its rights may
// have been withdrawn, and a pattern is not for one task.
func (b *Bridge) filter(s wsx.Subscription) (func(broker.Event) bool, error) {
	ctx := s.Context()
	return func(e broker.Event) bool {
		t := b.recent.of(e)
		return t != nil && b.allow(ctx, tasks.Call{Operation: tasks.OpEvents, Task: t}) == nil
	}, nil
}

// recent gives filters the tasks that events are about: whole, where this bridge has published them
// lately, else as far as an event shows them. The zero value is ready.
type recent struct {
	mu   sync.Mutex
	ring [recents]*tasks.Task
	next int
	// the first of the payload of the event that was asked for last: it goes to many subscribers
	event *byte
	task  *tasks.Task // that it is about
}

const recents = 256

func (r *recent) add(t *tasks.Task) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ring[r.next] = t
	r.next = (r.next + 1) % recents
}

// of is the task of an event, nil where it is none of a bridge.
func (r *recent) of(e broker.Event) *tasks.Task {
	if len(e.Payload) == 0 {
		return nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.event == &e.Payload[0] {
		return r.task
	}
	r.event, r.task = &e.Payload[0], nil
	var v tasks.View
	if err := json.Unmarshal(e.Payload, &v); err != nil || e.Channel != prefix+v.ID {
		return nil
	}
	for _, t := range r.ring {
		if t != nil && t.ID == v.ID && t.Revision == v.Revision {
			r.task = t
			return t
		}
	}
	r.task = &tasks.Task{
		ID: v.ID, Kind: v.Kind, Queue: v.Queue, State: v.State, Metadata: v.Metadata,
		Created: v.Created, RunAt: v.RunAt, Started: v.Started,
		Finished: v.Finished, Attempt: v.Attempt, Progress: v.Progress, Revision: v.Revision,
	}
	if v.Error != nil {
		r.task.Error = &tasks.TaskError{
			Kind: v.Error.Kind, Status: v.Error.Status,
			Attempt: v.Error.Attempt, Problem: v.Error.Problem,
		}
	}
	return r.task
}
