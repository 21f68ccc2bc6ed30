package main

import (
	"context"
	"net/http"

	"github.com/go-chi/chi/v5"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/genropy/genro-asgi-go/asgi"
	"github.com/genropy/genro-asgi-go/chiadapter"
	"github.com/genropy/genro-asgi-go/middleware"
	"github.com/genropy/genro-asgi-go/openapi"
	"github.com/genropy/genro-asgi-go/tasks"
	"github.com/genropy/genro-asgi-go/wsx"
)

// op is what the document says of a route beyond its types: its name in clients, what it does, and
// the errors of its function.
func op(id, summary string, errors ...int) *asgi.HandleOptions {
	return &asgi.HandleOptions{
		Operation: openapi.Operation{
			ID: id, Summary: summary, Tags: []string{"orders"},
			Errors: errors,
		},
	}
}

// routes are all that there is, and the components that they need.
func routes(s *shop, methods *wsx.Dispatcher, jobs *tasks.Manager, cfg config) (*chi.Mux,
	[]asgi.Component,
) {
	s.openChannels()
	bridge := jobsOverSocket(s, jobs)
	bridge.Register(methods) // tasks.submit and so on, and for each job the channel tasks.ID
	sockets := wsx.NewServer(methods,
		&wsx.ServerOptions{
			Hub: s.hub, Authenticate: cfg.keys.authenticate,
			AllowedOrigins: cfg.origins,
		})

	attachment := op("getAttachment", "An attachment", 404)
	attachment.Operation.Produces = attachmentTypes
	imported := op("importOrder", "An order of a marketplace, by a partner", 403)
	imported.Lenient = true // marketplaces add members as they like

	r := chi.NewRouter()
	r.Use(middleware.Errors(nil), middleware.CORS(&middleware.CORSOptions{
		AllowedOrigins: cfg.origins,
		AllowedMethods: []string{"GET", "POST", "PUT", "DELETE"},
		AllowedHeaders: []string{"Authorization", "Content-Type", "Idempotency-Key"},
		ExposedHeaders: []string{"Location"},
	}))
	chiadapter.Problems(r)
	r.Handle("/ws", sockets)
	r.Group(func(r chi.Router) {
		r.Use(wsx.Authenticator(cfg.keys.authenticate).Middleware) // 401 for whoever has no token
		r.Get("/orders", asgi.HandleWith(s.list, op("listOrders", "The orders, newest first")))
		r.Post("/orders", asgi.HandleWith(s.create, op("createOrder", "Order something")))
		r.Get("/orders/{id}", asgi.HandleWith(s.get, op("getOrder", "One order", 404)))
		r.Put("/orders/{id}",
			asgi.HandleWith(s.update, op("updateOrder", "Change an order that is open", 404, 409)))
		r.Post("/orders/{id}/cancel",
			asgi.HandleWith(s.cancel, op("cancelOrder", "Cancel an order that is open", 404, 409)))
		r.Post("/orders/{id}/send",
			asgi.HandleWith(s.send,
				op("sendOrder", "Say that an order is on its way, by staff", 403, 404, 409)))
		r.With((&asgi.Limits{Body: 5 << 20}).Wrap).
			Post("/orders/{id}/attachments",
				asgi.HandleWith(s.attach, op("attach", "Attach a PDF, a JPEG or a PNG", 404, 415)))
		r.Get("/orders/{id}/attachments/{attachment}", asgi.HandleWith(s.attachment, attachment))
		r.Post("/import", asgi.HandleWith(s.imported, imported))
		r.Method("GET", "/events", s.hub.SSE(func(r *http.Request) (string, error) {
			return channelOf(userFrom(r.Context()).name), nil // for pages without a WebSocket
		}))
		r.Method("POST", "/rpc", wsx.JSONRPC(methods, nil))
		chiadapter.Mount(r, "/jobs", jobsOverHTTP(jobs))
	})
	return r, []asgi.Component{s.hub, bridge, jobs, sockets}
}

// documents serves what there is, for people and for generators of clients, and returns the one of
// the routes.
func documents(r *chi.Mux, hub *wsx.Hub, methods *wsx.Dispatcher) (*openapi.Document, error) {
	doc := chiadapter.OpenAPI(r, &openapi.Options{
		Title: "Orders", Version: "1.0.0",
		License: &openapi.License{Name: "Apache 2.0", Identifier: "Apache-2.0"},
		Tags: []openapi.Tag{
			{Name: "orders", Description: "From the customer's wish to the parcel."},
		},
		SecuritySchemes: map[string]openapi.SecurityScheme{"bearer": openapi.BearerAuth("JWT")},
	})
	r.Get("/openapi.json", doc.ServeHTTP)
	openRPC, asyncAPI, err := methods.Documents(
		&wsx.DescribeOptions{Title: "Orders", Version: "1.0.0", Hub: hub})
	if err != nil {
		return nil, err
	}
	hidden := &asgi.HandleOptions{Operation: openapi.Operation{Hidden: true}}
	r.Get("/openrpc.json",
		asgi.HandleWith(func(context.Context, struct{}) (jsontext.Value, error) {
			return openRPC, nil
		}, hidden))
	r.Get("/asyncapi.json",
		asgi.HandleWith(func(context.Context, struct{}) (jsontext.Value, error) {
			return asyncAPI, nil
		}, hidden))
	r.Handle("/docs", openapi.Page(&openapi.PageOptions{
		OpenAPI: "/openapi.json", OpenRPC: "/openrpc.json", AsyncAPI: "/asyncapi.json",
		WebSocket: "/ws", JSONRPC: "/rpc",
	}))
	return doc, nil
}
