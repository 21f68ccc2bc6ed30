package main

import (
	"fmt"
	"strings"
	"testing"

	"github.com/genropy/genro-asgi-go/tasks"
	"github.com/genropy/genro-asgi-go/wsx/wsxclient"
)

func TestExport(t *testing.T) {
	s := serve(t)
	ada, bob := token(t, "ada", ""), token(t, "bob", "")
	const orders = 250 // more than one page of the job
	for range orders {
		s.order(ada)
	}
	s.order(bob)
	a := s.send(ada, "POST", "/jobs/export?wait=20s", "{}", "Idempotency-Key", "march")
	view := as[tasks.View](t, a, 200)
	path := "/jobs/" + view.ID
	if view.State != tasks.Succeeded || view.Progress == nil || view.Progress.Done != orders ||
		view.Progress.Total != orders {
		t.Errorf("%s", a.body)
	}
	if again := as[tasks.View](t,
		s.send(ada, "POST", "/jobs/export?wait=20s", "{}", "Idempotency-Key", "march"),
		200); again.ID != view.ID {
		t.Error("the same key made another job")
	}
	got := as[Export](t, s.send(ada, "GET", path+"/result", ""), 200)
	if got.Orders != orders || strings.Count(got.CSV, "\n") != orders ||
		!strings.HasPrefix(got.CSV, fmt.Sprintf("%d,", orders)) {
		t.Errorf("%+v", got)
	}
	for _, path := range []string{path, path + "/result"} {
		if a := s.send(bob, "GET", path, ""); a.status != 404 {
			t.Errorf("bob gets %d %s", a.status, a.body)
		}
	}
	if a := s.send(bob, "GET", "/jobs/", ""); a.status != 200 || a.body != `{"tasks":[]}` {
		t.Errorf("%d %s", a.status, a.body)
	}
}

// A page submits over the socket, and follows the job's channel.
func TestExport_OverTheSocket(t *testing.T) {
	s := serve(t)
	s.order(token(t, "ada", ""))
	ada, bob := s.dial(token(t, "ada", "")), s.dial(token(t, "bob", ""))
	submit := map[string]any{
		"kind": "export", "payload": map[string]any{"state": "open"},
		"wait_ms": 20_000,
	}
	view, err := wsxclient.Call[tasks.View](t.Context(), ada, "tasks.submit", submit)
	if err != nil || string(view.Result) == "" ||
		!strings.Contains(string(view.Result), `"orders":1`) {
		t.Fatalf("%+v, %v", view, err)
	}
	if _, err := wsxclient.Call[tasks.View](t.Context(), bob, "tasks.get",
		map[string]string{"id": view.ID}); err == nil {
		t.Error("bob sees the job")
	}
}

// Orders and jobs are still there after a restart, and what was imported is known again.
func TestRestart(t *testing.T) {
	data := t.TempDir()
	var order Order
	var job tasks.View
	t.Run("first", func(t *testing.T) {
		s := serveIn(t, data)
		order = s.order(token(t, "ada", ""))
		job = as[tasks.View](t, s.send(token(t, "ada", ""), "POST", "/jobs/export?wait=20s", "{}"),
			200)
	})
	t.Run("second", func(t *testing.T) {
		s := serveIn(t, data)
		if got := as[Order](t, s.send(token(t, "ada", ""), "GET", orderPath(order.ID), ""),
			200); got.Version != 1 {
			t.Errorf("%+v", got)
		}
		as[Export](t, s.send(token(t, "ada", ""), "GET", "/jobs/"+job.ID+"/result", ""), 200)
	})
}
