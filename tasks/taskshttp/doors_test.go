package taskshttp_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/genropy/genro-asgi-go/internal/stopping"
	"github.com/genropy/genro-asgi-go/tasks"
	"github.com/genropy/genro-asgi-go/tasks/memstore"
	"github.com/genropy/genro-asgi-go/tasks/taskshttp"
)

// routes are all forms of request about a task of a kind.
func routes(kind, id string) [][2]string {
	return [][2]string{
		{"POST", "/" + kind},
		{"GET", "/" + id},
		{"HEAD", "/" + id},
		{"DELETE", "/" + id},
		{"POST", "/" + id + "/retry"},
		{"GET", "/" + id + "/result"},
		{"GET", "/" + id + "/events"},
	}
}

func TestHandler_ServesNothingUnlessTold(t *testing.T) {
	var log bytes.Buffer
	m := tasks.New(memstore.New(), &tasks.Options{Logger: slog.New(slog.NewTextHandler(&log, nil))})
	tasks.Register(m, "job", 1, nothing, nil)
	task := submit(t, m, "job", nil)
	for _, opts := range []*taskshttp.Options{
		nil,
		{},
		{Kinds: []string{}, Authorize: func(tasks.Call) error { return nil }},
	} {
		h := taskshttp.Handler(m, opts)
		serve := func(method, path string) *httptest.ResponseRecorder {
			w := httptest.NewRecorder()
			h.ServeHTTP(w, httptest.NewRequest(method, path, nil))
			return w
		}
		for _, r := range routes("job", task.ID) {
			if w := serve(r[0], r[1]); w.Code != http.StatusNotFound {
				t.Errorf("%v %s %s: %d %s", opts, r[0], r[1], w.Code, w.Body)
			}
		}
		for path, secret := range map[string]string{"/": task.ID, "/openapi.json": `"/job"`} {
			if w := serve("GET", path); w.Code != http.StatusOK ||
				strings.Contains(w.Body.String(), secret) {
				t.Errorf("%v %s: %d %s", opts, path, w.Code, w.Body)
			}
		}
	}
	if lines := strings.Count(log.String(), "Options.Kinds"); lines != 2 {
		t.Errorf("%d lines say what to do, want 2:\n%s", lines, &log)
	}
	if got := must[*tasks.Task](t)(m.Get(t.Context(), task.ID)); got.State != tasks.Queued ||
		got.Revision != 1 {
		t.Errorf("the task after all that: %+v", got)
	}
}

func TestHandler_ServesTheKindsThatAreListed(t *testing.T) {
	rig := newHTTPRig(t, &taskshttp.Options{Kinds: []string{"hold", "sum"}}, nil)
	inner := submit(t, rig.m, "fail", nil)
	wait(t, rig.m, inner.ID, tasks.Failed)
	for _, r := range routes("fail", inner.ID) {
		if got := rig.do(r[0], r[1], ""); got.status != 404 {
			t.Errorf("%s %s: %d %s", r[0], r[1], got.status, got.body)
		}
	}
	next, _ := rig.open("/events", "")
	submit(t, rig.m, "fail", nil)
	v := rig.submit("sum", `{"a":1}`)
	if e := next(); e.data.ID != v.ID {
		t.Errorf("an event of %+v", e.data)
	}
	if r := rig.do("GET", "/?kind=fail", ""); r.body != `{"tasks":[]}` {
		t.Errorf("list: %s", r.body)
	}
	if r := rig.do("GET", "/openapi.json", ""); strings.Contains(r.body, "submit.fail") ||
		!strings.Contains(r.body, "submit.sum") {
		t.Errorf("document: %s", r.body)
	}
}

// TestHandler_DocumentIsTheCallers: it names no kind that the caller may not submit.
func TestHandler_DocumentIsTheCallers(t *testing.T) {
	rig := newHTTPRig(t, &taskshttp.Options{Authorize: func(c tasks.Call) error {
		if c.Kind == "hold" && c.Request.Header.Get("Who") != "root" {
			return errors.New("no")
		}
		return nil
	}}, nil)
	for who, want := range map[string]bool{"": false, "root": true} {
		r := rig.do("GET", "/openapi.json", "", "Who", who)
		if got := strings.Contains(r.body, "submit.hold"); r.status != 200 || got != want ||
			!strings.Contains(r.body, "submit.sum") {
			t.Errorf("%q: %d, holds hold: %v", who, r.status, got)
		}
	}
}

