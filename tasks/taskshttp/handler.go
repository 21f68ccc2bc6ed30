package taskshttp

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	operations "github.com/genropy/genro-asgi-go/internal/describe"
	"github.com/genropy/genro-asgi-go/problem"
	"github.com/genropy/genro-asgi-go/tasks"
)

// maxName is how long the name of a kind or a task may be, in bytes.
const maxName = 128

// Options configures Handler. The zero value of every field means its default; with neither
// Kinds nor Authorize nothing is served.
type Options struct {
	// Kinds are those whose tasks are served. Those of others are not there: 404, left out of lists
	// and events, and not in the OpenAPI document. Default, nil: with Authorize every kind, and
	// what Authorize says; without it none.
	Kinds []string
	// Authorize is asked before every call; for each task that a list would show and for each
	// change that a stream would tell of; before a submit is answered with a task that was there
	// already (OpGet) or cancels one to take its unique key (OpCancel); and once more when a wait
	// is over. What it refuses of a list or the stream of all is left out, and the stream of one
	// task ends. An error refuses: a problem is the answer; of any other the StatusCode from 400 to
	// 499 is, else 403, and its text goes nowhere. Default: everybody who reaches the handler may
	// do everything with tasks of Kinds, so put it behind authentication.
	Authorize func(c tasks.Call) error
	// Submit gives the options of a task that a request submits, such as its Key or Metadata;
	// default none. Clients choose none of them by themselves but the Idempotency-Key, which gives
	// the ID where this leaves it empty, another one for each kind and each Key: tenants that have
	// a Key of their own do not meet each other's. An error is answered as Authorize's.
	Submit func(r *http.Request, kind string) (*tasks.SubmitOptions, error)
	// MaxWait bounds the time that a client may wait for a task's end, by wait in the query;
	// default 30 s, below 0 not at all.
	MaxWait time.Duration
	// Info is title and version of the OpenAPI document; default "Tasks" and "1".
	Title, Version string
}

// handler serves a manager's tasks.
type handler struct {
	m    *tasks.Manager
	opts Options
}

