package executor

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"io"
	"log/slog"
	"mime"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/genropy/genro-asgi-go/internal/problem"
)

// HandlerOptions configures Handler and BlockingHandler. The zero value of every field means its default.
type HandlerOptions struct {
	// MaxBody is the size of a request body in bytes; default 1 MiB.
	MaxBody int64
	// Timeout bounds the call, its wait in the queue included; default 30 s, below 0 none but the request's own.
	Timeout time.Duration
	// RetryAfter is what a client of an overloaded executor is told to wait, rounded up to seconds; default 1 s.
	RetryAfter time.Duration
	// ContentType is that of a []byte result; default application/octet-stream. Other results are application/json.
	ContentType string
	// Call gives the options of a request's call, such as its Key; default none. nil is no options.
	Call func(r *http.Request) *CallOptions
	// Stream answers a client that accepts text/event-stream with events: "progress" for each value given to Progress, then "result", or "error" with
	// a problem. An error before the first event is an ordinary answer.
	Stream bool
	// Logger gets the incidents; default the executor's.
	Logger *slog.Logger
}

// Handler makes an http.Handler, for any router, of fn: the request's body is its input, as JSON without unknown members, or as it is for []byte, and its result the answer.
//
// Errors are problems (RFC 9457): 400, 413 or 415 for a bad body, 503 with Retry-After when overloaded or not running, 504 when time is up, the StatusCode of an
// error that has one, else 500 with an incident id as extension "incident". Nothing else of an error reaches the client: the log has it, under that id. A client that goes away ends the call.
// Nil options are the defaults.
func Handler[In, Out any](ex *Executor, fn *Func[In, Out], opts *HandlerOptions) http.Handler {
	return newHandler(ex, opts, fn.name, func(ctx context.Context, in In, call *CallOptions) (Out, error) {
		return fn.RunWith(ctx, ex, in, call)
	})
}

// BlockingHandler is Handler for a function that runs in the blocking pool. When the client goes away or time is up, the function's context ends and the
// answer does not wait for it. It has no progress.
func BlockingHandler[In, Out any](ex *Executor, fn func(context.Context, In) (Out, error), opts *HandlerOptions) http.Handler {
	return newHandler(ex, opts, "", func(ctx context.Context, in In, call *CallOptions) (Out, error) {
		return RunBlockingWith(ctx, ex, func(ctx context.Context) (Out, error) { return fn(ctx, in) }, call)
	})
}

// handler answers requests by call.
type handler[In, Out any] struct {
	opts HandlerOptions
	name string
	call func(context.Context, In, *CallOptions) (Out, error)
}

func newHandler[In, Out any](ex *Executor, opts *HandlerOptions, name string, call func(context.Context, In, *CallOptions) (Out, error)) http.Handler {
	h := &handler[In, Out]{name: name, call: call}
	if opts != nil {
		h.opts = *opts
	}
	h.opts.MaxBody = orDefault(h.opts.MaxBody, 1<<20)
	h.opts.Timeout = orDefault(h.opts.Timeout, 30*time.Second)
	h.opts.RetryAfter = orDefault(h.opts.RetryAfter, time.Second)
	h.opts.ContentType = cmp.Or(h.opts.ContentType, "application/octet-stream")
	h.opts.Logger = cmp.Or(h.opts.Logger, ex.opts.Logger)
	return h
}

// ServeHTTP implements http.Handler.
func (h *handler[In, Out]) ServeHTTP(w http.ResponseWriter, r *http.Request) {
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

// bodyError is a body the client should mend; its text is for the client.
type bodyError struct {
	status int
	detail string
}

func (e *bodyError) Error() string   { return e.detail }
func (e *bodyError) StatusCode() int { return e.status }

func (h *handler[In, Out]) read(w http.ResponseWriter, r *http.Request) (in In, err error) {
	raw, isRaw := any(&in).(*[]byte)
	if media := r.Header.Get("Content-Type"); !isRaw && media != "" {
		media, _, err := mime.ParseMediaType(media)
		if err != nil || media != "application/json" && !strings.HasSuffix(media, "+json") {
			return in, &bodyError{http.StatusUnsupportedMediaType, "the body must be application/json"}
		}
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, h.opts.MaxBody))
	var tooLarge *http.MaxBytesError
	if errors.As(err, &tooLarge) {
		return in, &bodyError{http.StatusRequestEntityTooLarge, "the body may have " + strconv.FormatInt(h.opts.MaxBody, 10) + " bytes"}
	}
	if err != nil {
		return in, &bodyError{http.StatusBadRequest, "the body could not be read"}
	}
	if isRaw {
		*raw = body
		return in, nil
	}
	if err := json.Unmarshal(body, &in, json.RejectUnknownMembers(true)); err != nil {
		return in, &bodyError{http.StatusBadRequest, "the body is not the JSON that is expected here"}
	}
	return in, nil
}

func (h *handler[In, Out]) encode(out *Out) (body []byte, contentType string, err error) {
	if raw, ok := any(out).(*[]byte); ok {
		return *raw, h.opts.ContentType, nil
	}
	body, err = json.Marshal(out)
	return body, "application/json", err
}

// refuse answers with err.
func (h *handler[In, Out]) refuse(w http.ResponseWriter, r *http.Request, err error) {
	p, ok := h.problem(r, err)
	if !ok {
		return
	}
	if p.Status == http.StatusServiceUnavailable {
		w.Header().Set("Retry-After", strconv.FormatInt(int64((h.opts.RetryAfter+time.Second-1)/time.Second), 10))
	}
	problem.Write(w, r, p)
}

// problem is what a client may know of err; an incident goes to the log. It is false when the client has gone.
func (h *handler[In, Out]) problem(r *http.Request, err error) (p problem.Problem, ok bool) {
	var bad *bodyError
	var coded interface{ StatusCode() int }
	switch {
	case errors.Is(r.Context().Err(), context.Canceled):
		return p, false
	case errors.As(err, &bad):
		return problem.Problem{Status: bad.status, Detail: bad.detail}, true
	case errors.Is(err, context.DeadlineExceeded):
		p.Status = http.StatusGatewayTimeout
	case errors.As(err, &coded):
		p.Status = coded.StatusCode()
	}
	if p.Status < 400 || p.Status > 599 {
		p.Status = http.StatusInternalServerError
	}
	if p.Status == http.StatusInternalServerError {
		incident := rand.Text()
		p.Extensions = map[string]any{"incident": incident}
		h.log(r, incident, err)
	}
	return p, true
}

func (h *handler[In, Out]) log(r *http.Request, incident string, err error) {
	attrs := []slog.Attr{
		slog.String("incident", incident), slog.String("func", h.name), slog.String("method", r.Method), slog.String("path", r.URL.Path), slog.Any("error", err),
	}
	var crash *CrashError
	var panicked *PanicError
	switch {
	case errors.As(err, &crash):
		attrs = append(attrs, slog.String("kind", string(crash.Kind)), slog.String("stderr", crash.Stderr))
	case errors.As(err, &panicked):
		attrs = append(attrs, slog.String("stack", panicked.Stack))
	}
	h.opts.Logger.LogAttrs(r.Context(), slog.LevelError, "executor call failed", attrs...)
}