// ofTenant is a rule by which everybody sees tasks of their own.
func ofTenant(c tasks.Call) error {
	if c.Task != nil && c.Task.Metadata["tenant"] != c.Request.Header.Get("Who") {
		return errors.New("not yours")
	}
	return nil
}

func tenantOptions(r *http.Request, _ string) (*tasks.SubmitOptions, error) {
	return &tasks.SubmitOptions{
		ID:       r.Header.Get("Chosen"),
		Metadata: map[string]string{"tenant": r.Header.Get("Who")},
	}, nil
}

// TestHandler_ASubmitMeetsAnotherTenantsTask: by its unique key or its ID, and whatever becomes of
// the submit.
func TestHandler_ASubmitMeetsAnotherTenantsTask(t *testing.T) {
	for _, taken := range []tasks.UniqueTaken{
		tasks.UniqueReject, tasks.UniqueExisting,
		tasks.UniqueReplace, "the ID",
	} {
		for _, who := range []string{"ann", "bob"} {
			t.Run(string(taken)+" "+who, func(t *testing.T) {
				m := tasks.New(memstore.New(), nil) // not started: the task stays as it was added
				opts, header := &tasks.KindOptions{Unique: &tasks.UniqueOptions{Taken: taken}}, ""
				if taken == "the ID" {
					opts, header = nil, "same"
				}
				tasks.Register(m, "job", 1, nothing, opts)
				h := taskshttp.Handler(m,
					&taskshttp.Options{Authorize: ofTenant, Submit: tenantOptions})
				post := func(who string) *httptest.ResponseRecorder {
					r := httptest.NewRequest(http.MethodPost, "/job", nil)
					r.Header.Set("Who", who)
					r.Header.Set("Chosen", header)
					w := httptest.NewRecorder()
					h.ServeHTTP(w, r)
					return w
				}
				if w := post("ann"); w.Code != http.StatusAccepted {
					t.Fatalf("%d %s", w.Code, w.Body)
				}
				page, _, err := m.List(t.Context(), nil)
				if err != nil || len(page) != 1 {
					t.Fatal(page, err)
				}
				want := map[string]int{"ann": 202, "bob": 403}[who]
				if taken == tasks.UniqueReject {
					want = 409
				}
				w := post(who)
				if w.Code != want || who == "bob" && strings.Contains(w.Body.String(), page[0].ID) {
					t.Errorf("%d %s, want %d", w.Code, w.Body, want)
				}
				state := tasks.Queued
				if taken == tasks.UniqueReplace && who == "ann" {
					state = tasks.Cancelled
				}
				if got := must[*tasks.Task](t)(m.Get(t.Context(), page[0].ID)); got.State !=
					state {
					t.Errorf("ann's task is %s, want %s", got.State, state)
				}
			})
		}
	}
}

// TestHandler_RightsThatAreWithdrawn end what goes on: streams, and waits with what they would
// show.
func TestHandler_RightsThatAreWithdrawn(t *testing.T) {
	var withdrawn atomic.Bool
	asked := make(chan tasks.Operation, 100)
	rig := newHTTPRig(t, &taskshttp.Options{Authorize: func(c tasks.Call) error {
		asked <- c.Operation
		if withdrawn.Load() && c.Task != nil && c.Task.Kind == "hold" {
			return errors.New("not any more")
		}
		return nil
	}}, nil)
	v := rig.submit("hold", `{}`)
	all, _ := rig.open("/events", "")
	one, _ := rig.open("/"+v.ID+"/events", "")
	for e := one(); e.data.Progress == nil; e = one() {
	}
	for len(asked) > 0 {
		<-asked
	}
	replies := make(chan reply)
	for _, r := range [][2]string{
		{"GET", "/" + v.ID + "/result?wait=20s"},
		{"POST", "/hold?wait=20s"},
	} {
		go func() { replies <- rig.do(r[0], r[1], "") }()
	}
	for gets := 0; gets < 2; { // both wait, as far as anybody can tell
		if <-asked == tasks.OpGet {
			gets++
		}
	}
	withdrawn.Store(true)
	rig.release()
	if e := one(); e.name != "end" {
		t.Errorf("the stream of a task: %+v", e)
	}
	for range 2 {
		switch r := <-replies; {
		case r.status == 403:
		case r.status == 202 && rig.view(r).State == tasks.Queued:
		default:
			t.Errorf("a wait: %d %s", r.status, r.body)
		}
	}
	sum := rig.submit("sum", `{}`)
	for e := all(); e.data.ID != sum.ID; e = all() {
		if e.name == "end" || e.data.State.Done() {
			t.Errorf("the stream of all: %+v", e)
			break
		}
	}
}

