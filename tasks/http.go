package tasks

import (
	"context"
	"crypto/rand"
	"errors"
	"log/slog"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/genropy/genro-asgi-go/internal/problem"
)

// Operation is what a request asks for.
type Operation string

// The operations.
const (
	OpSubmit Operation = "submit"
	OpList   Operation = "list"   // and, with a task, each one that would be listed
	OpGet    Operation = "get"    // a task, its result
	OpEvents Operation = "events" // of a task; of all, and then each one that would be told of
	OpCancel Operation = "cancel"
	OpRetry  Operation = "retry"
)

// Call is a request that somebody has to allow.
type Call struct {
	Request   *http.Request
	Operation Operation
	Kind      string // of OpSubmit
	Task      *Task  // nil for OpSubmit, and for OpList and OpEvents of all
}

// HandlerOptions configures Handler. The zero value of every field means its default.
type HandlerOptions struct {
	// Authorize is asked before every call, and for each task that a list or the stream of all would show: those it refuses are left out. An error refuses:
	// its StatusCode from 400 to 499 is the answer's, else 403; its text goes nowhere. Default: everybody may do everything, so put the handler behind authentication.
	Authorize func(c Call) error
	// Submit gives the options of a task that a request submits, such as its Key or Metadata; default none. Clients choose none of them by themselves but the
	// Idempotency-Key, which gives the ID where this leaves it empty, another one for each kind and each Key: tenants that have a Key of their own do not meet each other's. An error is
	// answered as Authorize's.
	Submit func(r *http.Request, kind string) (*SubmitOptions, error)
	// MaxWait bounds the time that a client may wait for a task's end, by wait in the query; default 30 s, below 0 not at all.
	MaxWait time.Duration
	// Info is title and version of the OpenAPI document; default "Tasks" and "1".
	Title, Version string
	// Logger gets the incidents; default slog.Default().
	Logger *slog.Logger
}

// handler serves a manager's tasks.
type handler struct {
	m    *Manager
	opts HandlerOptions
}

// Handler serves m over HTTP, below any path of any router:
//
//	POST   /{kind}        submits a task: the body is its payload. 202 and Location; Idempotency-Key makes it safe to repeat
//	GET    /              lists tasks, newest first: state, queue, kind, meta.NAME, limit and cursor in the query
//	GET    /{id}          a task
//	GET    /{id}/result   its result; 202 while there is none yet
//	GET    /{id}/events   its changes as server-sent events, until it is done
//	DELETE /{id}          cancels it
//	POST   /{id}/retry    queues one that failed, died or was cancelled again
//	GET    /events        the changes of all tasks, filtered as the list is, as server-sent events
//	GET    /openapi.json  all this as an OpenAPI 3.1 document
//
// With wait=5s in the query, or Prefer: wait=5 (RFC 7240), POST /{kind} and GET /{id}/result wait for the task's end. Then, where it ended, the answer to POST is 200 and has the
// result.
//
// Tasks are shown as [View]. Errors are problems (RFC 9457) and hold nothing of an internal error's text: 400, 413, 415 and 422 for a bad request, 404, 409 for what the task's
// state forbids, 422 for an Idempotency-Key that was used with another payload, 503 with Retry-After, 507, and 500 with an incident id that the log has too. The result of a task that failed
// is a problem with the status of the function's error, 500 where it had none, and the members task and state.
//
// A task whose ID is "events" or "openapi.json" cannot be read here. POST needs Content-Type: application/json, which no form of another site can send. Nil options are the defaults.
func Handler(m *Manager, opts *HandlerOptions) http.Handler {
	h := &handler{m: m}
	if opts != nil {
		h.opts = *opts
	}
	h.opts.MaxWait = orDefault(h.opts.MaxWait, 30*time.Second)
	if h.opts.Logger == nil {
		h.opts.Logger = slog.Default()
	}
	return h
}

// route is a request of one of the forms above.
type route struct {
	allow string // methods
	serve func(w http.ResponseWriter, r *http.Request) error
}

// ServeHTTP implements http.Handler.
func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	base, rest := mountedAt(r)
	to := h.route(r, base, rest)
	switch {
	case to.allow == "":
		problem.Write(w, r, problem.Problem{Status: http.StatusNotFound})
		return
	case to.serve == nil:
		w.Header().Set("Allow", to.allow)
		problem.Write(w, r, problem.Problem{Status: http.StatusMethodNotAllowed})
		return
	}
	if err := to.serve(w, r); err != nil {
		h.refuse(w, r, err)
	}
}

