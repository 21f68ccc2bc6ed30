// Command chiadapter uses the package chiadapter alone, in a chi app.
//
//	go run ./examples/standalone/chiadapter
//	curl -i -X DELETE http://127.0.0.1:8080/orders/7
package main

import (
	"embed"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"time"

	"github.com/go-chi/chi/v5"

	"github.com/genropy/genro-asgi-go/chiadapter"
)

//go:embed terms.txt
var files embed.FS

// order is the pattern of a route: it registers it and makes links to it.
const order = "/orders/{id}"

// routes is the app; labels gets the route of each request, as a metric would.
func routes(labels io.Writer) (http.Handler, error) {
	r := chi.NewRouter()
	r.Use(func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			next.ServeHTTP(w, r)
			fmt.Fprintln(labels, chiadapter.Route(r))
		})
	})
	chiadapter.Problems(r) // 404 and 405 as RFC 9457 problems
	r.Get(order,
		func(w http.ResponseWriter, r *http.Request) {
			fmt.Fprintln(w, "order", r.PathValue("id"))
		})
	r.Get("/newest", func(w http.ResponseWriter, r *http.Request) {
		link, err := chiadapter.URLFor(order, "id", "7")
		if err != nil {
			http.Error(w, "no link", http.StatusInternalServerError)
			return
		}
		http.Redirect(w, r, link, http.StatusFound)
	})
	chiadapter.Mount(r, "/files", http.FileServerFS(files)) // which knows nothing of the prefix
	// no CORS where chi never sends it preflights
	return r, chiadapter.Check(r)
}

func main() {
	r, err := routes(os.Stdout)
	if err != nil {
		log.Fatal(err)
	}
	server := &http.Server{Addr: "127.0.0.1:8080", Handler: r, ReadHeaderTimeout: 5 * time.Second}
	log.Fatal(server.ListenAndServe())
}
