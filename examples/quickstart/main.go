// Command quickstart serves one typed function over HTTP and over a WebSocket, a channel that tells
// everybody of the results, a job that is watched and cancelled, and a page that uses them all.
//
//	go run ./examples/quickstart
package main

import (
	"context"
	_ "embed"
	"errors"
	"flag"
	"log"
	"os"
	"syscall"

	"github.com/go-chi/chi/v5"

	"github.com/genropy/genro-asgi-go/asgi"
	"github.com/genropy/genro-asgi-go/chiadapter"
	"github.com/genropy/genro-asgi-go/chiadapter/wsxtasks"
	"github.com/genropy/genro-asgi-go/middleware"
	"github.com/genropy/genro-asgi-go/openapi"
	"github.com/genropy/genro-asgi-go/tasks"
	"github.com/genropy/genro-asgi-go/tasks/memstore"
	"github.com/genropy/genro-asgi-go/tasks/taskshttp"
	"github.com/genropy/genro-asgi-go/wsx"
)

//go:embed index.html
var page string

type addIn struct {
	A int `json:"a"`
	B int `json:"b"`
}

type addOut struct {
	Sum int `json:"sum"`
}

// calculator adds and tells the channel sums.
type calculator struct{ hub *wsx.Hub }

func (c calculator) add(ctx context.Context, in addIn) (addOut, error) {
	out := addOut{in.A + in.B}
	_, err := c.hub.Publish(ctx, "sums", out)
	return out, err
}

func home(*asgi.Request) (asgi.Response, error) { return asgi.HTML(page), nil }

// newApp is the application, with the document of its routes; hooks come and go with it.
func newApp(hooks asgi.Hooks) (*asgi.App, *openapi.Document) {
	hub := wsx.NewHub(nil)
	// what a page misses while it reconnects is replayed
	hub.Configure("sums", &wsx.ChannelOptions{History: 100})
	calc := calculator{hub}
	methods := wsx.NewDispatcher()
	wsx.Handle(methods, "add", calc.add) // a method of the socket

	jobs := tasks.New(memstore.New(), nil) // in memory
	tasks.Register(jobs, "primes", 1, countPrimes, nil)
	// the kinds that clients may submit
	bridge := wsxtasks.New(jobs, hub, &wsxtasks.Options{Kinds: []string{"primes"}})
	// tasks.submit, tasks.cancel and so on; the channel tasks.ID follows a job
	bridge.Register(methods)
	server := wsx.NewServer(methods,
		&wsx.ServerOptions{Hub: hub, Describe: &wsx.DescribeOptions{Hub: hub}})

	r := chi.NewRouter()
	r.Use(middleware.Errors(nil)) // every failure is an RFC 9457 problem
	r.Method("GET", "/",
		openapi.Describe(asgi.Respond(home),
			openapi.Operation{Summary: "The page", Produces: []string{"text/html"}}))
	// the same function over HTTP
	r.Post("/add", asgi.Handle(calc.add))
	// the same jobs over HTTP
	chiadapter.Mount(r, "/tasks",
		taskshttp.Handler(jobs, &taskshttp.Options{Kinds: []string{"primes"}}))
	r.Handle("/ws", server)

	doc := chiadapter.OpenAPI(r, &openapi.Options{
		Title: "Quickstart", Version: "1.0.0",
		License: &openapi.License{Name: "Apache 2.0", Identifier: "Apache-2.0"},
	})
	r.Get("/openapi.json", doc.ServeHTTP)
	// shows it and what the socket has, and tries both
	r.Get("/docs", openapi.Page(&openapi.PageOptions{WebSocket: "/ws"}).ServeHTTP)

	// components start in this order and stop in reverse
	app := asgi.New(r, hub, bridge, jobs, server, hooks)
	r.Handle("/ready", app.Ready())
	return app, doc
}

func main() {
	addr := flag.String("addr", "127.0.0.1:8080", "address to listen on")
	describe := flag.Bool("openapi", false, "print the OpenAPI document and serve nothing")
	flag.Parse()
	app, doc := newApp(asgi.Hooks{
		Name: "hello",
		OnStart: func(context.Context) error {
			log.Printf("open http://%s, end with Ctrl-C", *addr)
			return nil
		},
		OnStop: func(context.Context) error { log.Print("stopping"); return nil },
	})
	if *describe {
		if _, err := doc.WriteTo(os.Stdout); err != nil {
			log.Fatal(err)
		}
		return
	}
	err := app.Run(context.Background(), *addr) // drains on SIGINT and SIGTERM
	if errors.Is(err, syscall.EADDRINUSE) {
		log.Fatalf("%v; choose another with -addr, or make demo ADDR=127.0.0.1:8081", err)
	}
	if err != nil {
		log.Fatal(err)
	}
}
