package wsxtasks_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"maps"
	"testing"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/genropy/genro-asgi-go/chiadapter/wsxtasks"
	"github.com/genropy/genro-asgi-go/tasks"
	"github.com/genropy/genro-asgi-go/tasks/memstore"
	"github.com/genropy/genro-asgi-go/wsx"
)

// TestBridge_DescribesItsMethods to who asks for the API's description.
func TestBridge_DescribesItsMethods(t *testing.T) {
	d := wsx.NewDispatcher()
	wsxtasks.New(tasks.New(memstore.New(), nil), nil,
		&wsxtasks.Options{Kinds: []string{"job"}}).Register(d)
	got := map[string]string{}
	for _, method := range d.Methods() {
		got[method.Name] = method.Doc
	}
	want := map[string]string{
		"tasks.submit": "Submits a task and, with wait_ms, waits for its end. An id makes it " +
			"safe to repeat.",
		"tasks.get":    "A task as it is now.",
		"tasks.list":   "Tasks, newest first, page by page.",
		"tasks.result": "A task with its result, once it is done; with wait_ms, waits for that.",
		"tasks.cancel": "Cancels a task.",
		"tasks.retry":  "Queues a task again that failed, died or was cancelled.",
	}
	if !maps.Equal(got, want) {
		t.Errorf("%q", got)
	}
}

// contextStore remembers the context of the last read that may end of itself.
type contextStore struct {
	tasks.Store
	waiting chan context.Context
}

func (s *contextStore) Get(ctx context.Context, id string) (*tasks.Task, error) {
	if _, ends := ctx.Deadline(); ends {
		s.waiting <- ctx
	}
	return s.Store.Get(ctx, id)
}

// TestBridge_AWaitLeavesNothingBehind: a program may call methods by the thousand with one context,
// so that the time that a wait may take must end with the call.
func TestBridge_AWaitLeavesNothingBehind(t *testing.T) {
	store := &contextStore{Store: memstore.New(), waiting: make(chan context.Context, 9)}
	jobs := tasks.New(store, nil)
	tasks.Register(jobs, "job", 1, func(context.Context, in) (out, error) { return out{}, nil },
		nil)
	defer func() { _ = jobs.Stop(context.Background()) }()
	d := wsx.NewDispatcher()
	wsxtasks.New(jobs, nil, &wsxtasks.Options{Kinds: []string{"job"}}).Register(d)
	if _, err := jobs.Submit(t.Context(), "job", nil, &tasks.SubmitOptions{ID: "a"}); err != nil {
		t.Fatal(err)
	}
	answered := make(chan error)
	go func() {
		_, err := d.Call(t.Context(), "tasks.result",
			jsontext.Value(`{"id":"a","wait_ms":30000}`))
		answered <- err
	}()
	waiting := <-store.waiting
	if _, err := jobs.Cancel(t.Context(), "a"); err != nil {
		t.Fatal(err)
	}
	if err := <-answered; err == nil {
		t.Error("a cancelled task had a result")
	}
	if !errors.Is(waiting.Err(), context.Canceled) { // not as its time is over
		t.Errorf("after the answer the wait's context says %v", waiting.Err())
	}
}

// TestBridge_ATaskThatNoChannelCanName is nobody's news, and no fault: the others' go on.
func TestBridge_ATaskThatNoChannelCanName(t *testing.T) {
	var log bytes.Buffer
	h := newHouse(t, &wsxtasks.Options{
		Kinds: []string{"job"}, Logger: slog.New(slog.NewTextHandler(&log, nil)),
	}, nil, nil)
	heard := h.watch(h.dial("ann"), "tasks.>")
	h.submit("nobody", "a..b")
	h.submit("ann", "c")
	if got := <-heard; got != "ann:queued" {
		t.Errorf("heard %q, want ann's alone", got)
	}
	if log.Len() > 0 {
		t.Errorf("logged %s", log.String())
	}
}

func TestBridge_WithoutAHubHasMethodsOnly(t *testing.T) {
	jobs := tasks.New(memstore.New(), nil)
	b := wsxtasks.New(jobs, nil, nil)
	if err := b.Stop(t.Context()); err != nil {
		t.Error("before Start: ", err)
	}
	b = wsxtasks.New(jobs, nil, nil)
	if err := b.Start(t.Context()); err != nil {
		t.Error(err)
	}
	if err := b.Start(t.Context()); err == nil {
		t.Error("it started twice")
	}
	for range 2 {
		if err := b.Stop(t.Context()); err != nil {
			t.Error(err)
		}
	}
}

// TestBridge_StartsOnce, before its Stop and its manager's.
func TestBridge_StartsOnce(t *testing.T) {
	stopped := tasks.New(memstore.New(), nil)
	if err := stopped.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	opts := &wsxtasks.Options{Kinds: []string{"job"}}
	b := wsxtasks.New(stopped, wsx.NewHub(nil), opts)
	for range 2 {
		if err := b.Start(t.Context()); err == nil {
			t.Error("it listens to a manager that is stopped")
		}
	}
	if err := b.Stop(t.Context()); err != nil { // with nothing to wait for
		t.Error(err)
	}
	b = wsxtasks.New(tasks.New(memstore.New(), nil), wsx.NewHub(nil), opts)
	if err := b.Stop(t.Context()); err != nil {
		t.Error(err)
	}
	if err := b.Start(t.Context()); err == nil {
		t.Error("it starts after its Stop")
		_ = b.Stop(t.Context())
	}
}
