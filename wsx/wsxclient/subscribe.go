package wsxclient

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"sync"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/genropy/genro-asgi-go/wsx"
	"github.com/genropy/genro-asgi-go/wsx/internal/outcall"
	"github.com/genropy/genro-asgi-go/wsx/internal/wire"
)

// ErrMissed tells a subscriber that events may have been missed: the connection was lost, or the subscriber fell behind, and the
// server could not replay what came meanwhile. The subscription goes on.
var ErrMissed = errors.New("wsx: events may have been missed")

// Event is one event of a subscription.
type Event[T any] struct {
	Channel string
	Payload T
	// Position is the event's place in the channel's history, to begin from with SubscribeOptions.Recover; zero in a channel
	// without, and in a subscription by pattern.
	Position wsx.Position
	// Dropped is how many events before this one the server dropped because this client did not keep up.
	Dropped uint64
}

// SubscribeOptions configure [Subscribe]. nil and the zero value are valid.
type SubscribeOptions struct {
	// Params are the subscription's, encoded as JSON; nil means none.
	Params any
	// Recover asks for the events after a position, which an earlier event had. When they are not there any more, the first thing
	// that comes is ErrMissed.
	Recover wsx.Position
	// OnSubscribed is called in the loop, before the first event, once the server has taken the subscription, and again each time it is begun
	// anew: from then on nothing is missed. recovered says that nothing was missed since the last event either, or since Recover; else this is the
	// moment to load the present state. Events wait meanwhile, Buffer of them.
	OnSubscribed func(recovered bool)
	// Buffer is how many events may wait for the loop; 1,024. When it falls further behind, the subscription is begun again from
	// where the loop is, once that has caught up.
	Buffer int
}

// Subscribe yields the events of a channel, or of every channel that a pattern matches, until the loop ends or something goes wrong. It begins,
// and ends, with the loop:
//
//	for event, err := range wsxclient.Subscribe[Order](ctx, c, "orders.eu", nil) {
//		if errors.Is(err, wsxclient.ErrMissed) {
//			// load the present state; the events go on from here
//			continue
//		}
//		if err != nil {
//			return err
//		}
//		// event.Payload
//	}
//
// After an error other than ErrMissed the loop ends: a *[wsx.Error] where the server refused the subscription or took it back, a
// *[ClosedError] where the connection ended for good, ctx's cause, or a payload that does not fit T. With Options.Reconnect a lost
// connection is no error: the client subscribes again and recovers what was missed, and yields ErrMissed only where that cannot be.
func Subscribe[T any](ctx context.Context, c *Client, channel string, opts *SubscribeOptions) iter.Seq2[Event[T], error] {
	return func(yield func(Event[T], error) bool) {
		err := subscribe(ctx, c, channel, opts, func(raw *Event[jsontext.Value], err error) (bool, error) {
			if err != nil {
				return yield(Event[T]{}, err), nil
			}
			event := Event[T]{Channel: raw.Channel, Position: raw.Position, Dropped: raw.Dropped}
			if p, ok := any(&event.Payload).(*jsontext.Value); ok {
				*p = raw.Payload
			} else if err := json.Unmarshal(raw.Payload, &event.Payload); err != nil {
				return false, fmt.Errorf("wsx: decode an event of %q: %w", channel, err)
			}
			return yield(event, nil), nil
		})
		if err != nil {
			yield(Event[T]{}, err)
		}
	}
}

// subscribe is Subscribe without the type. It returns nil when the loop has ended.
func subscribe(ctx context.Context, c *Client, channel string, opts *SubscribeOptions, yield func(*Event[jsontext.Value], error) (bool, error)) error {
	if opts == nil {
		opts = &SubscribeOptions{}
	}
	params, err := outcall.EncodeParams(channel, opts.Params)
	if err != nil {
		return err
	}
	last, again := opts.Recover, false
	var pauses backoff
	l := c.current()
	for {
		s := &subscription{room: opts.Buffer, wake: make(chan struct{}, 1)}
		if s.room <= 0 {
			s.room = 1024
		}
		again, err = true, l.subscribe(ctx, s, channel, params, last, again || last != wsx.Position{})
		more := true
		if err == nil {
			pauses = backoff{}
			if opts.OnSubscribed != nil {
				opts.OnSubscribed(s.recovered)
			}
			more, err = s.consume(ctx, &last, yield)
			l.unsubscribe(s)
		}
		switch {
		case !more || ctx.Err() != nil:
			return err
		case err == nil: // the loop fell behind and has caught up
		case errors.As(err, new(*ClosedError)):
			if l, err = c.after(ctx, l); err != nil {
				return err
			}
		case c.opts.Reconnect && unavailable(err):
			if err = c.pause(ctx, l, &pauses); err != nil {
				return err
			}
		default:
			return err
		}
	}
}

