package middleware

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"runtime/debug"
	"strconv"
	"strings"
	"sync/atomic"
	"unicode/utf8"

	chimiddleware "github.com/go-chi/chi/v5/middleware"

	"github.com/genropy/genro-asgi-go/asgi"
	"github.com/genropy/genro-asgi-go/internal/counting"
	"github.com/genropy/genro-asgi-go/internal/requestid"
)

// maxDetail is how much of an http.Error text is kept, in bytes.
const maxDetail = 1024

// Errors makes a middleware after which every failure is answered as an RFC 9457 problem, by
// asgi.WriteError and as o says. Nil leaves in force what asgi.App or an Errors further out has
// set, or else the defaults.
//
//   - Errors returned through asgi.Respond and asgi.Handle follow o.
//   - A panic is logged with its stack and answered with 500, and counts as one of the app's
//     (asgi.AppStats). Its value is not sent, unless o.Debug is set.
//   - Plain answers of http.Error, http.NotFound, ServeMux, chi and others, with a status from 400
//     to 599, become problems: those with exactly the headers http.Error sets, and those without
//     any body or Content-Type. Their other headers, such as Allow, stay. The text becomes the
//     problem's detail below 500; from 500 on it is only logged. Any other body, be it JSON, HTML
//     or text with a Content-Type of the handler's own, passes untouched and unbuffered.
//   - A handler that returned without an answer because its context ended is answered for: 504
//     after a deadline (such as chi's Timeout), 499 in the log when the client went away.
//   - Once the header is sent nothing can be answered any more: a panic, or a status of 500 and
//     above written then, is logged and ends in panic(http.ErrAbortHandler), which cuts the
//     connection so that no client takes the answer for a whole one. A status of 504 is the
//     exception, because chi's Timeout writes it after complete answers too.
//   - http.ErrAbortHandler passes.
//
// Every response bears one X-Request-Id, which logs and problems name too: the one a middleware
// further out has put there, or else that of chi's RequestID, or else that of the request, if it
// matches [A-Za-z0-9-]{1,64} or has the form of chi's, or else a fresh one. The request bears it
// from then on, so that chi's RequestID further in, and the server behind an httputil.ReverseProxy,
// go by the same.
//
// Put Errors inside the middleware of a tracer, so that what it logs has the trace in its context,
// and inside chi's Recoverer and Logger rather than around them. Recoverer hides panics from
// what is around it: Errors still makes its 500 a problem, but of a failure after the header it
// then learns by the second status alone, and Logger drops that.
func Errors(o *asgi.ErrorOptions) func(http.Handler) http.Handler {
	ids := newIDs()
	return func(next http.Handler) http.Handler {
		mustServe("Errors", next)
		return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			if o != nil {
				r = r.WithContext(asgi.ContextWithErrors(r.Context(), o))
			}
			ids.set(rw.Header(), r)
			w := &errorWriter{r: r}
			w.Init(rw)
			w.Before(func(int) { oneID(rw.Header()) })
			defer w.recover()
			next.ServeHTTP(w, r)
			w.finish()
		})
	}
}

// errorWriter holds back the header of an answer that may have to become a problem until it is
// known whether a body follows.
type errorWriter struct {
	commitWriter
	r       *http.Request
	held    int  // a status that waits, 0 for none
	plain   bool // the held answer has the headers of http.Error
	dropped bool // what the handler still writes is not sent
	late    bool // a failure was reported after the header
}

// recover is deferred around the handler.
func (w *errorWriter) recover() {
	value := recover()
	switch value {
	case nil:
		return
	case http.ErrAbortHandler:
		panic(value)
	}
	counting.Panicked(w.r.Context())
	asgi.WriteError(&w.commitWriter, w.r, &panicError{value, debug.Stack()})
}

// finish answers for a handler that returned without having written anything.
func (w *errorWriter) finish() {
	switch {
	case w.late:
		asgi.WriteError(&w.commitWriter, w.r,
			errors.New("middleware: the handler reported a failure after the header was sent"))
	case w.held != 0:
		w.answer("")
	case !w.Committed():
		if err := w.r.Context().Err(); err != nil {
			asgi.WriteError(&w.commitWriter, w.r, err)
		}
	}
}

// answer writes the problem for the held status instead of text and whatever follows.
func (w *errorWriter) answer(text string) {
	e := &asgi.HTTPError{Status: w.held}
	switch text = trimDetail(text); {
	case text == "" || text == http.StatusText(w.held):
	case w.held < http.StatusInternalServerError:
		e.Detail = text
	default:
		e.Err = errors.New(text)
	}
	w.held, w.dropped = 0, true
	asgi.WriteError(&w.commitWriter, w.r, e)
}

