package taskshttp

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/genropy/genro-asgi-go/internal/sse"
	"github.com/genropy/genro-asgi-go/internal/stopping"
	"github.com/genropy/genro-asgi-go/tasks"
)

// The bounds of an event stream.
const (
	sseHeartbeat    = 15 * time.Second // silence before a comment
	sseWriteTimeout = 10 * time.Second
)

// events streams one task: an event of type state, or progress where only that changed, with the
// task's revision as its id and the View as its data. A client that comes back with Last-Event-ID
// gets what is newer; one that has seen the end gets 204, which tells a browser to stay away.
func (h *handler) events(w http.ResponseWriter, r *http.Request, t *tasks.Task) error {
	// of another server: 0, from the beginning
	seen, _ := strconv.ParseUint(r.Header.Get("Last-Event-Id"), 10, 64)
	if t.State.Done() && t.Revision == seen {
		w.WriteHeader(http.StatusNoContent)
		return nil
	}
	if seen > t.Revision {
		seen = 0 // of a task that was there before under this ID
	}
	return h.stream(w, r, func(ctx context.Context, send func(sse.Event) error) error {
		last := tasks.State("")
		for t, err := range h.m.Follow(ctx, t.ID) {
			if err != nil {
				return err
			}
			if t.Revision <= seen {
				last = t.State
				continue
			}
			if err := h.allow(tasks.Call{Request: r, Operation: tasks.OpEvents, Task: t}); err !=
				nil {
				return err // not any more
			}
			if err := send(eventOf(t, last, strconv.FormatUint(t.Revision, 10))); err != nil {
				return err
			}
			last = t.State
		}
		return nil
	})
}

// allEvents streams all tasks that the query's filter selects and the caller may see, from now on.
// A client that comes back, or that was too slow, has missed some: it is told by an event of type
// missed.
func (h *handler) allEvents(w http.ResponseWriter, r *http.Request) error {
	if err := h.allow(tasks.Call{Request: r, Operation: tasks.OpEvents}); err != nil {
		return err
	}
	f, err := filterOf(r.URL.Query())
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	// before the answer begins: once it has, the client counts on hearing of everything
	changes, err := h.m.Events(ctx, f)
	if err != nil {
		return err
	}
	return h.stream(w, r, func(ctx context.Context, send func(sse.Event) error) (err error) {
		defer context.AfterFunc(ctx, cancel)()
		missed := sse.Event{Type: "missed", Data: []byte("{}")}
		if r.Header.Get("Last-Event-Id") != "" {
			if err = send(missed); err != nil {
				return err
			}
		}
		for t, err := range changes {
			switch {
			case errors.Is(err, tasks.ErrBehind):
				err = send(missed)
			case err == nil &&
				h.allow(tasks.Call{Request: r, Operation: tasks.OpEvents, Task: t}) == nil:
				err = send(eventOf(t, "", t.ID+"/"+strconv.FormatUint(t.Revision, 10)))
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
}

// eventOf is a task's change; last is the state that the client knows.
func eventOf(t *tasks.Task, last tasks.State, id string) sse.Event {
	e := sse.Event{ID: id, Type: "state"}
	if t.State == tasks.Running && t.Progress != nil &&
		(last == tasks.Running || last == "" && t.Progress.At.After(t.Started)) {
		e.Type = "progress"
	}
	// it holds nothing that JSON could not
	e.Data, _ = json.Marshal(t.View(), jsontext.AllowInvalidUTF8(true))
	return e
}

// stream answers with what run sends, until it returns, the client goes, its credentials end or the
// server stops. However it ends, a client comes back if it wants more. The error is that there can
// be no stream.
func (h *handler) stream(w http.ResponseWriter, r *http.Request,
	run func(ctx context.Context, send func(sse.Event) error) error,
) error {
	if err := sse.Supported(w); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(r.Context())
	defer context.AfterFunc(stopping.From(ctx), cancel)()
	defer cancel()
	write := sse.Response(w, sseWriteTimeout)
	if r.Method == http.MethodHead {
		return nil
	}
	s, err := sse.Start(ctx, write, sseHeartbeat)
	defer s.Stop()
	if err == nil {
		_ = run(s.Context(), s.Send) // the headers are out: there is nothing to answer
	}
	return nil
}
