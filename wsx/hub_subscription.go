package wsx

import (
	"context"
	"fmt"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"github.com/coder/websocket"

	"github.com/genropy/genro-asgi-go/internal/wsconn"
	"github.com/genropy/genro-asgi-go/wsx/internal/wire"
)

// subscription is one subscriber's interest in a name or pattern. What every event touches stands first, together: of a thousand subscribers
// none is in the processor's cache.
type subscription struct {
	mu      sync.Mutex // guards what follows, to newest
	state   subState
	dropped uint64   // since the last event that said so
	newest  Position // when the subscription began; zero when an event after it has come

	speaks wire.Dialect // JSONRPC, else WSX
	opts   *ChannelOptions
	filter func(Event) bool
	sink   sink
	under  string // the configured pattern whose options these are

	hub   *Hub
	name  string
	about Subscription

	group *group // set by the sink's claim
	at    int    // guarded by group
	stage stage  // guarded by the sink

	// What follows is guarded by mu and for the time before the subscription is live.

	answered bool            // goLive has been called; an end before that is told, and the place given back, by goLive
	revoked  string          // the code to tell then
	stop     func()          // ends the replay; nil while there is none
	replayed chan struct{}   // closed when the replay is over
	held     []Event         // what came before the subscription was answered and caught up
	size     int             // of held in bytes
	notes    []*wsconn.Frame // presence that came meanwhile, at most maxHeld
	lost     Position        // the last that held had no room for
}

type subState uint8

const (
	subHeld subState = iota
	subLive
	subEnded
)

// sink is who a subscription sends to.
type sink interface {
	// claim makes g the group of s, unless the sink has a subscription in it already.
	claim(g *group, s *subscription) bool
	// forget gives back the place of s, claimed or not. From then on another may have its id.
	forget(s *subscription)
	// offer queues one event without waiting, and gives way as the policy says when there is no room. With now it is sent too, else by
	// flush. It returns how many events of s are lost by it. It is called with s locked.
	offer(s *subscription, f *eventFrame, now bool) (lost uint64)
	// replay queues one event, waiting for room until ctx ends.
	replay(ctx context.Context, s *subscription, f *eventFrame) error
	// cut ends a subscriber that did not keep up.
	cut()
	// end ends s; the subscriber is told that the server takes it back where there is a code. It reports whether s was not ended before.
	end(s *subscription, code string) bool
	// tell is the last message of s, with that code.
	tell(s *subscription, code string)
	flush()
}

// The bounds of what waits for a subscription to be answered: those of an out-queue.
const (
	maxHeld      = 1024
	maxHeldBytes = 1 << 20
)

// eventFrame is an event as the members of one group get it, encoded when the first of them needs it. Where it may be dropped it is its own tag in the out-queues.
type eventFrame struct {
	Event
	group *group
	bytes atomic.Pointer[wsconn.Frame]

	jsonrpc atomic.Pointer[wsconn.Frame] // the same as a JSON-RPC notification
}

// frame is the event for every member of the group that speaks d.
func (f *eventFrame) frame(d wire.Dialect) *wsconn.Frame {
	bytes := &f.bytes
	if d == wire.JSONRPC {
		bytes = &f.jsonrpc
	}
	if frame := bytes.Load(); frame != nil {
		return frame
	}
	bytes.CompareAndSwap(nil, f.encode(d, 0))
	return bytes.Load()
}

// encode makes the rpc.event. A subscription by pattern has no position to recover from.
func (f *eventFrame) encode(d wire.Dialect, dropped uint64) *wsconn.Frame {
	out := getBuffer()
	defer out.release()
	epoch, offset := f.Position.Epoch, f.Position.Offset
	if isPattern(f.group.topic.name) {
		epoch, offset = "", 0
	}
	if d == wire.JSONRPC {
		out.b = wire.AppendJSONRPCEvent(out.b, f.Channel, f.Payload, f.group.id, epoch, offset, dropped)
	} else {
		out.b = wire.AppendEvent(out.b, f.Channel, f.Payload, f.group.id, epoch, offset, dropped)
	}
	return wsconn.NewFrame(websocket.MessageText, out.b)
}

// take gives the subscription events in the order of their publishing.
func (s *subscription) take(frames []*eventFrame) {
	alone := len(frames) == 1
	s.mu.Lock()
	for _, f := range frames {
		switch s.state {
		case subHeld:
			s.holdLocked(f.Event)
		case subLive:
			s.sendLocked(f, alone)
		}
	}
	live := s.state == subLive
	s.mu.Unlock()
	if live && !alone {
		s.sink.flush()
	}
}

func (s *subscription) holdLocked(e Event) {
	for len(s.held) > 0 && (len(s.held) >= maxHeld || s.size+len(e.Payload) > maxHeldBytes) {
		s.lost = s.held[0].Position
		s.dropped++
		s.size -= len(s.held[0].Payload)
		s.held = s.held[1:]
	}
	s.held = append(s.held, e)
	s.size += len(e.Payload)
}

func (s *subscription) sendLocked(f *eventFrame, now bool) {
	if p := f.Position; s.newest.Epoch != "" && p.Epoch == s.newest.Epoch {
		if p.Offset <= s.newest.Offset {
			return // it was among the missed, or came before the subscription, and its fan-out took longer
		}
		s.newest = Position{}
	}
	if s.wants(f.Event) {
		s.dropped += s.sink.offer(s, f, now)
	}
}

