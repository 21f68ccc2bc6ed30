// Command middleware uses the package middleware alone, around the router of the standard library.
//
//	go run ./examples/standalone/middleware
//	curl -i http://127.0.0.1:8080/panic
package main

import (
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"time"

	"github.com/genropy/genro-asgi-go/middleware"
)

// handler is the app; logged gets a line for each request.
func handler(logged io.Writer) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /hello",
		func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "hello") })
	mux.HandleFunc("GET /panic",
		func(http.ResponseWriter, *http.Request) { panic("as happens in apps") })

	access := middleware.Base(func(w *middleware.Writer, r *http.Request, next http.Handler) {
		w.BeforeHeader(func(int) { w.Header().Set("X-Content-Type-Options", "nosniff") })
		next.ServeHTTP(w, r)
		fmt.Fprintf(logged, "%s %s: %d, %d bytes\n", r.Method, r.URL.Path, w.Status(), w.Bytes())
	})
	failures := middleware.Errors(nil) // panics and plain errors become RFC 9457 problems
	cors := middleware.CORS(
		&middleware.CORSOptions{AllowedOrigins: []string{"https://app.example"}})
	return access(failures(cors(mux)))
}

func main() {
	server := &http.Server{
		Addr: "127.0.0.1:8080", Handler: handler(os.Stdout),
		ReadHeaderTimeout: 5 * time.Second,
	}
	log.Fatal(server.ListenAndServe())
}