// TestHandler_ABodyThatNeverComes: the server's patience ends, not the client.
func TestHandler_ABodyThatNeverComes(t *testing.T) {
	m := tasks.New(memstore.New(), nil)
	tasks.Register(m, "job", 1, nothing, nil)
	srv := httptest.NewUnstartedServer(taskshttp.Handler(m,
		&taskshttp.Options{Kinds: []string{"job"}}))
	srv.Config.ReadTimeout = 200 * time.Millisecond
	srv.Start()
	defer srv.Close()
	id := submit(t, m, "job", nil).ID
	for _, path := range []string{"/job", "/job?wait=5s", "/" + id + "/retry"} {
		c, err := net.Dial("tcp", srv.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		_, _ = fmt.Fprintf(c,
			"POST %s HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: "+
				"7\r\n\r\n{", path)
		b, _ := io.ReadAll(c)
		_ = c.Close()
		if !strings.HasPrefix(string(b), "HTTP/1.1 408 ") {
			t.Errorf("%s: %q", path, b)
		}
	}
}

// TestHandler_ACancelledRequestIsAnsweredWithNo200: its client may be there all the same.
func TestHandler_ACancelledRequestIsAnsweredWithNo200(t *testing.T) {
	m := tasks.New(memstore.New(), nil)
	tasks.Register(m, "job", 1, nothing, nil)
	id := submit(t, m, "job", nil).ID
	h := taskshttp.Handler(m, &taskshttp.Options{Kinds: []string{"job"}})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for _, r := range append(routes("job", id), [2]string{"GET", "/"},
		[2]string{"POST", "/job?wait=1s"}) {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequestWithContext(ctx, r[0], r[1], nil))
		if w.Code != 499 {
			t.Errorf("%s %s: %d %s", r[0], r[1], w.Code, w.Body)
		}
	}
	ctx, end := context.WithCancelCause(t.Context())
	end(statusError(http.StatusServiceUnavailable))
	w := httptest.NewRecorder()
	if h.ServeHTTP(w, httptest.NewRequestWithContext(ctx, "GET", "/"+id, nil)); w.Code !=
		http.StatusServiceUnavailable {
		t.Errorf("with a cause that has a status: %d", w.Code)
	}
}

// TestHandler_WaitsHearTheShutdown: and the end of the credentials.
func TestHandler_WaitsHearTheShutdown(t *testing.T) {
	m := tasks.New(memstore.New(), nil) // not started: nothing ends
	tasks.Register(m, "job", 1, nothing, nil)
	id := submit(t, m, "job", nil).ID
	h := taskshttp.Handler(m, &taskshttp.Options{Kinds: []string{"job"}, MaxWait: time.Hour})
	begun, stop := context.WithCancel(t.Context())
	defer stop()
	for _, ctx := range []context.Context{
		stopping.With(t.Context(), begun),
		stopping.WithExpiry(t.Context(), time.Now().Add(10*time.Millisecond)),
	} {
		answers := make(chan int)
		paths := [][2]string{{"POST", "/job?wait=1h"}, {"GET", "/" + id + "/result?wait=1h"}}
		for _, r := range paths {
			go func() {
				w := httptest.NewRecorder()
				h.ServeHTTP(w, httptest.NewRequestWithContext(ctx, r[0], r[1], nil))
				answers <- w.Code
			}()
		}
		stop()
		for range paths {
			if code := <-answers; code != http.StatusAccepted {
				t.Errorf("answered %d", code)
			}
		}
	}
}

