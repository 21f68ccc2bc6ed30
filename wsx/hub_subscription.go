package wsx

import (
	"context"
	"fmt"
	"runtime/debug"
	"strconv"
	"time"

	"github.com/genropy/genro-asgi-go/internal/lockorder"
	"github.com/genropy/genro-asgi-go/wsx/broker"
	"github.com/genropy/genro-asgi-go/wsx/internal/fanout"
	"github.com/genropy/genro-asgi-go/wsx/internal/pattern"
	"github.com/genropy/genro-asgi-go/wsx/internal/wire"
)

// subscription is one subscriber's interest in a name or pattern. It holds the events that come
// until it is answered and has been sent what it missed; then it is live. What a visit touches
// stands first and together: of a thousand subscribers none is in the processor's cache.
type subscription struct {
	fanout.Slot // in its group

	// Set once, before the subscription is entered.
	dialect wire.Dialect // JSONRPC, else WSX
	opts    *ChannelOptions
	filter  func(broker.Event) bool // nil lets all through
	sink    sink
	under   string // the configured pattern whose options these are

	// mu guards what follows. The locks of the sink, of its presence and of its out-queue may be
	// taken with it.
	mu      lockorder.Mutex
	state   subState
	dropped uint64          // events lost since the last one that said so
	newest  broker.Position // when the subscription began; zero once an event after it has come
	// answered says that goLive has been called. An end before that is told, and the subscription's
	// place given back, by goLive.
	answered  bool
	revoked   string          // the code to tell then
	stop      func()          // ends the replay; nil while there is none
	replayed  chan struct{}   // closed when the replay has ended
	held      []broker.Event  // what came before the subscription was live
	heldBytes int             // of their payloads
	lostUpTo  broker.Position // of the last event that held had no room for

	// Set once, before the subscription is entered; group and topic by that.
	hub   *Hub
	name  string
	about Subscription
	order uint64 // of the call that asked for it, among those of its connection
	group *group
	topic *topic

	// Guarded by the connection's subscriptions.mu.
	stage  stage
	placed bool // it counts towards the connection's limits

	// presence is that of its connection in the channel: nil without, and before its hooks run.
	presence *membership
}

type subState uint8

const (
	subHeld  subState = iota // events that come are held
	subLive                  // and now they are sent
	subEnded                 // nothing is sent any more
)

// sink is who is subscribed, as the hub knows them: a connection, for all its subscriptions, or a
// listener of this process, for its only one. Its methods are safe for concurrent use.
type sink interface {
	// claim makes g the group of s, unless the sink has a subscription in it already.
	claim(g *group, s *subscription) bool
	// forget gives back the place of s, claimed or not. From then on another may have its id.
	forget(s *subscription)

	// offer queues one event without waiting, and gives way as the policy says when there is no
	// room. With now it is sent too, else by flush. It returns how many events of s are lost by it.
	// It is called with s.mu held.
	offer(s *subscription, f *fanout.Frame, now bool) (lost uint64)
	flush()
	// replay queues one event, with the count of those lost before it, waiting for room until ctx
	// ends.
	replay(ctx context.Context, s *subscription, f *fanout.Frame, lost uint64) error
	// tooSlow ends a subscriber that did not keep up.
	tooSlow()

	// end ends s and runs what follows an end. The subscriber is told that the server takes the
	// subscription back where there is a code, and the broker until ctx ends. It reports whether s
	// was not ended before.
	end(ctx context.Context, s *subscription, code string) bool
	// tell sends the last message of s, with that code.
	tell(s *subscription, code string)
	// hubStopped tells a subscriber who would not learn it otherwise that the hub has stopped.
	hubStopped(err error)

	// membership returns the sink's presence in a channel; nil where it is not present.
	membership(channel string) *membership
}

// The bounds of what waits for a subscription to be answered: those of an out-queue.
const (
	maxHeld      = 1024
	maxHeldBytes = 1 << 20
)

