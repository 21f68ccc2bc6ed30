// Package doors tests that one typed function has one contract behind every door of this module. It
// has tests alone: harness_test.go reaches the function through each door and brings what a caller
// learns there into one form; the tables are in the other files, a row to a case.
package doors_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/go-chi/chi/v5"
	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/genropy/genro-asgi-go/asgi"
	"github.com/genropy/genro-asgi-go/chiadapter"
	"github.com/genropy/genro-asgi-go/chiadapter/wsxtasks"
	"github.com/genropy/genro-asgi-go/executor"
	"github.com/genropy/genro-asgi-go/executor/executortest"
	"github.com/genropy/genro-asgi-go/internal/leakcheck"
	"github.com/genropy/genro-asgi-go/middleware"
	"github.com/genropy/genro-asgi-go/problem"
	"github.com/genropy/genro-asgi-go/tasks"
	"github.com/genropy/genro-asgi-go/tasks/memstore"
	"github.com/genropy/genro-asgi-go/tasks/taskshttp"
	"github.com/genropy/genro-asgi-go/wsx"
	"github.com/genropy/genro-asgi-go/wsx/wsxclient"
)

func TestMain(m *testing.M) {
	executor.Main()
	leakcheck.Main(m)
}

// The function, as worker processes know it.
var (
	process  = executor.NewFunc("serve", serve)
	isolated = tasks.NewIsolated("isolated", serve)
)

// secret is in whatever no caller may learn.
const secret = "canary-7f3a"

// told is what a caller learns through a door.
type told struct {
	raw    string
	result string // of a call that succeeded
	status int    // 0 where the door has none
	// The error. A door of WSX has no empty code and no empty detail: it tells the code of the
	// status, and a text of its own.
	wsx        bool
	code       string
	detail     string
	fields     []problem.Field
	extensions map[string]any
	retryAfter time.Duration
}

// door is a way to the function: it sends an input, as JSON, and brings back what the caller
// learns.
type door struct {
	name   string
	send   func(t *testing.T, input string) told
	params bool // the input is the params of a call: an object
}

// serving is an app that has the function behind every door, by the rules of o.
func serving(t *testing.T, o asgi.ErrorOptions) *httptest.Server {
	t.Helper()
	quiet := slog.New(slog.DiscardHandler)
	o.Logger = quiet
	ex := executortest.New(t, &executor.Options{Logger: quiet})
	jobs := tasks.New(memstore.New(), &tasks.Options{Executor: ex, Logger: quiet})
	tasks.Register(jobs, "task", 1, serve, nil)
	tasks.RegisterIsolated(jobs, 1, isolated, nil)
	kinds := []string{"task", "isolated"}
	methods := wsx.NewDispatcher()
	wsx.Handle(methods, "serve", serve)
	hub := wsx.NewHub(nil)
	bridge := wsxtasks.New(jobs, hub, &wsxtasks.Options{Kinds: kinds, Logger: quiet})
	bridge.Register(methods)

	r := chi.NewRouter()
	r.Use(middleware.Errors(&o))
	r.Method(http.MethodPost, "/asgi", asgi.Handle(serve))
	r.Method(http.MethodPost, "/process", executor.Handler(ex, process, nil))
	r.Method(http.MethodPost, "/blocking", executor.BlockingHandler(ex, serve, nil))
	r.Method(http.MethodPost, "/rpc", wsx.JSONRPC(methods, &wsx.JSONRPCOptions{Logger: quiet}))
	chiadapter.Mount(r, "/tasks", taskshttp.Handler(jobs, &taskshttp.Options{Kinds: kinds}))
	socket := wsx.NewServer(methods, &wsx.ServerOptions{Hub: hub, HTTP: r, Logger: quiet})
	r.Method(http.MethodGet, "/ws", socket)
	server := httptest.NewServer(r)
	for _, c := range []interface {
		Start(ctx context.Context) error
		Stop(ctx context.Context) error
	}{hub, bridge, jobs, socket} {
		if err := c.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := c.Stop(context.Background()); err != nil {
				t.Error(err)
			}
		})
	}
	t.Cleanup(func() {
		server.Client().CloseIdleConnections()
		server.Close()
	})
	return server
}

