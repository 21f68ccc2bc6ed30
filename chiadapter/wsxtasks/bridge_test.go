package wsxtasks_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"strings"
	"sync"
	"testing"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/genropy/genro-asgi-go/chiadapter/wsxtasks"
	"github.com/genropy/genro-asgi-go/internal/leakcheck"
	"github.com/genropy/genro-asgi-go/problem"
	"github.com/genropy/genro-asgi-go/tasks"
	"github.com/genropy/genro-asgi-go/tasks/memstore"
	"github.com/genropy/genro-asgi-go/wsx"
	"github.com/genropy/genro-asgi-go/wsx/broker"
	"github.com/genropy/genro-asgi-go/wsx/wsxclient"
	"github.com/genropy/genro-asgi-go/wsx/wsxtest"
)

func TestMain(m *testing.M) { leakcheck.Main(m) }

type in struct {
	N int `json:"n"`
}

type out struct {
	Square int `json:"square"`
}

// secret is what no client may see.
const secret = "the password is hunter2"

// strict is an input that is validated.
type strict struct {
	N int `json:"n"`
}

func (s strict) Validate() error {
	switch {
	case s.N < 0:
		return errors.Join(errors.New(secret),
			problem.Field{Pointer: "/n", Detail: "must not be negative"})
	case s.N > 9:
		return errors.New(secret)
	}
	return nil
}

// rig is a manager with a client of its bridge.
type rig struct {
	*wsxclient.Client
	t    *testing.T
	jobs *tasks.Manager
	hub  *wsx.Hub
	gate chan struct{} // the kind gated waits for it
}

func newRig(t *testing.T, opts *wsxtasks.Options) *rig {
	t.Helper()
	r := &rig{
		t: t, jobs: tasks.New(memstore.New(), nil), hub: wsx.NewHub(nil),
		gate: make(chan struct{}),
	}
	tasks.Register(r.jobs, "square", 1,
		func(_ context.Context, in in) (out, error) { return out{in.N * in.N}, nil }, nil)
	tasks.Register(r.jobs, "gated", 1, func(ctx context.Context, in in) (out, error) {
		for i := range 3 {
			select {
			case <-r.gate:
			case <-ctx.Done():
				return out{}, ctx.Err()
			}
			if err := tasks.RunFrom(ctx).Progress(tasks.Progress{
				Done: float64(i + 1), Total: 3,
				Data: jsontext.Value(`"data"`),
			}); err != nil {
				return out{}, err
			}
		}
		return out{in.N}, nil
	}, nil)
	tasks.Register(r.jobs, "fail", 1,
		func(context.Context, in) (out, error) { return out{}, errors.New(secret) }, nil)
	tasks.Register(r.jobs, "refuse", 1, func(context.Context, strict) (out, error) {
		return out{}, fmt.Errorf("%s: %w", secret,
			&problem.Error{
				Status: 409, Code: "SOLD_OUT", Detail: "None is left.",
				Extensions: m{"left": 0},
			})
	}, nil)
	if opts == nil {
		opts = &wsxtasks.Options{}
	}
	if opts.Kinds == nil && opts.Authorize == nil {
		opts.Kinds = []string{"square", "gated", "fail", "refuse"}
	}
	bridge := wsxtasks.New(r.jobs, r.hub, opts)
	d := wsx.NewDispatcher()
	bridge.Register(d)
	type component interface {
		Start(ctx context.Context) error
		Stop(ctx context.Context) error
	}
	components := []component{r.hub, bridge, r.jobs}
	for _, c := range components {
		if err := c.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			ctx := context.Background()
			if c == component(r.jobs) {
				ctx = t.Context() // which has ended: tasks that still wait for the gate end
			}
			if err := c.Stop(ctx); err != nil {
				t.Error(err)
			}
		})
	}
	r.Client = wsxtest.New(t, d, &wsx.ServerOptions{Hub: r.hub}, nil)
	return r
}

type m = map[string]any

func (r *rig) call(method string, params any) tasks.View {
	r.t.Helper()
	v, err := wsxclient.Call[tasks.View](r.t.Context(), r.Client, "tasks."+method, params)
	if err != nil {
		r.t.Fatalf("%s: %v", method, err)
	}
	return v
}

// refused is the code and the whole text of the error of a call.
func (r *rig) refused(method string, params any) (code, text string) {
	r.t.Helper()
	_, err := wsxclient.Call[jsontext.Value](r.t.Context(), r.Client, "tasks."+method, params)
	e, ok := errors.AsType[*wsx.Error](err)
	if !ok {
		r.t.Fatalf("%s: %v", method, err)
	}
	b, _ := e.MarshalJSON()
	if strings.Contains(string(b), secret) {
		r.t.Errorf("%s told the secret", method)
	}
	return e.Code, string(b)
}

