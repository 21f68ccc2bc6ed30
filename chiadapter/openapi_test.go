package chiadapter_test

import (
	"bytes"
	"context"
	"flag"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/go-chi/chi/v5"
	chimiddleware "github.com/go-chi/chi/v5/middleware"
	"github.com/go-json-experiment/json"

	"github.com/genropy/genro-asgi-go/asgi"
	"github.com/genropy/genro-asgi-go/chiadapter"
	"github.com/genropy/genro-asgi-go/executor"
	"github.com/genropy/genro-asgi-go/openapi"
	"github.com/genropy/genro-asgi-go/tasks"
	"github.com/genropy/genro-asgi-go/tasks/memstore"
	"github.com/genropy/genro-asgi-go/tasks/taskshttp"
	"github.com/genropy/genro-asgi-go/wsx"
)

var update = flag.Bool("update", false, "write the files that tests compare with")

type (
	shopOrder struct {
		ID    int64      `json:"id"`
		State string     `json:"state"`
		Lines []shopLine `json:"lines"`
		Due   *time.Time `json:"due,omitzero"`
		Next  *shopOrder `json:"next,omitzero"`
	}
	shopLine struct {
		Article string  `json:"article"`
		Price   float64 `json:"price"`
	}
	shopFilter struct {
		State []string `query:"state"`
		Limit int      `query:"limit"`
		Lang  string   `header:"accept-language"`
		Theme string   `cookie:"theme"`
	}
	shopID struct {
		ID int64 `path:"id"`
	}
	shopUpdate struct {
		shopID
		Lines []shopLine `json:"lines"`
	}
	created shopOrder
)

func (created) StatusCode() int { return http.StatusCreated }

func listOrders(context.Context, shopFilter) ([]shopOrder, error)  { return nil, nil }
func getOrder(context.Context, shopID) (*shopOrder, error)         { return nil, nil }
func updateOrder(context.Context, shopUpdate) (shopOrder, error)   { return shopOrder{}, nil }
func deleteOrder(context.Context, shopID) (struct{}, error)        { return struct{}{}, nil }
func createOrder(_ context.Context, in shopOrder) (created, error) { return created(in), nil }
func shrink(_ context.Context, image []byte) ([]byte, error)       { return image, nil }
func plain(w http.ResponseWriter, _ *http.Request) {
	_, _ = w.Write([]byte("plain"))
}
func homepage(*asgi.Request) (asgi.Response, error) { return asgi.HTML("<p>"), nil }
func sumUp(_ context.Context, in []int) (map[string]int, error) {
	return map[string]int{"n": len(in)}, nil
}
func login(_ *http.Request, _ string) (id wsx.Identity, err error) { return id, nil }
func socket(context.Context, *asgi.WebSocket) error                { return nil }
func channelOf(*http.Request) (string, error)                      { return "orders", nil }
func nothing(context.Context, struct{}) (struct{}, error)          { return struct{}{}, nil }

