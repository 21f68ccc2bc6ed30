// Command asgi uses the package asgi alone, with the router of the standard library.
//
//	go run ./examples/standalone/asgi
//	curl http://127.0.0.1:8080/hello/Ada?times=2
package main

import (
	"context"
	"log"
	"net/http"
	"strings"

	"github.com/genropy/genro-asgi-go/asgi"
)

type helloIn struct {
	Name  string `path:"name"`
	Times int    `query:"times"`
}

func (in helloIn) Validate() error {
	if in.Times < 0 || in.Times > 10 {
		return asgi.FieldError{In: "query", Pointer: "/times", Detail: "must be from 0 to 10"}
	}
	return nil
}

type helloOut struct {
	Greeting string `json:"greeting"`
}

func hello(_ context.Context, in helloIn) (helloOut, error) {
	return helloOut{strings.Repeat("Hello, ", max(1, in.Times)) + in.Name}, nil
}

func routes() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /hello/{name}", asgi.Handle(hello))
	mux.Handle("GET /{$}", asgi.Respond(func(*asgi.Request) (asgi.Response, error) {
		return asgi.Redirect("/hello/you"), nil
	}))
	return mux
}

func main() {
	if err := asgi.New(routes()).Run(context.Background(), "127.0.0.1:8080"); err != nil {
		log.Fatal(err)
	}
}
