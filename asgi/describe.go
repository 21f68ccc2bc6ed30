package asgi

import (
	"net/http"
	"reflect"

	"github.com/genropy/genro-asgi-go/internal/describe"
	"github.com/genropy/genro-asgi-go/openapi"
)

// operationOf is what a handler made of a typed function tells the OpenAPI document.
func operationOf(function string, in, out reflect.Type, validates bool,
	operation openapi.Operation,
) describe.Endpoint {
	input := describe.InputOf(in)
	e := describe.Endpoint{
		Function: function, Operation: operation, Params: input.Params, Body: input.Body,
		Responses: answersOf(out),
		// What is sent beside an input that needs no body is taken in as well.
		Errors: []int{
			http.StatusBadRequest, http.StatusRequestTimeout,
			http.StatusInternalServerError,
		},
	}
	if input.HasBody() {
		e.Errors = append(e.Errors, http.StatusRequestEntityTooLarge,
			http.StatusUnsupportedMediaType)
	}
	if input.HasBody() || validates || len(input.Params) > 0 {
		e.Errors = append(e.Errors, http.StatusUnprocessableEntity)
	}
	return e
}

// answersOf are the answers of a typed function that are no errors.
func answersOf(out reflect.Type) []describe.Answer {
	if out.Kind() == reflect.Interface && out != reflect.TypeFor[any]() ||
		out.Implements(reflect.TypeFor[Response]()) {
		return nil // it says itself what it is
	}
	if out == reflect.TypeFor[struct{}]() {
		return []describe.Answer{{Status: http.StatusNoContent}}
	}
	o := newOutput(out)
	statuses := o.statuses
	if statuses == nil {
		statuses = []int{statusOf(out)}
	}
	var answers []describe.Answer
	for _, status := range statuses {
		answer := describe.Answer{Status: status}
		if bodyAllowed(status) {
			answer.Body = []describe.Media{{Type: jsonContentType[0], Of: []reflect.Type{out}}}
		}
		for _, h := range o.headers {
			answer.Headers = append(answer.Headers,
				describe.Param{Name: h.name, Type: h.of, List: h.list})
		}
		answers = append(answers, answer)
	}
	return answers
}

// statusOf is what StatusCode of a zero value gives, 200 where there is no such method or the value
// has no status.
func statusOf(out reflect.Type) (status int) {
	defer func() {
		if v := recover(); v != nil || status < 200 || status > 399 {
			status = http.StatusOK
		}
	}()
	zero := reflect.New(out)
	if out.Kind() == reflect.Pointer {
		zero = reflect.New(out.Elem())
	}
	if coded, ok := zero.Interface().(coder); ok {
		return coded.StatusCode()
	}
	return http.StatusOK
}

// healthOperation is what Live and Ready serve.
func healthOperation(id, summary string, statuses ...int) describe.Endpoint {
	e := describe.Endpoint{Method: http.MethodGet, ID: id, Summary: summary}
	for _, status := range statuses {
		e.Responses = append(e.Responses, describe.Answer{
			Status: status,
			Body: []describe.Media{
				{Type: jsonContentType[0], Of: []reflect.Type{reflect.TypeFor[health]()}},
			},
		})
	}
	return e
}

// socketOperation is the handshake of HandleWebSocket.
func socketOperation() describe.Endpoint {
	return describe.Endpoint{
		Method: http.MethodGet, Summary: "Open a WebSocket",
		Responses: []describe.Answer{{Status: http.StatusSwitchingProtocols}},
		Errors: []int{
			http.StatusBadRequest, http.StatusForbidden, http.StatusUpgradeRequired,
			http.StatusInternalServerError,
			http.StatusNotImplemented, http.StatusServiceUnavailable,
		},
	}
}