func trimDetail(text string) string {
	text = strings.TrimSpace(text)
	if !utf8.ValidString(text) || text == "404 page not found" {
		// http.NotFound: says no more than the title
		return ""
	}
	if len(text) > maxDetail {
		text = strings.ToValidUTF8(text[:maxDetail], "")
	}
	return text
}

// WriteHeader implements http.ResponseWriter.
func (w *errorWriter) WriteHeader(status int) {
	switch {
	case w.dropped:
		return
	case w.Committed() && status == http.StatusGatewayTimeout:
		return // chi's Timeout: net/http would log each
	case w.Committed():
		if status >= 500 && w.Status() < 400 && !w.Hijacked() {
			w.late, w.dropped = true, true
			return
		}
	case w.held != 0:
		if !w.ownBody() {
			return // a second status is dropped, as net/http does
		}
		w.held = 0 // asgi.WriteError answers after all
	case status >= 400 && status <= 599 && status != asgi.StatusClientClosedRequest && !w.ownBody():
		w.held = status
		_, w.plain = w.Header()["Content-Type"]
		return
	}
	w.commitWriter.WriteHeader(status)
}

// ownBody reports whether the header announces a body that is not what http.Error writes.
func (w *errorWriter) ownBody() bool {
	h := w.Header()
	kind, ok := h["Content-Type"]
	if !ok {
		return false
	}
	return len(kind) != 1 || kind[0] != "text/plain; charset=utf-8" ||
		h.Get("X-Content-Type-Options") != "nosniff"
}

// release lets a held header go, because a body of the handler's own follows.
func (w *errorWriter) release() {
	status := w.held
	w.held = 0
	w.commitWriter.WriteHeader(status)
}

// Write implements http.ResponseWriter.
func (w *errorWriter) Write(p []byte) (int, error) {
	if w.held != 0 {
		switch {
		case len(p) == 0:
			return 0, nil // chi's 405 does this
		case !w.plain:
			w.release()
		case w.Header().Get("Content-Encoding") != "":
			w.answer("") // compressed further in
		default:
			w.answer(string(p[:min(len(p), 4*maxDetail)]))
		}
	}
	if w.dropped {
		return len(p), nil
	}
	return w.commitWriter.Write(p)
}

// WriteString implements io.StringWriter.
func (w *errorWriter) WriteString(s string) (int, error) {
	if w.held != 0 || w.dropped {
		return w.Write([]byte(s))
	}
	return w.commitWriter.WriteString(s)
}

// ReadFrom implements io.ReaderFrom.
func (w *errorWriter) ReadFrom(src io.Reader) (int64, error) {
	if w.held != 0 || w.dropped {
		return io.Copy(struct{ io.Writer }{w}, src)
	}
	return w.commitWriter.ReadFrom(src)
}

// Flush implements http.Flusher.
func (w *errorWriter) Flush() { _ = w.FlushError() }

// FlushError is what http.ResponseController calls.
func (w *errorWriter) FlushError() error {
	if w.held != 0 {
		if w.plain {
			w.answer("")
		} else {
			w.release()
		}
	}
	return w.commitWriter.FlushError()
}

// panicError is a panic on its way into the log. It wraps nothing, so that a panic is answered with
// 500 whatever its value is.
type panicError struct {
	value any
	stack []byte
}

func (e *panicError) Error() string { return fmt.Sprintf("panic: %v", e.value) }

// StatusCode is 500, also when the client has gone.
func (e *panicError) StatusCode() int { return http.StatusInternalServerError }

// LogValue adds the stack, which debug answers leave out.
func (e *panicError) LogValue() slog.Value {
	return slog.GroupValue(slog.String("message", e.Error()), slog.String("stack", string(e.stack)))
}

// ids makes request ids: random for the process, counted for the request.
type ids struct {
	prefix string
	last   atomic.Uint64
}

func newIDs() *ids { return &ids{prefix: rand.Text()[:16] + "-"} }

// set gives response and request the same id: the one that is known further out, or else a fresh
// one.
func (i *ids) set(response http.Header, r *http.Request) {
	id := requestid.First(response, requestid.Own)
	if id == "" {
		if id = chimiddleware.GetReqID(r.Context()); !requestid.Own(id) {
			id = requestid.First(r.Header, requestid.Sent)
		}
	}
	if id == "" {
		text := append(make([]byte, 0, 40), i.prefix...)
		id = string(strconv.AppendUint(text, i.last.Add(1), 10))
	}
	values := []string{id}
	response[requestid.Header] = values
	if r.Header != nil {
		// chi's RequestID further in and a proxy's next server take it from there
		r.Header[requestid.Header] = values
	}
}

// oneID takes out the ids that a proxy copied beside that of this server.
func oneID(h http.Header) {
	if ids := h[requestid.Header]; len(ids) > 1 {
		h[requestid.Header] = ids[:1:1]
	}
}
