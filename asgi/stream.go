package asgi

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/genropy/genro-asgi-go/internal/counting"
	"github.com/genropy/genro-asgi-go/internal/httpconn"
	"github.com/genropy/genro-asgi-go/internal/respwriter"
)

// streamWrite is how long one write of a stream may wait for the client, unless an option says
// otherwise.
const streamWrite = 30 * time.Second

// StreamFunc answers 200 with what write writes, of the media type given. Each Write goes out at
// once, and fails when the client does not take it within 30 s; the server's own WriteTimeout and
// ReadTimeout do not count. ctx is the request's, cancelled with the cause ErrShutdown when the
// server begins to stop, and when the credentials of the request end (wsx.WithIdentity); write must
// return then.
//
// An error before the first Write is answered as a problem. Later, or when the server stops, the
// connection is cut, so that no client takes the answer for a whole one. For a HEAD request write
// is not called. A response writer that cannot flush, because a middleware hides it, is answered
// with 500, and the log names it.
func StreamFunc(contentType string, write func(ctx context.Context, w io.Writer) error) *Reply {
	if write == nil {
		return new(Reply).fail(errors.New("asgi: StreamFunc: the function is nil"))
	}
	return &Reply{
		body: bodyStream,
		content: streamBody(func(w *respwriter.Writer, r *http.Request, status int) error {
			return stream(w, r, status, contentType, write)
		}),
	}
}

// Stream answers 200 with the chunks of a sequence, as StreamFunc does, each sent at once. The
// sequence ends with the first error it yields. It is stopped between two chunks when the client
// goes away or the server stops; one that waits for something is for StreamFunc, whose function
// gets a context.
func Stream(contentType string, chunks iter.Seq2[[]byte, error]) *Reply {
	if chunks == nil {
		return new(Reply).fail(errors.New("asgi: Stream: the sequence is nil"))
	}
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
	if err := respwriter.CanFlush(w); err != nil {
		return fmt.Errorf("asgi: a stream cannot be sent: %w", err)
	}
	if err := readAhead(r, true); err != nil {
		return err
	}
	ctx, stop := lasting(r.Context())
	defer stop(nil)
	defer counting.Begin(ctx, counting.Stream)()
	out, release := newStreamWriter(ctx, w, status, streamWrite)
	defer release()
	err := write(ctx, out)
	out.extend() // for what ends the stream
	if err == nil {
		err = context.Cause(ctx)
	}
	if err == nil {
		w.Commit(status)
	}
	return err
}

// streamWriter sends each write at once and within a time of its own. It has no other method:
// io.Copy and the like must come by here.
type streamWriter struct {
	w       *respwriter.Writer
	control *http.ResponseController
	status  int
	timeout atomic.Int64 // a time.Duration
}

// newStreamWriter makes a writer whose time is short once the server of ctx begins to stop. stop
// must be called before the handler returns.
func newStreamWriter(ctx context.Context, w *respwriter.Writer, status int,
	timeout time.Duration,
) (s *streamWriter, stop func()) {
	s = &streamWriter{w: w, control: http.NewResponseController(w), status: status}
	s.timeout.Store(int64(timeout))
	hurried := make(chan struct{})
	unwatch := context.AfterFunc(ShutdownContext(ctx), func() {
		defer close(hurried)
		s.timeout.Store(min(s.timeout.Load(), int64(httpconn.MaxPatience)))
		s.extend() // of a write that waits
	})
	return s, func() {
		if !unwatch() {
			<-hurried
		}
	}
}

// extend gives the next write its time. A writer without deadlines is as slow as its client: that
// of a test, or of another server than net/http's.
func (s *streamWriter) extend() {
	_ = s.control.SetWriteDeadline(time.Now().Add(time.Duration(s.timeout.Load())))
}

// Write writes and flushes. An error is the client's: it is gone or too slow.
func (s *streamWriter) Write(p []byte) (int, error) {
	s.extend()
	s.w.Commit(s.status)
	n, err := s.w.Write(p)
	if err == nil {
		err = s.w.FlushError()
	}
	// Over HTTP/2 a deadline that passes ends the stream, whether something is written then or not.
	_ = s.control.SetWriteDeadline(time.Time{})
	if err != nil {
		return n, &HTTPError{
			Status: StatusClientClosedRequest,
			Detail: "The stream could not be written.", Err: err,
		}
	}
	return n, nil
}