func TestBridge_SubmitsAndAnswersResults(t *testing.T) {
	r := newRig(t, nil)
	v := r.call("submit", m{"kind": "square", "payload": in{7}, "id": "seven", "wait_ms": 20_000})
	if v.ID != "seven" || v.State != tasks.Succeeded || string(v.Result) != `{"square":49}` {
		t.Errorf("submitted: %+v", v)
	}
	if again := r.call("submit",
		m{"kind": "square", "payload": in{7}, "id": "seven"}); again.Revision != v.Revision ||
		again.Result != nil {
		t.Errorf("submitted again: %+v", again)
	}
	if v := r.call("get", m{"id": "seven"}); v.State != tasks.Succeeded || v.Result != nil {
		t.Errorf("got: %+v", v)
	}
	if v := r.call("result", m{"id": "seven"}); string(v.Result) != `{"square":49}` {
		t.Errorf("result: %+v", v)
	}
	gated := r.call("submit", m{"kind": "gated", "payload": in{1}})
	if v := r.call("result", m{"id": gated.ID, "wait_ms": 1}); v.State.Done() || v.Result != nil {
		t.Errorf("before its end: %+v", v)
	}
	if v := r.call("cancel", m{"id": gated.ID}); v.State != tasks.Cancelled {
		t.Errorf("cancelled: %+v", v)
	}
	if v := r.call("retry", m{"id": gated.ID}); v.State != tasks.Queued {
		t.Errorf("retried: %+v", v)
	}
}

func TestBridge_Lists(t *testing.T) {
	r := newRig(t, nil)
	for _, id := range []string{"a", "b", "c"} {
		r.call("submit", m{"kind": "square", "payload": in{}, "id": id, "wait_ms": 20_000})
	}
	type page struct {
		Tasks []tasks.View `json:"tasks"`
		Next  string       `json:"next"`
	}
	var ids []string
	params := m{"limit": 2, "states": []string{"succeeded"}, "kind": "square"}
	for {
		p, err := wsxclient.Call[page](t.Context(), r.Client, "tasks.list", params)
		if err != nil {
			t.Fatal(err)
		}
		if len(p.Tasks) > 2 {
			t.Errorf("a page of %d", len(p.Tasks))
		}
		for _, v := range p.Tasks {
			ids = append(ids, v.ID)
		}
		if p.Next == "" {
			break
		}
		params["cursor"] = p.Next
	}
	if strings.Join(ids, "") != "cba" {
		t.Errorf("listed %v", ids)
	}
}