// shop is an app with every kind of route.
func shop(tb testing.TB) (*chi.Mux, *openapi.Document) {
	ex := executor.New(nil)
	jobs := tasks.New(memstore.New(), nil)
	tasks.Register(jobs, "report", 1, updateOrder, &tasks.KindOptions{Doc: "A report of an order."})
	tasks.Register(jobs, "clean", 1, nothing, nil)
	methods := wsx.NewDispatcher()
	wsx.Handle(methods, "orders.get", getOrder)
	hub := wsx.NewHub(nil)
	auth := wsx.Authenticator(login)

	r := chi.NewRouter()
	r.Use((&asgi.Limits{Body: 1 << 10}).Wrap)
	r.Get("/", asgi.Respond(homepage))
	r.Route("/orders", func(r chi.Router) {
		r.Use(openapi.Defaults(openapi.Operation{Tags: []string{"orders"}, Errors: []int{429}}))
		r.Get("/", asgi.Handle(listOrders))
		r.With(auth.Middleware).Post("/",
			asgi.HandleWith(createOrder, &asgi.HandleOptions{Operation: openapi.Operation{
				ID: "placeOrder", Summary: "Place an order", Description: "It is paid later.",
				Tags: []string{"checkout"}, Errors: []int{http.StatusConflict},
				Request:  shopOrder{ID: 7, State: "new", Lines: []shopLine{{"tea", 3.5}}},
				Response: created{ID: 7, State: "paid"},
			}}))
		r.Route("/{id:[0-9]+}", func(r chi.Router) {
			r.Get("/",
				asgi.HandleWith(getOrder,
					&asgi.HandleOptions{
						Operation: openapi.Operation{Errors: []int{http.StatusNotFound}},
					}))
			r.Group(func(r chi.Router) {
				r.Use(
					openapi.Defaults(
						openapi.Operation{
							Security: []openapi.Requirement{
								{"key": nil},
								{"oauth": {"orders:write"}},
							},
						}))
				r.Put("/",
					asgi.HandleWith(updateOrder, &asgi.HandleOptions{Operation: openapi.Operation{
						Request: map[string]any{"ID": 7, "lines": []shopLine{{"tea", 3.5}}},
					}}))
				r.Delete("/", asgi.Handle(deleteOrder))
			})
			r.With(auth.Optional).Get("/events", hub.SSE(channelOf).ServeHTTP)
		})
	})
	r.Post("/orders/{id}/lines.{format:csv|tsv}",
		openapi.Describe(http.HandlerFunc(plain), openapi.Operation{
			Summary: "Add lines", In: reflect.TypeFor[shopUpdate](),
			Out:      reflect.TypeFor[[]shopLine](),
			Statuses: []int{202}, Deprecated: true,
		}))
	r.Post("/shrink",
		executor.BlockingHandler(ex, shrink,
			&executor.HandlerOptions{ContentType: "image/png"}).ServeHTTP)
	r.Handle("/sum", executor.BlockingHandler(ex, sumUp, &executor.HandlerOptions{Stream: true}))
	r.Handle("/rpc", wsx.JSONRPC(methods, nil))
	r.Get("/ws", wsx.NewServer(methods, &wsx.ServerOptions{Hub: hub, Authenticate: auth}).ServeHTTP)
	r.Handle("/echo", asgi.HandleWebSocket(socket, nil))
	r.Handle("/hook", asgi.Handle(createOrder)) // for all methods, but
	r.Get("/hook", asgi.Handle(nothing))        // not for this one
	r.HandleFunc("/plain", plain)
	r.Get("/plain/{name}", plain)
	r.Get("/hidden", openapi.Describe(http.HandlerFunc(plain), openapi.Operation{Hidden: true}))
	r.Handle("/static/*", http.HandlerFunc(plain))
	r.Mount("/old", http.HandlerFunc(plain))
	chiadapter.Mount(r, "/tasks",
		taskshttp.Handler(jobs, &taskshttp.Options{Kinds: []string{"report", "clean"}}))

	inner := chi.NewRouter()
	inner.Get("/{id}", asgi.Handle(getOrder))
	app := asgi.New(inner)
	inner.Handle("/live", app.Live())
	inner.Handle("/ready", app.Ready())
	chiadapter.Mount(r, "/{tenant}/inner", app)
	r.Mount("/chi/tasks", taskshttp.Handler(jobs, &taskshttp.Options{Kinds: []string{"clean"}}))
	r.Group(func(r chi.Router) {
		r.Use(auth.Middleware)
		r.Mount("/chi/more/inner", app)
	})
	chiadapter.Mount(r, "/files", http.FileServer(http.Dir(".")))

	doc := chiadapter.OpenAPI(r, &openapi.Options{
		Title: "Shop", Version: "1.4.0", Description: "A shop.",
		License: &openapi.License{Name: "Apache 2.0", Identifier: "Apache-2.0"},
		Tags:    []openapi.Tag{{Name: "orders", Description: "What customers want."}},
		SecuritySchemes: map[string]openapi.SecurityScheme{
			"key": {Type: "apiKey", Name: "X-Key", In: "header"},
			"oauth": {
				Type: "oauth2",
				Flows: []byte(
					`{"clientCredentials":{"tokenUrl":"https://login.example/token",` +
						`"scopes":{"orders:write":"Change orders"}}}`),
			},
		},
	})
	r.Get("/openapi.json", doc.ServeHTTP)
	r.Get("/docs", openapi.Page(nil).ServeHTTP)
	return r, doc
}

func document(tb testing.TB, doc *openapi.Document) []byte {
	tb.Helper()
	var b bytes.Buffer
	if _, err := doc.WriteTo(&b); err != nil {
		tb.Fatal(err)
	}
	return b.Bytes()
}

func TestOpenAPI_OfAWholeApp(t *testing.T) {
	_, doc := shop(t)
	got := document(t, doc)
	golden(t, "openapi.json", got)
}

// golden compares with a file.
func golden(tb testing.TB, name string, got []byte) {
	tb.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, got, 0o600); err != nil {
			tb.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		tb.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		tb.Errorf("%s is another; go test -run %s ./chiadapter -update writes it:\n%s", path,
			tb.Name(), got)
	}
}