func TestHandler_WhatABodyMayBe(t *testing.T) {
	m := tasks.New(memstore.New(), nil)
	tasks.Register(m, "any", 1,
		func(context.Context, any) (struct{}, error) { return struct{}{}, nil }, nil)
	h := taskshttp.Handler(m, &taskshttp.Options{Kinds: []string{"any"}})
	cancelled := must[*tasks.Task](t)(m.Cancel(t.Context(), submit(t, m, "any", nil).ID)).ID
	nested := func(n int) string { return strings.Repeat("[", n) + strings.Repeat("]", n) }
	for _, c := range []struct {
		body, header string
		want         int
	}{
		{"", "", 202},
		{"", "Content-Type: application/json", 202},
		{"", "Content-Type: text/plain", 415},
		{"", "Sec-Fetch-Site: cross-site", 415},
		{"", "Sec-Fetch-Site: same-site", 415},
		{"", "Sec-Fetch-Site: same-origin", 202},
		{"", "Origin: https://evil.example", 415},
		{"{}", "", 415},
		{"{}", "Content-Type: application/problem+json; charset=utf-8", 202},
		{"{}", "Content-Type: application/json; charset=latin1", 415},
		{"{}", "Content-Type: application/json\nContent-Encoding: gzip", 415},
		{nested(32), "Content-Type: application/json", 202},
		{nested(33), "Content-Type: application/json", 400},
		{`"` + nested(33) + `"`, "Content-Type: application/json", 202},
		{"{", "Content-Type: application/json", 400},
	} {
		for _, path := range []string{"/any", "/" + cancelled + "/retry"} {
			r := httptest.NewRequest(http.MethodPost, path, strings.NewReader(c.body))
			for line := range strings.Lines(c.header) {
				name, value, _ := strings.Cut(strings.TrimSpace(line), ": ")
				r.Header.Set(name, value)
			}
			w := httptest.NewRecorder()
			if h.ServeHTTP(w, r); w.Code != c.want {
				t.Errorf("%s %.40q with %q: %d %s, want %d", path, c.body, c.header, w.Code, w.Body,
					c.want)
			}
			if path != "/any" && w.Code == 202 {
				_ = must[*tasks.Task](t)(m.Cancel(t.Context(), cancelled))
			}
		}
	}
}

func TestHandler_ListByMetadata(t *testing.T) {
	m := tasks.New(memstore.New(), nil)
	tasks.Register(m, "job", 1, nothing, nil)
	submit(t, m, "job",
		&tasks.SubmitOptions{ID: "a", Metadata: map[string]string{"who": "ann", "x[y]": "1"}})
	submit(t, m, "job", &tasks.SubmitOptions{ID: "b", Metadata: map[string]string{"who": "bob"}})
	h := taskshttp.Handler(m, &taskshttp.Options{Kinds: []string{"job"}})
	for query, want := range map[string][]string{
		"": {"b", "a"}, "meta.who=ann": {"a"}, "meta[who]=bob": {"b"}, "meta%5Bwho%5D=ann": {"a"},
		"meta[x[y]]=1": {"a"}, "meta[who]=nobody": {}, "meta.who=ann&meta[who]=ann": {"a"},
		"meta=%7B%22who%22%3A%22nobody%22%7D": nil, "meta[who=ann": nil,
		"meta[who]=ann&meta[who]=bob": nil,
	} {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/?"+query, nil))
		if want == nil {
			if w.Code != http.StatusBadRequest {
				t.Errorf("%q: %d %s", query, w.Code, w.Body)
			}
			continue
		}
		got := []string{}
		for _, id := range []string{"b", "a"} {
			if strings.Contains(w.Body.String(), `"id":"`+id+`"`) {
				got = append(got, id)
			}
		}
		if w.Code != http.StatusOK || !slices.Equal(got, want) {
			t.Errorf("%q: %d %v, want %v", query, w.Code, got, want)
		}
	}
}
