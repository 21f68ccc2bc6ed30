package chiadapter_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"

	"github.com/go-chi/chi/v5"

	"github.com/genropy/genro-asgi-go/asgi"
	"github.com/genropy/genro-asgi-go/chiadapter"
	"github.com/genropy/genro-asgi-go/openapi"
)

func ExampleOpenAPI() {
	type getOrder struct {
		ID int `path:"id"`
	}
	r := chi.NewRouter()
	r.Route("/orders", func(r chi.Router) {
		r.Use(openapi.Defaults(openapi.Operation{Tags: []string{"orders"}}))
		r.Get("/{id:[0-9]+}",
			asgi.HandleWith(func(context.Context, getOrder) (string, error) { return "open", nil },
				&asgi.HandleOptions{
					Operation: openapi.Operation{
						ID:     "getOrder",
						Errors: []int{http.StatusNotFound},
					},
				}))
	})
	doc := chiadapter.OpenAPI(r, &openapi.Options{Title: "Orders", Version: "1.4.0"})
	r.Get("/openapi.json", doc.ServeHTTP)

	var text strings.Builder
	_, err := doc.WriteTo(&text) // the same that is served
	fmt.Println(err, strings.Contains(text.String(), `"operationId": "getOrder"`))
	// Output: <nil> true
}
