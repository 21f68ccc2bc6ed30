package wsx

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/genropy/genro-asgi-go/internal/problem"
	"github.com/genropy/genro-asgi-go/internal/sse"
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
// that takes 5 s ends the stream, and so does the shutdown of an asgi.App, and the end of
// the credentials. Authentication is the affair of middleware in front of it: [Authenticator.Middleware], or other that sets [WithIdentity].
func (h *Hub) SSE(channel func(r *http.Request) (string, error)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		about := Subscription{Subject: SubjectFrom(r.Context())}
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
	ctx, cancel := untilExpiry(r.Context())
	defer context.AfterFunc(stopping.From(ctx), cancel)()
	defer cancel()
	s, err := sse.Start(ctx, sse.Response(w, sseWriteTimeout), sseHeartbeat)
	defer s.Stop()
	if err != nil {
		return // the client is gone
	}
	missed := sse.Event{Type: "wsx.missed", Data: []byte{}}
	since, told := parseEventID(r.Header.Get("Last-Event-Id"))
	if told && since == (Position{}) {
		err = s.Send(missed)
	}
	for e, failed := range h.events(s.Context(), about, filter, since) {
		switch {
		case err != nil:
		case errors.Is(failed, ErrMissed):
			err = s.Send(missed)
		case failed != nil:
			return // the client comes back
		default:
			err = s.Send(sseEvent(e, !isPattern(about.Channel)))
		}
		if err != nil {
			return
		}
	}
}

// untilExpiry returns a context that ends with the credentials too.
func untilExpiry(ctx context.Context) (context.Context, context.CancelFunc) {
	if id := IdentityFrom(ctx); !id.Expires.IsZero() {
		return context.WithDeadline(ctx, id.Expires)
	}
	return context.WithCancel(ctx)
}

// sseEvent is an event as it is sent: its payload in one line.
func sseEvent(e Event, recoverable bool) sse.Event {
	out := sse.Event{Data: e.Payload}
	if recoverable && e.Position.Epoch != "" {
		out.ID = e.Position.Epoch + ":" + strconv.FormatUint(e.Position.Offset, 10)
	}
	if bytes.ContainsAny(e.Payload, "\r\n") { // only white space between tokens: JSON has none inside of strings
		payload := e.Payload.Clone()
		if err := payload.Compact(); err == nil { // Publish refused what is not JSON
			out.Data = payload
		}
	}
	return out
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