// Handler serves m over HTTP, below any path of any router:
//
//	POST   /{kind}        submits a task: the body is its payload. 202 and Location;
//	                      Idempotency-Key makes it safe to repeat
//	GET    /              lists tasks, newest first: state, queue, kind, meta.NAME or
//	                      meta[NAME], limit and cursor in the query
//	GET    /{id}          a task
//	GET    /{id}/result   its result; 202 while there is none yet
//	GET    /{id}/events   its changes as server-sent events, until it is done
//	DELETE /{id}          cancels it
//	POST   /{id}/retry    queues one that failed, died or was cancelled again
//	GET    /events        the changes of all tasks, filtered as the list is, as server-sent events
//	GET    /openapi.json  all this as an OpenAPI 3.1 document
//
// With wait=5s in the query, or Prefer: wait=5 (RFC 7240), POST /{kind} and GET /{id}/result wait
// for the task's end. Then, where it ended, the answer to POST is 200 and has the result.
//
// Tasks are shown as [tasks.View]. Errors are problems (RFC 9457) and hold nothing of an internal
// error's text: 400, 413, 415 and 422 for a bad request, 404, 409 for what the task's state
// forbids, 422 for an Idempotency-Key that was used with another payload, 408 for a body that takes
// too long, 503 with Retry-After, 507, and 500 else; problem.Write makes them, with the app's
// mapping, the request's id and one line in the log. The result of a task that failed is
// [tasks.Task.Problem].
//
// A task whose ID is "events" or "openapi.json" cannot be read here. POST needs Content-Type:
// application/json, which no form of another site can send; without a body and without a
// Content-Type it must not come from another site (Sec-Fetch-Site, Origin). Bodies nest 32 levels
// deep at most.
//
// Nothing is served unless the options name Kinds or have Authorize. Nil options are the defaults,
// which serve nothing. Handler panics when m is nil.
func Handler(m *tasks.Manager, opts *Options) http.Handler {
	if m == nil {
		panic("taskshttp: Handler: a Manager is needed")
	}
	h := &handler{m: m}
	if opts != nil {
		h.opts = *opts
	}
	h.opts.MaxWait = cmp.Or(h.opts.MaxWait, 30*time.Second)
	if h.opts.Kinds == nil && h.opts.Authorize == nil {
		m.Options().Logger.Warn(
			"taskshttp: Handler serves nothing: name the kinds in Options.Kinds, or " +
				"set Authorize")
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
	if p, ok := w.(*operations.Probe); ok {
		p.Add(h.endpoints(h.kinds())...)
		return
	}
	base, rest := mountedAt(r)
	to := h.route(r, base, rest)
	switch {
	case to.allow == "":
		problem.Write(w, r, problem.NotFound(""))
		return
	case to.serve == nil:
		w.Header().Set("Allow", to.allow)
		problem.Write(w, r, problem.New(http.StatusMethodNotAllowed, ""))
		return
	}
	if err := to.serve(w, r); err != nil {
		h.refuse(w, r, err)
	}
}

func (h *handler) route(r *http.Request, base string, rest []string) route {
	get := r.Method == http.MethodGet || r.Method == http.MethodHead
	pick := func(allow string, is bool,
		serve func(w http.ResponseWriter, r *http.Request) error,
	) route {
		if !is {
			serve = nil
		}
		return route{allow, serve}
	}
	with := func(op tasks.Operation,
		serve func(w http.ResponseWriter, r *http.Request,
			t *tasks.Task) error) func(http.ResponseWriter,
		*http.Request) error {
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
		return pick(getHead, get,
			func(w http.ResponseWriter, r *http.Request) error { return h.list(w, r, base) })
	case len(rest) == 1 && r.Method == http.MethodPost: // a kind may have any name
		return route{
			"POST",
			func(w http.ResponseWriter, r *http.Request) error {
				return h.submit(w, r, base, rest[0])
			},
		}
	case len(rest) == 1 && rest[0] == "openapi.json":
		return pick(getHead+", POST", get,
			func(w http.ResponseWriter, r *http.Request) error { return h.openAPI(w, r, base) })
	case len(rest) == 1 && rest[0] == "events":
		return pick(getHead+", POST", get, h.allEvents)
	case len(rest) == 1 && r.Method == http.MethodDelete:
		return route{"DELETE", with(tasks.OpCancel, h.cancel)}
	case len(rest) == 1:
		return pick("DELETE, GET, HEAD, POST", get, with(tasks.OpGet, h.get))
	case len(rest) == 2 && rest[1] == "result":
		return pick(getHead, get, with(tasks.OpGet, h.result))
	case len(rest) == 2 && rest[1] == "events":
		return pick(getHead, get, with(tasks.OpEvents, h.events))
	case len(rest) == 2 && rest[1] == "retry":
		return pick("POST", r.Method == http.MethodPost, with(tasks.OpRetry, h.retry))
	}
	return route{}
}

// mountedAt tells the path below which the handler is served, without a slash at its end, and the
// segments of what is left. A handler or router around it may have taken the base off the path
// (http.StripPrefix, chiadapter.Mount); else the pattern tells how many segments it has
// (http.ServeMux, chi).
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
func (h *handler) find(r *http.Request, op tasks.Operation, id string) (*tasks.Task, error) {
	t, err := h.m.Get(r.Context(), id)
	if err != nil {
		return nil, err
	}
	return t, h.allow(tasks.Call{Request: r, Operation: op, Task: t})
}

// allow is the one check of every way to a task.
func (h *handler) allow(c tasks.Call) error {
	kind := c.Kind
	if c.Task != nil {
		kind = c.Task.Kind
	}
	if kind != "" && !h.serves(kind) {
		return fmt.Errorf("%w: kind %q is not served", tasks.ErrNotFound,
			kind[:min(len(kind), maxName)])
	}
	if h.opts.Authorize == nil {
		return nil
	}
	return refusal(h.opts.Authorize(c))
}

func (h *handler) serves(kind string) bool {
	if h.opts.Kinds == nil {
		return h.opts.Authorize != nil
	}
	return slices.Contains(h.opts.Kinds, kind)
}

// refusal is an error of the program's that refuses a request.
func refusal(err error) error {
	if err == nil || problem.Of(err) != nil {
		return err
	}
	status := problem.From(err).Status
	if status < 400 || status > 499 {
		status = http.StatusForbidden
	}
	return &problem.Error{Status: status, Err: err}
}

// refuse answers with a problem. There always is an answer: net/http would make an empty 200 of
// none, and its context ends also where a client that is there was too slow with its body.
func (h *handler) refuse(w http.ResponseWriter, r *http.Request, err error) {
	switch {
	case problem.Of(err) != nil:
	// the package's own text, of what the client sent
	case errors.Is(err, tasks.ErrInvalid) || errors.Is(err, tasks.ErrTooLarge):
		err = &problem.Error{
			Status: problem.From(err).Status,
			Detail: strings.TrimPrefix(err.Error(), "tasks: "), Err: err,
		}
	case errors.Is(err, tasks.ErrOverloaded) || errors.Is(err, tasks.ErrNotRunning):
		err = &problem.Error{
			Status: http.StatusServiceUnavailable, RetryAfter: time.Second,
			Err: err,
		}
	}
	problem.Write(w, r, err)
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
