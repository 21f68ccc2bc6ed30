package wsx

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"slices"
	"sync/atomic"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/genropy/genro-asgi-go/internal/lockorder"
	"github.com/genropy/genro-asgi-go/internal/typed"
	"github.com/genropy/genro-asgi-go/wsx/broker"
	"github.com/genropy/genro-asgi-go/wsx/internal/fanout"
	"github.com/genropy/genro-asgi-go/wsx/internal/pattern"
)

// HubOptions configure a [Hub]. nil and the zero value are valid.
type HubOptions struct {
	// Broker carries the events; a [broker.Memory] of the hub's own when nil.
	Broker broker.Broker
	// MaxEvent is the largest event that Publish takes, in bytes of its payload as JSON; 1 MiB less
	// 1 KiB when zero, so that the message with it has less than 1 MiB, which is what wsxclient
	// takes by default. Negative is no limit. An event over it from elsewhere, another node or an
	// old history, reaches no subscriber and is counted as dropped.
	MaxEvent int
	// Logger gets what nobody is told; slog.Default() when nil.
	Logger *slog.Logger
}

// maxEvent is the default of HubOptions.MaxEvent.
const maxEvent = 1<<20 - 1<<10

// Hub holds channels and who subscribes to them. Any number of hubs may exist; a [Server] has at
// most one. It is a component: Start connects it to its broker, which the first use does too, and
// Stop ends it. It is safe for concurrent use.
type Hub struct {
	broker   broker.Broker
	log      *slog.Logger
	maxEvent int

	queues *fanout.Queues[*subscription] // events on their way to subscribers

	attached atomic.Bool                  // to the broker, and not stopped: what every publish asks
	config   atomic.Pointer[[]configured] // the narrowest pattern first; written with mu held
	// revocations counts the calls of Unsubscribe. Whoever was let in while it changed is asked for
	// again, as Unsubscribe may not have found that subscription yet.
	revocations atomic.Uint64

	// life guards what follows. It is not held while the broker is asked, and no other lock is
	// taken with it.
	life      lockorder.Mutex
	attaching chan struct{} // closed when the call of Attach under way has returned; else nil
	detach    func() error  // nil until attached
	stopped   chan struct{} // closed when the broker has let the hub go; nil before Stop
	stopErr   error         // of that; read once stopped is closed

	// mu guards what follows. A sink's lock and a group's may be taken with it.
	mu         lockorder.RWMutex
	byName     map[string]*topic
	byPattern  map[string]*topic
	patterns   pattern.Index[*topic] // the topics of byPattern, by the names that they match
	groupsMade uint64                // so far: the next group's id
}

// NewHub returns a hub without channels. opts may be nil.
func NewHub(opts *HubOptions) *Hub {
	if opts == nil {
		opts = &HubOptions{}
	}
	h := &Hub{
		broker:    opts.Broker,
		log:       opts.Logger,
		maxEvent:  opts.MaxEvent,
		byName:    make(map[string]*topic),
		byPattern: make(map[string]*topic),
	}
	h.queues = fanout.New(receiver{h})
	if h.broker == nil {
		h.broker = broker.NewMemory()
	}
	if h.log == nil {
		h.log = slog.Default()
	}
	switch {
	case h.maxEvent == 0:
		h.maxEvent = maxEvent
	case h.maxEvent < 0:
		h.maxEvent = math.MaxInt
	}
	h.config.Store(&[]configured{})
	return h
}

