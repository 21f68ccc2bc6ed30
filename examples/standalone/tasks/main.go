// Command tasks builds reports of sales, which takes a while, as tasks: submitted, watched,
// cancelled and fetched over HTTP.
//
//	go run ./examples/standalone/tasks -dir /tmp/tasks
//	curl --json '{"file":"sales.csv","by":"region","pace_ms":100}' localhost:8080/tasks/report
//	curl -N localhost:8080/tasks/events
//	curl 'localhost:8080/tasks/?state=running'
//
// docs/tasks.md goes on from there. The kind collatz computes in a worker process, so that
// cancelling one that loops for ever kills it.
package main

import (
	"context"
	"embed"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"log"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/genropy/genro-asgi-go/executor"
	"github.com/genropy/genro-asgi-go/tasks"
	"github.com/genropy/genro-asgi-go/tasks/filestore"
	"github.com/genropy/genro-asgi-go/tasks/memstore"
	"github.com/genropy/genro-asgi-go/tasks/taskshttp"
)

//go:embed sales.csv
var sales embed.FS

type collatzIn struct {
	N int `json:"n"`
}

type collatzOut struct {
	Steps int `json:"steps"`
}

// collatz counts the steps from N to 1. Nobody has proved that it ends for every N above 0; for 0
// it never does.
var collatz = tasks.NewIsolated("collatz",
	func(ctx context.Context, in collatzIn) (collatzOut, error) {
		run := tasks.RunFrom(ctx)
		steps := 0
		for n := in.N; n != 1; steps++ {
			if steps%(1<<24) == 1<<24-1 {
				if err := run.Progress(tasks.Progress{Message: fmt.Sprint(steps, " steps")}); err !=
					nil {
					return collatzOut{}, err
				}
			}
			if n%2 == 0 {
				n /= 2
			} else {
				n = 3*n + 1
			}
		}
		return collatzOut{steps}, nil
	})

func main() {
	executor.Main() // in a worker process: runs tasks and never returns
	var c config
	flag.StringVar(&c.addr, "addr", "127.0.0.1:8080",
		"address to listen on; port 0 is any that is free")
	flag.StringVar(&c.dir, "dir", "",
		"directory that keeps the tasks; without one they are forgotten with the process")
	flag.StringVar(&c.data, "data", "", "directory of the tables; by default there is sales.csv")
	flag.DurationVar(&c.grace, "grace", 5*time.Second, "how long tasks may go on after SIGTERM")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the program at once
	if err := run(ctx, c); err != nil {
		log.Fatal(err)
	}
}

type config struct {
	addr, dir, data string
	grace           time.Duration
}

// run serves until ctx ends.
func run(ctx context.Context, c config) (err error) {
	var files fs.FS = sales
	if c.data != "" {
		root, err := os.OpenRoot(c.data)
		if err != nil {
			return err
		}
		defer root.Close()
		files = root.FS()
	}
	var store tasks.Store = memstore.New()
	if c.dir != "" {
		kept, err := filestore.Open(c.dir, nil)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, kept.Stop(context.Background())) }()
		store = kept
	}
	ex := executor.New(&executor.Options{Workers: 2})
	if err := ex.Start(ctx); err != nil {
		return err
	}
	jobs := newJobs(store, ex, files)
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", c.addr)
	if err == nil {
		err = jobs.Start(ctx)
	}
	web := &http.Server{Handler: routes(jobs), ReadHeaderTimeout: 5 * time.Second}
	ended := make(chan error, 1)
	if err == nil {
		fmt.Printf("listening on http://%s\n", l.Addr())
		go func() { ended <- web.Serve(l) }()
		select {
		case err = <-ended:
		case <-ctx.Done():
		}
	}
	// Tasks that run may end, and be watched, for a while; those that have not ended by then begin
	// again from their checkpoint at the next start.
	grace, cancel := context.WithTimeout(context.Background(), c.grace)
	defer cancel()
	err = errors.Join(err, jobs.Stop(grace))
	last, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	return errors.Join(err, web.Shutdown(last), ex.Stop(last))
}

func newJobs(store tasks.Store, ex *executor.Executor, files fs.FS) *tasks.Manager {
	jobs := tasks.New(store, &tasks.Options{
		Executor: ex,
		// the only process of its store: what it held when it died it takes up again at once
		Owner: "reports",
		Queues: map[string]tasks.QueueOptions{
			"reports": {Concurrency: 4},
			"compute": {Concurrency: 2}, // as many as there are workers
		},
	})
	tasks.Register(jobs, "report", 1, reporter{files}.build, &tasks.KindOptions{
		Queue: "reports",
		Retry: tasks.RetryPolicy{Attempts: 3},
		Doc:   "Sums up the sales of a table by region, product or month.",
	})
	tasks.RegisterIsolated(jobs, 1, collatz, &tasks.KindOptions{
		Queue:   "compute",
		Timeout: time.Minute,
		Doc:     "Counts the steps of the Collatz sequence from n to 1.",
	})
	return jobs
}

func routes(jobs *tasks.Manager) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/tasks/", http.StripPrefix("/tasks", taskshttp.Handler(jobs, &taskshttp.Options{
		// what clients may submit and see; it is everybody here, as there is no Authorize
		Kinds: []string{"report", "collatz"},
		Title: "Reports",
	})))
	return mux
}
