package openapi_test

import (
	"bytes"
	"context"
	"errors"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/genropy/genro-asgi-go/asgi"
	"github.com/genropy/genro-asgi-go/openapi"
	"github.com/genropy/genro-asgi-go/problem"
)

func TestDocument_SaysWhatCannotBe(t *testing.T) {
	h := asgi.Handle(ping)
	for want, d := range map[string]*openapi.Document{
		"GET /a/{x:[0-9]+} and GET /a/{y} are one operation in OpenAPI": doc(nil,
			get("/a/{x:[0-9]+}", h), get("/a/{y}", h)),
		`GET /a and GET /b both have the operationId "x"`: doc(nil,
			get("/a", asgi.HandleWith(ping, with(openapi.Operation{ID: "x"}))),
			get("/b", asgi.HandleWith(ping, with(openapi.Operation{ID: "x"})))),
		`GET /a: there is no security scheme "none"`: doc(nil,
			get("/a",
				asgi.HandleWith(ping,
					with(openapi.Operation{Security: []openapi.Requirement{{"none": nil}}})))),
		"the example func()": doc(nil,
			get("/a", asgi.HandleWith(ping, with(openapi.Operation{Response: func() {}})))),
		"flows": doc(
			&openapi.Options{
				SecuritySchemes: map[string]openapi.SecurityScheme{
					"x": {Type: "oauth2", Flows: []byte(`{`)},
				},
			}),
	} {
		if _, err := d.WriteTo(&bytes.Buffer{}); err == nil ||
			!strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
		w := httptest.NewRecorder()
		d.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/openapi.json", nil))
		if w.Code != 500 || strings.Contains(w.Body.String(), want) {
			t.Errorf("%d %s", w.Code, w.Body)
		}
	}
}

func TestDocument_NilArgumentsPanic(t *testing.T) {
	for name, f := range map[string]func(){
		"New":      func() { openapi.New(nil, nil) },
		"Describe": func() { openapi.Describe(nil, openapi.Operation{}) },
	} {
		func() {
			defer func() {
				if v := recover(); v == nil {
					t.Errorf("%s takes nil", name)
				}
			}()
			f()
		}()
	}
}

// A document is made of the routes that there are when it is first used, and once.
func TestDocument_IsMadeOnFirstUse(t *testing.T) {
	asked := 0
	var routes []openapi.Route
	d := openapi.New(func(yield func(openapi.Route) bool) {
		asked++
		for _, r := range routes {
			if !yield(r) {
				return
			}
		}
	}, nil)
	routes = append(routes, get("/a", asgi.Handle(ping)))
	first := read(t, d)
	routes = append(routes, get("/b", asgi.Handle(ping)))
	if again := read(t, d); asked != 1 || !bytes.Equal(first.raw, again.raw) ||
		len(first.operations()) != 1 {
		t.Errorf("asked %d times, %q", asked, first.operations())
	}
	failing := errors.New("disk full")
	if _, err := d.WriteTo(writer{failing}); !errors.Is(err, failing) {
		t.Error(err)
	}
}

type writer struct{ err error }

func (w writer) Write([]byte) (int, error) { return 0, w.err }

// Names are those of the types, whatever the order of the routes, and one route more changes no
// other. Many ids and names of types meet here, and each order gives the same to the same.
func TestDocument_DoesNotDependOnTheOrderOfRoutes(t *testing.T) {
	routes := []openapi.Route{
		get("/things", asgi.Handle(find)), get("/things/{id}", asgi.Handle(getThing)),
		post("/things", asgi.Handle(makeThing)),
		{Method: "PUT", Pattern: "/things/{id}", Handler: asgi.Handle(putThing)},
		get("/ping", asgi.Handle(ping)),
	}
	stock := make(map[string]int) // as an example: Go walks over a map in another order each time
	for i := range 20 {
		stock[strconv.Itoa(i)] = i
	}
	count := func(_ context.Context, in map[string]int) (map[string]int, error) { return in, nil }
	routes = append(routes,
		post("/count",
			asgi.HandleWith(count, with(openapi.Operation{Request: stock, Response: stock}))))
	for _, c := range "-_.~!$&+" {
		routes = append(routes, get("/a"+string(c)+"b", asgi.Handle(ping)),
			post("/a"+string(c)+"b", asgi.Handle(ping)))
	}
	want := read(t, doc(nil, routes...))
	order := slices.Clone(routes)
	random := rand.New(rand.NewPCG(1, 2))
	for range 20 {
		random.Shuffle(len(order), func(i, j int) { order[i], order[j] = order[j], order[i] })
		if got := read(t, doc(nil, order...)); !bytes.Equal(got.raw, want.raw) {
			t.Fatalf("%s\nand\n%s", got.raw, want.raw)
		}
	}
}

// Problem is the schema of errors, whatever types a program has.
func TestDocument_AProblemOfTheProgram(t *testing.T) {
	type Problem struct{ Puzzle string }
	solve := func(context.Context, Problem) (*problem.Error, error) { return nil, nil }
	read(t, doc(nil, post("/solve", asgi.Handle(solve)))).is(map[string]string{
		"/components/schemas/" +
			"Problem/required": `["title","status"]`,
		"/components/schemas/Problem2/" +
			"properties": `{"Puzzle":{"type":"string"}}`,
		"/paths/~1solve/post/requestBody/content/" +
			"application~1json/schema": `{"$ref":"#/components/schemas/Problem2"}`,
		"/paths/~1solve/post/responses/200/content/application~1json/schema/" +
			"anyOf/0/$ref": `"#/components/schemas/Problem"`,
	})
}
