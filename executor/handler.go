package executor

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"reflect"
	"strconv"
	"strings"
	"time"

	operations "github.com/genropy/genro-asgi-go/internal/describe"
	"github.com/genropy/genro-asgi-go/internal/input"
	"github.com/genropy/genro-asgi-go/problem"
)

// HandlerOptions configures Handler and BlockingHandler. The zero value of every field means its
// default.
type HandlerOptions struct {
	// MaxBody is the size of a request body in bytes; default 1 MiB.
	MaxBody int64
	// Timeout bounds the call, its wait in the queue included; default 30 s, below 0 none but the
	// request's own.
	Timeout time.Duration
	// RetryAfter is what a client of an overloaded executor is told to wait, rounded up to seconds;
	// default 1 s.
	RetryAfter time.Duration
	// ContentType is that of a []byte result; default application/octet-stream. Other results are
	// application/json.
	ContentType string
	// Call gives the options of a request's call, such as its Key; default none. nil is no options.
	Call func(r *http.Request) *CallOptions
	// Stream answers a client that accepts text/event-stream with events: "progress" for each value
	// given to Progress, then "result", or "error" with the problem. An error before the first
	// event is an ordinary answer.
	Stream bool
}

// Handler makes an http.Handler, for any router, of fn: the request's body is its input, as JSON
// without unknown members and at most 32 levels deep, or as it is for []byte, and its result the
// answer.
//
// A body needs a Content-Type for which browsers ask first (CORS preflight) before a page of
// another site may send it: application/json or +json, and for []byte anything but what a form can
// send. Errors are answered by problem.Write: 400, 413 or 415 for a bad body, 408 for one that
// takes longer than the server waits, 422, or what it says itself, for one that the Validate method
// of its type refuses, 503 with Retry-After when overloaded or not running, 504 when time is up,
// what a function's problem says, the StatusCode of another error that has one, else 500. Nothing
// else of an error reaches the client: the log of problem.WithOptions has it, with the stack of a
// panic and what a crashed worker wrote, under the problem's request_id. A client that goes away
// ends the call, which is answered, should it still listen, with 499 and no body. Nil options are
// the defaults. Handler panics when ex or fn is nil.
func Handler[In, Out any](ex *Executor, fn *Func[In, Out], opts *HandlerOptions) http.Handler {
	if ex == nil || fn == nil {
		panic("executor: Handler: an Executor and a Func are needed")
	}
	return newHandler(opts, fn, func(ctx context.Context, in In, call *CallOptions) (Out, error) {
		return fn.RunWith(ctx, ex, in, call)
	})
}

// BlockingHandler is Handler for a function that runs in the blocking pool. When the client goes
// away or time is up, the function's context ends and the answer does not wait for it. It has no
// progress. It panics when ex or fn is nil.
func BlockingHandler[In, Out any](ex *Executor, fn func(context.Context, In) (Out, error),
	opts *HandlerOptions,
) http.Handler {
	if ex == nil || fn == nil {
		panic("executor: BlockingHandler: an Executor and a function are needed")
	}
	f, err := compile[In, Out](operations.FunctionName(fn))
	if err != nil {
		panic(fmt.Sprintf("executor: BlockingHandler: %v", err))
	}
	run := func(ctx context.Context, in In, call *CallOptions) (out Out, err error) {
		if err := f.in.validate(ctx, ex, "", &in); err != nil {
			return out, err
		}
		return block(ctx, ex, func(ctx context.Context) (Out, error) { return fn(ctx, in) }, call)
	}
	return newHandler(opts, f,
		func(ctx context.Context, in In, call *CallOptions) (Out, error) {
			if len(ex.opts.Middleware) == 0 {
				return run(ctx, in, call)
			}
			return throughBlocking(ctx, ex, f.name, call,
				func(ctx context.Context) (Out, error) { return run(ctx, in, call) })
		})
}

// handler answers requests by call.
type handler[In, Out any] struct {
	opts HandlerOptions
	of   *Func[In, Out] // its name is "" where it has none
	call func(context.Context, In, *CallOptions) (Out, error)
}