// Configure opens the channels of a pattern to subscribers. Of several patterns that hold a channel
// the narrowest counts: token by token from the left a literal comes before *, and * before >,
// so a.*.c before a.>, and a.* before *.b. A pattern configured again gets the new options for
// subscriptions from then on. opts may be nil; Configure keeps a copy of it. It panics when the
// pattern is not valid, or asks for presence from a broker that has none.
func (h *Hub) Configure(pattern string, opts *ChannelOptions) {
	mustChannel("Configure", pattern, true)
	var kept ChannelOptions
	if opts != nil {
		kept = *opts
	}
	if _, ok := h.broker.(broker.PresenceBroker); kept.Presence && !ok {
		panic(fmt.Sprintf("wsx: Configure(%q): the broker keeps no presence", pattern))
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	list := slices.DeleteFunc(slices.Clone(*h.config.Load()),
		func(c configured) bool { return c.pattern == pattern })
	list = append(list, configured{pattern, &kept})
	slices.SortStableFunc(list, configured.compare)
	h.config.Store(&list)
}

// options returns the narrowest configured pattern that holds all of a name or pattern, and its
// options, nil when there is none.
func (h *Hub) options(name string) (under string, opts *ChannelOptions) {
	for _, c := range *h.config.Load() {
		if pattern.Within(name, c.pattern) {
			return c.pattern, c.opts
		}
	}
	return "", nil
}

// Publish sends payload, as JSON, to everyone subscribed to a channel, on every node of the broker;
// a jsontext.Value is sent as it is. It returns when the broker has the event: subscribers get it
// soon after, those of one channel in the order in which one node published. The position is zero
// in a channel without history. Nobody need be subscribed.
//
// The errors: [ErrChannelName], [ErrNotConfigured] and [ErrEventTooLarge], wrapped; a *[Error],
// UNAVAILABLE, after Stop; a payload that is no JSON, and the broker's. A channel's name with a
// user's in it takes [Token].
func (h *Hub) Publish(ctx context.Context, channel string, payload any) (broker.Position, error) {
	if err := ownChannel(channel, false); err != nil {
		return broker.Position{}, err
	}
	_, opts := h.options(channel)
	if opts == nil {
		return broker.Position{}, fmt.Errorf("%w: %q", ErrNotConfigured, channel)
	}
	raw, err := encodeEvent(payload)
	if err != nil {
		return broker.Position{}, err
	}
	if len(raw) > h.maxEvent {
		return broker.Position{}, fmt.Errorf("%w: %d bytes for %q, of at most %d", ErrEventTooLarge,
			len(raw), channel, h.maxEvent)
	}
	if err := h.Start(ctx); err != nil {
		return broker.Position{}, err
	}
	return h.broker.Publish(ctx, broker.Event{Channel: channel, Payload: raw}, opts.history())
}

// encodeEvent is a payload as JSON, which is nobody else's.
func encodeEvent(payload any) (jsontext.Value, error) {
	raw, ok := payload.(jsontext.Value)
	switch {
	case !ok:
		raw, err := typed.Marshal(payload)
		if err != nil {
			return nil, fmt.Errorf("wsx: publish: encode the payload: %w", err)
		}
		return raw, nil
	case raw == nil:
		return jsontext.Value("null"), nil
	case !raw.IsValid():
		return nil, errors.New("wsx: publish: the payload is not JSON")
	}
	return raw.Clone(), nil // it is kept, and the caller's is not ours to keep
}

// errHubStopped is what a hub that was stopped answers with.
var errHubStopped = &Error{Code: CodeUnavailable, Message: "the hub was stopped"}

// Start attaches the hub to its broker. It may be called more than once; after Stop it fails. Where
// another call attaches it waits for that until ctx ends.
func (h *Hub) Start(ctx context.Context) error {
	for !h.attached.Load() {
		h.life.Lock()
		attaching := h.attaching
		switch {
		case h.stopped != nil:
			h.life.Unlock()
			return errHubStopped
		case attaching == nil && h.detach == nil:
			h.attaching = make(chan struct{})
			h.life.Unlock()
			return h.attachBroker()
		}
		h.life.Unlock()
		if attaching == nil { // it has just been attached
			continue
		}
		select {
		case <-attaching:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return nil
}

// attachBroker attaches, and lets those who wait for that go on. When Stop has come meanwhile, it
// detaches again.
func (h *Hub) attachBroker() error {
	detach, err := h.broker.Attach(receiver{h})
	h.life.Lock()
	stopped := h.stopped != nil
	if err == nil && !stopped {
		h.detach = detach
		h.attached.Store(true)
	}
	attaching := h.attaching
	h.attaching = nil
	h.life.Unlock()
	defer close(attaching)
	switch {
	case err != nil:
		return fmt.Errorf("wsx: attach the hub to its broker: %w", err)
	case stopped:
		return errors.Join(errHubStopped, detach())
	}
	return nil
}

// Stop detaches the hub from its broker and waits, until ctx ends, until what was published here is
// queued for its subscribers. Then it ends the loops of Listen and the streams of SSE, with
// UNAVAILABLE. It does not close connections; the [Server] does.
func (h *Hub) Stop(ctx context.Context) error {
	h.life.Lock()
	if h.stopped == nil {
		h.attached.Store(false)
		h.stopped = make(chan struct{})
		go h.detachBroker(h.attaching, h.detach)
	}
	h.life.Unlock()
	defer h.endListeners()
	select {
	case <-h.stopped:
		return h.stopErr
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// detachBroker is Stop's goroutine. It ends when the broker has let the hub go and the fan-outs
// under way have ended, which wait for nobody.
func (h *Hub) detachBroker(attaching <-chan struct{}, detach func() error) {
	defer close(h.stopped)
	if attaching != nil {
		<-attaching
	}
	if detach != nil {
		h.stopErr = detach()
	}
	h.queues.Wait()
}

// endListeners tells every subscriber that the hub has stopped: those without a connection would
// not learn it otherwise.
func (h *Hub) endListeners() {
	h.mu.RLock()
	var groups []*group
	for _, topics := range []map[string]*topic{h.byName, h.byPattern} {
		for _, t := range topics {
			groups = append(groups, t.groups...)
		}
	}
	h.mu.RUnlock()
	for _, g := range groups {
		for _, s := range g.Snapshot() {
			s.sink.hubStopped(errHubStopped)
		}
	}
}

// receiver is the hub as its broker sees it, and as the queues of its fan-outs do.
type receiver struct{ hub *Hub }

// Event implements broker.Receiver.
func (r receiver) Event(e broker.Event) {
	h := r.hub
	if r.TooLarge(e) {
		h.log.Warn("wsx: an event is too large for this hub's subscribers", "channel", e.Channel,
			"bytes", len(e.Payload), "max", h.maxEvent)
	}
	h.queues.Event(e)
}

// Presence implements broker.Receiver.
func (r receiver) Presence(p broker.Presence) { r.hub.queues.Presence(p) }

// TooLarge implements fanout.Owner.
func (r receiver) TooLarge(e broker.Event) bool { return r.hub.tooLarge(e) }

// TellPresence implements fanout.Owner.
func (r receiver) TellPresence(p broker.Presence) { r.hub.tellPresence(p) }

// Listeners implements fanout.Owner.
func (r receiver) Listeners(channel string, groups []*group) ([]*group, string) {
	h := r.hub
	under, _ := h.options(channel)
	h.mu.RLock()
	defer h.mu.RUnlock()
	if t := h.byName[channel]; t != nil {
		groups = append(groups, t.groups...)
	}
	for _, t := range h.patterns.Match(channel) {
		groups = append(groups, t.groups...)
	}
	return groups, under
}

// tooLarge reports whether no subscriber gets an event: somebody else published it, and to a
// subscriber that cannot take it, it would come again with every recovery.
func (h *Hub) tooLarge(e broker.Event) bool { return len(e.Payload) > h.maxEvent }

// Unsubscribe ends all subscriptions of this hub to a name or pattern, as it was subscribed to, and
// tells their clients: the last message of each is an rpc.notify wsx.unsubscribed with that code,
// such as [CodePermissionDenied]. It returns how many there were.
func (h *Hub) Unsubscribe(name, code string) int {
	// before anything else: a subscriber who was let in before this call, and enters after the
	// search below, sees that the count has changed and asks again
	h.revocations.Add(1)
	h.mu.RLock()
	var subs []*subscription
	if t := h.topicLocked(name); t != nil {
		for _, g := range t.groups {
			subs = append(subs, slices.Clone(g.Snapshot())...)
		}
	}
	h.mu.RUnlock()
	n := 0
	for _, s := range subs {
		if s.sink.end(context.Background(), s, code) {
			n++
		}
	}
	return n
}

// hook calls a function of the program's. One that panics says so in the log.
func (h *Hub) hook(f func(Subscription), s *subscription) {
	if f == nil {
		return
	}
	defer func() {
		if v := recover(); v != nil {
			h.logPanic("wsx: a channel's hook panicked", s.name, v)
		}
	}()
	f(s.about)
}
