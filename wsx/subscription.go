package wsx

import (
	"context"
	"fmt"
	"runtime/debug"
	"sync"

	"github.com/coder/websocket"

	"github.com/genropy/genro-asgi-go/internal/wsconn"
	"github.com/genropy/genro-asgi-go/wsx/internal/wire"
)

// subscription is one subscriber's interest in a name or pattern.
type subscription struct {
	hub    *Hub
	name   string
	opts   *ChannelOptions
	filter func(Event) bool
	sink   sink
	about  Subscription

	group *group // set by Hub.enter, with at guarded by it
	at    int

	mu      sync.Mutex
	state   subState
	held    []Event // what came before the subscription was answered and caught up
	size    int     // of held in bytes
	dropped uint64  // since the last event that said so
}

type subState uint8

const (
	subHeld subState = iota
	subLive
	subEnded
)

// sink is who a subscription sends to.
type sink interface {
	// claim makes the group the sink's for s, unless it has a subscription in it already.
	claim(g *group, s *subscription) bool
	// offer queues one event without waiting, and gives way as the policy says when there is no room. It returns how many events of
	// s are lost by it. It is called with s locked.
	offer(s *subscription, f *eventFrame) (lost uint64)
	// replay queues one event, waiting for room.
	replay(s *subscription, f *eventFrame) error
	// cut ends a subscriber that did not keep up.
	cut()
	// revoke ends s, which the server takes back, and tells the subscriber. It reports whether s was not ended before.
	revoke(s *subscription, code string) bool
	flush()
}

// The bounds of what waits for a subscription to be answered: those of an out-queue.
const (
	maxHeld      = 1024
	maxHeldBytes = 1 << 20
)

// eventFrame is an event as the members of one group get it, encoded when the first of them needs it. It is one goroutine's.
type eventFrame struct {
	*Event
	group *group
	bytes *wsconn.Frame
}

// frame is the event for every member of the group.
func (f *eventFrame) frame() *wsconn.Frame {
	if f.bytes == nil {
		f.bytes = f.encode(0)
	}
	return f.bytes
}

// encode makes the rpc.event. A subscription by pattern has no position to recover from.
func (f *eventFrame) encode(dropped uint64) *wsconn.Frame {
	out := getBuffer()
	defer out.release()
	epoch, offset := f.Position.Epoch, f.Position.Offset
	if isPattern(f.group.topic.name) {
		epoch, offset = "", 0
	}
	out.b = wire.AppendEvent(out.b, f.Channel, f.Payload, f.group.id, epoch, offset, dropped)
	return wsconn.NewFrame(websocket.MessageText, out.b)
}

// take gives the subscription events in the order of their publishing.
func (s *subscription) take(frames []eventFrame) {
	s.mu.Lock()
	for i := range frames {
		switch s.state {
		case subHeld:
			s.holdLocked(frames[i].Event)
		case subLive:
			s.sendLocked(&frames[i])
		}
	}
	live := s.state == subLive
	s.mu.Unlock()
	if live {
		s.sink.flush()
	}
}

func (s *subscription) holdLocked(e *Event) {
	if len(s.held) >= maxHeld || s.size+len(e.Payload) > maxHeldBytes {
		s.dropped++
		if s.opts.Slow == SlowDisconnect {
			s.held, s.size = nil, 0 // goLive disconnects
			return
		}
		s.size -= len(s.held[0].Payload)
		s.held = s.held[1:]
	}
	s.held = append(s.held, *e)
	s.size += len(e.Payload)
}

func (s *subscription) sendLocked(f *eventFrame) {
	if s.wants(f.Event) {
		s.dropped += s.sink.offer(s, f)
	}
}

// wants asks the filter. A filter that panics has its event dropped and says so in the log.
func (s *subscription) wants(e *Event) (yes bool) {
	if s.filter == nil {
		return true
	}
	defer func() {
		if v := recover(); v != nil {
			s.hub.log.Error("wsx: a channel's filter panicked", "channel", e.Channel, "panic", fmt.Sprint(v), "stack", string(debug.Stack()))
			yes = false
		}
	}()
	return s.filter(*e)
}

// goLive sends what was missed, then what came meanwhile, and from then on what comes.
func (s *subscription) goLive(missed Replay) {
	for i := range missed.Events {
		f := eventFrame{Event: &missed.Events[i], group: s.group}
		if s.wants(f.Event) && s.sink.replay(s, &f) != nil {
			return // the connection has ended
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.state != subHeld {
		return
	}
	s.state = subLive
	for i := range s.held {
		e := &s.held[i]
		if e.Position.Epoch == missed.Newest.Epoch && e.Position.Offset <= missed.Newest.Offset && e.Position.Offset > 0 {
			continue // it was among the missed, or came before the subscription
		}
		s.sendLocked(&eventFrame{Event: e, group: s.group})
	}
	s.held = nil
	if s.dropped > 0 && s.opts.Slow == SlowDisconnect {
		s.sink.cut()
	}
	s.sink.flush()
}

// subscribe enters s into the hub and returns the channel's position, and what came after since. From then on s holds what comes until goLive.
func (h *Hub) subscribe(ctx context.Context, s *subscription, since Position) (Replay, error) {
	if err := h.Start(ctx); err != nil {
		return Replay{}, err
	}
	stripe := h.stripe(s.name)
	stripe.Lock()
	var err error
	if h.enter(s) {
		err = h.broker.Interest(ctx, receiver{h}, s.name, true)
	}
	stripe.Unlock()
	if err != nil {
		h.unsubscribe(s)
		return Replay{}, &Error{Code: CodeUnavailable, Err: err}
	}
	history := s.opts.history()
	if history.Size == 0 || isPattern(s.name) {
		return Replay{Complete: since == Position{}}, nil
	}
	missed, err := h.broker.Since(ctx, s.name, since, history)
	if err != nil {
		h.unsubscribe(s)
		return Replay{}, &Error{Code: CodeUnavailable, Err: err}
	}
	return missed, nil
}

// unsubscribe ends s: no event of it is sent once it has returned. It reports whether s was not ended before.
func (h *Hub) unsubscribe(s *subscription) bool {
	s.mu.Lock()
	ended := s.state == subEnded
	s.state, s.held = subEnded, nil
	s.mu.Unlock()
	if ended {
		return false
	}
	stripe := h.stripe(s.name)
	stripe.Lock()
	defer stripe.Unlock()
	if s.group == nil || !h.leave(s) {
		return true
	}
	if err := h.broker.Interest(context.Background(), receiver{h}, s.name, false); err != nil {
		h.log.Warn("wsx: the broker keeps an interest", "channel", s.name, "error", err.Error())
	}
	return true
}