func (h *handler) route(r *http.Request, base string, rest []string) route {
	get := r.Method == http.MethodGet || r.Method == http.MethodHead
	pick := func(allow string, is bool, serve func(w http.ResponseWriter, r *http.Request) error) route {
		if !is {
			serve = nil
		}
		return route{allow, serve}
	}
	with := func(op Operation, serve func(w http.ResponseWriter, r *http.Request, t *Task) error) func(http.ResponseWriter, *http.Request) error {
		return func(w http.ResponseWriter, r *http.Request) error {
			t, err := h.find(r, op, rest[0])
			if err != nil {
				return err
			}
			return serve(w, r, t)
		}
	}
	const getHead = "GET, HEAD"
	switch {
	case len(rest) == 0:
		return pick(getHead, get, func(w http.ResponseWriter, r *http.Request) error { return h.list(w, r, base) })
	case len(rest) == 1 && r.Method == http.MethodPost: // a kind may have any name
		return route{"POST", func(w http.ResponseWriter, r *http.Request) error { return h.submit(w, r, base, rest[0]) }}
	case len(rest) == 1 && rest[0] == "openapi.json":
		return pick(getHead+", POST", get, func(w http.ResponseWriter, r *http.Request) error { return h.openAPI(w, r, base) })
	case len(rest) == 1 && rest[0] == "events":
		return pick(getHead+", POST", get, h.allEvents)
	case len(rest) == 1 && r.Method == http.MethodDelete:
		return route{"DELETE", with(OpCancel, h.cancel)}
	case len(rest) == 1:
		return pick("DELETE, GET, HEAD, POST", get, with(OpGet, h.get))
	case len(rest) == 2 && rest[1] == "result":
		return pick(getHead, get, with(OpGet, h.result))
	case len(rest) == 2 && rest[1] == "events":
		return pick(getHead, get, with(OpEvents, h.events))
	case len(rest) == 2 && rest[1] == "retry":
		return pick("POST", r.Method == http.MethodPost, with(OpRetry, h.retry))
	}
	return route{}
}

// mountedAt tells the path below which the handler is served, without a slash at its end, and the segments of what is left. A handler or router around it may
// have taken the base off the path (http.StripPrefix, chiadapter.Mount); else the pattern tells how many segments it has (http.ServeMux, chi).
func mountedAt(r *http.Request) (base string, rest []string) {
	path := r.URL.EscapedPath()
	whole, _, _ := strings.Cut(r.RequestURI, "?")
	skip := 0
	if _, pattern, ok := strings.Cut(r.Pattern, "/"); ok && path == whole {
		pattern = strings.TrimSuffix(pattern, "*")
		if i := strings.LastIndex(pattern, "/{"); i >= 0 && strings.HasSuffix(pattern, "...}") {
			pattern = pattern[:i]
		}
		skip = len(segments(pattern))
	}
	all := segments(path)
	skip = min(skip, len(all))
	rest = all[skip:]
	tail := "/" + strings.Join(rest, "/")
	base, ok := strings.CutSuffix(strings.TrimSuffix(whole, "/"), strings.TrimSuffix(tail, "/"))
	if !ok {
		base = ""
	}
	for i, s := range rest {
		if u, err := url.PathUnescape(s); err == nil {
			rest[i] = u
		}
	}
	return base, rest
}

func segments(path string) []string {
	path = strings.Trim(path, "/")
	if path == "" {
		return nil
	}
	return strings.Split(path, "/")
}

// find returns the task, if the caller may do with it what is asked.
func (h *handler) find(r *http.Request, op Operation, id string) (*Task, error) {
	t, err := h.m.Info(r.Context(), id)
	if err != nil {
		return nil, err
	}
	return t, h.allow(Call{Request: r, Operation: op, Task: t})
}

func (h *handler) allow(c Call) error {
	if h.opts.Authorize == nil {
		return nil
	}
	return refusal(h.opts.Authorize(c))
}

// refusal is an error of the program's that refuses a request.
func refusal(err error) error {
	if err == nil {
		return nil
	}
	status := statusOf(err)
	if status < 400 || status > 499 {
		status = http.StatusForbidden
	}
	return &requestError{status: status, err: err}
}

// requestError is a request that is refused. Its detail is for the client.
type requestError struct {
	status int
	detail string
	err    error
}

func (e *requestError) Error() string   { return "tasks: request refused: " + e.detail }
func (e *requestError) StatusCode() int { return e.status }
func (e *requestError) Unwrap() error   { return e.err }

// refuse answers with a problem.
func (h *handler) refuse(w http.ResponseWriter, r *http.Request, err error) {
	if errors.Is(r.Context().Err(), context.Canceled) {
		return // the client is gone
	}
	p := problem.Problem{Status: statusOf(err)}
	var bad *requestError
	var input *InputError
	switch {
	case errors.As(err, &bad):
		p.Detail = bad.detail
	case errors.As(err, &input):
		p.Detail = input.Message
		p.Extensions = map[string]any{"path": string(input.Path)}
	case errors.Is(err, ErrInvalid) || errors.Is(err, ErrTooLarge): // the package's own text, of what the client sent
		p.Detail = strings.TrimPrefix(err.Error(), "tasks: ")
	case errors.Is(err, context.DeadlineExceeded):
		p.Status = http.StatusGatewayTimeout
	}
	switch {
	case p.Status == http.StatusServiceUnavailable:
		w.Header().Set("Retry-After", "1")
	case p.Status < 400 || p.Status > 599 || p.Status == http.StatusInternalServerError:
		incident := rand.Text()
		p.Status, p.Extensions = http.StatusInternalServerError, map[string]any{"incident": incident}
		h.opts.Logger.LogAttrs(r.Context(), slog.LevelError, "tasks: request failed",
			slog.String("incident", incident), slog.String("method", r.Method), slog.String("path", r.URL.Path), slog.Any("error", err))
	}
	problem.Write(w, r, p)
}

// answer writes JSON.
func answer(w http.ResponseWriter, r *http.Request, status int, v any) error {
	body, err := json.Marshal(v, jsontext.AllowInvalidUTF8(true), json.Deterministic(true))
	if err != nil {
		return err
	}
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	if r.Method != http.MethodHead {
		_, _ = w.Write(body) // the client is gone: nobody is left to tell
	}
	return nil
}
