package tasks

import (
	"cmp"
	"net/http"
	"reflect"

	"github.com/genropy/genro-asgi-go/internal/schema"
)

// object is a JSON object of the document.
type object = map[string]any

// openAPI answers with the description of all that the handler serves (OpenAPI 3.1.1).
func (h *handler) openAPI(w http.ResponseWriter, r *http.Request, base string) error {
	return answer(w, r, http.StatusOK, h.document(base))
}

func (h *handler) document(base string) object {
	defs := schema.New("#/components/schemas/")
	view := content("application/json", defs.Schema(reflect.TypeFor[View](), schema.Encode))
	list := content("application/json", defs.Schema(reflect.TypeFor[page](), schema.Encode))
	events := content("text/event-stream", object{"type": "string"})
	id := object{"name": "id", "in": "path", "required": true, "schema": object{"type": "string", "maxLength": maxName}}
	wait := object{
		"name": "wait", "in": "query", "description": "How long to wait for the task's end, such as 5s; the server may wait less.",
		"schema": object{"type": "string"},
	}
	filter := h.filterParameters()

	paths := object{
		"/":             object{"get": operation("listTasks", "List tasks, newest first", append(filter, pageParameters()...), "200", "A page of tasks", list)},
		"/events":       object{"get": operation("watchTasks", "Watch all tasks", filter, "200", "Events state, progress and missed", events)},
		"/{id}/events":  object{"get": operation("watchTask", "Watch a task until it is done", []any{id}, "200", "Events state and progress", events)},
		"/{id}/retry":   object{"post": operation("retryTask", "Queue a task that failed, died or was cancelled again", []any{id}, "202", "The task", view)},
		"/{id}/result":  object{"get": h.resultOperation(defs, []any{id, wait}, view)},
		"/openapi.json": object{"get": operation("describe", "This document", nil, "200", "This document", content("application/json", object{"type": "object"}))},
		"/{id}": object{
			"get":    operation("getTask", "Get a task", []any{id}, "200", "The task", view),
			"delete": operation("cancelTask", "Cancel a task", []any{id}, "200", "The task", view),
		},
	}
	key := object{
		"name": "Idempotency-Key", "in": "header", "description": "Makes it safe to repeat the request.",
		"schema": object{"type": "string", "minLength": 1, "maxLength": maxIdempotencyKey},
	}
	for _, k := range h.m.Kinds() {
		op := operation("submit."+k.Name, cmp.Or(k.Doc, "Submit a task of kind "+k.Name), []any{key, wait}, "202", "The task, submitted", view)
		op["requestBody"] = object{"content": content("application/json", defs.Schema(k.In, schema.Decode)), "required": false}
		op["responses"].(object)["200"] = object{"description": "The task, which ended while the request waited", "content": view}
		op["responses"].(object)["202"].(object)["headers"] = object{
			"Location": object{"description": "The task", "schema": object{"type": "string", "format": "uri-reference"}},
		}
		path, _ := paths["/"+k.Name].(object) // there for events and openapi.json
		if path == nil {
			path = object{}
		}
		path["post"], paths["/"+k.Name] = op, path
	}
	return object{
		"openapi": "3.1.1",
		"info":    object{"title": cmp.Or(h.opts.Title, "Tasks"), "version": cmp.Or(h.opts.Version, "1")},
		"servers": []any{object{"url": cmp.Or(base, "/")}},
		"paths":   paths,
		"components": object{
			"schemas": defs.All(),
			"responses": object{"Problem": object{
				"description": "What is wrong (RFC 9457)",
				"content":     content("application/problem+json", problemSchema()),
			}},
		},
	}
}

// resultOperation answers with the Out of any kind.
func (h *handler) resultOperation(defs *schema.Definitions, parameters []any, view object) object {
	var results []any
	for _, k := range h.m.Kinds() {
		if k.Out != reflect.TypeFor[struct{}]() {
			results = append(results, defs.Schema(k.Out, schema.Encode))
		}
	}
	var result any = object{}
	if len(results) > 0 {
		result = object{"anyOf": results}
	}
	op := operation("getResult", "Get a task's result", parameters, "200", "The result", content("application/json", result))
	op["responses"].(object)["202"] = object{"description": "The task is not done yet", "content": view}
	op["responses"].(object)["204"] = object{"description": "The task has succeeded and has no result"}
	return op
}

func operation(id, summary string, parameters []any, status, what string, body object) object {
	op := object{
		"operationId": id,
		"summary":     summary,
		"responses": object{
			status:    object{"description": what, "content": body},
			"default": object{"$ref": "#/components/responses/Problem"},
		},
	}
	if len(parameters) > 0 {
		op["parameters"] = parameters
	}
	return op
}

func content(mediaType string, s any) object { return object{mediaType: object{"schema": s}} }

func (h *handler) filterParameters() []any {
	text := object{"type": "string"}
	states := []State{Scheduled, Queued, Running, Retrying, Succeeded, Failed, Cancelled, Dead}
	return []any{
		object{"name": "state", "in": "query", "explode": false, "schema": object{"type": "array", "items": object{"type": "string", "enum": states}}},
		object{"name": "queue", "in": "query", "schema": text},
		object{"name": "kind", "in": "query", "schema": text},
		object{"name": "meta", "in": "query", "description": "meta.NAME=VALUE selects by metadata.", "schema": object{"type": "object", "additionalProperties": text}},
	}
}

func pageParameters() []any {
	return []any{
		object{"name": "limit", "in": "query", "schema": object{"type": "integer", "minimum": 1, "maximum": 1000, "default": 100}},
		object{"name": "cursor", "in": "query", "schema": object{"type": "string"}},
	}
}

func problemSchema() object {
	return object{
		"type":     "object",
		"required": []string{"title", "status"},
		"properties": object{
			"type": object{"type": "string"}, "title": object{"type": "string"}, "status": object{"type": "integer"},
			"detail": object{"type": "string"}, "instance": object{"type": "string"},
		},
	}
}
