package openapi

import (
	"maps"
	"net/http"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/genropy/genro-asgi-go/internal/describe"
	"github.com/genropy/genro-asgi-go/internal/schema"
	"github.com/genropy/genro-asgi-go/problem"
)

// problemResponse is the component of problems with a status, 0 for any.
func (b *builder) problemResponse(status int) response {
	name, description := "Error", "Another error"
	if status != 0 {
		text := http.StatusText(status)
		name, description = camel(text), text
		if text == "" {
			name, description = "Status"+strconv.Itoa(status), "Status "+strconv.Itoa(status)
		}
	}
	if _, ok := b.doc.Components.Responses[name]; !ok {
		made := response{
			Description: description,
			Content: map[string]mediaType{
				problem.ContentType: {
					Schema: b.defs.Schema(reflect.TypeFor[problem.Error](), schema.Encode),
				},
			},
		}
		switch status {
		case http.StatusUnauthorized:
			made.Headers = map[string]header{"WWW-Authenticate": {Schema: text()}}
		case http.StatusTooManyRequests, http.StatusServiceUnavailable:
			made.Headers = map[string]header{
				"Retry-After": {
					Description: "When to try again, in seconds.",
					Schema:      &schema.Schema{Type: "integer"},
				},
			}
		}
		b.doc.Components.Responses[name] = made
	}
	return response{Ref: "#/components/responses/" + name}
}

func text() *schema.Schema { return &schema.Schema{Type: "string"} }

// responses are those of an operation, and whatever else there may be.
func (b *builder) responses(e *describe.Endpoint, op *Operation, secured bool) map[string]response {
	all := make(map[string]response)
	answers := e.Responses
	if op.Produces != nil {
		answers = []describe.Answer{{Status: http.StatusOK, Body: produced(op.Produces)}}
	}
	if op.Statuses != nil {
		var like describe.Answer
		if len(answers) > 0 {
			like = answers[0]
		}
		answers = nil
		for _, status := range op.Statuses {
			like.Status = status
			answers = append(answers, like)
		}
	}
	for _, a := range answers {
		key := "default"
		if a.Status != 0 {
			key = strconv.Itoa(a.Status)
		}
		all[key] = b.answer(&a, op)
	}
	errors := slices.Concat(e.Errors, op.Errors, b.opts.Errors)
	if secured {
		errors = append(errors, http.StatusUnauthorized, http.StatusForbidden)
	}
	for _, status := range errors {
		if key := strconv.Itoa(status); all[key].Description == "" && status >= 400 &&
			status <= 599 {
			all[key] = b.problemResponse(status)
		}
	}
	if _, ok := all["default"]; !ok {
		if all["default"] = b.problemResponse(0); len(answers) == 0 {
			// of a handler that says nothing of them
			all["default"] = response{Description: "What the handler answers"}
		}
	}
	if !slices.ContainsFunc(slices.Collect(maps.Keys(all)),
		func(key string) bool { return key[0] == '4' }) {
		all["4XX"] = response{Description: "What a server answers to a request that it cannot read"}
	}
	return all
}

// produced are bodies of media types that are no JSON.
func produced(types []string) []describe.Media {
	var all []describe.Media
	for _, t := range types {
		content := jsontext.Value(`{"type":"string","format":"binary"}`)
		if strings.HasPrefix(t, "text/") {
			content = jsontext.Value(`{"type":"string"}`)
		}
		all = append(all, describe.Media{Type: t, Schema: content})
	}
	return all
}

func (b *builder) answer(a *describe.Answer, op *Operation) response {
	r := response{
		Description: a.Description,
		Content:     b.content(a.Body, schema.Encode, op.Response),
	}
	if r.Description == "" {
		if r.Description = http.StatusText(a.Status); r.Description == "" {
			r.Description = "What the handler answers"
		}
	}
	for _, h := range a.Headers {
		if r.Headers == nil {
			r.Headers = make(map[string]header)
		}
		r.Headers[h.Name] = header{Description: h.Description, Schema: b.paramSchema(&h)}
	}
	return r
}
