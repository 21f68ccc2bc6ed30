package asgi

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"iter"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/go-json-experiment/json"

	"github.com/genropy/genro-asgi-go/internal/respwriter"
)

// Event is one server-sent event (WHATWG HTML, section 9.2).
type Event struct {
	ID    string        // what the client sends as Last-Event-ID when it comes back; empty leaves the last one
	Type  string        // the event's type; empty means "message"
	Data  any           // a string or []byte as it is, in as many lines as it has; nil is no data; anything else as JSON
	Retry time.Duration // how long the client waits before it comes back, in milliseconds; 0 leaves what it was
}

// SSEOptions bound an event stream. Nil and the zero value are the defaults.
type SSEOptions struct {
	// Heartbeat is how long the stream is silent before a comment is sent, which keeps proxies from closing it and finds
	// clients that are gone. Default 15 s (0); negative means never.
	Heartbeat time.Duration

	// WriteTimeout is how long one event may wait for the client before the stream is cut. Default 30 s (0).
	WriteTimeout time.Duration
}

// maxLastEventID is the size of a Last-Event-ID in bytes; a longer one is answered as 400.
const maxLastEventID = 1024

// SSE answers with the events of a sequence, each sent at once. events is called with the id of the last event that the
// client got, empty on its first visit (never with a line break in it, but otherwise whatever the client sent), and
// with a context that ends with the client, with the cause ErrShutdown when the server begins to stop, and when the
// stream cannot be written. The sequence must end then, so one that waits watches the context.
//
// The headers go out at once, so what can be refused is refused by the handler, before it returns SSE. An error of the sequence
// cuts the connection. A browser comes back with Last-Event-ID however the stream ended, until it is told to
// stay away by NoContent instead of a stream.
//
// An event whose ID or Type has a line break or NUL, or whose Data cannot be encoded, is an error of the sequence.
func SSE(events func(ctx context.Context, lastEventID string) iter.Seq2[Event, error], opts *SSEOptions) *Reply {
	o := SSEOptions{}
	if opts != nil {
		o = *opts
	}
	if o.Heartbeat == 0 {
		o.Heartbeat = 15 * time.Second
	}
	if o.WriteTimeout <= 0 {
		o.WriteTimeout = streamWrite
	}
	return &Reply{allows: ownStatus, body: bodyStream, content: streamBody(
		func(w *respwriter.Writer, r *http.Request, _ int) error { return o.serve(w, r, events) })}
}

func (o SSEOptions) serve(w *respwriter.Writer, r *http.Request,
	events func(context.Context, string) iter.Seq2[Event, error],
) error {
	last := r.Header.Get("Last-Event-Id")
	if len(last) > maxLastEventID || !utf8.ValidString(last) || strings.ContainsAny(last, "\r\n\x00") {
		return NewHTTPError(http.StatusBadRequest, "The Last-Event-ID is not one of this server.")
	}
	h := w.Header()
	h.Set("Content-Type", "text/event-stream")
	if h.Get("Cache-Control") == "" {
		h.Set("Cache-Control", "no-cache")
	}
	h.Set("X-Accel-Buffering", "no") // nginx would hold events back
	if r.Method == http.MethodHead {
		w.WriteHeader(http.StatusOK)
		return nil
	}
	ctx, cancel := untilShutdown(r.Context())
	s := &sseWriter{out: newStreamWriter(w, http.StatusOK, o.WriteTimeout), cancel: cancel}
	defer s.out.extend() // for what ends the stream
	var beat sync.WaitGroup
	defer beat.Wait()
	defer cancel(nil)
	if o.Heartbeat > 0 {
		beat.Go(func() { s.heartbeat(ctx, o.Heartbeat) })
	}
	if err := s.write(nil); err != nil {
		return err
	}
	for event, err := range events(ctx, last) {
		if ctx.Err() != nil {
			break
		}
		if err == nil {
			err = s.send(event)
		}
		if err != nil {
			return err
		}
	}
	if err := context.Cause(ctx); !errors.Is(err, ErrShutdown) {
		return err
	}
	return nil // the server ended it: the answer is complete as it is
}

// sseWriter is shared by the sequence and the heartbeat.
type sseWriter struct {
	cancel context.CancelCauseFunc

	mu      sync.Mutex
	out     *streamWriter
	written time.Time // when something was written last
}

func (s *sseWriter) send(e Event) error {
	var buf bytes.Buffer
	if err := e.encode(&buf); err != nil {
		return err
	}
	return s.write(buf.Bytes())
}

func (s *sseWriter) write(p []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, err := s.out.Write(p)
	s.written = time.Now()
	if err != nil {
		s.cancel(err)
	}
	return err
}

// heartbeat writes a comment whenever nothing was written for as long as every.
func (s *sseWriter) heartbeat(ctx context.Context, every time.Duration) {
	timer := time.NewTimer(every)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
			s.mu.Lock()
			left := every - time.Since(s.written)
			s.mu.Unlock()
			if left <= 0 {
				_ = s.write([]byte(":\n\n")) // its error becomes the context's cause
				left = every
			}
			timer.Reset(left)
		}
	}
}

var errEventField = errors.New("asgi: an event's id or type has a line break or NUL")

func (e Event) encode(b *bytes.Buffer) error {
	if strings.ContainsAny(e.ID, "\r\n\x00") || strings.ContainsAny(e.Type, "\r\n\x00") {
		return errEventField
	}
	field := func(name, value string) {
		b.WriteString(name)
		b.WriteString(": ")
		b.WriteString(value)
		b.WriteByte('\n')
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
	var text string
	switch data := e.Data.(type) {
	case nil:
		b.WriteByte('\n')
		return nil
	case string:
		text = data
	case []byte:
		text = string(data)
	default:
		encoded, err := json.Marshal(data)
		if err != nil {
			return fmt.Errorf("asgi: encode an event: %w", err)
		}
		text = string(encoded)
	}
	// A client takes CR LF, CR and LF for the end of a line alike.
	for line := range strings.SplitSeq(lineBreaks.Replace(text), "\n") {
		field("data", line)
	}
	b.WriteByte('\n')
	return nil
}

var lineBreaks = strings.NewReplacer("\r\n", "\n", "\r", "\n")
