package wsx

import (
	"context"
	"errors"
	"fmt"
	"iter"

	"github.com/genropy/genro-asgi-go/internal/lockorder"
	"github.com/genropy/genro-asgi-go/wsx/broker"
	"github.com/genropy/genro-asgi-go/wsx/internal/fanout"
	"github.com/genropy/genro-asgi-go/wsx/internal/pattern"
)

// ErrMissed tells a listener that events were missed: the position to begin after is not in the
// history any more, or the listener fell behind. It goes on with the events after that.
var ErrMissed = errors.New("wsx: events were missed")

// Listen yields the events of a channel in this process: those after the position since when it is
// not zero, then live ones. It begins and ends with the loop, and asks neither Authorize nor
// Filter. The channel must be configured.
//
// After ErrMissed the loop goes on; any other error ends it: ctx's cause; [ErrChannelName], also
// for a pattern, or [ErrNotConfigured], wrapped; a *[Error] when the channel was taken back by
// [Hub.Unsubscribe], or when the hub stops. 1,024 events or 1 MiB may wait for the loop. What comes
// when it is that far behind is dropped as the channel's policy says, and told by ErrMissed; with
// SlowDisconnect the loop ends with RESOURCE_EXHAUSTED.
func (h *Hub) Listen(ctx context.Context, channel string,
	since broker.Position,
) iter.Seq2[broker.Event, error] {
	return h.events(ctx, Subscription{Channel: channel}, since)
}

// ListenPattern is Listen for the events of all channels that a pattern matches and that belong to
// its own configured pattern. There is no position to begin after.
func (h *Hub) ListenPattern(ctx context.Context, pattern string) iter.Seq2[broker.Event, error] {
	return h.events(ctx, subscriptionTo(pattern), broker.Position{})
}

// subscriptionTo is one to a name or a pattern.
func subscriptionTo(name string) Subscription {
	return Subscription{Channel: name, Pattern: pattern.HasWildcard(name)}
}

func (h *Hub) events(ctx context.Context, about Subscription,
	since broker.Position,
) iter.Seq2[broker.Event, error] {
	return func(yield func(broker.Event, error) bool) {
		l, missed, err := h.listenTo(ctx, about, nil, since)
		if err != nil {
			yield(broker.Event{}, err)
			return
		}
		defer l.close()
		l.each(ctx, since, missed, yield)
	}
}

// each yields the events of a listener: those of missed, which come after since, then live ones.
func (l *listener) each(ctx context.Context, since broker.Position, missed broker.Replay,
	yield func(broker.Event, error) bool,
) {
	if since != (broker.Position{}) && (!missed.Complete || missed.Newest.Epoch == "") &&
		!yield(broker.Event{}, ErrMissed) {
		return
	}
	for _, e := range missed.Events {
		switch {
		case l.sub.hub.tooLarge(e):
			if !yield(broker.Event{}, ErrMissed) {
				return
			}
		case l.sub.wants(e) && !yield(e, nil):
			return
		}
	}
	missed.Events = nil
	l.sub.goLive(missed)
	for {
		events, lost, err := l.drain()
		if lost > 0 && !yield(broker.Event{}, ErrMissed) {
			return
		}
		for _, e := range events {
			if !yield(e, nil) {
				return
			}
		}
		switch {
		case err != nil:
			yield(broker.Event{}, err)
			return
		case len(events) > 0:
			continue
		}
		select {
		case <-l.wake:
		case <-ctx.Done():
			yield(broker.Event{}, context.Cause(ctx))
			return
		}
	}
}

// listener is the sink of a subscription in this process.
type listener struct {
	sub  *subscription
	wake chan struct{} // has room for one: there is something new

	mu         lockorder.Mutex // guards what follows
	events     []broker.Event
	bytes      int  // of their payloads
	overflowed bool // the queue was full and has not been empty since
	lost       uint64
	err        error // why the subscription has ended
}

