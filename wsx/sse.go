package wsx

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/genropy/genro-asgi-go/internal/problem"
	"github.com/genropy/genro-asgi-go/internal/stopping"
)

// The bounds of an event stream.
const (
	sseHeartbeat    = 15 * time.Second // silence before a comment, which keeps proxies from closing the stream
	sseWriteTimeout = 5 * time.Second
)

// SSE serves a channel as server-sent events (WHATWG HTML, section 9.2), to clients without WebSockets. channel names the channel, or a
// pattern, of a request; its error, or that of the channel's authorizer or filter, is answered as a problem with the status of its code.
//
// An event's data is its payload. In a channel with history its id is the position, and a client that comes back with Last-Event-ID gets what it
// missed first; where that cannot be told it gets an event of type wsx.missed. A comment is sent after 15 s of silence; a write
// that takes 5 s ends the stream, and so does the shutdown of an asgi.App.
func (h *Hub) SSE(channel func(r *http.Request) (string, error)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		about := Subscription{}
		var err error
		if r.Method != http.MethodGet {
			w.Header().Set("Allow", http.MethodGet)
			problem.Write(w, r, problem.Problem{Status: http.StatusMethodNotAllowed})
			return
		}
		var filter func(Event) bool
		if about.Channel, err = channel(r); err == nil {
			filter, err = h.mayListen(r.Context(), about)
		}
		if err != nil {
			coded := peerError(err, false)
			problem.Write(w, r, problem.Problem{Status: coded.StatusCode(), Detail: coded.text()})
			return
		}
		h.stream(w, r, about, filter)
	})
}

// mayListen asks the channel's authorizer and its filter.
func (h *Hub) mayListen(ctx context.Context, about Subscription) (filter func(Event) bool, err error) {
	if err := checkChannel(about.Channel, true); err != nil {
		return nil, err
	}
	_, opts := h.options(about.Channel)
	if opts == nil {
		return nil, &Error{Code: CodeSubscriptionDenied}
	}
	if err := opts.authorize(ctx, about); err != nil {
		return nil, err
	}
	if opts.Filter != nil {
		if filter, err = opts.Filter(about); err != nil {
			return nil, filterError(err)
		}
	}
	return filter, nil
}

func (h *Hub) stream(w http.ResponseWriter, r *http.Request, about Subscription, filter func(Event) bool) {
	header := w.Header()
	header.Set("Content-Type", "text/event-stream")
	header.Set("Cache-Control", "no-store")
	header.Set("X-Accel-Buffering", "no") // nginx would hold events back
	w.WriteHeader(http.StatusOK)

	ctx, cancel := context.WithCancel(r.Context())
	defer context.AfterFunc(stopping.From(ctx), cancel)()
	s := &sseStream{w: w, control: http.NewResponseController(w), cancel: cancel}
	var beating sync.WaitGroup
	defer beating.Wait()
	defer cancel()
	if !s.write([]byte(":\n\n")) {
		return
	}
	beating.Go(func() { s.beat(ctx) })

	since, told := parseEventID(r.Header.Get("Last-Event-Id"))
	if told && since == (Position{}) {
		s.write([]byte("event: wsx.missed\ndata:\n\n"))
	}
	var buf bytes.Buffer
	for e, err := range h.events(ctx, about, filter, since) {
		buf.Reset()
		switch {
		case errors.Is(err, ErrMissed):
			buf.WriteString("event: wsx.missed\ndata:\n\n")
		case err != nil:
			return // the client comes back
		default:
			appendSSE(&buf, e, !isPattern(about.Channel))
		}
		if !s.write(buf.Bytes()) {
			return
		}
	}
}

// appendSSE writes an event. A payload of several lines makes several lines of data, which the client joins again.
func appendSSE(b *bytes.Buffer, e Event, recoverable bool) {
	if recoverable && e.Position.Epoch != "" {
		b.WriteString("id: " + e.Position.Epoch + ":" + strconv.FormatUint(e.Position.Offset, 10) + "\n")
	}
	payload := e.Payload
	if bytes.ContainsAny(payload, "\r\n") { // only white space between tokens: JSON has none inside of strings
		payload = payload.Clone()
		if err := payload.Compact(); err != nil {
			payload = jsontext.Value("null") // Publish refused what is not JSON
		}
	}
	b.WriteString("data: ")
	b.Write(payload)
	b.WriteString("\n\n")
}

// parseEventID reads the position in a Last-Event-ID. told says that there was one; one of another server is the zero position.
func parseEventID(id string) (p Position, told bool) {
	if id == "" {
		return Position{}, false
	}
	i := strings.LastIndexByte(id, ':')
	if i <= 0 {
		return Position{}, true
	}
	offset, err := strconv.ParseUint(id[i+1:], 10, 64)
	if err != nil {
		return Position{}, true
	}
	return Position{Epoch: id[:i], Offset: offset}, true
}

// sseStream is written by the loop and the heartbeat.
type sseStream struct {
	control *http.ResponseController
	cancel  context.CancelFunc

	mu      sync.Mutex
	w       http.ResponseWriter
	written time.Time
}

// write reports whether the stream is still there.
func (s *sseStream) write(p []byte) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.written = time.Now()
	_ = s.control.SetWriteDeadline(s.written.Add(sseWriteTimeout)) // where the writer has none, the connection's end has to do
	_, err := s.w.Write(p)
	if err == nil {
		err = s.control.Flush()
	}
	if err != nil {
		s.cancel()
	}
	return err == nil
}

func (s *sseStream) beat(ctx context.Context) {
	timer := time.NewTimer(sseHeartbeat)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
			s.mu.Lock()
			left := sseHeartbeat - time.Since(s.written)
			s.mu.Unlock()
			if left <= 0 {
				s.write([]byte(":\n\n"))
				left = sseHeartbeat
			}
			timer.Reset(left)
		}
	}
}
