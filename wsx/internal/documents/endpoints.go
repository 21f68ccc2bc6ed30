package documents

import (
	"net/http"
	"reflect"
	"slices"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/genropy/genro-asgi-go/internal/describe"
)

// What the handlers of wsx tell the OpenAPI document of an app. What goes over the connection, or
// in JSON-RPC, is in the other two documents.

// WebSocket is the handshake of a server. authenticates says that it has an Authenticator, which
// may let somebody in without a token.
func WebSocket(authenticates bool) describe.Endpoint {
	e := describe.Endpoint{
		Method: http.MethodGet, ID: "openWebSocket",
		Summary:   "Open a WebSocket of the WSX protocol",
		Responses: []describe.Answer{{Status: http.StatusSwitchingProtocols}},
		Errors: []int{
			http.StatusBadRequest, http.StatusForbidden, http.StatusUpgradeRequired,
			http.StatusInternalServerError, http.StatusNotImplemented,
			http.StatusServiceUnavailable,
		},
	}
	if authenticates {
		Authenticated(true)(&e)
	}
	return e
}

// Authenticated adds to an endpoint what an Authenticator asks for.
func Authenticated(optional bool) func(*describe.Endpoint) {
	return func(e *describe.Endpoint) {
		auth := describe.Bearer
		if optional {
			auth = describe.BearerOptional
		}
		e.Auth = max(e.Auth, auth)
		e.Errors = append(slices.Clone(e.Errors), http.StatusBadRequest, http.StatusUnauthorized,
			http.StatusForbidden, http.StatusInternalServerError)
	}
}

// JSONRPC is JSON-RPC by POST.
func JSONRPC() describe.Endpoint {
	const id = `{"anyOf":[{"type":"string"},{"type":"number"},{"type":"null"}]}`
	const call = `{"type":"object","properties":{"jsonrpc":{"type":"string","const":"2.0"},"id":` +
		id + `,"method":{"type":"string"},` +
		`"params":{"anyOf":[{"type":"object","additionalProperties":true},{"type":"array"}]}},` +
		`"required":["jsonrpc","method"]}`
	const answer = `{"type":"object","properties":{"jsonrpc":{"type":"string",` +
		`"const":"2.0"},"id":` + id + `,"result":{},` +
		`"error":{"type":"object","properties":{"code":{"type":"integer"},` +
		`"message":{"type":"string"},"data":{}},"required":["code","message"]}},` +
		`"required":["jsonrpc","id"]}`
	batch := func(one string) []describe.Media {
		return []describe.Media{
			{
				Type: "application/json",
				Schema: jsontext.Value(`{"anyOf":[` + one + `,{"type":"array","items":` + one +
					`}]}`),
			},
		}
	}
	return describe.Endpoint{
		Method: http.MethodPost, ID: "callJSONRPC", Summary: "Call methods by JSON-RPC 2.0",
		Body: batch(call),
		Responses: []describe.Answer{
			{
				Status: http.StatusOK, Description: "The answer, or those of a batch",
				Body: batch(answer),
			},
			{Status: http.StatusNoContent, Description: "There is nothing to answer"},
		},
		Errors: []int{
			http.StatusBadRequest, http.StatusRequestTimeout, http.StatusRequestEntityTooLarge,
			http.StatusUnsupportedMediaType,
		},
	}
}

// SSE is a channel as server-sent events.
func SSE() describe.Endpoint {
	text := reflect.TypeFor[string]()
	return describe.Endpoint{
		Method: http.MethodGet, Summary: "Events of a channel",
		Params: []describe.Param{
			{
				In: "header", Name: "Last-Event-ID", Type: text,
				Description: "The id of the last event that the client has.",
			},
		},
		Responses: []describe.Answer{{
			Status:      http.StatusOK,
			Description: "An event for each that is published, and wsx.missed where some are lost",
			Body:        []describe.Media{{Type: "text/event-stream", Of: []reflect.Type{text}}},
		}},
		Errors: []int{
			http.StatusBadRequest, http.StatusUnauthorized, http.StatusForbidden,
			http.StatusNotFound, http.StatusInternalServerError, http.StatusServiceUnavailable,
		},
	}
}
