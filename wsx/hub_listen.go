package wsx

import (
	"context"
	"errors"
	"iter"
	"sync"
)

// ErrMissed tells a listener that events were missed: the position to begin after is not in the history any more, or the listener fell
// behind. It goes on with the events after that.
var ErrMissed = errors.New("wsx: events were missed")

// Listen yields the events of a channel, or of every channel that a pattern matches, in this process: those after the position since when it is
// not zero, then live ones. It begins and ends with the loop, and asks neither Authorize nor Filter. The channel must be configured.
//
// After ErrMissed the loop goes on; any other error ends it: ctx's cause, a *[Error] for a channel that is not configured or was taken
// back by [Hub.Unsubscribe], or when the hub stops. 1,024 events or 1 MiB may wait for the loop. What comes when it is that far behind is dropped as the
// channel's policy says, and told by ErrMissed; with SlowDisconnect the loop ends with RESOURCE_EXHAUSTED.
func (h *Hub) Listen(ctx context.Context, channel string, since Position) iter.Seq2[Event, error] {
	return h.events(ctx, Subscription{Channel: channel}, nil, since)
}

// events is Listen with a filter; nil lets all through.
func (h *Hub) events(ctx context.Context, about Subscription, filter func(Event) bool, since Position) iter.Seq2[Event, error] {
	return func(yield func(Event, error) bool) {
		l, missed, err := h.listenTo(ctx, about, filter, since)
		if err != nil {
			yield(Event{}, err)
			return
		}
		defer l.leave()
		l.each(ctx, since, missed, yield)
	}
}

// each yields the events of a listener: those of missed, which come after since, then live ones.
func (l *listener) each(ctx context.Context, since Position, missed Replay, yield func(Event, error) bool) {
	if since != (Position{}) && (!missed.Complete || missed.Newest.Epoch == "") && !yield(Event{}, ErrMissed) {
		return
	}
	for i := range missed.Events {
		if l.sub.wants(missed.Events[i]) && !yield(missed.Events[i], nil) {
			return
		}
	}
	missed.Events = nil
	l.sub.goLive(missed)
	for {
		events, lost, err := l.take()
		if lost > 0 && !yield(Event{}, ErrMissed) {
			return
		}
		for _, e := range events {
			if !yield(e, nil) {
				return
			}
		}
		switch {
		case err != nil:
			yield(Event{}, err)
			return
		case len(events) > 0:
			continue
		}
		select {
		case <-l.wake:
		case <-ctx.Done():
			yield(Event{}, context.Cause(ctx))
			return
		}
	}
}

// listener is the sink of a subscription in this process.
type listener struct {
	sub  *subscription
	wake chan struct{} // has room for one: there is something new

	mu     sync.Mutex
	events []Event
	bytes  int
	over   bool // the queue was full and has not been empty since
	lost   uint64
	err    error
}

// listenTo subscribes; the caller ends the listener.
func (h *Hub) listenTo(ctx context.Context, about Subscription, filter func(Event) bool, since Position) (*listener, Replay, error) {
	if err := checkChannel(about.Channel, true); err != nil {
		return nil, Replay{}, err
	}
	under, opts := h.options(about.Channel)
	if opts == nil {
		return nil, Replay{}, &Error{Code: CodeSubscriptionDenied}
	}
	l := &listener{wake: make(chan struct{}, 1)}
	l.sub = &subscription{hub: h, name: about.Channel, under: under, opts: opts, filter: filter, sink: l, about: about}
	missed, err := h.subscribe(ctx, l.sub, since)
	if err != nil {
		h.unsubscribe(l.sub, "")
		return nil, Replay{}, err
	}
	h.hook(opts.OnSubscribe, l.sub)
	return l, missed, nil
}

// leave is the end of the loop.
func (l *listener) leave() {
	h := l.sub.hub
	h.unsubscribe(l.sub, "") // unless it was taken back
	h.hook(l.sub.opts.OnUnsubscribe, l.sub)
}

// take returns what waits, how many events were lost before it, and how the subscription ended.
func (l *listener) take() (events []Event, lost uint64, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	events, lost = l.events, l.lost
	l.events, l.bytes, l.lost, l.over = nil, 0, 0, false
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
func (l *listener) offer(s *subscription, f *eventFrame, now bool) uint64 {
	if now {
		defer l.flush()
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	size := len(f.Payload)
	full := len(l.events) > 0 && (len(l.events) >= maxHeld || l.bytes+size > maxHeldBytes)
	l.over = l.over || full
	switch {
	case l.err != nil:
		return 0
	case s.opts.Slow == SlowLatest && l.over:
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
func (*listener) replay(context.Context, *subscription, *eventFrame) error { return nil }

// cut implements sink.
func (l *listener) cut() { l.fail(NewError(CodeResourceExhausted, "the listener fell behind")) }

// end implements sink. The loop does what follows.
func (*listener) end(s *subscription, code string) bool { return s.hub.unsubscribe(s, code) }

// tell implements sink.
func (l *listener) tell(_ *subscription, code string) {
	l.fail(&Error{Code: code, Message: "the subscription was ended"})
}

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

// filterError is what a subscriber learns of a filter's refusal.
func filterError(err error) error {
	if _, ok := errors.AsType[*Error](err); ok {
		return err
	}
	return &Error{Code: CodeInvalidParams, Err: err}
}

// authorize asks the channel's authorizer.
func (o *ChannelOptions) authorize(ctx context.Context, s Subscription) error {
	if o.Authorize == nil {
		return nil
	}
	err := o.Authorize(ctx, s)
	if _, ok := errors.AsType[*Error](err); ok || err == nil {
		return err
	}
	return &Error{Code: CodeSubscriptionDenied, Err: err}
}
