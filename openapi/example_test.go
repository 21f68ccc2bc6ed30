package openapi_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"reflect"
	"slices"
	"strings"

	"github.com/genropy/genro-asgi-go/asgi"
	"github.com/genropy/genro-asgi-go/openapi"
)

// The document of routes that no chi router has.
func ExampleNew() {
	type getOrder struct {
		ID int `path:"id"`
	}
	type order struct {
		State string `json:"state"`
	}
	get := asgi.HandleWith(func(context.Context, getOrder) (order, error) {
		return order{"open"}, nil
	},
		&asgi.HandleOptions{
			Operation: openapi.Operation{Summary: "One order", Errors: []int{http.StatusNotFound}},
		})
	mux := http.NewServeMux()
	mux.Handle("GET /orders/{id}", get)

	doc := openapi.New(slices.Values([]openapi.Route{{Pattern: "GET /orders/{id}", Handler: get}}),
		&openapi.Options{Title: "Orders"})
	mux.Handle("GET /openapi.json", doc)
	mux.Handle("GET /docs", openapi.Page(nil))
	var text strings.Builder
	_, err := doc.WriteTo(&text) // for a file that CI compares
	fmt.Println(err, strings.Contains(text.String(), `"operationId": "getOrdersById"`))
	// Output: <nil> true
}

// A handler that knows nothing of types gets them for the document.
func ExampleDescribe() {
	type filter struct {
		State string `query:"state"`
	}
	export := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte("id,state\n"))
	})
	csv := openapi.Describe(export, openapi.Operation{
		Summary: "All orders", In: reflect.TypeFor[filter](), Produces: []string{"text/csv"},
	})
	mux := http.NewServeMux()
	mux.Handle("GET /orders.csv", csv)

	var text strings.Builder
	_, err := openapi.New(
		slices.Values([]openapi.Route{{Pattern: "GET /orders.csv", Handler: csv}}),
		nil).WriteTo(&text)
	fmt.Println(err, strings.Contains(text.String(), `"name": "state"`),
		strings.Contains(text.String(), `"text/csv"`))
	// Output: <nil> true true
}

// Defaults say of all routes below a middleware what they have in common.
func ExampleDefaults() {
	get := asgi.Handle(func(context.Context, struct{}) (string, error) { return "open", nil })
	orders := openapi.Defaults(openapi.Operation{
		Tags: []string{"orders"}, Errors: []int{http.StatusTooManyRequests},
	})
	routes := []openapi.Route{{
		Method: "GET", Pattern: "/orders/state", Handler: get,
		Middlewares: []func(http.Handler) http.Handler{orders}, // a chi router knows them itself
	}}
	var text strings.Builder
	_, err := openapi.New(slices.Values(routes), nil).WriteTo(&text)
	fmt.Println(err, strings.Contains(text.String(), `"orders"`),
		strings.Contains(text.String(), `"429"`))
	// Output: <nil> true true
}

// The page shows the document, and tries what it describes.
func ExamplePage() {
	page := openapi.Page(&openapi.PageOptions{OpenAPI: "/openapi.json"})
	w := httptest.NewRecorder()
	page.ServeHTTP(w, httptest.NewRequest("GET", "/docs", nil))
	fmt.Println(w.Code, w.Header().Get("Content-Type"))
	// Output: 200 text/html; charset=utf-8
}
