package wsxclient

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/genropy/genro-asgi-go/internal/typed"
	"github.com/genropy/genro-asgi-go/wsx"
	"github.com/genropy/genro-asgi-go/wsx/broker"
	"github.com/genropy/genro-asgi-go/wsx/internal/clientcall"
)

// ErrMissed tells a subscriber that events may have been missed: the connection was lost, or the
// subscriber fell behind, and the server could not replay what came meanwhile. The subscription
// goes on.
var ErrMissed = errors.New("wsx: events may have been missed")

// Event is one event of a subscription.
type Event[T any] struct {
	Channel string
	Payload T
	// Position is the event's place in the channel's history, to begin from with
	// SubscribeOptions.Recover; zero in a channel without, and in a subscription by pattern.
	Position broker.Position
	// Dropped is how many events before this one the server dropped because this client did not
	// keep up.
	Dropped uint64
}

// SubscribeOptions configure [Subscribe]. nil and the zero value are valid.
type SubscribeOptions struct {
	// Params are the subscription's, encoded as JSON; nil means none.
	Params any
	// Recover asks for the events after a position, which an earlier event had. When they are not
	// there any more, the first thing that comes is ErrMissed.
	Recover broker.Position
	// OnSubscribed is called in the loop, before the first event, once the server has taken the
	// subscription, and again each time it is begun anew: from then on nothing is missed. recovered
	// says that nothing was missed since the last event either, or since Recover; else this is the
	// moment to load the present state. Events wait meanwhile, Buffer of them.
	OnSubscribed func(recovered bool)
	// Buffer is how many events may wait for the loop, 1,024 when zero, and BufferBytes how many
	// bytes of payloads, 4 MiB when zero; one event may have more. When the loop falls further
	// behind, the subscription is begun again from where it is, once it has caught up.
	Buffer, BufferBytes int
}