// Take implements fanout.Subscriber. A subscription by pattern gets nothing of a channel that a
// narrower pattern configures: that has an authorizer who was not asked.
func (s *subscription) Take(frames []*fanout.Frame) {
	if f := frames[0]; f.Label.Pattern && s.under != f.Under {
		return
	}
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

// frame is an event that s gets by itself.
func (s *subscription) frame(e broker.Event) *fanout.Frame {
	return &fanout.Frame{Event: e, Label: &s.group.Label, TooLarge: s.hub.tooLarge(e)}
}

func (s *subscription) holdLocked(e broker.Event) {
	for len(s.held) > 0 && (len(s.held) >= maxHeld || s.heldBytes+len(e.Payload) > maxHeldBytes) {
		s.lostUpTo = s.held[0].Position
		s.dropped++
		s.heldBytes -= len(s.held[0].Payload)
		s.held = s.held[1:]
	}
	s.held = append(s.held, e)
	s.heldBytes += len(e.Payload)
}

func (s *subscription) sendLocked(f *fanout.Frame, now bool) {
	if p := f.Position; s.newest.Epoch != "" && p.Epoch == s.newest.Epoch {
		if p.Offset <= s.newest.Offset {
			// it was among the missed, or came before the subscription, and its fan-out took longer
			return
		}
		s.newest = broker.Position{}
	}
	switch {
	case f.TooLarge:
		s.dropped++
	case s.wants(f.Event):
		s.dropped += s.sink.offer(s, f, now)
	}
}

// wants asks the filter. A filter that panics has its event dropped and says so in the log.
func (s *subscription) wants(e broker.Event) (yes bool) {
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

// goLive sends what was missed, then what came meanwhile, and from then on what comes. The
// subscription has been answered.
func (s *subscription) goLive(missed broker.Replay) {
	s.mu.Lock()
	s.answered = true
	ended, revoked := s.state == subEnded, s.revoked
	s.mu.Unlock()
	if ended {
		s.tellEnd(revoked)
		return
	}
	unsent, goesOn := s.replay(missed.Events)
	if !goesOn {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.state == subEnded {
		return
	}
	s.state, s.newest = subLive, missed.Newest
	if p := s.lostUpTo; p.Epoch != "" && p.Epoch == missed.Newest.Epoch {
		// the first of them were among the missed, or came before the subscription
		s.dropped = min(s.dropped, max(p.Offset, missed.Newest.Offset)-missed.Newest.Offset)
	}
	if s.dropped > 0 && s.opts.Slow == SlowDisconnect {
		s.sink.tooSlow()
	}
	s.dropped += unsent
	for _, e := range s.held {
		s.sendLocked(s.frame(e), false)
	}
	s.held = nil
	s.sink.flush()
	if s.presence != nil {
		s.presence.goLive()
	}
}

// tellEnd tells of the end of s, where there is something to tell, before its id may be another's.
func (s *subscription) tellEnd(revoked string) {
	if revoked != "" {
		s.sink.tell(s, revoked)
	}
	s.sink.forget(s)
}

// replay sends what was missed. It returns how many events at the end are too large to be sent, and
// whether the subscription goes on.
func (s *subscription) replay(missed []broker.Event) (unsent uint64, goesOn bool) {
	if len(missed) == 0 {
		return 0, true
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	s.mu.Lock()
	if s.state == subEnded {
		s.mu.Unlock()
		return 0, false
	}
	s.stop, s.replayed = cancel, make(chan struct{})
	s.mu.Unlock()
	defer close(s.replayed)
	for i := range missed {
		f := s.frame(missed[i])
		switch {
		case ctx.Err() != nil:
			return 0, false // it was ended, or the connection has
		case f.TooLarge:
			unsent++
		case s.wants(f.Event):
			if s.sink.replay(ctx, s, f, unsent) != nil {
				return 0, false
			}
			unsent = 0
		}
	}
	return unsent, true
}

// subscribe enters s into the hub and returns the channel's position, and what came after since.
// From then on s holds what comes until goLive. Also after an error the caller has to end it.
func (h *Hub) subscribe(ctx context.Context, s *subscription,
	since broker.Position) (missed broker.Replay,
	err error,
) {
	defer func() {
		if err != nil {
			err = &Error{Code: CodeUnavailable, Err: err}
		}
	}()
	if err := h.Start(ctx); err != nil {
		return broker.Replay{}, err
	}
	if err := h.addInterest(ctx, s); err != nil {
		return broker.Replay{}, err
	}
	if !h.attached.Load() { // Stop may not have seen it
		return broker.Replay{}, errHubStopped
	}
	history := s.opts.history()
	if history.Size == 0 || pattern.HasWildcard(s.name) {
		return broker.Replay{Complete: since == broker.Position{}}, nil
	}
	return h.broker.Since(ctx, s.name, since, history)
}

// unsubscribe ends s: no event of it is sent once it has returned. Where there is a code the
// subscriber is told, now or behind the answer. It reports whether s was not ended before. The
// broker is told until ctx ends.
func (h *Hub) unsubscribe(ctx context.Context, s *subscription, code string) bool {
	s.mu.Lock()
	if s.state == subEnded {
		s.mu.Unlock()
		return false
	}
	s.state, s.held, s.revoked = subEnded, nil, code
	stop, answered := s.stop, s.answered
	s.mu.Unlock()
	if stop != nil {
		stop()
		<-s.replayed
	}
	if s.group != nil {
		h.dropInterest(ctx, s)
	}
	if answered {
		s.tellEnd(code)
	}
	return true
}

// topic is a name or pattern that somebody subscribes to. Its first group holds the first
// subscription of every connection, the second the second, and so on: a group has one subscription
// id, so that its members share the bytes of an event.
type topic struct {
	name string

	// Guarded by Hub.mu.
	groups []*group
	users  int // goroutines that work with it: it stays the topic of its name until they are done

	telling contextMutex // held by whoever tells the broker of the topic
	told    bool         // the broker knows of it; guarded by telling
}

// group is the subscriptions of a topic that share an id.
type group = fanout.Group[*subscription]

// addInterest puts s into its topic, and sees to it that the broker knows of that.
func (h *Hub) addInterest(ctx context.Context, s *subscription) error {
	return h.tellBroker(ctx, h.enter(s))
}

// dropInterest takes s out of its topic, and tells the broker if it was the last.
func (h *Hub) dropInterest(ctx context.Context, s *subscription) {
	t := h.exit(s)
	ctx, done := brokerContext(ctx)
	defer done()
	_ = h.tellBroker(ctx, t) // the broker's errors go to the log; ctx's is no news
}

// tellBroker tells the broker whether anybody is subscribed to a topic, unless the broker knows.
// One goroutine at a time does so for a topic, with no lock held; others wait for its result until
// their ctx ends. It releases the topic.
func (h *Hub) tellBroker(ctx context.Context, t *topic) error {
	defer h.release(t)
	if err := t.telling.lock(ctx); err != nil {
		return err
	}
	defer t.telling.unlock()
	for h.subscribed(t) != t.told {
		// once more where that has changed meanwhile: whoever changed it may have given up waiting
		if t.told {
			t.told = false
			h.tellNobodyListens(t.name)
		} else if err := h.broker.Interest(ctx, receiver{h}, t.name, true); err != nil {
			return err
		} else {
			t.told = true
		}
	}
	return nil
}

// tellNobodyListens tells the broker that nobody is subscribed to a name.
func (h *Hub) tellNobodyListens(name string) {
	if !h.attached.Load() { // it knows by itself
		return
	}
	ctx, done := brokerContext(context.Background())
	defer done()
	if err := h.broker.Interest(ctx, receiver{h}, name, false); err != nil {
		h.log.Warn("wsx: the broker keeps an interest", "channel", name, "error", err.Error())
	}
}

func (h *Hub) subscribed(t *topic) bool {
	h.mu.RLock()
	defer h.mu.RUnlock()
	return len(t.groups) > 0
}

// enter puts a subscription into the first group of its topic in which its sink has none yet. The
// caller releases the topic.
func (h *Hub) enter(s *subscription) *topic {
	h.mu.Lock()
	defer h.mu.Unlock()
	t := h.topicLocked(s.name)
	if t == nil {
		t = &topic{name: s.name, telling: newContextMutex()}
		if pattern.HasWildcard(s.name) {
			h.patterns.Put(s.name, t)
			h.byPattern[s.name] = t
		} else {
			h.byName[s.name] = t
		}
	}
	t.users++
	s.topic = t
	at := 0
	for ; at < len(t.groups); at++ {
		if s.sink.claim(t.groups[at], s) {
			break
		}
	}
	if at == len(t.groups) {
		h.groupsMade++
		g := &group{Label: fanout.Label{
			ID: strconv.FormatUint(h.groupsMade, 36), Pattern: s.about.Pattern,
		}}
		s.sink.claim(g, s) // a new one: it has none in it
		t.groups = append(t.groups[:at:at], g)
	}
	s.group.Add(s)
	return t
}

func (h *Hub) topicLocked(name string) *topic {
	if pattern.HasWildcard(name) {
		return h.byPattern[name]
	}
	return h.byName[name]
}

// exit takes a subscription out. The caller releases the topic.
func (h *Hub) exit(s *subscription) *topic {
	h.mu.Lock()
	defer h.mu.Unlock()
	s.group.Remove(s)
	t := s.topic
	t.users++
	for n := len(t.groups); n > 0 && t.groups[n-1].Empty(); n-- {
		t.groups = t.groups[: n-1 : n-1]
	}
	return t
}

// release ends the use of a topic that enter or exit began. A topic that nobody uses or is
// subscribed to is forgotten.
func (h *Hub) release(t *topic) {
	h.mu.Lock()
	defer h.mu.Unlock()
	t.users--
	switch {
	case t.users > 0 || len(t.groups) > 0:
	case pattern.HasWildcard(t.name):
		h.patterns.Remove(t.name)
		delete(h.byPattern, t.name)
	default:
		delete(h.byName, t.name)
	}
}

// contextMutex is a lock to be held across something that waits, such as a call of a broker:
// waiting for it ends with a context. newContextMutex makes one.
type contextMutex chan struct{}

func newContextMutex() contextMutex { return make(contextMutex, 1) }

// lock waits for the mutex until ctx ends.
func (m contextMutex) lock(ctx context.Context) error {
	select {
	case m <- struct{}{}:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (m contextMutex) unlock() { <-m }

// brokerWait is how long a broker may take for what no caller waits for: a connection's end does.
const brokerWait = 10 * time.Second

// brokerContext ends with ctx, and after brokerWait.
func brokerContext(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, brokerWait)
}
