package taskshttp

import (
	"cmp"
	"net/http"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	operations "github.com/genropy/genro-asgi-go/internal/describe"
	"github.com/genropy/genro-asgi-go/openapi"
	"github.com/genropy/genro-asgi-go/tasks"
)

// openAPI answers with the description of all that the handler serves to the caller (OpenAPI
// 3.1.1).
func (h *handler) openAPI(w http.ResponseWriter, r *http.Request, base string) error {
	kinds := slices.DeleteFunc(h.kinds(), func(k tasks.KindInfo) bool {
		return h.allow(tasks.Call{Request: r, Operation: tasks.OpSubmit, Kind: k.Name}) != nil
	})
	var doc strings.Builder
	served := []openapi.Route{{Pattern: "/", Mounted: true, Handler: documented{h, kinds}}}
	_, err := openapi.New(slices.Values(served), &openapi.Options{
		Title: cmp.Or(h.opts.Title, "Tasks"), Version: cmp.Or(h.opts.Version, "1"),
		Servers: []openapi.Server{{URL: cmp.Or(base, "/")}},
	}).WriteTo(&doc)
	if err != nil {
		return err
	}
	return answer(w, r, http.StatusOK, jsontext.Value(doc.String()))
}

// documented is a handler of which a document tells these kinds.
type documented struct {
	*handler
	kinds []tasks.KindInfo
}

// ServeHTTP implements http.Handler.
func (d documented) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if p, ok := w.(*operations.Probe); ok {
		p.Add(d.endpoints(d.kinds)...)
		return
	}
	d.handler.ServeHTTP(w, r)
}

// kinds are those that are served to some caller at least.
func (h *handler) kinds() []tasks.KindInfo {
	return slices.DeleteFunc(h.m.Kinds(), func(k tasks.KindInfo) bool { return !h.serves(k.Name) })
}

// The statuses of errors that reading a body has.
var bodyErrors = []int{
	http.StatusBadRequest, http.StatusRequestTimeout,
	http.StatusRequestEntityTooLarge, http.StatusUnsupportedMediaType,
}

// endpoints are what the handler serves, for submitting tasks of these kinds.
func (h *handler) endpoints(kinds []tasks.KindInfo) []operations.Endpoint {
	return slices.Concat(h.ofAllTasks(), h.ofOneTask(kinds), h.ofDocument(), h.ofSubmits(kinds))
}

func (h *handler) ofAllTasks() []operations.Endpoint {
	return []operations.Endpoint{
		{
			Method: http.MethodGet, Path: "/", ID: "listTasks", Summary: "List tasks, newest first",
			Params: append(filterParameters(), pageParameters()...),
			Responses: []operations.Answer{
				{
					Status: http.StatusOK, Description: "A page of tasks",
					Body: jsonMedia(reflect.TypeFor[taskPage]()),
					Headers: []operations.Param{
						{
							Name: "Link", Type: reflect.TypeFor[string](),
							Description: "The next page (RFC 8288)",
						},
					},
				},
			},
			Errors: h.errors(http.StatusBadRequest),
		},
		{
			Method: http.MethodGet, Path: "/events", ID: "watchTasks", Summary: "Watch all tasks",
			Params: append(filterParameters(), lastEventParameter()),
			Responses: []operations.Answer{
				{
					Status: http.StatusOK, Description: "Events state, progress and missed",
					Body: eventMedia(),
				},
			},
			Errors: h.errors(http.StatusBadRequest),
		},
	}
}

func (h *handler) ofOneTask(kinds []tasks.KindInfo) []operations.Endpoint {
	one := func(e operations.Endpoint, errors ...int) operations.Endpoint {
		e.Params = append([]operations.Param{idParameter()}, e.Params...)
		e.Errors = h.errors(append(errors, http.StatusNotFound)...)
		return e
	}
	return []operations.Endpoint{
		one(operations.Endpoint{
			Method: http.MethodGet, Path: "/{id}", ID: "getTask", Summary: "Get a task",
			Responses: []operations.Answer{
				{Status: http.StatusOK, Description: "The task", Body: viewMedia()},
			},
		}),
		one(operations.Endpoint{
			Method: http.MethodDelete, Path: "/{id}", ID: "cancelTask", Summary: "Cancel a task",
			Responses: []operations.Answer{
				{Status: http.StatusOK, Description: "The task", Body: viewMedia()},
			},
		}, http.StatusConflict),
		one(operations.Endpoint{
			Method: http.MethodGet, Path: "/{id}/events", ID: "watchTask",
			Summary: "Watch a task until it is done",
			Params:  []operations.Param{lastEventParameter()},
			Responses: []operations.Answer{
				{
					Status: http.StatusOK, Description: "Events state and progress",
					Body: eventMedia(),
				},
				{Status: http.StatusNoContent, Description: "The client has seen the end"},
			},
		}),
		one(operations.Endpoint{
			Method: http.MethodPost, Path: "/{id}/retry", ID: "retryTask",
			Summary: "Queue a task that failed, died or was cancelled again",
			Responses: []operations.Answer{
				{Status: http.StatusAccepted, Description: "The task", Body: viewMedia()},
			},
		}, append(slices.Clone(bodyErrors), http.StatusConflict)...),
		one(operations.Endpoint{
			Method: http.MethodGet, Path: "/{id}/result", ID: "getResult",
			Summary: "Get a task's result", Params: []operations.Param{waitParameter()},
			Responses: []operations.Answer{
				{
					Status: http.StatusOK, Description: "The result",
					Body: jsonMedia(results(kinds)...),
				},
				{
					Status: http.StatusAccepted, Description: "The task is not done yet",
					Body: viewMedia(),
				},
				{
					Status:      http.StatusNoContent,
					Description: "The task has succeeded and has no result",
				},
			},
		}, http.StatusBadRequest, http.StatusConflict),
	}
}