// Subscribe yields the events of a channel, or of every channel that a pattern matches, until the
// loop ends or something goes wrong. It begins, and ends, with the loop:
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
// After an error other than ErrMissed the loop ends: a *[wsx.Error] where the server refused the
// subscription or took it back, a *[ClosedError] where the connection ended for good, ctx's cause,
// or a payload that does not fit T. With Options.Reconnect a lost connection is no error: the
// client subscribes again and recovers what was missed, and yields ErrMissed only where that cannot
// be. Nor is a refusal for now, after which it asks again: UNAVAILABLE, DEADLINE_EXCEEDED and what
// has details.retry_after_ms, and once the subscription was taken also RESOURCE_EXHAUSTED,
// INTERNAL_ERROR, CANCELLED, UNAUTHENTICATED and up to seven SUBSCRIPTION_DENIED in a row. An event
// over Options.MaxMessage is an ErrMissed that is an [ErrTooBig] too.
func Subscribe[T any](ctx context.Context, c *Client, channel string,
	opts *SubscribeOptions,
) iter.Seq2[Event[T], error] {
	return func(yield func(Event[T], error) bool) {
		err := subscribe(ctx, c, channel, opts,
			func(raw *Event[jsontext.Value], err error) (bool, error) {
				if err != nil {
					return yield(Event[T]{}, err), nil
				}
				event := Event[T]{
					Channel: raw.Channel, Position: raw.Position,
					Dropped: raw.Dropped,
				}
				if p, ok := any(&event.Payload).(*jsontext.Value); ok {
					*p = raw.Payload
				} else if err := typed.Unmarshal(raw.Payload, &event.Payload); err != nil {
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
func subscribe(ctx context.Context, c *Client, channel string, opts *SubscribeOptions,
	yield func(*Event[jsontext.Value], error) (bool, error),
) error {
	if opts == nil {
		opts = &SubscribeOptions{}
	}
	params, err := clientcall.EncodeParams(channel, opts.Params)
	if err != nil {
		return err
	}
	s := &subscriber{
		client: c, channel: channel, params: params, opts: opts, yield: yield,
		last: opts.Recover, tell: opts.Recover != broker.Position{},
	}
	for l := c.current(); ; {
		more, err := s.follow(ctx, l)
		switch {
		case !more:
			return err
		case ctx.Err() != nil:
			return cmp.Or(err, context.Cause(ctx))
		}
		if l, err = s.next(ctx, l, err); err != nil {
			return err
		}
	}
}

// subscriber is one loop of [Subscribe]: what it keeps from one subscription to the next.
type subscriber struct {
	client  *Client
	channel string
	params  []byte
	opts    *SubscribeOptions
	yield   func(*Event[jsontext.Value], error) (bool, error)

	last  broker.Position // of the last event that the loop had
	tell  bool            // the loop has to know when what came since last was not recovered
	taken bool            // the server took a subscription before

	pauses     backoff
	blame      poison
	denials    int // in a row: SUBSCRIPTION_DENIED, see maxDenials
	unreadable int // in a row: connections that ended at what this side could not read
}

// follow subscribes over l and yields what comes. more is false when the loop has ended; otherwise
// it is to subscribe again, unless err says that this is no use.
func (s *subscriber) follow(ctx context.Context, l *link) (more bool, err error) {
	sub := &subscription{
		room:  cmp.Or(max(s.opts.Buffer, 0), 1024),
		bytes: cmp.Or(max(s.opts.BufferBytes, 0), 4<<20), wake: make(chan struct{}, 1),
	}
	if s.taken {
		if err := l.sleep(ctx, s.client.pace.slot()); err != nil {
			return true, err
		}
	}
	err = l.subscribe(ctx, sub, s.channel, s.params, s.last, s.tell)
	s.tell = true
	if err != nil {
		return true, err
	}
	s.pauses, s.denials, s.taken = backoff{}, 0, true
	if s.opts.OnSubscribed != nil {
		s.opts.OnSubscribed(sub.recovered)
	}
	before := s.last
	more, err = sub.consume(ctx, &s.last, s.yield)
	l.unsubscribe(sub)
	if s.last != before {
		s.unreadable = 0
	}
	return more, err
}

// next returns the link for the next subscription after one over l that ended with err, once it is
// time for it, or the error that ends the loop.
func (s *subscriber) next(ctx context.Context, l *link, err error) (*link, error) {
	closed, lost := errors.AsType[*ClosedError](err)
	switch {
	case err == nil: // the loop fell behind and has caught up
		return l, nil
	case lost:
		if err := s.blame.count(closed); err != nil {
			return nil, err
		}
		if closed.unreadable {
			if s.unreadable++; s.unreadable >= 2 {
				s.last = broker.Position{} // what is behind this position is what cannot be read
			}
		}
		return s.client.after(ctx, l)
	case s.client.opts.Reconnect && s.passing(err):
		return l, s.client.pause(ctx, l, &s.pauses, err)
	}
	return nil, err
}

// maxDenials is how many times in a row a subscription that was taken before is refused as
// SUBSCRIPTION_DENIED before the loop ends: it is also what an authorizer says that cannot tell
// just now.
const maxDenials = 8

// passing reports whether a refusal may be for now only. Where a subscription was taken before, its
// params and its name are right, and what remains of reasons passes, unless somebody says that it
// does not.
func (s *subscriber) passing(err error) bool {
	refused, ok := errors.AsType[*wsx.Error](err)
	switch {
	case !ok || foreign(err):
		return false
	case refused.Code == wsx.CodeUnavailable, refused.Code == wsx.CodeDeadlineExceeded,
		serverDelay(err) > 0:
		return true
	case !s.taken:
		return false
	}
	switch refused.Code {
	case wsx.CodeResourceExhausted, wsx.CodeInternalError, wsx.CodeCancelled,
		wsx.CodeUnauthenticated:
		return true
	case wsx.CodeSubscriptionDenied:
		s.denials++
		return s.denials < maxDenials
	}
	return false
}
