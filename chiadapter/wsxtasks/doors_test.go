package wsxtasks_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/genropy/genro-asgi-go/chiadapter/wsxtasks"
	"github.com/genropy/genro-asgi-go/tasks"
	"github.com/genropy/genro-asgi-go/tasks/memstore"
	"github.com/genropy/genro-asgi-go/wsx"
	"github.com/genropy/genro-asgi-go/wsx/broker"
	"github.com/genropy/genro-asgi-go/wsx/wsxclient"
)

func TestBridge_ServesNothingUnlessTold(t *testing.T) {
	for _, kinds := range [][]string{nil, {}, {"once"}} {
		h := newHouse(t, &wsxtasks.Options{Kinds: kinds}, nil, nil)
		c := h.dial("ann")
		h.submit("ann", "a")
		for method, params := range map[string]m{
			"submit": {"kind": "job"}, "get": {"id": "a"}, "result": {"id": "a", "wait_ms": 1000},
			"cancel": {"id": "a"}, "retry": {"id": "a"},
		} {
			if _, err := wsxclient.Call[tasks.View](t.Context(), c, "tasks."+method,
				params); code(err) != wsx.CodeNotFound {
				t.Errorf("%v %s: %v", kinds, method, err)
			}
		}
		list, err := wsxclient.Call[struct {
			Tasks []tasks.View `json:"tasks"`
		}](t.Context(), c, "tasks.list", m{})
		if err != nil || len(list.Tasks) != 0 {
			t.Errorf("%v: list: %+v, %v", kinds, list, err)
		}
		for _, err := range wsxclient.Subscribe[tasks.View](t.Context(), c, "tasks.a", nil) {
			if code(err) != wsx.CodeNotFound {
				t.Errorf("%v: subscribed: %v", kinds, err)
			}
			break
		}
	}
}

// TestBridge_AChannelAsksForEachChange: a pattern shows to each what is theirs, in the process that
// publishes and in another; so do server-sent events.
func TestBridge_AChannelAsksForEachChange(t *testing.T) {
	shared := broker.NewMemory()
	var withKey atomic.Int64
	rule := func(ctx context.Context, c tasks.Call) error {
		if wsx.ConnFrom(ctx) == nil && wsx.IdentityFrom(ctx).Subject != "sse" {
			return errors.New("who?")
		}
		if c.Operation == tasks.OpEvents && c.Task != nil && c.Task.Key != "" {
			withKey.Add(1)
		}
		return own(ctx, c)
	}
	h := newHouse(t, &wsxtasks.Options{Authorize: rule}, shared, nil)
	other := newHouse(t, &wsxtasks.Options{Authorize: rule}, shared, h.jobs)
	ann, bob := h.watch(h.dial("ann"), "tasks.>"), h.watch(h.dial("bob"), "tasks.*")
	away := other.watch(other.dial("bob"), "tasks.>")
	h.submit("sse", "sse") // a stream is of one task
	stream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r = r.WithContext(wsx.WithIdentity(r.Context(), wsx.Identity{Subject: "sse"}))
		h.hub.SSE(func(*http.Request) (string, error) { return "tasks.sse", nil }).ServeHTTP(w, r)
	}))
	defer stream.Close()
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, stream.URL, nil)
	if err != nil {
		t.Fatal(err)
	}
	events, err := http.DefaultClient.Do(r)
	if err != nil || events.StatusCode != http.StatusOK {
		t.Fatal(events, err)
	}
	defer events.Body.Close()
	for _, who := range []string{"ann", "bob", "sse"} {
		if who != "sse" {
			h.submit(who, who)
		}
		h.cancel(who)
	}
	for name, c := range map[string]struct {
		heard <-chan string
		who   string
	}{"ann": {ann, "ann"}, "bob": {bob, "bob"}, "another process": {away, "bob"}} {
		for _, want := range []string{"queued", "cancelled"} {
			if got := <-c.heard; got != c.who+":"+want {
				t.Errorf("%s heard %s, want %s of their own", name, got, want)
			}
		}
	}
	for lines, ended := bufio.NewScanner(events.Body), false; !ended && lines.Scan(); {
		if text := lines.Text(); strings.HasPrefix(text, "data:") {
			ended = strings.Contains(text, "cancelled")
			if !strings.Contains(text, `"sse"`) {
				t.Errorf("server-sent events: %s", text)
			}
		}
	}
	stop()
	if withKey.Load() == 0 {
		t.Error("no whole task was asked for, which the process that publishes has")
	}
}