// wants asks the filter. A filter that panics has its event dropped and says so in the log.
func (s *subscription) wants(e Event) (yes bool) {
	if s.filter == nil {
		return true
	}
	defer func() {
		if v := recover(); v != nil {
			s.hub.logPanic("wsx: a channel's filter panicked", e.Channel, v)
			yes = false
		}
	}()
	return s.filter(e)
}

func (h *Hub) logPanic(what, channel string, v any) {
	h.log.Error(what, "channel", channel, "panic", fmt.Sprint(v), "stack", string(debug.Stack()))
}

// goLive sends what was missed, then what came meanwhile, and from then on what comes. The subscription has been answered.
func (s *subscription) goLive(missed Replay) {
	s.mu.Lock()
	s.answered = true
	ended, revoked := s.state == subEnded, s.revoked
	s.mu.Unlock()
	if ended {
		s.over(revoked)
		return
	}
	if len(missed.Events) > 0 && !s.replay(missed.Events) {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.state == subEnded {
		return
	}
	s.state, s.newest = subLive, missed.Newest
	if p := s.lost; p.Epoch != "" && p.Epoch == missed.Newest.Epoch { // the first of them were among the missed, or came before the subscription
		s.dropped = min(s.dropped, max(p.Offset, missed.Newest.Offset)-missed.Newest.Offset)
	}
	if s.dropped > 0 && s.opts.Slow == SlowDisconnect {
		s.sink.cut()
	}
	for _, e := range s.held {
		s.sendLocked(&eventFrame{Event: e, group: s.group}, false)
	}
	for _, f := range s.notes {
		s.about.Conn.subs.notify(s, f)
	}
	s.held, s.notes = nil, nil
	s.sink.flush()
}

// over tells of the end of s, where there is something to tell, before its id may be another's.
func (s *subscription) over(revoked string) {
	if revoked != "" {
		s.sink.tell(s, revoked)
	}
	s.sink.forget(s)
}

// replay sends what was missed. It reports whether the subscription goes on.
func (s *subscription) replay(missed []Event) bool {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	s.mu.Lock()
	if s.state == subEnded {
		s.mu.Unlock()
		return false
	}
	s.stop, s.replayed = cancel, make(chan struct{})
	s.mu.Unlock()
	defer close(s.replayed)
	for i := range missed {
		f := eventFrame{Event: missed[i], group: s.group}
		if ctx.Err() != nil || s.wants(f.Event) && s.sink.replay(ctx, s, &f) != nil {
			return false // it was ended, or the connection has
		}
	}
	return true
}

// subscribe enters s into the hub and returns the channel's position, and what came after since. From then on s holds what comes until goLive.
// Also after an error the caller has to end it.
func (h *Hub) subscribe(ctx context.Context, s *subscription, since Position) (missed Replay, err error) {
	defer func() {
		if err != nil {
			err = &Error{Code: CodeUnavailable, Err: err}
		}
	}()
	if err := h.Start(ctx); err != nil {
		return Replay{}, err
	}
	if err := h.listen(ctx, s); err != nil {
		return Replay{}, err
	}
	if !h.attached() { // Stop may not have seen it
		return Replay{}, errHubStopped
	}
	history := s.opts.history()
	if history.Size == 0 || isPattern(s.name) {
		return Replay{Complete: since == Position{}}, nil
	}
	return h.broker.Since(ctx, s.name, since, history)
}

// listen enters s, and tells the broker when it is the first of its topic.
func (h *Hub) listen(ctx context.Context, s *subscription) error {
	stripe := h.stripe(s.name)
	stripe.Lock()
	defer stripe.Unlock()
	t := h.enter(s)
	if t.wanted {
		return nil
	}
	err := h.broker.Interest(ctx, receiver{h}, s.name, true)
	t.wanted = err == nil
	return err
}

// unsubscribe ends s: no event of it is sent once it has returned. Where there is a code the subscriber is told, now or behind the answer. It
// reports whether s was not ended before.
func (h *Hub) unsubscribe(s *subscription, code string) bool {
	s.mu.Lock()
	if s.state == subEnded {
		s.mu.Unlock()
		return false
	}
	s.state, s.held, s.notes, s.revoked = subEnded, nil, nil, code
	stop, answered := s.stop, s.answered
	s.mu.Unlock()
	if stop != nil {
		stop()
		<-s.replayed
	}
	if s.group != nil {
		h.unlisten(s)
	}
	if answered {
		s.over(code)
	}
	return true
}

// brokerWait is how long a broker may take for what no caller waits for: a connection's end does.
const brokerWait = 10 * time.Second

func brokerContext() (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.Background(), brokerWait)
}

// unlisten is the reverse of listen.
func (h *Hub) unlisten(s *subscription) {
	stripe := h.stripe(s.name)
	stripe.Lock()
	defer stripe.Unlock()
	if t, last := h.leave(s); !last || !t.wanted || !h.attached() {
		return
	}
	ctx, done := brokerContext()
	defer done()
	if err := h.broker.Interest(ctx, receiver{h}, s.name, false); err != nil {
		h.log.Warn("wsx: the broker keeps an interest", "channel", s.name, "error", err.Error())
	}
}
