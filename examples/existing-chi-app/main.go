// Command existing-chi-app is an ordinary chi app to which three lines were added, those marked
// "added", and the file live.go with its methods. Its pages can now call it over a WebSocket;
// nothing else changed.
//
//	go run ./examples/existing-chi-app
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strconv"
	"syscall"
	"time"

	"github.com/go-chi/chi/v5"
	"github.com/go-chi/chi/v5/middleware"
)

func main() {
	addr := flag.String("addr", "127.0.0.1:8080", "address to listen on")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", *addr)
	if err == nil {
		log.Printf("listening on %s", l.Addr())
		err = run(ctx, l)
	}
	stop()
	if err != nil {
		log.Fatal(err)
	}
}

// run serves until ctx ends.
func run(ctx context.Context, l net.Listener) error {
	book := newNotebook("buy milk", "water the plants")
	r := routes(book)
	live := newLive(book)                                  // added: the methods, as a handler
	r.Handle("/live", live)                                // added: where clients find them
	defer func() { _ = live.Stop(context.Background()) }() // added: let calls finish at the end

	server := &http.Server{Handler: r, ReadHeaderTimeout: 5 * time.Second}
	served := make(chan error, 1)
	go func() { served <- server.Serve(l) }()
	select {
	case err := <-served:
		return err
	case <-ctx.Done():
	}
	stopping, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	err := server.Shutdown(stopping)
	if end := <-served; !errors.Is(end, http.ErrServerClosed) {
		err = errors.Join(err, end)
	}
	return err
}

func routes(book *notebook) *chi.Mux {
	r := chi.NewRouter()
	r.Use(middleware.RequestID, middleware.Recoverer, middleware.Timeout(30*time.Second))
	r.Get("/notes/{number}", func(w http.ResponseWriter, r *http.Request) {
		number, err := strconv.Atoi(chi.URLParam(r, "number"))
		if err != nil {
			http.Error(w, "a note has a number", http.StatusBadRequest)
			return
		}
		text, ok := book.get(number)
		if !ok {
			http.Error(w, "no such note", http.StatusNotFound)
			return
		}
		fmt.Fprintln(w, text)
	})
	r.Get("/panic", func(http.ResponseWriter, *http.Request) { panic("as happens in apps") })
	return r
}
