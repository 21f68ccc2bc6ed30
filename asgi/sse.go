package asgi

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"net/http"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/genropy/genro-asgi-go/internal/respwriter"
	"github.com/genropy/genro-asgi-go/internal/sse"
	"github.com/genropy/genro-asgi-go/internal/typed"
)

// Event is one server-sent event (WHATWG HTML, section 9.2).
type Event struct {
	// what the client sends as Last-Event-ID when it comes back; empty leaves the last one
	ID   string
	Type string // the event's type; empty means "message"
	// a string or []byte as it is, in as many lines as it has; nil is no data; anything else as
	// JSON
	Data any
	// how long the client waits before it comes back, in milliseconds; 0 leaves what it was
	Retry time.Duration
}

// SSEOptions bound an event stream. Nil and the zero value are the defaults.
type SSEOptions struct {
	// Heartbeat is how long the stream is silent before a comment is sent, which keeps proxies from
	// closing it and finds clients that are gone. Default 15 s (0); negative means never.
	Heartbeat time.Duration

	// WriteTimeout is how long one event may wait for the client before the stream is cut. Default
	// 30 s (0).
	WriteTimeout time.Duration
}

// maxLastEventID is the size of a Last-Event-ID in bytes; a longer one is answered as 400.
const maxLastEventID = 1024

// SSE answers with the events of a sequence, each sent at once. events is called with the id of the
// last event that the client got, empty on its first visit (never with a line break in it, but
// otherwise whatever the client sent), and with a context that ends with the client, with the cause
// ErrShutdown when the server begins to stop, when the credentials of the request end
// (wsx.WithIdentity), and when the stream cannot be written. The sequence must end then, so one
// that waits watches the context.
//
// The headers go out when events has returned, before the first event: what events itself
// subscribes to, rather than the sequence that it returns, is in effect when the client learns that
// the stream is there. It has to end with the context, also when the sequence is never asked. What
// can be refused is refused by the handler, before it returns SSE. An error of the sequence cuts
// the connection. A browser comes back with Last-Event-ID however the stream ended, until it is
// told to stay away by NoContent instead of a stream.
//
// Where the response writer cannot flush, because a middleware hides it, a client would wait for
// its events for ever: the answer is 500 then, and the log names the writer.
//
// An event whose ID or Type has a line break or NUL, or whose Data cannot be encoded, is an error
// of the sequence.
func SSE(events func(ctx context.Context, lastEventID string) iter.Seq2[Event, error],
	opts *SSEOptions,
) *Reply {
	if events == nil {
		return new(Reply).fail(errors.New("asgi: SSE: the function is nil"))
	}
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
	if len(last) > maxLastEventID || !utf8.ValidString(last) ||
		strings.ContainsAny(last, "\r\n\x00") {
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
	if err := sse.Supported(w); err != nil {
		return fmt.Errorf("asgi: events cannot be sent: %w", err)
	}
	if err := readAhead(r, true); err != nil {
		return err
	}
	ctx, cancel := lasting(r.Context())
	defer cancel(nil)
	// before the headers: who has them counts on hearing of everything from then on
	sequence := events(ctx, last)
	if sequence == nil {
		return errors.New("asgi: SSE: the function gave no sequence")
	}
	out, release := newStreamWriter(ctx, w, http.StatusOK, o.WriteTimeout)
	defer release()
	defer out.extend() // for what ends the stream
	s, err := sse.Start(ctx, func(p []byte) error {
		_, err := out.Write(p)
		if err != nil {
			cancel(err)
		}
		return err
	}, max(0, o.Heartbeat))
	defer s.Stop()
	if err != nil {
		return err
	}
	for event, err := range sequence {
		if ctx.Err() != nil {
			break
		}
		if err == nil {
			err = event.send(s)
		}
		if err != nil {
			return unlessEnded(err)
		}
	}
	return unlessEnded(context.Cause(ctx))
}

// unlessEnded is err, but nil where it says that the server ended the stream, which may happen at
// the very moment of an event: the answer is complete as it is then.
func unlessEnded(err error) error {
	for _, end := range [...]error{ErrShutdown, errExpired, sse.ErrExpired} {
		if errors.Is(err, end) {
			return nil
		}
	}
	return err
}

func (e Event) send(s *sse.Stream) error {
	event := sse.Event{ID: e.ID, Type: e.Type, Retry: e.Retry}
	switch data := e.Data.(type) {
	case nil:
	case string:
		event.Data = append([]byte{}, data...)
	case []byte:
		event.Data = append([]byte{}, data...) // an empty one is data too
	default:
		var err error
		if event.Data, err = typed.Marshal(data); err != nil {
			return fmt.Errorf("asgi: encode an event: %w", err)
		}
	}
	return s.Send(event)
}
