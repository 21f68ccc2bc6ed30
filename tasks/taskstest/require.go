package taskstest

import (
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/go-json-experiment/json"

	"github.com/genropy/genro-asgi-go/tasks"
)

// Submitted is a task that was submitted, as it is now, with its payload.
type Submitted[In any] struct {
	*tasks.Task
	In In
}

// AllSubmitted returns the tasks of a kind that the manager's store has, whatever has become of
// them, in the order of submission. It fails the test when a payload is no In.
func AllSubmitted[In any](t testing.TB, m *tasks.Manager, kind string) []Submitted[In] {
	t.Helper()
	var all []Submitted[In]
	for task, err := range m.All(context.Background(), &tasks.Filter{Kind: kind}) {
		if err != nil {
			t.Fatalf("taskstest: list the tasks: %v", err)
		}
		s := Submitted[In]{Task: task}
		if len(task.Payload) > 0 {
			if err := json.Unmarshal(task.Payload, &s.In, json.RejectUnknownMembers(true)); err !=
				nil {
				t.Fatalf("taskstest: task %s, kind %q, was submitted with %s, which is no %T: %v",
					task.ID, kind, task.Payload, s.In, err)
			}
		}
		all = append(all, s)
	}
	slices.Reverse(all)
	return all
}

// RequireSubmitted returns the one task of a kind that was submitted. It fails the test when there
// is none or are more.
func RequireSubmitted[In any](t testing.TB, m *tasks.Manager, kind string) Submitted[In] {
	t.Helper()
	all := AllSubmitted[In](t, m, kind)
	switch {
	case len(all) > 1:
		t.Fatalf("taskstest: %d tasks of kind %q were submitted, want one: %s", len(all), kind,
			payloads(all))
	case len(all) == 0:
		t.Fatalf("taskstest: no task of kind %q was submitted", kind)
	}
	return all[0]
}

// RequireNoneSubmitted fails the test when a task of a kind was submitted.
func RequireNoneSubmitted(t testing.TB, m *tasks.Manager, kind string) {
	t.Helper()
	page, _, err := m.List(context.Background(), &tasks.Filter{Kind: kind, Limit: 1})
	switch {
	case err != nil:
		t.Fatalf("taskstest: list the tasks: %v", err)
	case len(page) > 0:
		t.Fatalf("taskstest: task %s of kind %q was submitted with %s", page[0].ID, kind,
			page[0].Payload)
	}
}

// RequireResult returns the result of a task that has succeeded. It fails the test, and does not
// wait, when the task is in another state, or its result is no Out.
func RequireResult[Out any](t testing.TB, m *tasks.Manager, id string) Out {
	t.Helper()
	task, err := m.Get(context.Background(), id)
	switch {
	case err != nil:
		t.Fatalf("taskstest: task %s: %v", id, err)
	case task.State != tasks.Succeeded && task.Error != nil:
		t.Fatalf("taskstest: task %s, kind %q, is %s: %v", id, task.Kind, task.State, task.Error)
	case task.State != tasks.Succeeded:
		t.Fatalf("taskstest: task %s, kind %q, is %s", id, task.Kind, task.State)
	}
	out, err := tasks.Result[Out](context.Background(), m, id)
	if err != nil {
		t.Fatalf("taskstest: task %s, kind %q: %v", id, task.Kind, err)
	}
	return out
}

// payloads lists some.
func payloads[In any](all []Submitted[In]) string {
	const most = 10
	var b strings.Builder
	for i, s := range all[:min(len(all), most)] {
		if i > 0 {
			b.WriteString(", ")
		}
		b.Write(s.Payload)
	}
	if len(all) > most {
		b.WriteString(", …")
	}
	return b.String()
}