// listenTo subscribes; the caller ends the listener.
func (h *Hub) listenTo(ctx context.Context, about Subscription, filter func(broker.Event) bool,
	since broker.Position,
) (*listener, broker.Replay, error) {
	if err := ownChannel(about.Channel, about.Pattern); err != nil {
		return nil, broker.Replay{}, err
	}
	under, opts := h.options(about.Channel)
	if opts == nil {
		return nil, broker.Replay{}, fmt.Errorf("%w: %q", ErrNotConfigured, about.Channel)
	}
	l := &listener{wake: make(chan struct{}, 1)}
	l.sub = &subscription{
		hub: h, name: about.Channel, under: under, opts: opts, filter: filter,
		sink: l, about: about,
	}
	missed, err := h.subscribe(ctx, l.sub, since)
	if err != nil {
		h.unsubscribe(context.Background(), l.sub, "")
		return nil, broker.Replay{}, err
	}
	h.hook(opts.OnSubscribe, l.sub)
	return l, missed, nil
}

// close is the end of the loop.
func (l *listener) close() {
	h := l.sub.hub
	h.unsubscribe(context.Background(), l.sub, "") // unless it was taken back
	h.hook(l.sub.opts.OnUnsubscribe, l.sub)
}

// drain returns what waits, how many events were lost before it, and how the subscription ended.
func (l *listener) drain() (events []broker.Event, lost uint64, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	events, lost = l.events, l.lost
	l.events, l.bytes, l.lost, l.overflowed = nil, 0, 0, false
	return events, lost, l.err
}

// claim implements sink: a listener has one subscription.
func (*listener) claim(g *group, s *subscription) bool {
	s.group = g
	return true
}

// forget implements sink.
func (*listener) forget(*subscription) {}

// offer implements sink. What is lost is counted here.
func (l *listener) offer(s *subscription, f *fanout.Frame, now bool) uint64 {
	if now {
		defer l.flush()
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	size := len(f.Payload)
	full := len(l.events) > 0 && (len(l.events) >= maxHeld || l.bytes+size > maxHeldBytes)
	l.overflowed = l.overflowed || full
	switch {
	case l.err != nil:
		return 0
	case s.opts.Slow == SlowLatest && l.overflowed:
		l.lost += uint64(len(l.events))
		l.events, l.bytes = nil, 0
	case !full:
	case s.opts.Slow == SlowDisconnect:
		l.err = NewError(CodeResourceExhausted, "the listener fell behind")
		return 0
	default:
		for len(l.events) > 0 && (len(l.events) >= maxHeld || l.bytes+size > maxHeldBytes) {
			l.bytes -= len(l.events[0].Payload)
			l.events = l.events[1:]
			l.lost++
		}
	}
	l.lost += s.dropped
	s.dropped = 0
	l.events = append(l.events, f.Event)
	l.bytes += size
	return 0
}

// replay implements sink; a listener is given what it missed by its loop.
func (*listener) replay(context.Context, *subscription, *fanout.Frame, uint64) error { return nil }

// tooSlow implements sink.
func (l *listener) tooSlow() { l.fail(NewError(CodeResourceExhausted, "the listener fell behind")) }

// end implements sink. The loop does what follows.
func (*listener) end(ctx context.Context, s *subscription, code string) bool {
	return s.hub.unsubscribe(ctx, s, code)
}

// tell implements sink.
func (l *listener) tell(_ *subscription, code string) {
	l.fail(&Error{Code: code, Message: "the subscription was ended"})
}

// hubStopped implements sink.
func (l *listener) hubStopped(err error) { l.fail(err) }

// membership implements sink: listeners are in no channel.
func (*listener) membership(string) *membership { return nil }

func (l *listener) fail(err error) {
	l.mu.Lock()
	if l.err == nil {
		l.err = err
	}
	l.mu.Unlock()
	l.flush()
}

// flush implements sink.
func (l *listener) flush() {
	select {
	case l.wake <- struct{}{}:
	default:
	}
}
