package wsx

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/genropy/genro-asgi-go/wsx/internal/wire"
)

// errBodyTooLong is what a handler gets that writes more than one answer may hold.
var errBodyTooLong = errors.New("wsx: the tunnel's answer is too long: flush, or raise MaxHTTPBody")

// errHandlerReturned is what a goroutine gets that outlives its handler.
var errHandlerReturned = errors.New("wsx: the response is over")

// tunnelWriter is the http.ResponseWriter of a tunnelled request. As net/http's it sends the header with the first bytes, guesses a content
// type, and drops the body of HEAD; it may flush and has deadlines, and cannot be hijacked.
type tunnelWriter struct {
	call   *call
	head   bool
	limit  int
	header http.Header

	mu       sync.Mutex
	status   int         // 0 until the header is written
	sent     http.Header // as it was then
	body     *buffer     // since the last flush; nil while there is nothing
	guessed  bool        // the content type needs no more guessing
	tooLong  bool
	ended    bool
	deadline time.Time
}

// Header implements http.ResponseWriter.
func (w *tunnelWriter) Header() http.Header { return w.header }

// WriteHeader implements http.ResponseWriter. Informational statuses are not passed on.
func (w *tunnelWriter) WriteHeader(status int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if status < 100 || status > 999 {
		panic(fmt.Sprintf("wsx: invalid WriteHeader code %d", status)) // as net/http does
	}
	if status >= 200 || status == http.StatusSwitchingProtocols {
		w.writeHeaderLocked(status)
	}
}

func (w *tunnelWriter) writeHeaderLocked(status int) {
	if w.status == 0 {
		w.status, w.sent = status, w.header.Clone()
	}
}

// Write implements http.ResponseWriter.
func (w *tunnelWriter) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if err := w.openLocked(); err != nil {
		return 0, err
	}
	w.writeHeaderLocked(http.StatusOK)
	switch {
	case w.status == http.StatusNoContent, w.status == http.StatusNotModified, w.status < 200:
		return 0, http.ErrBodyNotAllowed
	case w.head:
		w.guessLocked(p)
		return len(p), nil
	}
	if w.body == nil {
		w.body = getBuffer()
	}
	if w.tooLong || len(w.body.b)+len(p) > w.limit {
		w.tooLong = true
		return 0, errBodyTooLong
	}
	w.body.b = append(w.body.b, p...)
	return len(p), nil
}

// WriteString implements io.StringWriter.
func (w *tunnelWriter) WriteString(s string) (int, error) { return w.Write([]byte(s)) }

func (w *tunnelWriter) openLocked() error {
	if w.ended {
		return errHandlerReturned
	}
	return w.call.Err()
}

// Flush implements http.Flusher.
func (w *tunnelWriter) Flush() { _ = w.FlushError() }

// FlushError sends what was written since the last flush as an answer with stream set. It waits for room in the out-queue until the write
// deadline or the request's end.
func (w *tunnelWriter) FlushError() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if err := w.openLocked(); err != nil {
		return err
	}
	if w.tooLong {
		return errBodyTooLong
	}
	w.writeHeaderLocked(http.StatusOK)
	ctx, cancel := context.Context(w.call), context.CancelFunc(func() {})
	if !w.deadline.IsZero() {
		ctx, cancel = context.WithDeadline(ctx, w.deadline)
	}
	defer cancel()
	out := getBuffer()
	defer out.release()
	out.b = w.appendLocked(wire.AppendTunnelStart(out.b, w.call.id))
	out.b = append(out.b, `,"stream":true}`...)
	return w.call.interim(ctx, out.b)
}

// SetWriteDeadline is for the flushes after it. Writing itself never waits.
func (w *tunnelWriter) SetWriteDeadline(t time.Time) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.deadline = t
	return nil
}

// SetReadDeadline has nothing to do: the request's body is there when the handler begins.
func (*tunnelWriter) SetReadDeadline(time.Time) error { return nil }

// finish appends the last answer.
func (w *tunnelWriter) finish(dst []byte) ([]byte, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.tooLong {
		return dst, errBodyTooLong
	}
	w.writeHeaderLocked(http.StatusOK)
	return w.appendLocked(dst), nil
}

// end is for what the handler has left behind: it writes no more.
func (w *tunnelWriter) end() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.ended = true
	if w.body != nil {
		w.body.release()
		w.body = nil
	}
}

// appendLocked appends status, headers and what there is of the body.
func (w *tunnelWriter) appendLocked(dst []byte) []byte {
	var body []byte
	if w.body != nil {
		body = w.body.b
		w.body.b = body[:0]
	}
	w.guessLocked(body)
	dst = appendStatus(dst, w.status, w.sent)
	if len(body) == 0 {
		return dst
	}
	return appendData(append(dst, `,"data":`...), w.sent.Get("Content-Type"), body)
}

// guessLocked sets the content type by the first bytes where the handler has set none, as net/http does.
func (w *tunnelWriter) guessLocked(body []byte) {
	if w.guessed || len(body) == 0 {
		return
	}
	w.guessed = true
	if _, set := w.sent["Content-Type"]; !set && w.sent.Get("Content-Encoding") == "" {
		if w.sent == nil {
			w.sent = make(http.Header)
		}
		w.sent.Set("Content-Type", http.DetectContentType(body))
	}
}

// appendStatus appends the members status and headers.
func appendStatus(dst []byte, status int, header http.Header) []byte {
	dst = strconv.AppendInt(append(dst, `,"status":`...), int64(status), 10)
	dst = append(dst, `,"headers":{`...)
	first := true
	for _, name := range slices.Sorted(maps.Keys(header)) {
		lower, values := strings.ToLower(name), header[name]
		if len(values) == 0 || slices.Contains(hopByHop, lower) || strings.HasPrefix(name, http.TrailerPrefix) {
			continue
		}
		if !first {
			dst = append(dst, ',')
		}
		first = false
		dst = append(appendQuoted(dst, lower), ':')
		if lower != "set-cookie" {
			dst = appendQuoted(dst, strings.Join(values, ", "))
			continue
		}
		for i, value := range values { // whose values hold commas
			dst = append(dst, "[,"[min(i, 1)])
			dst = appendQuoted(dst, value)
		}
		dst = append(dst, ']')
	}
	return append(dst, '}')
}

// hopByHop are the response headers that mean something to a connection of HTTP only (RFC 9110 section 7.6.1).
var hopByHop = []string{"connection", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade"}

// appendData appends a body: as it is when it is JSON, else as a string, else as base64.
func appendData(dst []byte, contentType string, body []byte) []byte {
	switch {
	case isJSON(contentType) && wire.Valid(body):
		return append(dst, bytes.TrimSpace(body)...) // encoders end with a newline
	case utf8.Valid(body):
		return appendQuoted(dst, body)
	default:
		dst = base64.StdEncoding.AppendEncode(append(dst, `{"base64":"`...), body)
		return append(dst, `"}`...)
	}
}

func appendQuoted[T string | []byte](dst []byte, s T) []byte {
	dst, _ = jsontext.AppendQuote(dst, s) // the error tells of bytes that were replaced
	return dst
}
