package taskshttp_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/genropy/genro-asgi-go/problem"
	"github.com/genropy/genro-asgi-go/tasks"
	"github.com/genropy/genro-asgi-go/tasks/memstore"
	"github.com/genropy/genro-asgi-go/tasks/taskshttp"
)

type addIn struct {
	A int `json:"a"`
	B int `json:"b"`
}

type addOut struct {
	Sum int `json:"sum"`
}

// teapot is an error with a status of its own.
type teapot struct{}

func (teapot) Error() string { return "canary-4c1d" }

func (teapot) StatusCode() int { return http.StatusTeapot }

// httpRig is a manager behind its handler.
type httpRig struct {
	t    *testing.T
	m    *tasks.Manager
	url  string
	held chan struct{} // "hold" returns when it is closed

	release func() // closes held
	log     *bytes.Buffer
}

func newHTTPRig(t *testing.T, opts *taskshttp.Options,
	mount func(h http.Handler) http.Handler,
) *httpRig {
	t.Helper()
	rig := &httpRig{t: t, held: make(chan struct{}), log: &bytes.Buffer{}}
	rig.release = sync.OnceFunc(func() { close(rig.held) })
	log := slog.New(slog.NewTextHandler(rig.log, nil))
	rig.m = tasks.New(memstore.New(), &tasks.Options{Logger: log})
	tasks.Register(rig.m, "sum", 1,
		func(_ context.Context, in addIn) (addOut, error) { return addOut{in.A + in.B}, nil },
		&tasks.KindOptions{Doc: "Adds two numbers."})
	tasks.Register(rig.m, "fail", 1,
		func(context.Context, struct{}) (struct{}, error) {
			return struct{}{}, errors.New("canary-7f3a")
		}, nil)
	tasks.Register(rig.m, "teapot", 1,
		func(context.Context, struct{}) (struct{}, error) { return struct{}{}, teapot{} }, nil)
	tasks.Register(rig.m, "events", 1,
		func(context.Context, struct{}) (struct{}, error) { return struct{}{}, nil }, nil)
	tasks.Register(rig.m, "hold", 1, func(ctx context.Context, _ struct{}) (struct{}, error) {
		if err := tasks.RunFrom(ctx).Progress(tasks.Progress{
			Done: 1, Total: 2,
			Message: "half",
		}); err != nil {
			return struct{}{}, err
		}
		select {
		case <-rig.held:
			return struct{}{}, nil
		case <-ctx.Done():
			return struct{}{}, context.Cause(ctx)
		}
	}, nil)
	if err := rig.m.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	if opts == nil {
		opts = &taskshttp.Options{}
	}
	if opts.Kinds == nil && opts.Authorize == nil {
		opts.Kinds = []string{"sum", "fail", "teapot", "events", "hold"}
	}
	h := taskshttp.Handler(rig.m, opts)
	if mount != nil {
		h = mount(h)
	}
	server := httptest.NewServer(logged(h, log))
	rig.url = server.URL
	t.Cleanup(func() {
		server.Close()
		rig.release()
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := rig.m.Stop(ctx); err != nil {
			t.Error(err)
		}
	})
	return rig
}

// logged is h in an app with that logger.
func logged(h http.Handler, log *slog.Logger) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h.ServeHTTP(w,
			r.WithContext(problem.WithOptions(r.Context(), &problem.Options{Logger: log})))
	})
}

type reply struct {
	status int
	header http.Header
	body   string
}

func (rig *httpRig) do(method, path, body string, header ...string) reply {
	rig.t.Helper()
	r, err := http.NewRequestWithContext(rig.t.Context(), method, rig.url+path,
		strings.NewReader(body))
	if err != nil {
		rig.t.Fatal(err)
	}
	if method == http.MethodPost {
		r.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	resp, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(r)
	if err != nil {
		rig.t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		rig.t.Fatal(err)
	}
	return reply{resp.StatusCode, resp.Header, string(b)}
}

// view is the task in a reply.
func (rig *httpRig) view(r reply) (v tasks.View) {
	rig.t.Helper()
	if err := json.Unmarshal([]byte(r.body), &v); err != nil {
		rig.t.Fatalf("%d %s: %v", r.status, r.body, err)
	}
	return v
}

// submit submits a task and waits until it is done, unless its kind is hold.
func (rig *httpRig) submit(kind, payload string) tasks.View {
	rig.t.Helper()
	r := rig.do("POST", "/"+kind, payload)
	if r.status != http.StatusAccepted {
		rig.t.Fatalf("%d %s", r.status, r.body)
	}
	v := rig.view(r)
	if kind == "hold" {
		return v
	}
	t, err := rig.m.Wait(rig.t.Context(), v.ID)
	if err != nil {
		rig.t.Fatal(err)
	}
	return t.View()
}

// sseEvent is one event of a stream.
type sseEvent struct {
	id, name string
	data     tasks.View
}

func parseEvents(t *testing.T, body string) (events []sseEvent) {
	t.Helper()
	for block := range strings.SplitSeq(body, "\n\n") {
		var e sseEvent
		for line := range strings.SplitSeq(block, "\n") {
			name, value, _ := strings.Cut(line, ": ")
			switch name {
			case "id":
				e.id = value
			case "event":
				e.name = value
			case "data":
				if err := json.Unmarshal(jsontext.Value(value), &e.data); err != nil {
					t.Fatalf("%q: %v", value, err)
				}
			}
		}
		if e.name != "" {
			events = append(events, e)
		}
	}
	return events
}