func TestOpenAPI_IsServed(t *testing.T) {
	r, doc := shop(t)
	want := document(t, doc)
	ask := func(method, etag string) *http.Response {
		req := httptest.NewRequest(method, "/openapi.json", nil)
		if etag != "" {
			req.Header.Set("If-None-Match", etag)
		}
		w := httptest.NewRecorder()
		r.ServeHTTP(w, req)
		return w.Result()
	}
	first := ask(http.MethodGet, "")
	var b bytes.Buffer
	_, _ = b.ReadFrom(first.Body)
	if first.StatusCode != 200 || first.Header.Get("Content-Type") != "application/json" ||
		!bytes.Equal(b.Bytes(), want) {
		t.Errorf("%d %v", first.StatusCode, first.Header)
	}
	if again := ask(http.MethodGet, first.Header.Get("ETag")); again.StatusCode !=
		http.StatusNotModified {
		t.Errorf("%d", again.StatusCode)
	}
	doc.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodHead, "/", nil))
	w := httptest.NewRecorder()
	doc.ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/", strings.NewReader("")))
	if w.Code != http.StatusMethodNotAllowed || w.Header().Get("Allow") != "GET, HEAD" {
		t.Errorf("%d %v", w.Code, w.Header())
	}
}

// Every operation of the document is served: what chi answers is neither 404 nor 405.
func TestOpenAPI_SaysWhatIsServed(t *testing.T) {
	r, doc := shop(t)
	var made struct {
		Paths map[string]map[string]struct {
			OperationID string `json:"operationId"`
		} `json:"paths"`
	}
	if err := json.Unmarshal(document(t, doc), &made); err != nil {
		t.Fatal(err)
	}
	fill := strings.NewReplacer("{id}", "7", "{format}", "csv", "{path}", "a/b", "{name}", "x",
		"{tenant}", "acme")
	ids := make(map[string]bool)
	for path, item := range made.Paths {
		for method, op := range item {
			if ids[op.OperationID] {
				t.Errorf("%s twice", op.OperationID)
			}
			ids[op.OperationID] = true
			if !r.Match(chi.NewRouteContext(), strings.ToUpper(method), fill.Replace(path)) {
				t.Errorf("%s %s is not served", method, path)
			}
		}
	}
}

// Every route that chi walks over is an operation, wherever it stands: before and behind
// sub-routers, in groups, mounts and mounts of mounts.
func TestOpenAPI_HasEveryRouteThatChiKnows(t *testing.T) {
	h := http.HandlerFunc(plain)
	r := chi.NewRouter()
	some := func(r chi.Router) {
		r.Get("/a", plain)
		r.Post("/a", plain)
		r.Get("/z/{id}", plain)
	}
	some(r)
	r.Route("/first", some)
	r.Route("/mid/{one}", func(r chi.Router) {
		r.Delete("/", plain)
		r.Route("/in", some)
		r.Group(func(r chi.Router) { r.Put("/in2/x", plain) })
		r.With(chimiddleware.NoCache).Patch("/in2/y", plain)
		r.Route("/out", some)
	})
	below := chi.NewRouter()
	below.Use(chimiddleware.NoCache)
	some(below)
	r.Mount("/mounted", below)
	far := chi.NewRouter()
	far.With(chimiddleware.NoCache).Mount("/again", below)
	chiadapter.Mount(r, "/own", far)
	r.Route("/tail", some)
	r.Get("/zz", plain)

	want := make(map[string]bool)
	err := chi.Walk(r,
		func(method, route string, _ http.Handler, _ ...func(http.Handler) http.Handler) error {
			want[method+" "+strings.TrimSuffix(strings.ReplaceAll(route, "/*/", "/"), "/")] = true
			return nil
		})
	if err != nil || len(want) != 25 {
		t.Fatalf("%v, %d routes", err, len(want))
	}
	got := operations(t, chiadapter.OpenAPI(r, nil))
	for operation := range want {
		if !got[operation] {
			t.Errorf("no %s", operation)
		}
	}
	if len(got) != len(want) {
		t.Errorf("%v", got)
	}
	// A method that shares its handler with all others is no operation of its own, any other is.
	shared := chi.NewRouter()
	shared.Handle("/same", h)
	shared.Handle("/other", h)
	shared.Put("/other", other)
	shared.Handle("/kinds", http.NotFoundHandler())
	shared.Method(http.MethodDelete, "/kinds", http.FileServer(http.Dir(".")))
	if got := operations(t, chiadapter.OpenAPI(shared, nil)); !maps.Equal(got,
		map[string]bool{
			"GET /same": true, "GET /other": true, "PUT /other": true,
			"GET /kinds": true, "DELETE /kinds": true,
		}) {
		t.Errorf("%v", got)
	}
}

func other(http.ResponseWriter, *http.Request) {}

func operations(tb testing.TB, doc *openapi.Document) map[string]bool {
	tb.Helper()
	var made struct {
		Paths map[string]map[string]any `json:"paths"`
	}
	if err := json.Unmarshal(document(tb, doc), &made); err != nil {
		tb.Fatal(err)
	}
	all := make(map[string]bool)
	for path, item := range made.Paths {
		for method := range item {
			all[strings.ToUpper(method)+" "+path] = true
		}
	}
	return all
}