func TestBridge_ErrorsAreTheProtocols(t *testing.T) {
	r := newRig(t, nil)
	r.call("submit", m{"kind": "square", "payload": in{1}, "id": "taken", "wait_ms": 20_000})
	failed := r.call("submit", m{"kind": "fail", "payload": in{}, "wait_ms": 20_000})
	gone := r.call("submit", m{"kind": "gated", "payload": in{}})
	r.call("cancel", m{"id": gone.ID})
	for name, c := range map[string]struct {
		method     string
		params     m
		code, text string
	}{
		"no such kind":    {"submit", m{"kind": "cube"}, wsx.CodeNotFound, ""},
		"no such task":    {"get", m{"id": "none"}, wsx.CodeNotFound, ""},
		"nor its result":  {"result", m{"id": "none"}, wsx.CodeNotFound, ""},
		"nor to wait for": {"result", m{"id": "none", "wait_ms": 1}, wsx.CodeNotFound, ""},
		"a wrong payload": {
			"submit",
			m{"kind": "square", "payload": m{"n": "x"}},
			wsx.CodeInvalidParams, `"path":"/payload/n"`,
		},
		"an id that is none": {
			"submit",
			m{"kind": "square", "id": "a b"},
			wsx.CodeInvalidParams,
			"an ID is 1 to 128 bytes",
		},
		"an id that is had": {
			"submit",
			m{"kind": "square", "payload": in{2}, "id": "taken"},
			wsx.CodeConflict, "",
		},
		"a wait below 0": {
			"submit",
			m{"kind": "square", "wait_ms": -1},
			wsx.CodeInvalidParams,
			`"path":"/wait_ms"`,
		},
		"too large": {"list", m{"limit": 101}, wsx.CodeInvalidParams, `"path":"/limit"`},
		"no such state": {
			"list",
			m{"states": []string{"queued", "asleep"}},
			wsx.CodeInvalidParams, `"path":"/states/1"`,
		},
		"a bad cursor": {"list", m{"cursor": "!"}, wsx.CodeInvalidParams, `cursor \"!\"`},
		"a result of none": {
			"result",
			m{"id": failed.ID},
			wsx.CodeInternalError,
			`"state":"failed"`,
		},
		"of one cancelled":   {"result", m{"id": gone.ID}, wsx.CodeConflict, `"state":"cancelled"`},
		"too late to cancel": {"cancel", m{"id": "taken"}, wsx.CodeConflict, ""},
		"nothing to retry":   {"retry", m{"id": "taken"}, wsx.CodeConflict, ""},
	} {
		t.Run(name, func(t *testing.T) {
			if code, text := r.refused(c.method, c.params); code != c.code ||
				!strings.Contains(text, c.text) {
				t.Errorf("%s", text)
			}
		})
	}
	for n, want := range map[int]string{
		-1: `"details":{"errors":[{"in":"body","pointer":"/payload/n","detail":"must not be ` +
			`negative"}],"path":"/payload"}`, 10: `"message":"The request is not valid."`,
	} {
		if code, text := r.refused("submit", m{"kind": "refuse", "payload": m{"n": n}}); code !=
			wsx.CodeInvalidParams || !strings.Contains(text, want) {
			t.Errorf("%d: %s", n, text)
		}
	}
	refused := r.call("submit", m{"kind": "refuse", "payload": strict{1}, "wait_ms": 20_000})
	if p := refused.Error.Problem; p == nil || p.Code != "SOLD_OUT" ||
		p.Detail != "None is left." || p.Extensions["left"] != 0.0 {
		t.Errorf("a View has %+v", refused.Error)
	}
	if code, text := r.refused("result", m{"id": refused.ID}); code != "SOLD_OUT" ||
		!strings.Contains(text, "None is left.") ||
		!strings.Contains(text, `"left":0,"state":"failed","task":`) {
		t.Errorf("%s", text)
	}
	page, err := wsxclient.Call[struct {
		Tasks []tasks.View `json:"tasks"`
	}](t.Context(), r.Client, "tasks.list", m{"kind": "refuse"})
	if err != nil || len(page.Tasks) != 1 || page.Tasks[0].Error.Status != 409 ||
		page.Tasks[0].Error.Problem != nil {
		t.Errorf("%+v, %v", page, err)
	}
	if _, text := r.refused("result", m{"id": failed.ID}); !strings.Contains(text,
		`"kind":"error"`) {
		t.Errorf("%s", text)
	}
}

// subscribe returns what gives the next change of a channel, which must be one. The subscription
// begins with the first.
func (r *rig) subscribe(channel string, begun func()) (next func() tasks.View) {
	r.t.Helper()
	opts := &wsxclient.SubscribeOptions{OnSubscribed: func(bool) { begun() }}
	pull, stop := iter.Pull2(wsxclient.Subscribe[tasks.View](r.t.Context(), r.Client, channel,
		opts))
	r.t.Cleanup(stop)
	return func() tasks.View {
		r.t.Helper()
		e, err, ok := pull()
		if err != nil || !ok {
			r.t.Fatalf("%v, %v", err, ok)
		}
		return e.Payload
	}
}

func TestBridge_ChannelHasEveryChange(t *testing.T) {
	r := newRig(t, nil)
	v, subscribed := r.call("submit",
		m{"kind": "gated", "payload": in{9}, "id": "a.job"}), make(chan struct{})
	next := r.subscribe("tasks.a.job", func() { close(subscribed) })
	go func() {
		<-subscribed
		for range 3 {
			select {
			case r.gate <- struct{}{}:
			case <-t.Context().Done():
			}
		}
	}()
	last := v
	for !last.State.Done() {
		change := next()
		if change.Revision <= v.Revision {
			continue // the submit itself may be told after its answer
		}
		if change.ID != "a.job" || change.Revision <= last.Revision || change.Result != nil {
			t.Errorf("%+v after %+v", change, last)
		}
		last = change
	}
	if last.State != tasks.Succeeded || last.Progress == nil || last.Progress.Done != 3 {
		t.Errorf("the last: %+v", last)
	}
}

// heldBroker is a broker that takes its time while gate is locked, and says when somebody listens.
type heldBroker struct {
	*broker.Memory
	gate     sync.Mutex
	listened chan struct{}
}

func (b *heldBroker) Publish(ctx context.Context, e broker.Event, h broker.History) (
	broker.Position, error,
) {
	b.gate.Lock()
	defer b.gate.Unlock()
	return b.Memory.Publish(ctx, e, h)
}

func (b *heldBroker) Interest(ctx context.Context, r broker.Receiver, name string, on bool) error {
	defer func() { b.listened <- struct{}{} }()
	return b.Memory.Interest(ctx, r, name, on)
}

