// Command wsx uses the package wsx alone, with net/http's server and no router.
//
//	go run ./examples/standalone/wsx
//	go run ./examples/standalone/wsxclient -url ws://127.0.0.1:8080 add '{"a":2,"b":40}'
package main

import (
	"context"
	"errors"
	"log"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/genropy/genro-asgi-go/wsx"
)

type addIn struct {
	A int `json:"a"`
	B int `json:"b"`
}

type addOut struct {
	Sum int `json:"sum"`
}

func methods() *wsx.Dispatcher {
	d := wsx.NewDispatcher()
	wsx.Handle(d, "add", func(_ context.Context, in addIn) (addOut, error) {
		return addOut{in.A + in.B}, nil
	})
	wsx.Handle(d, "countdown", func(ctx context.Context, in int) (string, error) {
		for n := min(in, 10); n > 0; n-- {
			if err := wsx.ConnFrom(ctx).Notify(ctx, "tick", n); err != nil {
				return "", err
			}
		}
		return "lift-off", nil
	})
	return d
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:8080")
	if err == nil {
		err = serve(ctx, l)
	}
	stop()
	if err != nil {
		log.Fatal(err)
	}
}

// serve serves until ctx ends.
func serve(ctx context.Context, l net.Listener) error {
	sockets := wsx.NewServer(methods(), nil)
	server := &http.Server{Handler: sockets, ReadHeaderTimeout: 5 * time.Second}
	served := make(chan error, 1)
	go func() { served <- server.Serve(l) }()
	select {
	case err := <-served:
		return err
	case <-ctx.Done():
	}
	stopping, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	// Shutdown knows nothing of sockets
	err := errors.Join(sockets.Stop(stopping), server.Shutdown(stopping))
	if end := <-served; !errors.Is(end, http.ErrServerClosed) {
		err = errors.Join(err, end)
	}
	return err
}
