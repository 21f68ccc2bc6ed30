package page_test

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/go-chi/chi/v5"

	"github.com/genropy/genro-asgi-go/asgi"
	"github.com/genropy/genro-asgi-go/internal/leakcheck"
	"github.com/genropy/genro-asgi-go/middleware"
	"github.com/genropy/genro-asgi-go/openapi"
	"github.com/genropy/genro-asgi-go/problem"
	"github.com/genropy/genro-asgi-go/wsx"
)

func TestMain(m *testing.M) { leakcheck.Main(m) }

//go:embed testdata/openapi.json
var document []byte

type item struct {
	SKU   string  `json:"sku"`
	Count int     `json:"count"`
	Parts []*item `json:"parts"`
}

type order struct {
	ID    int64  `json:"id"`
	State string `json:"state"`
	Items []item `json:"items"`
}

// Validate checks the counts.
func (o order) Validate() error {
	var wrong []error
	for i, it := range o.Items {
		if it.Count < 1 {
			wrong = append(wrong,
				problem.Field{
					Pointer: fmt.Sprintf("/items/%d/count", i),
					Detail:  "must be at least 1",
				})
		}
	}
	return errors.Join(wrong...)
}

type getOrder struct {
	ID   int64  `path:"id" json:"id"`
	Lang string `query:"lang" json:"lang"`
}

type listOrders struct {
	State string   `query:"state" json:"state"`
	Tags  []string `query:"tag" json:"tags"`
	Color string   `query:"meta[color]" json:"color"`
	Limit int      `query:"limit" json:"limit"`
}

type count struct {
	To int `json:"to"`
}

// app is a small backend: orders over HTTP and the socket, a channel of them.
type app struct{ hub *wsx.Hub }

func (a app) create(ctx context.Context, in order) (order, error) {
	in.ID = 9007199254740993 // which no double can hold
	_, err := a.hub.Publish(ctx, "orders.eu", in)
	return in, err
}

func (app) get(_ context.Context, in getOrder) (order, error) {
	if in.ID == 404 {
		return order{}, problem.NotFound("There is no such order.")
	}
	return order{ID: in.ID, State: "paid", Items: []item{{SKU: "tea " + in.Lang, Count: 2}}}, nil
}

func (app) list(_ context.Context, in listOrders) ([]order, error) {
	return []order{{ID: int64(in.Limit), State: strings.Join(in.Tags, "+") + in.State + in.Color}},
		nil
}

func (app) count(_ context.Context, in count, total *int) iter.Seq2[int, error] {
	return func(yield func(int, error) bool) {
		for ; *total < in.To; *total++ {
			if !yield(*total, nil) {
				return
			}
		}
	}
}

func secret(r *asgi.Request) (asgi.Response, error) {
	if r.Headers().Get("Authorization") != "Bearer s3cret" {
		return nil, problem.Unauthorized("Log in first.")
	}
	return asgi.Text("the secret"), nil
}

func upload(w http.ResponseWriter, r *http.Request) {
	file, header, err := r.FormFile("picture")
	if err != nil {
		problem.Write(w, r,
			problem.Invalid(problem.Field{
				In: "form", Pointer: "/picture",
				Detail: "choose a file",
			}))
		return
	}
	defer file.Close()
	text, _ := io.ReadAll(file)
	_, _ = fmt.Fprintf(w, "%s has %d bytes, title %q", header.Filename, len(text),
		r.FormValue("title"))
}

// ticks is an answer that goes on until its client has gone.
func ticks(*asgi.Request) (asgi.Response, error) {
	return asgi.SSE(func(ctx context.Context, _ string) iter.Seq2[asgi.Event, error] {
		return func(yield func(asgi.Event, error) bool) {
			if yield(asgi.Event{Data: "tick"}, nil) {
				<-ctx.Done()
			}
		}
	}, nil), nil
}

func raw(contentType string, data []byte) http.HandlerFunc {
	return asgi.Respond(func(*asgi.Request) (asgi.Response, error) {
		return asgi.Bytes(contentType, data), nil
	})
}