func TestBridge_EndsSubscriptionsWhenItFallsBehind(t *testing.T) {
	shared := &heldBroker{Memory: broker.NewMemory(), listened: make(chan struct{}, 2)}
	hub, jobs := wsx.NewHub(&wsx.HubOptions{Broker: shared}), tasks.New(memstore.New(), nil)
	k := tasks.Register(jobs, "square", 1,
		func(_ context.Context, in in) (out, error) { return out{in.N * in.N}, nil }, nil)
	var log bytes.Buffer
	bridge := wsxtasks.New(jobs, hub, &wsxtasks.Options{
		Kinds: []string{"square"}, Logger: slog.New(slog.NewTextHandler(&log, nil)),
	})
	if err := bridge.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	defer func() {
		ctx := context.Background()
		if err := errors.Join(bridge.Stop(ctx), jobs.Stop(ctx), hub.Stop(ctx)); err != nil {
			t.Error(err)
		}
		if log.Len() > 0 { // the subscribers are told
			t.Errorf("logged %s", log.String())
		}
	}()
	submit := func() {
		if _, err := k.Submit(t.Context(), in{}, nil); err != nil {
			t.Fatal(err)
		}
	}
	heard := make(chan error, 3000)
	go func() {
		defer close(heard)
		for _, err := range hub.ListenPattern(t.Context(), "tasks.>") {
			heard <- err
		}
	}()
	<-shared.listened
	submit()
	if err := <-heard; err != nil { // and the bridge knows of the subscription
		t.Fatal(err)
	}
	shared.gate.Lock()
	for range 2100 { // 1,024 may be on their way and as many wait
		submit()
	}
	shared.gate.Unlock()
	var last error
	for err := range heard {
		last = err
	}
	if e, ok := errors.AsType[*wsx.Error](last); !ok || e.Code != wsx.CodeResourceExhausted {
		t.Errorf("the subscription ended with %v", last)
	}
}

func TestBridge_AsksForEachCallAndSubscription(t *testing.T) {
	r := newRig(t, &wsxtasks.Options{
		Authorize: func(ctx context.Context, c tasks.Call) error {
			if wsx.ConnFrom(ctx) == nil && c.Operation != tasks.OpEvents {
				return errors.New(secret)
			}
			switch {
			case c.Operation == tasks.OpSubmit && c.Kind == "fail":
				return errors.New(secret)
			case c.Task == nil && c.Operation == tasks.OpEvents,
				c.Task != nil && c.Task.Metadata["owner"] != "me":
				return tasks.ErrNotFound
			}
			return nil
		},
		Submit: func(_ context.Context, kind string) (*tasks.SubmitOptions, error) {
			if kind == "gated" {
				return nil, wsx.NewError(wsx.CodeResourceExhausted, "no more today")
			}
			return &tasks.SubmitOptions{Metadata: map[string]string{"owner": "me"}}, nil
		},
	})
	if _, err := r.jobs.Submit(t.Context(), "square", nil,
		&tasks.SubmitOptions{ID: "theirs"}); err != nil {
		t.Fatal(err)
	}
	r.call("submit", m{"kind": "square", "payload": in{3}, "id": "mine", "wait_ms": 20_000})
	for name, c := range map[string]struct {
		method string
		params m
		code   string
	}{
		"submit":             {"submit", m{"kind": "fail"}, wsx.CodePermissionDenied},
		"options":            {"submit", m{"kind": "gated"}, wsx.CodeResourceExhausted},
		"get":                {"get", m{"id": "theirs"}, wsx.CodeNotFound},
		"result":             {"result", m{"id": "theirs"}, wsx.CodeNotFound},
		"cancel":             {"cancel", m{"id": "theirs"}, wsx.CodeNotFound},
		"retry":              {"retry", m{"id": "theirs"}, wsx.CodeNotFound},
		"submit what is had": {"submit", m{"kind": "square", "id": "theirs"}, wsx.CodeNotFound},
	} {
		t.Run(name, func(t *testing.T) {
			if code, text := r.refused(c.method, c.params); code != c.code {
				t.Error(text)
			}
		})
	}
	list, err := wsxclient.Call[struct {
		Tasks []tasks.View `json:"tasks"`
	}](t.Context(), r.Client, "tasks.list", nil)
	if err != nil || len(list.Tasks) != 1 || list.Tasks[0].ID != "mine" {
		t.Errorf("listed %+v, %v", list, err)
	}
	for channel, code := range map[string]string{
		"tasks.theirs": wsx.CodeNotFound, "tasks.none": wsx.CodeSubscriptionDenied,
		"tasks.>": wsx.CodeNotFound,
	} {
		for _, err := range wsxclient.Subscribe[tasks.View](t.Context(), r.Client, channel, nil) {
			if !errors.Is(err, wsx.NewError(code, "")) {
				t.Errorf("%s: %v", channel, err)
			}
			break
		}
	}
}