func (*handler) ofDocument() []operations.Endpoint {
	return []operations.Endpoint{
		{
			Method: http.MethodGet, Path: "/openapi.json", ID: "describeTasks",
			Summary: "The OpenAPI document of the tasks",
			Responses: []operations.Answer{{
				Status: http.StatusOK, Description: "The document",
				Body: []operations.Media{
					{Type: "application/json", Schema: jsontext.Value(`{"type":"object"}`)},
				},
			}},
			Errors: []int{http.StatusInternalServerError},
		},
	}
}

func (h *handler) ofSubmits(kinds []tasks.KindInfo) (all []operations.Endpoint) {
	key := operations.Param{
		In: "header", Name: "Idempotency-Key", Description: "Makes it safe to repeat the request.",
		Schema: jsontext.Value(`{"type":"string","minLength":1,"maxLength":` +
			strconv.Itoa(maxIdempotencyKey) + `}`),
	}
	location := []operations.Param{
		{
			Name: "Location", Description: "The task",
			Schema: jsontext.Value(`{"type":"string","format":"uri-reference"}`),
		},
	}
	for _, k := range kinds {
		all = append(all, operations.Endpoint{
			Method: http.MethodPost, Path: "/" + k.Name, ID: "submit." + k.Name,
			Summary: "Submit a task of kind " + k.Name, Description: k.Doc,
			Params:   []operations.Param{key, waitParameter()},
			Body:     jsonMedia(k.In),
			Optional: true,
			Responses: []operations.Answer{
				{
					Status: http.StatusAccepted, Description: "The task, submitted",
					Body:    viewMedia(),
					Headers: location,
				},
				{
					Status:      http.StatusOK,
					Description: "The task, which ended while the request waited",
					Body:        viewMedia(),
					Headers:     location,
				},
			},
			Errors: h.errors(append(slices.Clone(bodyErrors), http.StatusConflict,
				http.StatusUnprocessableEntity, http.StatusInsufficientStorage)...),
		})
	}
	return all
}

func jsonMedia(of ...reflect.Type) []operations.Media {
	return []operations.Media{{Type: "application/json", Of: of}}
}

func viewMedia() []operations.Media { return jsonMedia(reflect.TypeFor[tasks.View]()) }

func eventMedia() []operations.Media {
	return []operations.Media{
		{Type: "text/event-stream", Of: []reflect.Type{reflect.TypeFor[string]()}},
	}
}

func idParameter() operations.Param {
	return operations.Param{
		In: "path", Name: "id", Required: true,
		Schema: jsontext.Value(`{"type":"string","maxLength":` + strconv.Itoa(maxName) + `}`),
	}
}

func waitParameter() operations.Param {
	return operations.Param{
		In: "query", Name: "wait", Type: reflect.TypeFor[string](),
		Description: "How long to wait for the task's end, such as 5s; the server may wait less.",
	}
}

func lastEventParameter() operations.Param {
	return operations.Param{
		In: "header", Name: "Last-Event-ID", Type: reflect.TypeFor[string](),
		Description: "The id of the last event that the client has.",
	}
}

// errors are these statuses and those that any request may have.
func (h *handler) errors(statuses ...int) []int {
	if h.opts.Authorize != nil {
		statuses = append(statuses, http.StatusForbidden)
	}
	return append(statuses, http.StatusInternalServerError, http.StatusServiceUnavailable)
}

// results are the types of what the kinds come to.
func results(kinds []tasks.KindInfo) []reflect.Type {
	var all []reflect.Type
	for _, k := range kinds {
		if k.Out != reflect.TypeFor[struct{}]() && !slices.Contains(all, k.Out) {
			// which is no result
			all = append(all, k.Out)
		}
	}
	return all
}

func filterParameters() []operations.Param {
	text := reflect.TypeFor[string]()
	return []operations.Param{
		{
			In: "query", Name: "state", Type: reflect.TypeFor[tasks.State](), List: true,
			Joined: true,
		},
		{In: "query", Name: "queue", Type: text},
		{In: "query", Name: "kind", Type: text},
		{
			In: "query", Name: "meta", Deep: true,
			Description: "meta[NAME]=VALUE selects by metadata.",
			Schema: jsontext.Value(
				`{"type":"object","additionalProperties":{"type":"string"}}`),
		},
	}
}

func pageParameters() []operations.Param {
	return []operations.Param{
		{
			In: "query", Name: "limit",
			Schema: jsontext.Value(`{"type":"integer","minimum":1,"maximum":1000,"default":100}`),
		},
		{In: "query", Name: "cursor", Type: reflect.TypeFor[string]()},
	}
}
