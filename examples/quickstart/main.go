// Command quickstart serves one typed function over HTTP and over a WebSocket, a channel that tells everybody of the results, a job
// that is watched and cancelled, and a page that uses them all.
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
	"github.com/genropy/genro-asgi-go/chiadapter/wsxtasks"
	"github.com/genropy/genro-asgi-go/middleware"
	"github.com/genropy/genro-asgi-go/tasks"
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

// newApp is the application; hooks come and go with it.
func newApp(hooks asgi.Hooks) *asgi.App {
	hub := wsx.NewHub(nil)
	hub.Configure("sums", wsx.ChannelOptions{History: 100}) // what a page misses while it reconnects is replayed
	calc := calculator{hub}
	methods := wsx.NewDispatcher()
	wsx.Handle(methods, "add", calc.add) // a method of the socket

	jobs := tasks.New(nil) // in memory
	tasks.Register(jobs, "primes", 1, countPrimes, nil)
	bridge := wsxtasks.New(jobs, hub, nil)
	bridge.Register(methods) // tasks.submit, tasks.cancel and so on; the channel tasks.ID follows a job
	server := wsx.NewServer(methods, &wsx.ServerOptions{Hub: hub})

	r := chi.NewRouter()
	r.Use(middleware.Errors(nil)) // every failure is an RFC 9457 problem
	r.Get("/", asgi.Respond(home))
	r.Post("/add", asgi.Handle(calc.add))       // the same function over HTTP
	r.Mount("/tasks", tasks.Handler(jobs, nil)) // the same jobs over HTTP
	r.Handle("/ws", server)

	app := asgi.New(r, hub, bridge, jobs, server, hooks) // components start in this order and stop in reverse
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