// subscription is one subscription on one link.
type subscription struct {
	room int
	wake chan struct{} // has room for one: there is something new

	mu        sync.Mutex
	id        string
	newest    wsx.Position // when it began
	recovered bool         // what was missed before follows
	missed    bool         // there is something to tell that was not recovered
	events    []Event[jsontext.Value]
	behind    bool  // an event found no room; none is taken any more
	err       error // how it ended
}

// subscribe begins s on this link, recovering from last when that is not zero. tell says that the subscriber has to know when
// nothing was recovered.
func (l *link) subscribe(ctx context.Context, s *subscription, channel string, params []byte, last wsx.Position, tell bool) error {
	s.missed = tell
	_, err := l.request(ctx, s, func(id []byte) []byte {
		var from []byte
		if last != (wsx.Position{}) {
			from, _ = json.Marshal(last) // a string and a number: it cannot fail, but for invalid UTF-8 of the caller's own
		}
		return l.client.appendSubscribe(id, channel, params, from)
	})
	return err
}

// begin takes in the server's answer to rpc.subscribe.
func (l *link) begin(s *subscription, result []byte) error {
	var in struct {
		Subscription string `json:"subscription"`
		wsx.Position `json:",embed"`
		Recovered    bool `json:"recovered"`
	}
	if err := json.Unmarshal(result, &in); err != nil {
		return fmt.Errorf("wsx: decode the answer to a subscription: %w", err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.id, s.recovered, s.missed = in.Subscription, in.Recovered, s.missed && !in.Recovered
	if !in.Recovered {
		s.newest = in.Position
	}
	if l.subs != nil {
		l.subs[s.id] = s
	}
	return nil
}

// unsubscribe forgets s and tells the server, as far as it can without waiting.
func (l *link) unsubscribe(s *subscription) {
	l.mu.Lock()
	known := l.subs[s.id] == s
	delete(l.subs, s.id)
	l.mu.Unlock()
	if !known {
		return
	}
	l.calls.Tell(l.client.appendUnsubscribe(l.calls.NextID(), s.id))
}

// event hands an event to its subscription. One that is not there any more has just been ended.
func (l *link) event(m *wire.Message) {
	var meta struct {
		SubID        string `json:"sub_id"`
		wsx.Position `json:",embed"`
		Dropped      uint64 `json:"dropped"`
	}
	if json.Unmarshal(m.Meta, &meta) != nil {
		return // not an event of this protocol
	}
	l.mu.Lock()
	s := l.subs[meta.SubID]
	l.mu.Unlock()
	if s != nil {
		s.push(Event[jsontext.Value]{Channel: string(m.Channel), Payload: m.Payload, Position: meta.Position, Dropped: meta.Dropped})
	}
}

// revoked is the server's word that it has ended a subscription.
func (l *link) revoked(payload []byte) {
	var in struct {
		Subscription string `json:"subscription"`
		Code         string `json:"code"`
	}
	if json.Unmarshal(payload, &in) != nil {
		return
	}
	l.mu.Lock()
	s := l.subs[in.Subscription]
	delete(l.subs, in.Subscription)
	l.mu.Unlock()
	if s != nil {
		s.end(&wsx.Error{Code: in.Code, Message: "the server ended the subscription"})
	}
}

func (s *subscription) push(e Event[jsontext.Value]) {
	s.mu.Lock()
	if len(s.events) >= s.room {
		s.behind = true
	}
	if !s.behind {
		s.events = append(s.events, e)
	}
	s.mu.Unlock()
	s.signal()
}

func (s *subscription) end(err error) {
	s.mu.Lock()
	s.err = err
	s.mu.Unlock()
	s.signal()
}

func (s *subscription) signal() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// consume yields what comes until the loop ends (more is false), the subscription does (err is not nil), or it has to begin again.
func (s *subscription) consume(ctx context.Context, last *wsx.Position, yield func(*Event[jsontext.Value], error) (bool, error)) (more bool, err error) {
	if s.newest.Epoch != "" {
		*last = s.newest
	}
	if s.missed {
		if more, err := yield(nil, ErrMissed); !more {
			return false, err
		}
	}
	for {
		s.mu.Lock()
		events, ended, behind := s.events, s.err, s.behind
		s.events = nil
		s.mu.Unlock()
		for i := range events {
			more, err := yield(&events[i], nil)
			if !more {
				return false, err
			}
			if p := events[i].Position; p.Epoch != "" {
				*last = p
			}
		}
		switch {
		case len(events) > 0:
			continue
		case ended != nil:
			return true, ended
		case behind:
			return true, nil
		}
		select {
		case <-s.wake:
		case <-ctx.Done():
			return false, context.Cause(ctx)
		}
	}
}
