package wsx

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/genropy/genro-asgi-go/internal/describe"
	"github.com/genropy/genro-asgi-go/internal/sse"
	"github.com/genropy/genro-asgi-go/internal/stopping"
	"github.com/genropy/genro-asgi-go/problem"
	"github.com/genropy/genro-asgi-go/wsx/broker"
	"github.com/genropy/genro-asgi-go/wsx/internal/documents"
)

// The bounds of an event stream.
const (
	// silence before a comment, which keeps proxies from closing the stream
	sseHeartbeat    = 15 * time.Second
	sseWriteTimeout = 5 * time.Second
)

// SSE serves a channel as server-sent events (WHATWG HTML, section 9.2), to clients without
// WebSockets. channel, which is not nil, names the channel of a request. Its error, or that of the
// channel's authorizer or filter, is answered by problem.Write; what is no name, a pattern
// included, with 400. SSE panics when channel is nil.
//
// Once the answer has begun, the client hears of every event published from then on. An event's
// data is its payload. In a channel with history its id is the position, also sent alone at the
// beginning, and a client that comes back with Last-Event-ID gets what it missed first; where that
// cannot be given it gets an event of type wsx.missed. A comment is sent after 15 s of silence; a
// write that takes 5 s ends the stream, and so do the shutdown of an asgi.App, [Hub.Stop], and the
// end of the credentials. A response writer that cannot flush, because a middleware hides it, is
// answered with 500, and the log names it. Authentication is the affair of middleware in front of
// it: [Authenticator.Middleware], or other that sets [WithIdentity].
//
//go:noinline
func (h *Hub) SSE(channel func(r *http.Request) (string, error)) http.Handler {
	if channel == nil {
		panic("wsx: SSE: the function that names the channel is nil")
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if p, ok := w.(*describe.Probe); ok {
			p.Add(documents.SSE())
			return
		}
		about := Subscription{Subject: IdentityFrom(r.Context()).Subject, ctx: r.Context()}
		var err error
		if r.Method != http.MethodGet {
			w.Header().Set("Allow", http.MethodGet)
			problem.Write(w, r, problem.New(http.StatusMethodNotAllowed, ""))
			return
		}
		if err := sse.Supported(w); err != nil {
			problem.Write(w, r, err)
			return
		}
		ctx, cancel := context.WithCancel(r.Context())
		defer context.AfterFunc(stopping.From(ctx), cancel)()
		defer cancel()
		since, given := parseEventID(r.Header.Get("Last-Event-Id"))
		var l *listener
		var missed broker.Replay
		if about.Channel, err = channel(r); err == nil {
			// before the answer begins: once it has, the client counts on hearing of everything
			l, missed, err = h.listenAs(ctx, about, since)
		}
		if err != nil {
			err = answerable(err, false)
			if p := problem.From(err); p.RetryAfter <= 0 && peerError(err, false).forNow() {
				later := *p
				later.RetryAfter, later.Err = time.Second, err
				err = &later
			}
			problem.Write(w, r, err)
			return
		}
		defer l.close()
		l.stream(ctx, w, since, given, missed)
	})
}

// listenAs is listenTo after the channel's authorizer and its filter were asked.
func (h *Hub) listenAs(ctx context.Context, about Subscription, since broker.Position) (*listener,
	broker.Replay,
	error,
) {
	if err := checkChannel(about.Channel, false); err != nil {
		// a pattern would be what a user wrote in the place of a name
		return nil, broker.Replay{}, err
	}
	_, opts := h.options(about.Channel)
	if opts == nil {
		return nil, broker.Replay{}, &Error{Code: CodeSubscriptionDenied}
	}
	revocations := h.revocations.Load()
	if err := opts.authorize(ctx, about); err != nil {
		return nil, broker.Replay{}, err
	}
	filter, err := opts.filterFor(about)
	if err != nil {
		return nil, broker.Replay{}, err
	}
	l, missed, err := h.listenTo(ctx, about, filter, since)
	for err == nil && h.revocations.Load() != revocations {
		// by somebody who has not found this one, perhaps
		revocations = h.revocations.Load()
		if err = opts.authorize(ctx, about); err != nil {
			l.close()
		}
	}
	return l, missed, err
}

// stream sends the events of l until ctx ends, the client goes or the subscription does. The client
// comes back if it wants more.
func (l *listener) stream(ctx context.Context, w http.ResponseWriter, since broker.Position,
	given bool,
	missed broker.Replay,
) {
	s, err := sse.Start(ctx, sse.Response(w, sseWriteTimeout), sseHeartbeat)
	defer s.Stop()
	gap := sse.Event{Type: "wsx.missed", Data: []byte{}}
	// an id alone: a client that is cut off before the first event comes back to here
	start := sse.Event{}
	if len(missed.Events) == 0 {
		start.ID = eventID(missed.Newest)
		gap.ID = start.ID
	}
	switch {
	case err != nil: // the client is gone
		return
	case given && since == broker.Position{}:
		err = s.Send(gap)
	case !given && start.ID != "":
		err = s.Send(start)
	}
	if err != nil {
		return
	}
	l.each(s.Context(), since, missed, func(e broker.Event, failed error) bool {
		switch {
		case errors.Is(failed, ErrMissed):
			err = s.Send(gap)
		case failed != nil:
			return false
		default:
			err = s.Send(sseEvent(e))
			gap.ID = ""
		}
		return err == nil
	})
}

// sseEvent is an event as it is sent: its payload in one line.
func sseEvent(e broker.Event) sse.Event {
	out := sse.Event{Data: e.Payload, ID: eventID(e.Position)}
	if bytes.ContainsAny(e.Payload, "\r\n") {
		// only white space between tokens: JSON has none inside of strings
		payload := e.Payload.Clone()
		if err := payload.Compact(); err == nil { // Publish refused what is not JSON
			out.Data = payload
		}
	}
	return out
}

// eventID is what parseEventID reads; "" where there is no position.
func eventID(p broker.Position) string {
	if p.Epoch == "" {
		return ""
	}
	return p.Epoch + ":" + strconv.FormatUint(p.Offset, 10)
}

// parseEventID reads the position in a Last-Event-ID. given says that there was one; one of another
// server is the zero position.
func parseEventID(id string) (p broker.Position, given bool) {
	if id == "" {
		return broker.Position{}, false
	}
	i := strings.LastIndexByte(id, ':')
	if i <= 0 {
		return broker.Position{}, true
	}
	offset, err := strconv.ParseUint(id[i+1:], 10, 64)
	if err != nil {
		return broker.Position{}, true
	}
	return broker.Position{Epoch: id[:i], Offset: offset}, true
}