// TestBridge_RightsThatAreWithdrawn end what goes on.
func TestBridge_RightsThatAreWithdrawn(t *testing.T) {
	var withdrawn atomic.Bool
	asked := make(chan tasks.Operation, 100)
	h := newHouse(t, &wsxtasks.Options{Authorize: func(_ context.Context, c tasks.Call) error {
		asked <- c.Operation
		if withdrawn.Load() && c.Task != nil && c.Task.ID != "b" {
			return errors.New("not any more")
		}
		return nil
	}}, nil, nil)
	c := h.dial("ann")
	all := h.watch(c, "tasks.>")
	queued := func(id string) {
		t.Helper()
		h.submit("ann", id)
		if got := <-all; got != "ann:queued" {
			t.Errorf("heard %s", got)
		}
	}
	queued("a")
	one := h.watch(c, "tasks.a") // which has nothing to hear before the rights are withdrawn
	queued("b")
	for len(asked) > 0 {
		<-asked
	}
	results := make(chan error)
	go func() {
		v, err := wsxclient.Call[tasks.View](t.Context(), c, "tasks.result",
			m{"id": "a", "wait_ms": 20_000})
		results <- fmt.Errorf("%s %w", v.State, err)
	}()
	for <-asked != tasks.OpGet { // it waits, as far as anybody can tell
	}
	withdrawn.Store(true)
	h.cancel("a")
	h.cancel("b")
	if got := <-all; got != "ann:cancelled" {
		t.Errorf("heard %s", got)
	}
	if err := <-results; code(err) != wsx.CodePermissionDenied {
		t.Errorf("the wait: %v", err)
	}
	if len(one)+len(all) > 0 {
		t.Errorf("%d and %d changes after the rights were withdrawn", len(one), len(all))
	}
}

// TestBridge_AResultAsksAgain when its wait is over, however short, and once where there is no
// wait.
func TestBridge_AResultAsksAgain(t *testing.T) {
	for wait, want := range map[int]string{0: "<nil>", 1: wsx.CodePermissionDenied} {
		var reads atomic.Int64
		h := newHouse(t, &wsxtasks.Options{Authorize: func(_ context.Context, c tasks.Call) error {
			if c.Operation == tasks.OpGet && reads.Add(1) > 1 {
				return errors.New("not any more")
			}
			return nil
		}}, nil, nil)
		h.submit("ann", "a")
		if _, err := wsxclient.Call[tasks.View](t.Context(), h.dial("ann"), "tasks.result",
			m{"id": "a", "wait_ms": wait}); code(err) != want {
			t.Errorf("a wait of %d ms: %v", wait, err)
		}
	}
}

// TestBridge_AllWhoMayKnowHearOfAChange: one event goes to many subscribers, each of whom is asked
// for.
func TestBridge_AllWhoMayKnowHearOfAChange(t *testing.T) {
	h := newHouse(t, &wsxtasks.Options{Authorize: own}, nil, nil)
	var all []<-chan string
	for range 3 {
		all = append(all, h.watch(h.dial("ann"), "tasks.*"))
	}
	h.submit("ann", "a")
	for i, heard := range all {
		if got := <-heard; got != "ann:queued" {
			t.Errorf("the subscriber %d heard %s", i, got)
		}
	}
}

// moodyStore fails to read or to change tasks when it is told to.
type moodyStore struct {
	tasks.Store
	reads, changes atomic.Bool
}

func (s *moodyStore) Get(ctx context.Context, id string) (*tasks.Task, error) {
	if s.reads.Load() {
		return nil, errors.New(secret)
	}
	return s.Store.Get(ctx, id)
}

func (s *moodyStore) List(ctx context.Context, f *tasks.Filter) ([]*tasks.Task, string, error) {
	if s.reads.Load() {
		return nil, "", errors.New(secret)
	}
	return s.Store.List(ctx, f)
}

func (s *moodyStore) Update(ctx context.Context, id string, now time.Time,
	change func(t *tasks.Task) error,
) (tasks.Task, error) {
	if s.changes.Load() {
		return tasks.Task{}, errors.New(secret)
	}
	return s.Store.Update(ctx, id, now, change)
}

// TestBridge_AStoreThatFails is an error of every method, whose text no client sees.
func TestBridge_AStoreThatFails(t *testing.T) {
	store := &moodyStore{Store: memstore.New()}
	jobs := tasks.New(store, nil)
	t.Cleanup(func() { _ = jobs.Stop(context.Background()) })
	tasks.Register(jobs, "job", 1, func(context.Context, in) (out, error) { return out{}, nil },
		nil)
	h := newHouse(t, &wsxtasks.Options{Kinds: []string{"job"}}, nil, jobs)
	c := h.dial("ann")
	h.submit("ann", "waits")
	h.submit("ann", "ended")
	h.cancel("ended")
	refused := func(method string, params m) {
		t.Helper()
		_, err := wsxclient.Call[jsontext.Value](t.Context(), c, "tasks."+method, params)
		e, ok := errors.AsType[*wsx.Error](err)
		if !ok {
			t.Fatalf("%s: %v", method, err)
		}
		if text, _ := e.MarshalJSON(); e.Code != wsx.CodeInternalError ||
			strings.Contains(string(text), secret) {
			t.Errorf("%s: %s", method, text)
		}
	}
	store.changes.Store(true)
	refused("cancel", m{"id": "waits"})
	refused("retry", m{"id": "ended"})
	store.reads.Store(true)
	refused("submit", m{"kind": "job", "wait_ms": 1000})
	refused("get", m{"id": "waits"})
	refused("list", m{})
	refused("result", m{"id": "waits", "wait_ms": 1000})
}

