// Package sse writes server-sent events (WHATWG HTML, section 9.2): the one writer of
// text/event-stream in this module.
package sse

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/genropy/genro-asgi-go/internal/counting"
	"github.com/genropy/genro-asgi-go/internal/respwriter"
	"github.com/genropy/genro-asgi-go/internal/stopping"
)

// Event is one event.
type Event struct {
	// what the client sends as Last-Event-ID when it comes back; empty leaves the last one
	ID   string
	Type string // empty means "message"
	// in as many lines as it has; nil is no data, and browsers then dispatch nothing
	Data []byte
	// how long the client waits before it comes back, in whole milliseconds; 0 leaves what it was
	Retry time.Duration
}

// ErrExpired is the cause of a stream's end when the credentials of its request have ended.
var ErrExpired = errors.New("sse: the credentials have expired")

// ErrField is the error of an event that cannot be written.
var ErrField = errors.New("sse: an event's id or type has a line break or NUL")

var lineBreaks = strings.NewReplacer("\r\n", "\n", "\r", "\n")

// Append appends the event as it is sent. The error is ErrField.
func (e *Event) Append(dst []byte) ([]byte, error) {
	if strings.ContainsAny(e.ID, "\r\n\x00") || strings.ContainsAny(e.Type, "\r\n\x00") {
		return dst, ErrField
	}
	field := func(name, value string) {
		dst = append(append(append(append(dst, name...), ": "...), value...), '\n')
	}
	if e.Type != "" {
		field("event", e.Type)
	}
	if e.ID != "" {
		field("id", e.ID)
	}
	if e.Retry > 0 {
		field("retry", strconv.FormatInt(e.Retry.Milliseconds(), 10))
	}
	switch {
	case e.Data == nil:
	// a client takes CR LF, CR and LF for the end of a line alike
	case bytes.ContainsAny(e.Data, "\r\n"):
		for line := range strings.SplitSeq(lineBreaks.Replace(string(e.Data)), "\n") {
			field("data", line)
		}
	default:
		dst = append(append(append(dst, "data: "...), e.Data...), '\n')
	}
	return append(dst, '\n'), nil
}

// Stream is an event stream being sent. It is safe for concurrent use.
type Stream struct {
	ctx    context.Context
	cancel context.CancelCauseFunc
	expire context.CancelFunc // of the deadline beneath ctx
	ended  func()             // counts the stream out
	beat   sync.WaitGroup

	mu      sync.Mutex
	write   func(p []byte) error
	buf     []byte
	written time.Time // when something was written last
}

// Start begins a stream: it writes nothing, which sends the header, and a comment whenever nothing
// was sent for as long as heartbeat, which keeps proxies from closing the stream and finds clients
// that are gone; 0 is never. write sends bytes at once. When it fails, ctx ends or the credentials
// of its request do (stopping.Expiry), the stream's context ends, and nothing more is sent. The
// stream is to be stopped once, also when the error is not nil. Until then it counts as one of its
// server's (package counting).
func Start(ctx context.Context, write func(p []byte) error, heartbeat time.Duration) (*Stream,
	error,
) {
	s := &Stream{write: write, expire: func() {}, ended: counting.Begin(ctx, counting.Events)}
	if at := stopping.Expiry(ctx); !at.IsZero() {
		ctx, s.expire = context.WithDeadlineCause(ctx, at, ErrExpired)
	}
	s.ctx, s.cancel = context.WithCancelCause(ctx)
	if err := s.send(nil); err != nil {
		return s, err
	}
	if heartbeat > 0 {
		s.beat.Go(func() { s.heartbeat(heartbeat) })
	}
	return s, nil
}

// Context ends with the one given to Start, with the error of a write, with the credentials
// (ErrExpired), and with Stop.
func (s *Stream) Context() context.Context { return s.ctx }

// Send sends one event. Once the stream's context has ended the error is its cause, and nothing is
// sent.
func (s *Stream) Send(e Event) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	b, err := e.Append(s.buf[:0])
	if err != nil {
		return err
	}
	s.buf = b
	return s.writeLocked(b)
}

func (s *Stream) send(p []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.writeLocked(p)
}

func (s *Stream) writeLocked(p []byte) error {
	if err := context.Cause(s.ctx); err != nil {
		return err
	}
	err := s.write(p)
	s.written = time.Now()
	if err != nil {
		s.cancel(err)
	}
	return err
}

// Stop ends the heartbeat and waits for it.
func (s *Stream) Stop() {
	s.cancel(nil)
	s.beat.Wait()
	s.expire()
	s.ended()
}

func (s *Stream) heartbeat(every time.Duration) {
	timer := time.NewTimer(every)
	defer timer.Stop()
	for {
		select {
		case <-s.ctx.Done():
			return
		case <-timer.C:
			s.mu.Lock()
			left := every - time.Since(s.written)
			s.mu.Unlock()
			if left <= 0 {
				s.comment()
				left = every
			}
			timer.Reset(left)
		}
	}
}

// Supported returns nil where w can send each event at once. Else the client would wait for all of
// them: the error, which names the writer in the way, is to be answered and logged instead of a
// stream.
func Supported(w http.ResponseWriter) error { return respwriter.CanFlush(w) }

// comment sends what clients ignore. Its error is the context's cause. So is a panic of a writer,
// which nobody else would catch here.
func (s *Stream) comment() {
	defer func() {
		if v := recover(); v != nil {
			s.cancel(fmt.Errorf("sse: panic in a response writer: %v", v))
		}
	}()
	_ = s.send([]byte(":\n\n"))
}

// Response answers 200 with an event stream and returns what writes to it: each write is flushed,
// and fails when the client does not take it within timeout, where the writer has deadlines.
func Response(w http.ResponseWriter, timeout time.Duration) func(p []byte) error {
	h := w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Accel-Buffering", "no") // nginx would hold events back
	h.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(http.StatusOK)
	control := http.NewResponseController(w)
	return func(p []byte) error {
		// where there is none, the connection's end has to do
		_ = control.SetWriteDeadline(time.Now().Add(timeout))
		if _, err := w.Write(p); err != nil {
			return err
		}
		if err := control.Flush(); err != nil {
			return err
		}
		// Over HTTP/2 a deadline that passes ends the stream, whether something is written then or
		// not.
		_ = control.SetWriteDeadline(time.Time{})
		return nil
	}
}
