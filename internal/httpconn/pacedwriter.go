package httpconn

import (
	"io"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/genropy/genro-asgi-go/internal/respwriter"
)

// pieceSize is how many bytes of an answer have the time that a client is given.
const pieceSize = 128 << 10

// PacedWriter gives the client a time for each piece of an answer, whoever writes it. It does so
// anew once a second at most, as a deadline costs a lock and a timer.
//
// It leaves the deadlines to a handler that sets one itself. Reads and the time between two writes
// are not its affair: over HTTP/2, where a deadline that passes ends the stream whether something
// is written or not, there is none between them.
type PacedWriter struct {
	respwriter.Writer
	paced   bool // else it only tells what became of the answer
	http2   bool
	timeout atomic.Int64 // a time.Duration; the shutdown makes it shorter
	own     atomic.Bool  // the handler sees to its deadlines
	until   time.Time    // the deadline that was set last
}

// Pace returns w as a PacedWriter with timeout for each piece of the answer to r. It sets no
// deadline where timeout is negative, or where the server of r limits answers as a whole. The
// caller must call Extend when the handler has returned.
func Pace(w http.ResponseWriter, r *http.Request, timeout time.Duration) *PacedWriter {
	p := &PacedWriter{paced: timeout >= 0 && !limitsWrites(r), http2: r.ProtoMajor == 2}
	p.Init(w)
	p.timeout.Store(int64(timeout))
	return p
}

// limitsWrites reports whether the server of r limits answers as a whole.
func limitsWrites(r *http.Request) bool {
	server, _ := r.Context().Value(http.ServerContextKey).(*http.Server)
	return server != nil && server.WriteTimeout > 0
}

// Extend gives what is written next its time. A writer without deadlines, such as a test's, is as
// slow as its client.
func (p *PacedWriter) Extend() {
	if !p.paced {
		return
	}
	timeout := time.Duration(p.timeout.Load())
	until := time.Now().Add(timeout)
	if p.own.Load() || p.Hijacked() || until.Sub(p.until) < min(time.Second, timeout/4) {
		return
	}
	p.until = until
	_ = http.NewResponseController(p.Unwrap()).SetWriteDeadline(until)
}

// takeBack ends the time that Extend gave, where it must not pass.
func (p *PacedWriter) takeBack() {
	if p.paced && p.http2 && !p.own.Load() {
		p.until = time.Time{}
		_ = http.NewResponseController(p.Unwrap()).SetWriteDeadline(time.Time{})
	}
}

// hurry shortens the time for what is written from now on. It is false where the deadlines are not
// this writer's.
func (p *PacedWriter) hurry(timeout time.Duration) bool {
	if p == nil || !p.paced || p.own.Load() {
		return false
	}
	p.timeout.Store(min(p.timeout.Load(), int64(timeout)))
	return true
}

// OwnDeadlines reports whether the handler has set a deadline itself, as a stream does for each of
// its writes.
func (p *PacedWriter) OwnDeadlines() bool { return p.own.Load() }

// SetWriteDeadline is what http.ResponseController calls for a handler.
func (p *PacedWriter) SetWriteDeadline(t time.Time) error {
	p.own.Store(true)
	return http.NewResponseController(p.Unwrap()).SetWriteDeadline(t)
}

// Write implements http.ResponseWriter.
func (p *PacedWriter) Write(b []byte) (n int, err error) {
	defer p.takeBack()
	for {
		piece := b[n:min(n+pieceSize, len(b))]
		p.Extend()
		m, err := p.Writer.Write(piece)
		if n += m; err != nil || n == len(b) {
			return n, err
		}
	}
}

// WriteString implements io.StringWriter.
func (p *PacedWriter) WriteString(s string) (n int, err error) {
	defer p.takeBack()
	for {
		piece := s[n:min(n+pieceSize, len(s))]
		p.Extend()
		m, err := p.Writer.WriteString(piece)
		if n += m; err != nil || n == len(s) {
			return n, err
		}
	}
}

// ReadFrom implements io.ReaderFrom. net/http and the kernel see a source limited once, which is
// what sendfile takes.
func (p *PacedWriter) ReadFrom(src io.Reader) (n int64, err error) {
	defer p.takeBack()
	whole, limited := src.(*io.LimitedReader)
	if limited {
		src = whole.R
	}
	for {
		size := int64(pieceSize)
		if limited {
			size = min(size, max(whole.N, 0))
		}
		p.Extend()
		m, err := p.Writer.ReadFrom(&io.LimitedReader{R: src, N: size})
		n += m
		if limited {
			whole.N -= m
		}
		if err != nil || m < size || size == 0 {
			return n, err
		}
	}
}

// FlushError is what http.ResponseController calls.
func (p *PacedWriter) FlushError() error {
	defer p.takeBack()
	p.Extend()
	return p.Writer.FlushError()
}

// Flush implements http.Flusher.
func (p *PacedWriter) Flush() { _ = p.FlushError() }

// Push implements http.Pusher, where the server does.
func (p *PacedWriter) Push(target string, opts *http.PushOptions) error {
	if pusher, ok := p.Unwrap().(http.Pusher); ok {
		return pusher.Push(target, opts)
	}
	return http.ErrNotSupported
}
