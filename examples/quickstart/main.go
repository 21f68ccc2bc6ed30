// Command quickstart serves one typed function over HTTP and over a WebSocket, and a page that calls it.
//
//	go run ./examples/quickstart
package main

import (
	"context"
	_ "embed"
	"flag"
	"log"

	"github.com/go-chi/chi/v5"

	"github.com/genropy/genro-asgi-go/asgi"
	"github.com/genropy/genro-asgi-go/middleware"
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

func add(_ context.Context, in addIn) (addOut, error) { return addOut{in.A + in.B}, nil }

func home(*asgi.Request) (asgi.Response, error) { return asgi.HTML(page), nil }

// newApp is the application; hooks come and go with it.
func newApp(hooks asgi.Hooks) *asgi.App {
	methods := wsx.NewDispatcher()
	wsx.Handle(methods, "add", add) // a method of the socket
	server := wsx.NewServer(methods, nil)

	r := chi.NewRouter()
	r.Use(middleware.Errors(nil)) // every failure is an RFC 9457 problem
	r.Get("/", asgi.Respond(home))
	r.Post("/add", asgi.Handle(add)) // the same function over HTTP
	r.Handle("/ws", server)

	app := asgi.New(r, server, hooks) // components start in this order and stop in reverse
	r.Handle("/ready", app.Ready())
	return app
}

func main() {
	addr := flag.String("addr", "127.0.0.1:8080", "address to listen on")
	flag.Parse()
	app := newApp(asgi.Hooks{
		Name:    "hello",
		OnStart: func(context.Context) error { log.Printf("open http://%s, end with Ctrl-C", *addr); return nil },
		OnStop:  func(context.Context) error { log.Print("stopping"); return nil },
	})
	if err := app.Run(context.Background(), *addr); err != nil { // drains on SIGINT and SIGTERM
		log.Fatal(err)
	}
}
