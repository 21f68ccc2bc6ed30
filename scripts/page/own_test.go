package page_test

import (
	"context"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-chi/chi/v5"

	"github.com/genropy/genro-asgi-go/asgi"
	"github.com/genropy/genro-asgi-go/chiadapter"
	"github.com/genropy/genro-asgi-go/middleware"
	"github.com/genropy/genro-asgi-go/openapi"
	"github.com/genropy/genro-asgi-go/tasks"
	"github.com/genropy/genro-asgi-go/tasks/memstore"
	"github.com/genropy/genro-asgi-go/tasks/taskshttp"
	"github.com/genropy/genro-asgi-go/wsx"
)

type picture struct {
	ID      string           `path:"id"`
	Title   string           `form:"title"`
	Tags    []string         `form:"tag"`
	Wait    time.Duration    `query:"wait" default:"1m30s"`
	Picture *asgi.FormFile   `form:"picture"`
	More    []*asgi.FormFile `form:"more"`
}

type stored struct {
	_        struct{} `status:"201"`
	Location string   `header:"Location" json:"-"`
	Names    []string `json:"names"`
	Title    string   `json:"title"`
}

func store(_ context.Context, in picture) (stored, error) {
	out := stored{
		Location: "/pictures/" + in.ID,
		Title:    in.Title + " " + in.Wait.String() + " " + strings.Join(in.Tags, "+"),
	}
	for _, f := range append(in.More, in.Picture) {
		if f != nil {
			out.Names = append(out.Names, f.Filename)
		}
	}
	return out, nil
}

// newOwnHandler is an app whose document is made of its routes.
func newOwnHandler(t *testing.T) http.Handler {
	t.Helper()
	hub := wsx.NewHub(nil)
	hub.Configure("orders.*", &wsx.ChannelOptions{History: 10})
	a := app{hub}
	jobs := tasks.New(memstore.New(), nil)
	tasks.Register(jobs, "count", 1,
		func(_ context.Context, in count) (int, error) { return in.To, nil }, nil)
	lifespan := asgi.NewLifespan(nil, hub, jobs)
	if err := lifespan.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := lifespan.Stop(context.Background()); err != nil {
			t.Error(err)
		}
	})
	authenticate := wsx.Authenticator(func(_ *http.Request, token string) (wsx.Identity, error) {
		if token != "s3cret" {
			return wsx.Identity{}, wsx.NewError(wsx.CodeUnauthenticated, "log in first")
		}
		return wsx.Identity{Subject: "ada"}, nil
	})

	r := chi.NewRouter()
	r.Use(middleware.Errors(nil))
	r.Get("/orders", asgi.Handle(a.list))
	r.Post("/orders", asgi.HandleWith(a.create, &asgi.HandleOptions{Operation: openapi.Operation{
		Summary: "Create an order", Tags: []string{"orders"},
		Request: order{State: "new", Items: []item{{SKU: "tea", Count: 1}}},
	}}))
	r.Get("/orders/{id:[0-9]+}",
		asgi.HandleWith(a.get,
			&asgi.HandleOptions{
				Operation: openapi.Operation{Tags: []string{"orders"}, Errors: []int{404}},
			}))
	r.Get("/files/*", asgi.Handle(func(_ context.Context, in struct {
		Path string `path:"*"`
	},
	) (string, error) {
		return in.Path, nil
	}))
	r.Put("/pictures/{id}", asgi.Handle(store))
	r.With(authenticate.Middleware).Get("/secret",
		asgi.Handle(func(ctx context.Context, _ struct{}) (string, error) {
			return wsx.IdentityFrom(ctx).Subject, nil
		}))
	r.Get("/ticks",
		hub.SSE(func(*http.Request) (string, error) { return "orders.eu", nil }).ServeHTTP)
	chiadapter.Mount(r, "/tasks",
		taskshttp.Handler(jobs, &taskshttp.Options{Kinds: []string{"count"}}))
	doc := chiadapter.OpenAPI(r, &openapi.Options{Title: "Shop", Version: "2.0.0"})
	r.Get("/openapi.json", doc.ServeHTTP)
	r.Handle("/docs", openapi.Page(nil))
	return r
}

// The document of an app's own routes is all that the page needs to send each of its operations,
// and to be told what the document says.
func TestPage_OwnDocument(t *testing.T) {
	b, base := serve(t, newOwnHandler(t))
	files := []string{filepath.Join(t.TempDir(), "a.png"), filepath.Join(t.TempDir(), "b.png")}
	for _, f := range files {
		if err := os.WriteFile(f, []byte(f), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	b.open(base + "/docs")
	var ids []string
	b.eval(`[...document.querySelectorAll('.item')].map((e) => e.id)`, &ids)
	if len(ids) < 12 {
		t.Errorf("the page lists only %s", ids)
	}
	answers := make(map[string]string)
	for _, id := range ids {
		b.follow(id)
		b.eval(
			`for (const i of document.activeElement.closest('.item').`+
				`querySelectorAll('input[required]')) i.value ||= '7'`, nil)
		switch id {
		case "http/getFilesByPath":
			b.fill("path", "a/b c/d?")
		case "http/putPicturesById":
			b.choose("picture", files[0])
			b.choose("more", files...)
			b.fill("title", "Two")
			b.fill("tag", "x\ny")
			if placeholder := b.text(
				`document.activeElement.closest('.item').querySelector('[name=wait]').` +
					`placeholder`); placeholder != "1m30s" {
				t.Errorf("the default is shown as %q", placeholder)
			}
		case "http/getTicks", "http/watchTasks": // they go on
			b.submit()
			b.until(status + `.startsWith('200 OK')`)
			b.eval(
				`[...document.activeElement.form.querySelectorAll('button')].find((button) => `+
					`button.textContent === 'Stop').click()`, nil)
			b.until(status + ` === 'Stopped.'`)
			continue
		}
		line, body := b.answer()
		answers[id] = line + " " + body
		if strings.Contains(line, "not in the document") || strings.HasPrefix(line, "No answer") {
			t.Errorf("%s: %s\n%s", id, line, body)
		}
	}
	for id, want := range map[string]string{
		"http/getOrders": "200 OK", "http/postOrders": "200 OK", "http/getOrdersById": `"id": 7`,
		"http/getSecret":      "401 Unauthorized",
		"http/getFilesByPath": `"a/b c/d?"`, "http/putPicturesById": "201 Created",
		"http/submit.count": "202 Accepted", "http/listTasks": `"tasks": []`,
	} {
		if !strings.Contains(answers[id], want) {
			t.Errorf("%s is answered %s, want %s", id, answers[id], want)
		}
	}
	for _, want := range []string{`"a.png",`, `"b.png"`, `"Two 1m30s x+y"`} {
		if !strings.Contains(answers["http/putPicturesById"], want) {
			t.Errorf("the upload is answered %s, want %s", answers["http/putPicturesById"], want)
		}
	}
	b.follow("http/putPicturesById")
	b.screenshot("own-upload")
	b.quiet()
}