// doors are all ways to the function.
func doors(t *testing.T) []door {
	t.Helper()
	server := serving(t, asgi.ErrorOptions{})
	client, err := wsxclient.Dial(t.Context(), server.URL+"/ws", nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Close() })
	conn, _, err := websocket.Dial(t.Context(), server.URL+"/ws", nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.CloseNow() })

	post := func(t *testing.T, path, body string) (int, []byte) {
		t.Helper()
		answer, err := server.Client().Post(server.URL+path, "application/json",
			strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		defer answer.Body.Close()
		b, err := io.ReadAll(answer.Body)
		if err != nil {
			t.Fatal(err)
		}
		return answer.StatusCode, b
	}
	overHTTP := func(path string) func(t *testing.T, input string) told {
		return func(t *testing.T, input string) told {
			status, body := post(t, path, input)
			return ofHTTP(t, status, body)
		}
	}
	ask := func(t *testing.T, message string) []byte {
		t.Helper()
		if err := conn.Write(t.Context(), websocket.MessageText, []byte(message)); err != nil {
			t.Fatal(err)
		}
		_, answer, err := conn.Read(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return answer
	}
	return []door{
		{name: "asgi.Handle", send: overHTTP("/asgi")},
		{name: "executor.Handler", send: overHTTP("/process")},
		{name: "executor.BlockingHandler", send: overHTTP("/blocking")},
		{name: "tunnel", send: func(t *testing.T, input string) told {
			answer := ask(t,
				`WSX://{"id":1,"method":"POST","path":"/asgi",`+
					`"headers":{"content-type":"application/json"},"data":`+input+`}`)
			var m struct {
				Status int            `json:"status"`
				Data   jsontext.Value `json:"data"`
			}
			decode(t, bytes.TrimPrefix(answer, []byte("WSX://")), &m)
			return ofHTTP(t, m.Status, m.Data)
		}},
		{name: "call", params: true, send: func(t *testing.T, input string) told {
			result, err := wsxclient.Call[jsontext.Value](t.Context(), client, "serve",
				jsontext.Value(input))
			return ofWSX(t, result, err)
		}},
		{name: "JSON-RPC", params: true, send: func(t *testing.T, input string) told {
			_, body := post(t, "/rpc",
				`{"jsonrpc":"2.0","id":1,"method":"serve","params":`+input+`}`)
			return ofJSONRPC(t, body)
		}},
		{name: "JSON-RPC on a socket", params: true, send: func(t *testing.T, input string) told {
			return ofJSONRPC(t,
				ask(t, `{"jsonrpc":"2.0","id":1,"method":"serve","params":`+input+`}`))
		}},
		{name: "task", send: task("task", post, server)},
		{name: "isolated task", send: task("isolated", post, server)},
		{name: "task over WSX", send: taskOverWSX("task", client)},
		{name: "isolated task over WSX", send: taskOverWSX("isolated", client)},
	}
}

// task is the door of a kind over HTTP: a submit, and then the result.
func task(kind string, post func(t *testing.T, path, body string) (int, []byte),
	server *httptest.Server,
) func(*testing.T, string) told {
	return func(t *testing.T, input string) told {
		status, body := post(t, "/tasks/"+kind, input)
		if status != http.StatusAccepted {
			return ofHTTP(t, status, body)
		}
		var v tasks.View
		decode(t, body, &v)
		answer, err := server.Client().Get(server.URL + "/tasks/" + v.ID + "/result?wait=30s")
		if err != nil {
			t.Fatal(err)
		}
		defer answer.Body.Close()
		if body, err = io.ReadAll(answer.Body); err != nil {
			t.Fatal(err)
		}
		return ofTask(ofHTTP(t, answer.StatusCode, body))
	}
}

func taskOverWSX(kind string, client *wsxclient.Client) func(*testing.T, string) told {
	return func(t *testing.T, input string) told {
		v, err := wsxclient.Call[tasks.View](t.Context(), client, "tasks.submit",
			map[string]any{"kind": kind, "payload": jsontext.Value(input)})
		if err == nil {
			v, err = wsxclient.Call[tasks.View](t.Context(), client, "tasks.result",
				map[string]any{"id": v.ID, "wait_ms": 30_000})
		}
		got := ofTask(ofWSX(t, v.Result, err))
		delete(got.extensions, "path")
		for i := range got.fields { // of the payload, which is a part of the params
			got.fields[i].Pointer = strings.TrimPrefix(got.fields[i].Pointer, "/payload")
		}
		return got
	}
}

// ofTask leaves out what a task's result says of the task.
func ofTask(got told) told {
	for _, own := range []string{"task", "state", "error"} {
		delete(got.extensions, own)
	}
	return ofError(got)
}

// ofError has the details of a wsx.Error as extensions at every door: elsewhere than in WSX they
// are one extension.
func ofError(got told) told {
	if details, ok := got.extensions["details"].(map[string]any); ok && len(got.extensions) == 1 {
		got.extensions = details
	}
	return got
}

func ofHTTP(t *testing.T, status int, body []byte) told {
	t.Helper()
	got := told{raw: string(body), status: status}
	if status < 400 {
		got.result = string(body)
		return got
	}
	var p problem.Error
	decode(t, body, &p)
	if p.Status != status || p.Extensions["request_id"] == nil {
		t.Errorf("status %d of %s", status, body)
	}
	delete(p.Extensions, "request_id")
	got.code, got.detail, got.fields, got.extensions, got.retryAfter = p.Code, p.Detail, p.Fields,
		p.Extensions, p.RetryAfter
	return ofError(got)
}

func ofWSX(t *testing.T, result jsontext.Value, err error) told {
	t.Helper()
	if err == nil {
		return told{raw: string(result), result: string(result), wsx: true}
	}
	e, ok := errors.AsType[*wsx.Error](err)
	if !ok {
		t.Fatal(err)
	}
	details, _ := e.Details.(jsontext.Value)
	return ofDetails(t, e.Code, e.Message, details)
}

func ofJSONRPC(t *testing.T, body []byte) told {
	t.Helper()
	var m struct {
		Result jsontext.Value `json:"result"`
		Error  *struct {
			Message string `json:"message"`
			Data    struct {
				Code    string         `json:"code"`
				Details jsontext.Value `json:"details"`
			} `json:"data"`
		} `json:"error"`
	}
	decode(t, body, &m)
	if m.Error == nil {
		return told{raw: string(body), result: string(m.Result), wsx: true}
	}
	return ofDetails(t, m.Error.Data.Code, m.Error.Message, m.Error.Data.Details)
}

func ofDetails(t *testing.T, code, message string, details jsontext.Value) told {
	t.Helper()
	got := told{
		raw: code + " " + message + " " + string(details), wsx: true, code: code,
		detail: message,
	}
	if details == nil {
		return got
	}
	var p problem.Error // which keeps what it does not know, and large integers
	decode(t, details, &p)
	ms, _ := p.Extensions["retry_after_ms"].(float64)
	delete(p.Extensions, "retry_after_ms")
	if len(p.Fields) > 0 && p.Extensions["path"] == p.Fields[0].Pointer { // the same once more
		delete(p.Extensions, "path")
	}
	got.fields, got.extensions, got.retryAfter = p.Fields, p.Extensions, time.Duration(ms)*
		time.Millisecond
	return got
}

func decode(t *testing.T, b []byte, v any) {
	t.Helper()
	if err := json.Unmarshal(b, v); err != nil {
		t.Fatalf("%s: %v", b, err)
	}
}

// differs says what of got is not what want tells, "" where nothing is. Of want count the status,
// the code, the detail, the fields, the extensions and the time to wait. An empty detail of want
// leaves a door of WSX its own text.
func (got told) differs(want *problem.Error) string {
	code := want.Code
	if got.wsx && code == "" {
		code = wsx.PeerError(&problem.Error{Status: want.StatusCode()}).Code
	}
	same := func(a, b any) bool {
		x, err := json.Marshal(a, json.Deterministic(true))
		y, err2 := json.Marshal(b, json.Deterministic(true))
		return err == nil && err2 == nil && bytes.Equal(x, y)
	}
	switch {
	case strings.Contains(got.raw, secret):
		return "a secret"
	case got.result != "":
		return "a result"
	case !got.wsx && got.status != want.StatusCode():
		return "status"
	case got.code != code:
		return "code " + got.code
	case got.detail != want.Detail && (!got.wsx || want.Detail != ""):
		return "detail"
	case len(got.fields) != len(want.Fields) || len(want.Fields) > 0 &&
		!same(got.fields, want.Fields):
		return "fields"
	case len(got.extensions) != len(want.Extensions) || len(want.Extensions) > 0 &&
		!same(got.extensions, want.Extensions):
		return "extensions"
	case got.retryAfter != want.RetryAfter:
		return "time to wait"
	}
	return ""
}
