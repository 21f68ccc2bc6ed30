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
// Once the answer has begun, the client hears of every event published from then on. An event's data is its payload. In a channel with history its id is the
// position, also sent alone at the beginning, and a client that comes back with Last-Event-ID gets what it missed first; where that cannot be told it gets an
// event of type wsx.missed. A comment is sent after 15 s of silence; a write
// that takes 5 s ends the stream, and so do the shutdown of an asgi.App, [Hub.Stop], and the end of
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
		ctx, cancel := untilExpiry(r.Context())
		defer context.AfterFunc(stopping.From(ctx), cancel)()
		defer cancel()
		since, told := parseEventID(r.Header.Get("Last-Event-Id"))
		var l *listener
		var missed Replay
		if about.Channel, err = channel(r); err == nil { // before the answer begins: once it has, the client counts on hearing of everything
			l, missed, err = h.listenAs(ctx, about, since)
		}
		if err != nil {
			coded := peerError(err, false)
			problem.Write(w, r, problem.Problem{Status: coded.StatusCode(), Detail: coded.text()})
			return
		}
		defer l.leave()
		l.stream(ctx, w, since, told, missed)
	})
}

// listenAs is listenTo after the channel's authorizer and its filter were asked.
func (h *Hub) listenAs(ctx context.Context, about Subscription, since Position) (*listener, Replay, error) {
	if err := checkChannel(about.Channel, true); err != nil {
		return nil, Replay{}, err
	}
	_, opts := h.options(about.Channel)
	if opts == nil {
		return nil, Replay{}, &Error{Code: CodeSubscriptionDenied}
	}
	if err := opts.authorize(ctx, about); err != nil {
		return nil, Replay{}, err
	}
	var filter func(Event) bool
	if opts.Filter != nil {
		var err error
		if filter, err = opts.Filter(about); err != nil {
			return nil, Replay{}, filterError(err)
		}
	}
	return h.listenTo(ctx, about, filter, since)
}

// stream sends the events of l until ctx ends, the client goes or the subscription does. The client comes back if it wants more.
func (l *listener) stream(ctx context.Context, w http.ResponseWriter, since Position, told bool, missed Replay) {
	s, err := sse.Start(ctx, sse.Response(w, sseWriteTimeout), sseHeartbeat)
	defer s.Stop()
	gap := sse.Event{Type: "wsx.missed", Data: []byte{}}
	start := sse.Event{} // an id alone: a client that is cut off before the first event comes back to here
	if len(missed.Events) == 0 {
		start.ID = eventID(missed.Newest)
		gap.ID = start.ID
	}
	switch {
	case err != nil: // the client is gone
		return
	case told && since == Position{}:
		err = s.Send(gap)
	case !told && start.ID != "":
		err = s.Send(start)
	}
	if err != nil {
		return
	}
	l.each(s.Context(), since, missed, func(e Event, failed error) bool {
		switch {
		case errors.Is(failed, ErrMissed):
			err = s.Send(gap)
		case failed != nil:
			return false
		default:
			err = s.Send(sseEvent(e, !isPattern(l.sub.name)))
			gap.ID = ""
		}
		return err == nil
	})
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
	if recoverable {
		out.ID = eventID(e.Position)
	}
	if bytes.ContainsAny(e.Payload, "\r\n") { // only white space between tokens: JSON has none inside of strings
		payload := e.Payload.Clone()
		if err := payload.Compact(); err == nil { // Publish refused what is not JSON
			out.Data = payload
		}
	}
	return out
}

// eventID is what parseEventID reads; "" where there is no position.
func eventID(p Position) string {
	if p.Epoch == "" {
		return ""
	}
	return p.Epoch + ":" + strconv.FormatUint(p.Offset, 10)
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
