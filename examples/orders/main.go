// Command orders is a typical backend: customers order over HTTP, with tokens (JWT) and an SQLite
// database, and their pages see each change over a WebSocket. README.md walks through it.
//
//	go run . token ada        prints a token for the customer ada, good for an hour
//	go run .                  serves http://127.0.0.1:8080, which /docs shows
//	go run . openapi          prints the document of the routes
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"time"

	"github.com/genropy/genro-asgi-go/asgi"
	"github.com/genropy/genro-asgi-go/openapi"
	"github.com/genropy/genro-asgi-go/tasks"
	"github.com/genropy/genro-asgi-go/tasks/filestore"
	"github.com/genropy/genro-asgi-go/tasks/memstore"
	"github.com/genropy/genro-asgi-go/wsx"
)

// config is what differs from one installation to the next.
type config struct {
	data    string   // the directory of the database and of the jobs
	origins []string // of the pages of other sites that may call
	keys    keys
}

func main() {
	if err := run(os.Args[1:]); err != nil {
		log.Fatal(err)
	}
}

func run(args []string) error {
	flags := flag.NewFlagSet("orders", flag.ExitOnError)
	addr := flags.String("addr", "127.0.0.1:8080", "address to listen on")
	data := flags.String("data", "data", "directory of the database and of the jobs")
	origin := flags.String("origin", "http://localhost:5173", "origin of the pages that may call")
	role := flags.String("role", "", "role in the token: staff or partner")
	if err := flags.Parse(args); err != nil {
		return err
	}
	cfg := config{data: *data, origins: []string{*origin}, keys: keys(os.Getenv("ORDERS_SECRET"))}
	command := flags.Arg(0)
	if command != "openapi" && len(cfg.keys) < 32 {
		return errors.New("ORDERS_SECRET, which signs the tokens, must have 32 bytes")
	}
	switch command {
	case "":
		app, err := open(cfg)
		if err != nil {
			return err
		}
		log.Printf("serving http://%s, see /docs, end with Ctrl-C", *addr)
		return app.Run(context.Background(), *addr) // drains on SIGINT and SIGTERM
	case "token":
		token, err := cfg.keys.issue(flags.Arg(1), *role, time.Hour)
		if err == nil {
			fmt.Println(token)
		}
		return err
	case "openapi": // nothing is opened or served
		_, doc, err := newApp(cfg, nil, memstore.New(), asgi.Hooks{})
		if err == nil {
			_, err = doc.WriteTo(os.Stdout)
		}
		return err
	}
	return fmt.Errorf("orders: no command %q", command)
}

// open opens what the app keeps; the app closes it when it stops.
func open(cfg config) (*asgi.App, error) {
	if err := os.MkdirAll(cfg.data, 0o700); err != nil {
		return nil, err
	}
	db, err := openStore(filepath.Join(cfg.data, "orders.db"))
	if err != nil {
		return nil, err
	}
	kept, err := filestore.Open(filepath.Join(cfg.data, "jobs"), nil)
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	app, _, err := newApp(cfg, db, kept, asgi.Hooks{
		Name:    "stores",
		OnStart: db.create,
		OnReady: db.PingContext,
		OnStop:  func(ctx context.Context) error { return errors.Join(kept.Stop(ctx), db.Close()) },
	})
	return app, err
}

// newApp joins the parts. What hooks start is there before everything else, and longer.
func newApp(cfg config, db *store, kept tasks.Store, hooks asgi.Hooks) (*asgi.App,
	*openapi.Document, error,
) {
	s := &shop{db: db, hub: wsx.NewHub(nil)}
	// what a killed process was at is taken up at once
	jobs := tasks.New(kept, &tasks.Options{Owner: "orders"})
	tasks.Register(jobs, "export", 1, s.export,
		&tasks.KindOptions{Doc: "The customer's orders as CSV."})

	methods := s.methods()
	r, components := routes(s, methods, jobs, cfg)
	// started in this order, stopped in reverse
	app := asgi.New(r, append([]asgi.Component{hooks}, components...)...)
	// of every input, at every door
	app.Validator = newValidator()
	r.Handle("/live", app.Live())
	r.Handle("/ready", app.Ready())
	doc, err := documents(r, s.hub, methods)
	return app, doc, err
}
