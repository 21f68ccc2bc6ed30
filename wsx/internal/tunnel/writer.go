package tunnel

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/genropy/genro-asgi-go/internal/lockorder"
	"github.com/genropy/genro-asgi-go/wsx/internal/buffer"
	"github.com/genropy/genro-asgi-go/wsx/internal/wire"
)

// errBodyTooLong is what a handler gets that writes more than one answer may hold.
var errBodyTooLong = errors.New("wsx: the tunnel's answer is too long: flush, or raise MaxHTTPBody")

// sniffLen is how much of a body tells its content type.
const sniffLen = 512

// errHandlerReturned is what a goroutine gets that outlives its handler.
var errHandlerReturned = errors.New("wsx: the response is over")

// Call is the call that a tunnelled request is. It is the context of the request too.
type Call interface {
	context.Context
	// ID is the id of the answer, as JSON.
	ID() []byte
	// Reserve makes room for an answer that has grown to n bytes. It waits for it until ctx ends,
	// whose error it then returns.
	Reserve(ctx context.Context, n int) error
	// Send sends a whole message before the answer. It waits for room until ctx ends. What was
	// reserved is free again.
	Send(ctx context.Context, message []byte) error
}

// Writer is the http.ResponseWriter of a tunnelled request. As net/http's it sends the header with
// the first bytes, guesses a content type, and drops the body of HEAD; it may flush and has
// deadlines, and cannot be hijacked. Whoever calls the handler calls Finish when that has returned,
// and Close in any case.
type Writer struct {
	call   Call
	head   bool
	limit  int
	header http.Header

	mu       lockorder.Mutex
	status   int            // 0 until the header is written
	sent     http.Header    // as it was then
	body     *buffer.Buffer // since the last flush; nil while there is nothing
	guessed  bool           // the content type needs no more guessing
	tooLong  bool
	closed   bool
	deadline time.Time
}

// NewWriter returns the writer of a call's answer, of which whole bodies and what lies between two
// flushes may have limit bytes. head says that the request is a HEAD.
func NewWriter(call Call, head bool, limit int) *Writer {
	return &Writer{call: call, head: head, limit: limit, header: make(http.Header)}
}

// Header implements http.ResponseWriter.
func (w *Writer) Header() http.Header { return w.header }

// WriteHeader implements http.ResponseWriter. Informational statuses are not passed on.
func (w *Writer) WriteHeader(status int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if status < 100 || status > 999 {
		panic(fmt.Sprintf("wsx: invalid WriteHeader code %d", status)) // as net/http does
	}
	if status >= 200 || status == http.StatusSwitchingProtocols {
		w.writeHeaderLocked(status)
	}
}

func (w *Writer) writeHeaderLocked(status int) {
	if w.status == 0 {
		w.status, w.sent = status, w.header.Clone()
	}
}

// Write implements http.ResponseWriter. What makes the answer large waits for room.
func (w *Writer) Write(p []byte) (int, error) { return write(w, p) }

// WriteString implements io.StringWriter.
func (w *Writer) WriteString(s string) (int, error) { return write(w, s) }

func write[T string | []byte](w *Writer, p T) (int, error) {
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
		w.guessLocked([]byte(p[:min(len(p), sniffLen)]))
		return len(p), nil
	}
	if w.body == nil {
		w.body = buffer.Get()
	}
	n := len(w.body.B) + len(p)
	if w.tooLong || n > w.limit {
		w.tooLong = true
		return 0, errBodyTooLong
	}
	ctx, cancel := w.waitLocked()
	defer cancel()
	if err := w.call.Reserve(ctx, n); err != nil {
		return 0, err
	}
	w.body.B = append(w.body.B, p...)
	return len(p), nil
}

func (w *Writer) openLocked() error {
	if w.closed {
		return errHandlerReturned
	}
	return w.call.Err()
}

// Flush implements http.Flusher.
func (w *Writer) Flush() { _ = w.FlushError() }

// FlushError sends what was written since the last flush as an answer with stream set. It waits for
// room in the out-queue until the write deadline or the request's end.
func (w *Writer) FlushError() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if err := w.openLocked(); err != nil {
		return err
	}
	if w.tooLong {
		return errBodyTooLong
	}
	w.writeHeaderLocked(http.StatusOK)
	ctx, cancel := w.waitLocked()
	defer cancel()
	out := buffer.Get()
	defer out.Release()
	out.B = w.appendLocked(wire.AppendTunnelStart(out.B, w.call.ID()))
	out.B = append(out.B, `,"stream":true}`...)
	return w.call.Send(ctx, out.B)
}

// waitLocked is how long the client is waited for.
func (w *Writer) waitLocked() (context.Context, context.CancelFunc) {
	if w.deadline.IsZero() {
		return w.call, func() {}
	}
	return context.WithDeadline(w.call, w.deadline)
}

// SetWriteDeadline is for the flushes after it, and for writes that wait for the client to take
// what it has been sent.
func (w *Writer) SetWriteDeadline(t time.Time) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.deadline = t
	return nil
}

// SetReadDeadline has nothing to do: the request's body is there when the handler begins.
func (*Writer) SetReadDeadline(time.Time) error { return nil }

// Finish appends the members of the last answer that follow its id.
func (w *Writer) Finish(dst []byte) ([]byte, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.tooLong {
		return dst, errBodyTooLong
	}
	w.writeHeaderLocked(http.StatusOK)
	return w.appendLocked(dst), nil
}

// Close is for goroutines that outlive the handler: they write no more.
func (w *Writer) Close() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.closed = true
	if w.body != nil {
		w.body.Release()
		w.body = nil
	}
}

// appendLocked appends status, headers and what there is of the body.
func (w *Writer) appendLocked(dst []byte) []byte {
	var body []byte
	if w.body != nil {
		body = w.body.B
		w.body.B = body[:0]
	}
	w.guessLocked(body)
	dst = AppendStatus(dst, w.status, w.sent)
	if len(body) == 0 {
		return dst
	}
	return appendData(append(dst, `,"data":`...), w.sent.Get("Content-Type"), body)
}

// guessLocked sets the content type by the first bytes where the handler has set none, as net/http
// does.
func (w *Writer) guessLocked(body []byte) {
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
