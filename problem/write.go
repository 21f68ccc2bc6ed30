package problem

import (
	"context"
	"crypto/rand"
	"errors"
	"log/slog"
	"maps"
	"net/http"
	"os"
	"strconv"
	"time"

	"github.com/genropy/genro-asgi-go/internal/requestid"
)

// ContentType is the media type of a problem (RFC 9457 section 3).
const ContentType = "application/problem+json"

// StatusClientClosedRequest is what is recorded, without a body, for a request whose client went
// away before its answer. It is nginx's number; no RFC assigns it.
const StatusClientClosedRequest = 499

// Write answers a request with err as an RFC 9457 problem, following the Options of the request's
// context. The first of these that fits decides:
//
//  1. Options.Map
//  2. what the caller may know, by [Of], which is sent as it is
//  3. an *http.MaxBytesError: 413
//  4. an error with StatusCode() int from 400 to 599: that status with its standard text
//  5. a read of the request that came too late (os.ErrDeadlineExceeded, which net/http cancels
//     the request for): 408
//  6. a request that was cancelled, when err is context.Canceled: 499 without a body, or, when the
//     cancellation has a cause with StatusCode() int such as asgi.ErrShutdown, the answer of that
//     cause
//  7. context.DeadlineExceeded: 504
//  8. any other error of a request that was cancelled without such a cause: 499. Its client has
//     gone, and errors often hide that this is why
//  9. anything else, nil too: 500
//
// An answer of 500 and above is logged as an error with the request's method, path and id, one of
// 499 at level info. The id is X-Request-Id of the response, which a middleware such as
// middleware.Errors sets, or else of the request, where it matches [A-Za-z0-9-]{1,64} or has the
// form of chi's ids, or else, from 500 on, a fresh one; it is the problem's member "request_id".
// What err, or an error that it wraps, has to say to the log alone, it says by a method LogValue
// (slog.LogValuer).
//
// Headers that describe a body already planned (Content-Length, Content-Encoding, ETag,
// Last-Modified, Content-Disposition) are removed, as http.Error does. The body is left out for a
// HEAD request.
//
// An error that is http.ErrAbortHandler, and any error after the response was committed (which w
// tells by a method Committed() bool, its own or that of a writer it unwraps to), cannot be
// answered: Write panics with http.ErrAbortHandler, which cuts the connection so that no client
// takes the answer for a whole one.
func Write(w http.ResponseWriter, r *http.Request, err error) {
	if errors.Is(err, http.ErrAbortHandler) {
		panic(http.ErrAbortHandler)
	}
	answer := Answer(w.Header(), r, err)
	if committed(w) {
		panic(http.ErrAbortHandler)
	}
	h := w.Header()
	for name, values := range answer.Header {
		h[http.CanonicalHeaderKey(name)] = values
	}
	if answer.StatusCode() == StatusClientClosedRequest {
		w.WriteHeader(StatusClientClosedRequest)
		return
	}
	if answer.RetryAfter > 0 {
		h.Set("Retry-After",
			strconv.FormatInt(int64((answer.RetryAfter+time.Second-1)/time.Second), 10))
	}
	body := answer.Encode()
	for _, name := range [...]string{
		"Content-Encoding", "Etag", "Last-Modified",
		"Content-Disposition",
	} {
		h.Del(name)
	}
	h.Set("Content-Type", ContentType)
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(answer.StatusCode())
	if r.Method != http.MethodHead {
		_, _ = w.Write(body) // the client is gone: nobody is left to tell
	}
}

// Answer is the problem that Write would send, for those who send it in another form, such as the
// last event of a stream. It logs as Write does. response is the header of the answer, for the id.
func Answer(response http.Header, r *http.Request, err error) *Error {
	o := OptionsFrom(r.Context())
	answer := o.answer(r, err)
	id := requestid.Of(response, r)
	if id == "" && answer.StatusCode() >= http.StatusInternalServerError {
		id = rand.Text() // for whoever has the answer and looks for the line in the log
	}
	o.log(r, answer.StatusCode(), id, err)
	if id == "" && !o.Debug {
		return answer
	}
	sent := *answer
	if sent.Extensions = maps.Clone(sent.Extensions); sent.Extensions == nil {
		sent.Extensions = make(map[string]any)
	}
	if id != "" {
		sent.Extensions["request_id"] = id
	}
	if o.Debug && err != nil {
		sent.Extensions["debug"] = err.Error()
	}
	return &sent
}

func (o *Options) answer(r *http.Request, err error) *Error {
	if o.Map != nil && err != nil {
		if answer := o.Map(r, err); answer != nil {
			return answer
		}
	}
	if answer := Of(err); answer != nil {
		return answer
	}
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return From(err)
	}
	if status := statusOf(err); status != 0 {
		return &Error{Status: status}
	}
	cancelled := errors.Is(r.Context().Err(), context.Canceled)
	if errors.Is(err, os.ErrDeadlineExceeded) && cancelled {
		return &Error{Status: http.StatusRequestTimeout}
	}
	if errors.Is(err, context.Canceled) && r.Context().Err() != nil {
		if status := statusOf(context.Cause(r.Context())); status != 0 {
			return &Error{Status: status}
		}
		return &Error{Status: StatusClientClosedRequest}
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return &Error{Status: http.StatusGatewayTimeout}
	}
	if err != nil && cancelled && statusOf(context.Cause(r.Context())) == 0 {
		return &Error{Status: StatusClientClosedRequest}
	}
	return &Error{Status: http.StatusInternalServerError}
}

func (o *Options) log(r *http.Request, status int, id string, err error) {
	level, text := slog.LevelError, "request failed"
	switch {
	case status == StatusClientClosedRequest:
		level, text = slog.LevelInfo, "client closed request"
	case status < 500:
		return
	}
	if err == nil {
		err = errors.New("problem: Write was called without an error")
	}
	attrs := []slog.Attr{
		slog.Int("status", status), slog.String("method", r.Method),
		slog.String("path", r.URL.Path),
		{Key: "error", Value: logged(err)},
	}
	if id != "" {
		attrs = append(attrs, slog.String("request_id", id))
	}
	// The request may be cancelled, which must not keep its end from being logged.
	o.logger().LogAttrs(context.WithoutCancel(r.Context()), level, text, attrs...)
}

// logged is err for the log. What an error that it wraps says by LogValue would be lost, as slog
// asks only the outermost.
func logged(err error) slog.Value {
	if _, ok := err.(slog.LogValuer); ok {
		return slog.AnyValue(err)
	}
	inner, ok := errors.AsType[interface {
		error
		slog.LogValuer
	}](err)
	if !ok {
		return slog.AnyValue(err)
	}
	return slog.GroupValue(slog.String("message", err.Error()), slog.Any("cause", inner))
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
