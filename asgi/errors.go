package asgi

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"

	"github.com/genropy/genro-asgi-go/internal/problem"
)

// StatusClientClosedRequest is what is recorded, without a body, for a request whose client went away before its answer.
// It is nginx's number; no RFC assigns it.
const StatusClientClosedRequest = 499

// HTTPError is an error that says how it is answered: as an RFC 9457 problem made of its fields. All of them but
// Err reach the client.
type HTTPError struct {
	Status     int            // 400 to 599; anything else is answered as 500
	Type       string         // a URI reference; empty means "about:blank"
	Title      string         // empty means http.StatusText(Status)
	Detail     string         // what the client can do about it; may be empty
	Instance   string         // a URI reference; may be empty
	Extensions map[string]any // further members of the problem; may be nil
	Header     http.Header    // headers of the answer, such as Retry-After; may be nil
	Err        error          // the cause, for logs and errors.Is; never sent; may be nil
}

// NewHTTPError makes an error with a status from 400 to 599 and a detail that the client may read.
func NewHTTPError(status int, detail string) *HTTPError {
	return &HTTPError{Status: status, Detail: detail}
}

// Error is for logs: the status, the title, the detail and the cause.
func (e *HTTPError) Error() string {
	text := e.Title
	if text == "" {
		text = http.StatusText(e.StatusCode())
	}
	text = fmt.Sprintf("%d %s", e.StatusCode(), text)
	if e.Detail != "" {
		text += ": " + e.Detail
	}
	if e.Err != nil {
		text += ": " + e.Err.Error()
	}
	return text
}

// Unwrap is the cause.
func (e *HTTPError) Unwrap() error { return e.Err }

// StatusCode is the status of the answer, 500 where Status is none of an error.
func (e *HTTPError) StatusCode() int {
	if !isErrorStatus(e.Status) {
		return http.StatusInternalServerError
	}
	return e.Status
}

func isErrorStatus(status int) bool { return status >= 400 && status <= 599 }

// ErrorOptions says how errors become answers, for one app or one subtree of routes.
type ErrorOptions struct {
	// Debug adds the error's own text as the problem's member "debug". It is for development only. Default false.
	Debug bool

	// Map turns an error into its answer before the rules of WriteError are tried. A nil result leaves the error to them.
	// Nil means no mapping. It is called by many goroutines at once.
	Map func(r *http.Request, err error) *HTTPError

	// Logger gets the errors that are answered with a status of 500 and above. Nil means slog.Default().
	Logger *slog.Logger
}

type errorsKey struct{}

// ContextWithErrors makes WriteError follow o for requests with this context. Nil means the defaults.
// The innermost options count as a whole.
func ContextWithErrors(ctx context.Context, o *ErrorOptions) context.Context {
	return context.WithValue(ctx, errorsKey{}, o)
}

func errorOptions(ctx context.Context) *ErrorOptions {
	if o, _ := ctx.Value(errorsKey{}).(*ErrorOptions); o != nil {
		return o
	}
	return &ErrorOptions{}
}

func (o *ErrorOptions) logger() *slog.Logger {
	if o.Logger == nil {
		return slog.Default()
	}
	return o.Logger
}

// WriteError answers a request with err as an RFC 9457 problem, following the ErrorOptions of the request's context.
// The first of these that fits decides:
//
//  1. ErrorOptions.Map
//  2. an *HTTPError, which is sent as it is
//  3. an *http.MaxBytesError: 413
//  4. an error with StatusCode() int from 400 to 599: that status with its standard text
//  5. a request that was cancelled, when err is context.Canceled: 499 without a body, or, when the cancellation has a
//     cause with StatusCode() int such as ErrShutdown, the answer of that cause
//  6. context.DeadlineExceeded: 504
//  7. anything else, nil too: 500
//
// An answer of 500 and above is logged as an error with the request's method, path and id, one of 499 at level
// info. The id is X-Request-Id of the response or else of the request, where it matches [A-Za-z0-9-]{1,64}; it is the
// problem's member "request_id".
//
// An error that is http.ErrAbortHandler, and any error after the response was committed (which w tells by a method
// Committed() bool, its own or that of a writer it unwraps to), cannot be answered: WriteError panics with
// http.ErrAbortHandler, which cuts the connection so that no client takes the answer for a whole one.
func WriteError(w http.ResponseWriter, r *http.Request, err error) {
	if errors.Is(err, http.ErrAbortHandler) {
		panic(http.ErrAbortHandler)
	}
	o := errorOptions(r.Context())
	answer := o.answer(r, err)
	id := requestID(w, r)
	o.log(r, answer.StatusCode(), id, err)
	if committed(w) {
		panic(http.ErrAbortHandler)
	}
	for name, values := range answer.Header {
		w.Header()[http.CanonicalHeaderKey(name)] = values
	}
	if answer.StatusCode() == StatusClientClosedRequest {
		w.WriteHeader(StatusClientClosedRequest)
		return
	}
	extensions := answer.Extensions
	if id != "" || o.Debug {
		extensions = maps.Clone(extensions)
		if extensions == nil {
			extensions = make(map[string]any, 2)
		}
		if id != "" {
			extensions["request_id"] = id
		}
		if o.Debug && err != nil {
			extensions["debug"] = err.Error()
		}
	}
	problem.Write(w, r, problem.Problem{
		Type: answer.Type, Title: answer.Title, Status: answer.Status, Detail: answer.Detail,
		Instance: answer.Instance, Extensions: extensions,
	})
}