func TestBridge_ASubmitMeetsAnothersTask(t *testing.T) {
	h := newHouse(t, &wsxtasks.Options{
		Authorize: own,
		Submit: func(ctx context.Context, _ string) (*tasks.SubmitOptions, error) {
			return &tasks.SubmitOptions{
					Metadata: map[string]string{"who": wsx.IdentityFrom(ctx).Subject},
				},
				nil
		},
	}, nil, nil)
	for _, c := range []struct {
		params m
		anns   tasks.State // what becomes of ann's first task when she submits again
	}{
		{m{"kind": "once"}, tasks.Queued},
		{m{"kind": "latest"}, tasks.Cancelled},
		{m{"kind": "job", "id": "same"}, tasks.Queued},
	} {
		ann, bob := h.dial("ann"), h.dial("bob")
		first, err := wsxclient.Call[tasks.View](t.Context(), ann, "tasks.submit", c.params)
		if err != nil {
			t.Fatal(err)
		}
		state := func() tasks.State {
			task, err := h.jobs.Get(t.Context(), first.ID)
			if err != nil {
				t.Fatal(err)
			}
			return task.State
		}
		if _, err := wsxclient.Call[tasks.View](t.Context(), bob, "tasks.submit",
			c.params); code(err) != wsx.CodePermissionDenied || state() != tasks.Queued {
			t.Errorf("%v: bob: %v; ann's task is %s", c.params, err, state())
		}
		if _, err := wsxclient.Call[tasks.View](t.Context(), ann, "tasks.submit", c.params); err !=
			nil || state() != c.anns {
			t.Errorf("%v: ann: %v; her first task is %s, want %s", c.params, err, state(), c.anns)
		}
	}
}

// TestBridge_WaitsHearTheShutdown: a server that stops does not wait for a task's end, whatever its
// patience with calls.
func TestBridge_WaitsHearTheShutdown(t *testing.T) {
	asked := make(chan tasks.Operation, 10)
	h := newHouse(t,
		&wsxtasks.Options{
			MaxWait: time.Hour,
			Authorize: func(_ context.Context, c tasks.Call) error {
				asked <- c.Operation
				return nil
			},
		}, nil, nil)
	h.submit("ann", "a")
	c := h.dial("ann")
	answers := make(chan tasks.View)
	go func() {
		v, err := wsxclient.Call[tasks.View](t.Context(), c, "tasks.result",
			m{"id": "a", "wait_ms": 3_600_000})
		if err != nil {
			t.Error(err)
		}
		answers <- v
	}()
	<-asked
	if err := h.server.Stop(t.Context()); err != nil {
		t.Error(err)
	}
	if v := <-answers; v.State != tasks.Queued {
		t.Errorf("answered %+v", v)
	}
}

func TestBridge_RefusesNil(t *testing.T) {
	for name, f := range map[string]func(){
		"a Manager is needed": func() { wsxtasks.New(nil, nil, nil) },
		"a Dispatcher is needed": func() {
			wsxtasks.New(tasks.New(memstore.New(), nil), nil, nil).Register(nil)
		},
	} {
		func() {
			defer func() {
				if v := recover(); v == nil || !strings.Contains(fmt.Sprint(v), name) {
					t.Errorf("panic: %v, want that %s", v, name)
				}
			}()
			f()
		}()
	}
}

func TestBridge_ListsAndGetsWhatTheCallerMaySee(t *testing.T) {
	h := newHouse(t, &wsxtasks.Options{Authorize: own}, nil, nil)
	for i := range 105 { // a page without a limit has at most 100; nobody else's task ends it
		who := "ann"
		if i%5 == 0 {
			who = "bob"
		}
		h.submit(who, fmt.Sprintf("t%d", i))
	}
	ann := h.dial("ann")
	type page struct {
		Tasks []tasks.View `json:"tasks"`
		Next  string       `json:"next"`
	}
	first, err := wsxclient.Call[page](t.Context(), ann, "tasks.list", m{})
	if err != nil || len(first.Tasks) != 80 || first.Next == "" {
		t.Errorf("of 100 tasks ann is shown %d, next %q, %v", len(first.Tasks), first.Next, err)
	}
	rest, err := wsxclient.Call[page](t.Context(), ann, "tasks.list",
		m{"cursor": first.Next, "limit": 100})
	if err != nil || len(rest.Tasks) != 4 {
		t.Errorf("of the other 5 she is shown %d, %v", len(rest.Tasks), err)
	}
	for method, params := range map[string]m{
		"tasks.get": {"id": "t0"}, "tasks.result": {"id": "t0"}, "tasks.cancel": {"id": "t0"},
		"tasks.retry": {"id": "t0"},
	} {
		if _, err := wsxclient.Call[tasks.View](t.Context(), ann, method, params); code(err) !=
			wsx.CodePermissionDenied {
			t.Errorf("%s of bob's: %v", method, err)
		}
	}
	if v, err := wsxclient.Call[tasks.View](t.Context(), ann, "tasks.get", m{"id": "t1"}); err !=
		nil || v.ID != "t1" {
		t.Errorf("of her own: %q, %v", v.ID, err)
	}
}
