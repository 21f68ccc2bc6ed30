package executor

import (
	"net/http"
	"reflect"

	operations "github.com/genropy/genro-asgi-go/internal/describe"
)

// endpoint is what the handler serves.
func (h *handler[In, Out]) endpoint() operations.Endpoint {
	raw := reflect.TypeFor[[]byte]()
	in := operations.Media{Type: "application/json", Of: []reflect.Type{reflect.TypeFor[In]()}}
	if in.Of[0] == raw {
		in = operations.Media{Type: "application/octet-stream", Schema: []byte(`{}`)}
	}
	out := operations.Media{Type: "application/json", Of: []reflect.Type{reflect.TypeFor[Out]()}}
	if out.Of[0] == raw {
		out = operations.Media{Type: h.opts.ContentType, Schema: []byte(`{}`)}
	}
	answer := operations.Answer{Status: http.StatusOK, Body: []operations.Media{out}}
	if h.opts.Stream {
		answer.Description = "The result, or for a client that accepts text/event-stream the " +
			"events progress, result and error"
		answer.Body = append(answer.Body,
			operations.Media{
				Type: "text/event-stream",
				Of:   []reflect.Type{reflect.TypeFor[string]()},
			})
	}
	return operations.Endpoint{
		Function: h.of.name, Body: []operations.Media{in}, Responses: []operations.Answer{answer},
		Errors: []int{
			http.StatusBadRequest, http.StatusRequestTimeout, http.StatusRequestEntityTooLarge,
			http.StatusUnsupportedMediaType,
			http.StatusUnprocessableEntity, http.StatusInternalServerError,
			http.StatusServiceUnavailable, http.StatusGatewayTimeout,
		},
	}
}
