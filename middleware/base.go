package middleware

import (
	"net/http"
	"time"

	"github.com/genropy/genro-asgi-go/internal/respwriter"
)

// commitWriter is embedded under an unexported name: what it can do is promised by the types that
// embed it.
type commitWriter = respwriter.Writer

// Writer is the http.ResponseWriter a [Base] function gets. Besides writing, it tells what became
// of the response and lets headers be changed at the last moment. It buffers nothing, and Flush,
// Hijack, io.ReaderFrom and everything http.ResponseController does work through it as on the
// writer beneath.
//
// A Writer belongs to the goroutine that serves its request and must not be used after the Base
// function has returned.
type Writer struct {
	commitWriter
	start    time.Time
	before   func(status int)
	returned bool // next returned, so that a response nobody wrote is the implicit 200
}

// BeforeHeader has f called once, with the final status, just before the response header is sent:
// the last moment at which w.Header() may be changed. A later call replaces f.
//
// f is not called for 1xx answers nor when the connection is taken over. When nothing is written at
// all it is called with 200 after the Base function returns, because net/http then sends 200
// (unless a middleware further out writes something else).
func (w *Writer) BeforeHeader(f func(status int)) {
	w.before = f
	w.Before(f)
}

// Status is the final status. It is 0 until one is written; once next has returned without writing
// any it is 200, which is what net/http then sends. It is 101 for a connection that was taken over.
func (w *Writer) Status() int {
	if status := w.commitWriter.Status(); status != 0 || !w.returned {
		return status
	}
	return http.StatusOK
}

// Bytes is how many bytes of body were written so far, headers and what a hijacker sent not
// included.
func (w *Writer) Bytes() int64 { return w.commitWriter.Bytes() }

// Committed reports whether the header was sent or the connection taken over, so that the status
// can no longer change.
func (w *Writer) Committed() bool { return w.commitWriter.Committed() }

// Duration is the time since the middleware was entered.
func (w *Writer) Duration() time.Duration { return time.Since(w.start) }

// Base makes a middleware of one function. fn sees the request, calls next (or answers itself), and
// reads from w afterwards what was sent:
//
//	timing := middleware.Base(func(w *middleware.Writer, r *http.Request, next http.Handler) {
//		w.BeforeHeader(func(status int) { w.Header().Set("Server-Timing", "app") })
//		next.ServeHTTP(w, r)
//		slog.Info("served", "status", w.Status(), "bytes", w.Bytes(), "took", w.Duration())
//	})
//
// A panic of next passes through fn: what must run then too belongs in a defer. fn may hand next
// another request or a writer of its own around w. fn is called concurrently, once for each
// request. Base panics when fn is nil, and what it returns when next is.
func Base(fn func(w *Writer, r *http.Request, next http.Handler)) func(http.Handler) http.Handler {
	if fn == nil {
		panic("middleware: Base needs a function")
	}
	return func(next http.Handler) http.Handler {
		mustServe("Base", next)
		inner := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			next.ServeHTTP(w, r)
			if own := baseWriter(w); own != nil {
				own.returned = true
			}
		})
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			own := &Writer{start: time.Now()}
			own.Init(w)
			fn(own, r, inner)
			if own.before != nil && !own.Committed() {
				own.before(http.StatusOK)
			}
		})
	}
}

// mustServe panics where a middleware is to serve nothing.
func mustServe(middleware string, next http.Handler) {
	if next == nil {
		panic("middleware: " + middleware + ": the handler is nil")
	}
}

// baseWriter finds the Writer beneath whatever fn put around it.
func baseWriter(w http.ResponseWriter) *Writer {
	for {
		if own, ok := w.(*Writer); ok {
			return own
		}
		wrapped, ok := w.(interface{ Unwrap() http.ResponseWriter })
		if !ok {
			return nil
		}
		w = wrapped.Unwrap()
	}
}