func (o *ErrorOptions) answer(r *http.Request, err error) *HTTPError {
	if o.Map != nil && err != nil {
		if answer := o.Map(r, err); answer != nil {
			return answer
		}
	}
	if answer, ok := errors.AsType[*HTTPError](err); ok {
		return answer
	}
	if large, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return bodyTooLarge(large)
	}
	if status := statusOf(err); status != 0 {
		return &HTTPError{Status: status}
	}
	if errors.Is(err, context.Canceled) && r.Context().Err() != nil {
		if status := statusOf(context.Cause(r.Context())); status != 0 {
			return &HTTPError{Status: status}
		}
		return &HTTPError{Status: StatusClientClosedRequest}
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return &HTTPError{Status: http.StatusGatewayTimeout}
	}
	return &HTTPError{Status: http.StatusInternalServerError}
}

func bodyTooLarge(err *http.MaxBytesError) *HTTPError {
	return &HTTPError{
		Status: http.StatusRequestEntityTooLarge,
		Detail: fmt.Sprintf("The body is limited to %d bytes.", err.Limit),
		Err:    err,
	}
}

// statusOf is the error's own StatusCode, 0 where it has none that is an error's.
func statusOf(err error) int {
	coded, ok := errors.AsType[interface {
		error
		StatusCode() int
	}](err)
	if !ok || !isErrorStatus(coded.StatusCode()) {
		return 0
	}
	return coded.StatusCode()
}

func (o *ErrorOptions) log(r *http.Request, status int, id string, err error) {
	level, text := slog.LevelError, "request failed"
	switch {
	case status == StatusClientClosedRequest:
		level, text = slog.LevelInfo, "client closed request"
	case status < 500:
		return
	}
	if err == nil {
		err = errors.New("asgi: WriteError was called without an error")
	}
	attrs := []slog.Attr{
		slog.Int("status", status), slog.String("method", r.Method),
		slog.String("path", r.URL.Path), slog.Any("error", err),
	}
	if id != "" {
		attrs = append(attrs, slog.String("request_id", id))
	}
	// The request may be cancelled, which must not keep its end from being logged.
	o.logger().LogAttrs(context.WithoutCancel(r.Context()), level, text, attrs...)
}

// requestID prefers the answer's header: a middleware that makes ids sets it there, whatever the client sent.
func requestID(w http.ResponseWriter, r *http.Request) string {
	for _, h := range [...]http.Header{w.Header(), r.Header} {
		if id := h.Get("X-Request-Id"); validRequestID(id) {
			return id
		}
	}
	return ""
}

func validRequestID(id string) bool {
	if id == "" || len(id) > 64 {
		return false
	}
	for i := range len(id) {
		c := id[i]
		if (c < '0' || c > '9') && (c < 'A' || c > 'Z') && (c < 'a' || c > 'z') && c != '-' {
			return false
		}
	}
	return true
}

// committed asks the writer, and those it wraps, whether the answer's header is on its way.
func committed(w http.ResponseWriter) bool {
	for {
		if t, ok := w.(interface{ Committed() bool }); ok && t.Committed() {
			return true
		}
		unwrapper, ok := w.(interface{ Unwrap() http.ResponseWriter })
		if !ok {
			return false
		}
		w = unwrapper.Unwrap()
	}
}
