// Package sse writes server-sent events (WHATWG HTML, section 9.2): the one writer of text/event-stream in this module.
package sse

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Event is one event.
type Event struct {
	ID    string        // what the client sends as Last-Event-ID when it comes back; empty leaves the last one
	Type  string        // empty means "message"
	Data  []byte        // in as many lines as it has; nil is no data, and browsers then dispatch nothing
	Retry time.Duration // how long the client waits before it comes back, in whole milliseconds; 0 leaves what it was
}

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
	case bytes.ContainsAny(e.Data, "\r\n"): // a client takes CR LF, CR and LF for the end of a line alike
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
	beat   sync.WaitGroup

	mu      sync.Mutex
	write   func(p []byte) error
	buf     []byte
	written time.Time // when something was written last
}

// Start begins a stream: it writes nothing, which sends the header, and a comment whenever nothing was sent for as long as heartbeat, which
// keeps proxies from closing the stream and finds clients that are gone; 0 is never. write sends bytes at once. When it fails, or ctx
// ends, the stream's context ends. The stream is to be stopped, also when the error is not nil.
func Start(ctx context.Context, write func(p []byte) error, heartbeat time.Duration) (*Stream, error) {
	s := &Stream{write: write}
	s.ctx, s.cancel = context.WithCancelCause(ctx)
	if err := s.send(nil); err != nil {
		return s, err
	}
	if heartbeat > 0 {
		s.beat.Go(func() { s.heartbeat(heartbeat) })
	}
	return s, nil
}

// Context ends with the one given to Start, with the error of a write, and with Stop.
func (s *Stream) Context() context.Context { return s.ctx }

// Send sends one event. After an error of the writer the stream is over.
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
				_ = s.send([]byte(":\n\n")) // its error is the context's cause
				left = every
			}
			timer.Reset(left)
		}
	}
}

// Response answers 200 with an event stream and returns what writes to it: each write is flushed, and fails when the client does not take it within
// timeout, where the writer has deadlines.
func Response(w http.ResponseWriter, timeout time.Duration) func(p []byte) error {
	h := w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Accel-Buffering", "no") // nginx would hold events back
	h.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(http.StatusOK)
	control := http.NewResponseController(w)
	_ = control.SetReadDeadline(time.Time{}) // that of the server's ReadTimeout, once passed, would cancel the request's context
	return func(p []byte) error {
		_ = control.SetWriteDeadline(time.Now().Add(timeout)) // where there is none, the connection's end has to do
		if _, err := w.Write(p); err != nil {
			return err
		}
		return control.Flush()
	}
}
