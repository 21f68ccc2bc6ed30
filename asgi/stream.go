package asgi

import (
	"context"
	"errors"
	"io"
	"iter"
	"net/http"
	"time"

	"github.com/genropy/genro-asgi-go/internal/respwriter"
)

// streamWrite is how long one write of a stream may wait for the client, unless an option says otherwise.
const streamWrite = 30 * time.Second

// StreamFunc answers 200 with what write writes, of the media type given. Each Write goes out at once, and fails when the
// client does not take it within 30 s; the server's own WriteTimeout and ReadTimeout do not count. ctx is the request's,
// cancelled with the cause ErrShutdown when the server begins to stop; write must return then.
//
// An error before the first Write is answered as a problem. Later, or when the server stops, the connection is cut, so that no
// client takes the answer for a whole one. For a HEAD request write is not called.
func StreamFunc(contentType string, write func(ctx context.Context, w io.Writer) error) *Reply {
	return &Reply{body: bodyStream, content: streamBody(func(w *respwriter.Writer, r *http.Request, status int) error {
		return stream(w, r, status, contentType, write)
	})}
}

// Stream answers 200 with the chunks of a sequence, as StreamFunc does, each sent at once. The sequence ends with the
// first error it yields. It is stopped between two chunks when the client goes away or the server stops; one that waits
// for something is for StreamFunc, whose function gets a context.
func Stream(contentType string, chunks iter.Seq2[[]byte, error]) *Reply {
	return StreamFunc(contentType, func(ctx context.Context, w io.Writer) error {
		for chunk, err := range chunks {
			if err != nil {
				return err
			}
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			if _, err := w.Write(chunk); err != nil {
				return err
			}
		}
		return nil
	})
}

func stream(w *respwriter.Writer, r *http.Request, status int, contentType string,
	write func(context.Context, io.Writer) error,
) error {
	if w.Header().Get("Content-Type") == "" && contentType != "" {
		w.Header().Set("Content-Type", contentType)
	}
	if r.Method == http.MethodHead || !bodyAllowed(status) {
		w.WriteHeader(status)
		return nil
	}
	ctx, stop := untilShutdown(r.Context())
	defer stop(nil)
	out := newStreamWriter(w, status, streamWrite)
	err := write(ctx, out)
	out.extend() // for what ends the stream
	if err == nil {
		err = context.Cause(ctx)
	}
	if err == nil {
		w.WriteHeader(status) // nothing, if something was written
	}
	return err
}

// streamWriter sends each write at once and within a time of its own. It has no other method: io.Copy and the
// like must come by here.
type streamWriter struct {
	w       *respwriter.Writer
	control *http.ResponseController
	status  int
	timeout time.Duration
}

func newStreamWriter(w *respwriter.Writer, status int, timeout time.Duration) *streamWriter {
	s := &streamWriter{w, http.NewResponseController(w), status, timeout}
	// The deadline of the server's ReadTimeout, once passed, would cancel the request's context.
	_ = s.control.SetReadDeadline(time.Time{})
	return s
}

// extend gives the next write its time. A writer without deadlines is as slow as its client: that of a test, or of another
// server than net/http's.
func (s *streamWriter) extend() { _ = s.control.SetWriteDeadline(time.Now().Add(s.timeout)) }

// Write writes and flushes. An error is the client's: it is gone or too slow.
func (s *streamWriter) Write(p []byte) (int, error) {
	s.extend()
	s.w.WriteHeader(s.status)
	n, err := s.w.Write(p)
	if err == nil {
		err = s.w.FlushError()
	}
	if err != nil && !errors.Is(err, http.ErrNotSupported) {
		return n, &HTTPError{Status: StatusClientClosedRequest, Detail: "The stream could not be written.", Err: err}
	}
	return n, nil
}
