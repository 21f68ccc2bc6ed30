// Command conformance is the server that client authors and the conformance vectors test against,
// as section 8 of the protocol describes it.
//
//	go run ./examples/conformance -addr 127.0.0.1:9321
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/go-chi/chi/v5"

	"github.com/genropy/genro-asgi-go/wsx"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdout)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// run serves until ctx ends.
func run(ctx context.Context, args []string, out io.Writer) error {
	flags := flag.NewFlagSet("conformance", flag.ContinueOnError)
	addr := flags.String("addr", "127.0.0.1:9321", "address to listen on; port 0 picks one")
	origins := flags.String("origins", "", "further origins to accept, separated by commas")
	if err := flags.Parse(args); err != nil {
		return err
	}
	hub := channels()
	describe := &wsx.DescribeOptions{Title: "Conformance", Version: "1.0.0", Hub: hub}
	opts := &wsx.ServerOptions{
		Hub: hub, HTTP: tunnelled(), Describe: describe,
		Logger: slog.New(slog.NewTextHandler(os.Stderr, nil)),
	}
	if *origins != "" {
		opts.AllowedOrigins = strings.Split(*origins, ",")
	}
	d := methods(hub)
	open := wsx.NewServer(d, opts)
	opts.Authenticate, opts.Describe = authenticate, nil // NewServer has copied the options
	closed := wsx.NewServer(d, opts)

	r := chi.NewRouter()
	r.Handle("/ws", open)
	r.Handle("/ws-auth", closed)
	r.Handle("/rpc", wsx.JSONRPC(d, &wsx.JSONRPCOptions{Describe: describe, Logger: opts.Logger}))

	ln, err := new(net.ListenConfig).Listen(ctx, "tcp", *addr)
	if err != nil {
		return err
	}
	hs := &http.Server{Handler: r, ReadHeaderTimeout: 5 * time.Second}
	served := make(chan error, 1)
	go func() { served <- hs.Serve(ln) }()
	fmt.Fprintln(out, "listening on", ln.Addr())

	select {
	case err := <-served:
		return err
	case <-ctx.Done():
	}
	stopping, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	var stops sync.WaitGroup
	var errOpen, errClosed error
	stops.Go(func() { errOpen = open.Stop(stopping) })
	stops.Go(func() { errClosed = closed.Stop(stopping) })
	stops.Wait()
	err = errors.Join(errOpen, errClosed, hub.Stop(stopping), hs.Shutdown(stopping))
	if end := <-served; !errors.Is(end, http.ErrServerClosed) {
		err = errors.Join(err, end)
	}
	return err
}
