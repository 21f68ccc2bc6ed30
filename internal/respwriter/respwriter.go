// Package respwriter is the one commit-aware http.ResponseWriter of this module.
//
// A response is committed once its final status line is on its way: then an error can no longer be
// answered, only shown by cutting the connection (panic(http.ErrAbortHandler)). Writer tells which
// side of that line a handler is on, counts what was sent, and lets headers be changed at the last
// moment. It buffers nothing.
//
// Flush, Hijack, ReadFrom, SetReadDeadline and the other capabilities work through it as they do
// without it: it implements Flusher, Hijacker and ReaderFrom by asking the writer beneath, and
// http.ResponseController finds the rest by Unwrap.
package respwriter

import (
	"bufio"
	"io"
	"net"
	"net/http"
)

// Writer wraps a response writer for one request. It is for one goroutine, as any
// http.ResponseWriter is.
type Writer struct {
	under    http.ResponseWriter
	before   func(status int)
	status   int
	bytes    int64
	hijacked bool
}

var (
	_ http.Flusher    = (*Writer)(nil)
	_ http.Hijacker   = (*Writer)(nil)
	_ io.ReaderFrom   = (*Writer)(nil)
	_ io.StringWriter = (*Writer)(nil)
)

// New wraps w. before, if not nil, is called once with the status just before the final header is
// written, the last moment at which Header() may be changed; it is not called for 1xx answers nor
// when the connection is hijacked.
func New(w http.ResponseWriter, before func(status int)) *Writer {
	return &Writer{under: w, before: before}
}

// Init makes the zero Writer ready, for a type that embeds one and so saves an allocation a
// request.
func (w *Writer) Init(under http.ResponseWriter) { w.under = under }

// Before sets the function New takes as before; it replaces an earlier one, and nil removes it.
func (w *Writer) Before(before func(status int)) { w.before = before }

// Status is the final status written so far, 0 before. A hijacked connection that wrote none has
// 101.
func (w *Writer) Status() int { return w.status }

// Bytes is how many bytes of body the writer beneath has taken.
func (w *Writer) Bytes() int64 { return w.bytes }

// Committed reports whether the final header was written or the connection hijacked.
func (w *Writer) Committed() bool { return w.status != 0 }

// Hijacked reports whether the connection was taken over.
func (w *Writer) Hijacked() bool { return w.hijacked }

// Unwrap is for http.ResponseController.
func (w *Writer) Unwrap() http.ResponseWriter { return w.under }

// Header implements http.ResponseWriter.
func (w *Writer) Header() http.Header { return w.under.Header() }

// Commit sees to it that the final header is sent: it writes status unless one was written before.
func (w *Writer) Commit(status int) {
	if !w.Committed() {
		w.WriteHeader(status)
	}
}

// WriteHeader implements http.ResponseWriter. A second final status changes nothing but is passed
// on, so that net/http logs it as it does without a Writer, and a writer further out learns of an
// error that came too late.
func (w *Writer) WriteHeader(status int) {
	if w.Committed() {
		w.under.WriteHeader(status)
		return
	}
	if status >= 100 && status < 200 && status != http.StatusSwitchingProtocols {
		w.under.WriteHeader(status) // informational: the final one is still to come
		return
	}
	w.commit(status)
	w.under.WriteHeader(status)
}

func (w *Writer) commit(status int) {
	w.status = status
	if w.before != nil && status != http.StatusSwitchingProtocols {
		w.before(status)
	}
}

// Write implements http.ResponseWriter.
func (w *Writer) Write(p []byte) (int, error) {
	w.Commit(http.StatusOK)
	n, err := w.under.Write(p)
	w.bytes += int64(n)
	return n, err
}

// WriteString implements io.StringWriter, so that io.WriteString copies no more than it does
// without a Writer.
func (w *Writer) WriteString(s string) (int, error) {
	w.Commit(http.StatusOK)
	n, err := io.WriteString(w.under, s)
	w.bytes += int64(n)
	return n, err
}

// ReadFrom implements io.ReaderFrom, so that io.Copy reaches sendfile where the connection can.
func (w *Writer) ReadFrom(src io.Reader) (int64, error) {
	w.Commit(http.StatusOK)
	n, err := io.Copy(w.under, src)
	w.bytes += n
	return n, err
}

// Flush implements http.Flusher; see FlushError.
func (w *Writer) Flush() { _ = w.FlushError() }

// FlushError sends what is buffered. The error is errors.ErrUnsupported where the writer beneath
// cannot flush; then nothing is committed.
func (w *Writer) FlushError() error {
	if !w.Committed() {
		if err := CanFlush(w.under); err != nil {
			return err
		}
		w.WriteHeader(http.StatusOK)
	}
	return http.NewResponseController(w.under).Flush()
}

// Hijack implements http.Hijacker. The error is errors.ErrUnsupported where the connection cannot
// be taken over.
func (w *Writer) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	if err := CanHijack(w.under); err != nil {
		return nil, nil, err
	}
	conn, rw, err := http.NewResponseController(w.under).Hijack()
	if err == nil {
		w.hijacked = true
		if w.status == 0 {
			w.status = http.StatusSwitchingProtocols
		}
	}
	return conn, rw, err
}
