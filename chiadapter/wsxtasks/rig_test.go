package wsxtasks_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/genropy/genro-asgi-go/chiadapter/wsxtasks"
	"github.com/genropy/genro-asgi-go/tasks"
	"github.com/genropy/genro-asgi-go/tasks/memstore"
	"github.com/genropy/genro-asgi-go/wsx"
	"github.com/genropy/genro-asgi-go/wsx/broker"
	"github.com/genropy/genro-asgi-go/wsx/wsxclient"
)

// house is a manager that is not started, so that its tasks change only when the test says so, with
// clients by name.
type house struct {
	t      *testing.T
	jobs   *tasks.Manager
	hub    *wsx.Hub
	server *wsx.Server
	url    string
}

func newHouse(t *testing.T, opts *wsxtasks.Options, shared broker.Broker,
	jobs *tasks.Manager,
) *house {
	t.Helper()
	h := &house{t: t, jobs: jobs, hub: wsx.NewHub(&wsx.HubOptions{Broker: shared})}
	if jobs == nil {
		h.jobs = tasks.New(memstore.New(), nil)
		tasks.Register(h.jobs, "job", 1,
			func(context.Context, in) (out, error) { return out{}, nil }, nil)
		tasks.Register(h.jobs, "once", 1,
			func(context.Context, in) (out, error) { return out{}, nil },
			&tasks.KindOptions{Unique: &tasks.UniqueOptions{Taken: tasks.UniqueExisting}})
		tasks.Register(h.jobs, "latest", 1,
			func(context.Context, in) (out, error) { return out{}, nil },
			&tasks.KindOptions{Unique: &tasks.UniqueOptions{Taken: tasks.UniqueReplace}})
	}
	bridge := wsxtasks.New(h.jobs, h.hub, opts)
	d := wsx.NewDispatcher()
	bridge.Register(d)
	h.server = wsx.NewServer(d,
		&wsx.ServerOptions{
			Hub: h.hub, DrainTimeout: time.Hour,
			Authenticate: func(_ *http.Request, token string) (wsx.Identity, error) {
				return wsx.Identity{Subject: token}, nil
			},
		})
	srv := httptest.NewServer(h.server)
	h.url = srv.URL
	if jobs == nil { // else another publishes
		if err := bridge.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() {
		ctx := context.Background()
		if err := errors.Join(h.server.Stop(ctx), bridge.Stop(ctx), h.hub.Stop(ctx)); err != nil {
			t.Error(err)
		}
		srv.Close()
		if jobs == nil {
			if err := h.jobs.Stop(ctx); err != nil {
				t.Error(err)
			}
		}
	})
	return h
}

func (h *house) dial(who string) *wsxclient.Client {
	h.t.Helper()
	c, err := wsxclient.Dial(h.t.Context(), h.url,
		&wsxclient.Options{Token: func(context.Context) (string, error) { return who, nil }})
	if err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(func() { _ = c.Close() })
	return c
}

// watch returns the changes that a subscription hears of, as who:state.
func (h *house) watch(c *wsxclient.Client, channel string) <-chan string {
	h.t.Helper()
	subscribed, heard := make(chan error, 1), make(chan string, 100)
	go func() {
		defer close(heard)
		for e, err := range wsxclient.Subscribe[tasks.View](h.t.Context(), c, channel,
			&wsxclient.SubscribeOptions{OnSubscribed: func(bool) { subscribed <- nil }}) {
			if err != nil {
				subscribed <- err
				return
			}
			heard <- e.Payload.Metadata["who"] + ":" + string(e.Payload.State)
		}
	}()
	if err := <-subscribed; err != nil {
		h.t.Fatalf("%s: %v", channel, err)
	}
	return heard
}

func (h *house) submit(who, id string) *tasks.Task {
	h.t.Helper()
	t, err := h.jobs.Submit(h.t.Context(), "job", nil,
		&tasks.SubmitOptions{ID: id, Key: who, Metadata: map[string]string{"who": who}})
	if err != nil {
		h.t.Fatal(err)
	}
	return t
}

func (h *house) cancel(id string) {
	h.t.Helper()
	if _, err := h.jobs.Cancel(h.t.Context(), id); err != nil {
		h.t.Fatal(err)
	}
}

func code(err error) string {
	if e, ok := errors.AsType[*wsx.Error](err); ok {
		return e.Code
	}
	return fmt.Sprint(err)
}

// own lets everybody see tasks of their own. It would be the same over HTTP.
func own(ctx context.Context, c tasks.Call) error {
	if c.Task != nil && c.Task.Metadata["who"] != wsx.IdentityFrom(ctx).Subject {
		return errors.New("not yours")
	}
	return nil
}