// newHandler is the app, whose page is at /docs and, below, at /deep/down/docs/.
func newHandler(t *testing.T) http.Handler {
	t.Helper()
	hub := wsx.NewHub(nil)
	hub.Configure("orders.*",
		&wsx.ChannelOptions{
			Doc:     "Orders of a region, as they come.",
			Payload: reflect.TypeFor[order](), History: 10,
		})
	a := app{hub}
	methods := wsx.NewDispatcher()
	wsx.Handle(methods, "orders.create", a.create)
	wsx.HandleStream(methods, "count", a.count)
	wsx.HandleNotify(methods, "seen", func(context.Context, count) error { return nil })
	wsx.Handle(methods, "wait", func(ctx context.Context, _ struct{}) (struct{}, error) {
		err := wsx.Progress(ctx, "waiting")
		<-ctx.Done()
		return struct{}{}, errors.Join(err, ctx.Err())
	})
	wsx.Handle(methods, "leave", func(ctx context.Context, _ struct{}) (struct{}, error) {
		conn := wsx.ConnFrom(ctx)
		return struct{}{}, errors.Join(conn.Notify(ctx, "goodbye", "come back"),
			conn.Close(4403, "go away"))
	})
	methods.Describe("orders.create", "Makes an order, and tells the channel of its region.")
	methods.Describe("count", "Counts.")
	openRPC, asyncAPI, err := methods.Documents(
		&wsx.DescribeOptions{Title: "Orders", Version: "1.4.0", Hub: hub})
	if err != nil {
		t.Fatal(err)
	}
	describe := &wsx.DescribeOptions{Hub: hub, Authorize: func(ctx context.Context) error {
		if wsx.IdentityFrom(ctx).Subject == "" {
			return wsx.NewError(wsx.CodeUnauthenticated, "log in to see the methods")
		}
		return nil
	}}
	server := wsx.NewServer(methods,
		&wsx.ServerOptions{
			Hub: hub, Describe: describe,
			Authenticate: func(_ *http.Request, token string) (wsx.Identity, error) {
				if token == "" {
					return wsx.Identity{Expires: time.Now().Add(time.Hour)}, nil
				}
				if token != "s3cret" {
					return wsx.Identity{}, wsx.NewError(wsx.CodeUnauthenticated, "no such session")
				}
				return wsx.Identity{Subject: "ada"}, nil
			},
		})
	t.Cleanup(func() {
		if err := errors.Join(server.Stop(context.Background()),
			hub.Stop(context.Background())); err != nil {
			t.Error(err)
		}
	})

	r := chi.NewRouter()
	r.Use(middleware.Errors(nil))
	r.Get("/orders", asgi.Handle(a.list))
	r.Post("/orders", asgi.Handle(a.create))
	r.Get("/orders/{id}", asgi.Handle(a.get))
	r.Post("/pictures", upload)
	r.Get("/secret", asgi.Respond(secret))
	r.Get("/ticks", asgi.Respond(ticks))
	r.Get("/picture", raw("image/png", []byte("\x89PNG")))
	r.Handle("/ws", server)
	r.Handle("/rpc", wsx.JSONRPC(methods, nil))
	r.Get("/openapi.json", raw("application/json", document))
	r.Get("/openrpc.json", raw("application/json", openRPC))
	r.Get("/asyncapi.json", raw("application/json", asyncAPI))
	page := openapi.Page(&openapi.PageOptions{
		OpenAPI: "/openapi.json", OpenRPC: "/openrpc.json", AsyncAPI: "/asyncapi.json",
		WebSocket: "/ws", JSONRPC: "/rpc",
	})
	r.Handle("/docs", page)
	r.Mount("/deep/down/docs", page)
	r.Handle("/asking", openapi.Page(&openapi.PageOptions{WebSocket: "/ws"}))
	r.Handle("/only",
		openapi.Page(&openapi.PageOptions{Title: "Nothing to try", OpenRPC: "openrpc.json"}))
	return r
}