func newHandler[In, Out any](opts *HandlerOptions, of *Func[In, Out],
	call func(context.Context, In, *CallOptions) (Out, error),
) http.Handler {
	h := &handler[In, Out]{of: of, call: call}
	if opts != nil {
		h.opts = *opts
	}
	h.opts.MaxBody = orDefault(h.opts.MaxBody, 1<<20)
	h.opts.Timeout = orDefault(h.opts.Timeout, 30*time.Second)
	h.opts.RetryAfter = orDefault(h.opts.RetryAfter, time.Second)
	h.opts.ContentType = cmp.Or(h.opts.ContentType, "application/octet-stream")
	return h
}

// ServeHTTP implements http.Handler.
func (h *handler[In, Out]) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if p, ok := w.(*operations.Probe); ok {
		p.Add(h.endpoint())
		return
	}
	in, err := h.read(w, r)
	if err != nil {
		h.refuse(w, r, err)
		return
	}
	ctx := r.Context()
	if h.opts.Timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, h.opts.Timeout)
		defer cancel()
	}
	var call *CallOptions
	if h.opts.Call != nil {
		call = h.opts.Call(r)
	}
	if h.opts.Stream && strings.Contains(r.Header.Get("Accept"), "text/event-stream") {
		h.stream(ctx, w, r, in, call)
		return
	}
	out, err := h.call(ctx, in, call)
	if err != nil {
		h.refuse(w, r, err)
		return
	}
	body, contentType, err := h.encode(&out)
	if err != nil {
		h.refuse(w, r, err)
		return
	}
	w.Header().Set("Content-Type", contentType)
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	_, _ = w.Write(body) // the client is gone: nobody is left to tell
}

func (h *handler[In, Out]) read(w http.ResponseWriter, r *http.Request) (in In, err error) {
	raw, isRaw := any(&in).(*[]byte)
	switch {
	case isRaw && !input.NeedsPreflight(r.Header):
		return in, problem.New(http.StatusUnsupportedMediaType,
			"The body needs a Content-Type that no form can send, such as "+
				"application/octet-stream.")
	case !isRaw && !input.IsJSON(r.Header):
		return in, problem.New(http.StatusUnsupportedMediaType,
			"The body must be of type application/json.")
	}
	if coding := r.Header["Content-Encoding"]; len(coding) > 0 &&
		!strings.EqualFold(coding[0], "identity") {
		return in, problem.New(http.StatusUnsupportedMediaType,
			"The body must have no Content-Encoding.")
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, h.opts.MaxBody))
	_, tooLarge := errors.AsType[*http.MaxBytesError](err)
	switch {
	case tooLarge:
		return in, err
	case errors.Is(err, os.ErrDeadlineExceeded):
		return in, &problem.Error{
			Status: http.StatusRequestTimeout,
			Detail: "The body took too long.", Err: err,
		}
	case err != nil:
		return in, &problem.Error{
			Status: http.StatusBadRequest,
			Detail: "The body could not be read.", Err: err,
		}
	case isRaw:
		*raw = body
		return in, nil
	case len(body) == 0:
		return in, problem.BadRequest("The body is empty; it must be JSON.")
	case input.NestsDeeper(body, input.MaxDepth):
		return in,
			problem.BadRequest(fmt.Sprintf("The body nests more than %d levels deep.",
				input.MaxDepth))
	}
	return in, h.of.in.decoder.Decode(body, &in)
}

func (h *handler[In, Out]) encode(out *Out) (body []byte, contentType string, err error) {
	if raw, ok := any(out).(*[]byte); ok {
		return *raw, h.opts.ContentType, nil
	}
	var b bytes.Buffer
	err = h.of.out.write(&b, out)
	return b.Bytes(), "application/json", err
}

// refuse answers with err. There always is an answer: net/http would make an empty 200 of none, and
// a client that only seems to be gone would take it for a result.
func (h *handler[In, Out]) refuse(w http.ResponseWriter, r *http.Request, err error) {
	problem.Write(w, r, h.public(err))
}

// public is err, with the time to wait where this executor has no room for a call.
func (h *handler[In, Out]) public(err error) error {
	if _, unstarted := errors.AsType[*StartError](err); unstarted ||
		errors.Is(err, ErrOverloaded) || errors.Is(err, ErrNotRunning) {
		if problem.Of(err) == nil {
			return &problem.Error{
				Status:     http.StatusServiceUnavailable,
				RetryAfter: h.opts.RetryAfter, Err: err,
			}
		}
	}
	return err
}

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
