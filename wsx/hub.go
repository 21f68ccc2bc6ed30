package wsx

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"log/slog"
	"reflect"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// HubOptions configure a [Hub]. nil and the zero value are valid.
type HubOptions struct {
	// Broker carries the events; a [MemoryBroker] of the hub's own when nil.
	Broker Broker
	// Logger gets what nobody is told; slog.Default() when nil.
	Logger *slog.Logger
}

// Hub holds channels and who subscribes to them. Any number of hubs may exist; a [Server] has at most one. It is a component:
// Start connects it to its broker, which the first use does too, and Stop ends it. It is safe for concurrent use.
type Hub struct {
	broker Broker
	log    *slog.Logger

	attach  sync.Mutex
	detach  func() error // nil until attached
	stopped bool

	config atomic.Pointer[[]configured] // narrowest first

	mu       sync.RWMutex
	names    map[string]*topic
	patterns tree[*topic]
	listed   map[string]*topic // the same patterns by name
	made     uint64            // groups so far

	seed      maphash.Seed
	interests [64]sync.Mutex // see stripe

	lanes   sync.Mutex
	busy    map[string]*lane
	fanning sync.WaitGroup
}

// SlowPolicy says what becomes of a channel's events when a subscriber's out-queue is full (protocol section 4).
type SlowPolicy int

// The policies. Each event that is not delivered is counted, and the next that is says how many.
const (
	SlowDisconnect SlowPolicy = iota // close the connection with 4430
	SlowDropOldest                   // drop the oldest event that waits
	SlowLatest                       // while the queue is full, and until it is empty, only the newest event waits
)

// ChannelOptions configure the channels of a pattern. The zero value is a channel that everybody may subscribe to, without
// history or presence.
type ChannelOptions struct {
	// Doc and Payload are for [Describe]: what the channels are for, and the type of their events' payloads, anything when nil. Nothing checks what is
	// published against it.
	Doc     string
	Payload reflect.Type
	// Authorize is asked before each subscription, by name or by pattern, and again when a connection's credentials change. [IdentityFrom] tells of ctx
	// who asks; s.Conn is nil for [Hub.SSE]. An error refuses, and one of later ends the subscription with PERMISSION_DENIED: a *[Error] as it is, any other as SUBSCRIPTION_DENIED. nil lets everybody in.
	Authorize func(ctx context.Context, s Subscription) error
	// Filter returns which events a subscription gets, from its params; a nil function is all. An error refuses as with Authorize, but as
	// INVALID_PARAMS. The function is called for each event by one goroutine at a time, must be quick, and must not use the hub. What several
	// subscriptions share in theirs has to be safe for concurrent use.
	Filter func(s Subscription) (func(Event) bool, error)
	// History is how many events are kept for recovery; 0 is none, and the channel's events are not numbered then.
	History int
	// HistoryAge is how long they are kept; 1 hour when zero, no limit when negative.
	HistoryAge time.Duration
	// Presence keeps who is subscribed, tells the others who joins and leaves, and serves wsx.presence to subscribers.
	Presence bool
	// Slow is what becomes of a subscriber that does not keep up.
	Slow SlowPolicy
	// OnSubscribe and OnUnsubscribe are told of subscriptions, before the first event and after the last, in this order. They must return
	// soon.
	OnSubscribe, OnUnsubscribe func(s Subscription)
}

// Subscription describes a subscription to the functions of [ChannelOptions].
type Subscription struct {
	// Channel is the name or pattern subscribed to.
	Channel string
	// Params are the subscriber's, nil when there are none.
	Params jsontext.Value
	// Conn is the connection, nil for a subscriber without one.
	Conn *Conn
	// Subject is who subscribes, as [SubjectFrom] tells of the request; empty for nobody in particular.
	Subject string
}

type configured struct {
	pattern string
	opts    *ChannelOptions
}

// history is what the options ask of a broker.
func (o *ChannelOptions) history() History {
	h := History{Size: max(0, o.History), Age: o.HistoryAge}
	switch {
	case h.Age == 0:
		h.Age = time.Hour
	case h.Age < 0:
		h.Age = 0
	}
	return h
}

// topic is a name or pattern that somebody subscribes to. Its first group holds the first subscription of every connection, the
// second the second, and so on: a group has one subscription id, and so its members share the bytes of an event.
type topic struct {
	name   string
	wanted bool // the broker knows; guarded by the name's stripe
	groups []*group
}

type group struct {
	topic *topic
	id    string

	mu     sync.Mutex
	subs   []*subscription
	shared bool // somebody goes through subs: removing makes a copy
}

// NewHub returns a hub without channels. opts may be nil.
func NewHub(opts *HubOptions) *Hub {
	if opts == nil {
		opts = &HubOptions{}
	}
	h := &Hub{
		broker: opts.Broker,
		log:    opts.Logger,
		names:  make(map[string]*topic),
		listed: make(map[string]*topic),
		busy:   make(map[string]*lane),
		seed:   maphash.MakeSeed(),
	}
	if h.broker == nil {
		h.broker = NewMemoryBroker()
	}
	if h.log == nil {
		h.log = slog.Default()
	}
	h.config.Store(&[]configured{})
	return h
}

// Configure opens the channels of a pattern to subscribers. Of several patterns that hold a channel the narrowest counts: token by token
// from the left a literal comes before *, and * before >, so a.*.c before a.>, and a.* before *.b. A pattern configured again gets the new
// options for subscriptions from then on. It panics when the pattern is not valid, or asks for presence from a broker that has none.
func (h *Hub) Configure(pattern string, opts ChannelOptions) {
	mustChannel("Configure", pattern, true)
	if _, ok := h.broker.(PresenceBroker); opts.Presence && !ok {
		panic(fmt.Sprintf("wsx: Configure(%q): the broker keeps no presence", pattern))
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	list := slices.DeleteFunc(slices.Clone(*h.config.Load()), func(c configured) bool { return c.pattern == pattern })
	list = append(list, configured{pattern, &opts})
	slices.SortStableFunc(list, func(a, b configured) int { return cmp.Compare(breadths(a.pattern), breadths(b.pattern)) })
	h.config.Store(&list)
}

// options returns the narrowest configured pattern that holds all of a name or pattern, and its options, nil when there is none.
func (h *Hub) options(name string) (under string, opts *ChannelOptions) {
	for _, c := range *h.config.Load() {
		if within(name, c.pattern) {
			return c.pattern, c.opts
		}
	}
	return "", nil
}

// Publish sends payload, as JSON, to everyone subscribed to a channel, on every node of the broker; a jsontext.Value is sent as it is. It
// returns when the broker has the event: subscribers get it soon after, those of one channel in the order in which one node
// published. The position is zero in a channel without history. Nobody need be subscribed, nor the channel configured.
func (h *Hub) Publish(ctx context.Context, channel string, payload any) (Position, error) {
	if err := checkChannel(channel, false); err != nil {
		return Position{}, err
	}
	raw, ok := payload.(jsontext.Value)
	switch {
	case ok && raw == nil:
		raw = jsontext.Value("null")
	case ok && !raw.IsValid():
		return Position{}, errors.New("wsx: publish: the payload is not JSON")
	case !ok:
		var err error
		if raw, err = json.Marshal(payload); err != nil {
			return Position{}, fmt.Errorf("wsx: publish: encode the payload: %w", err)
		}
	default:
		raw = raw.Clone() // it is kept, and the caller's is not ours to keep
	}
	if err := h.Start(ctx); err != nil {
		return Position{}, err
	}
	var history History
	if _, o := h.options(channel); o != nil {
		history = o.history()
	}
	return h.broker.Publish(ctx, channel, raw, history)
}

// errHubStopped is what a hub that was stopped answers with.
var errHubStopped = &Error{Code: CodeUnavailable, Message: "the hub was stopped"}

// Start attaches the hub to its broker. It may be called more than once; after Stop it fails.
func (h *Hub) Start(context.Context) error {
	h.attach.Lock()
	defer h.attach.Unlock()
	if h.stopped {
		return errHubStopped
	}
	if h.detach != nil {
		return nil
	}
	detach, err := h.broker.Attach(receiver{h})
	if err != nil {
		return fmt.Errorf("wsx: attach the hub to its broker: %w", err)
	}
	h.detach = detach
	return nil
}

// Stop detaches the hub from its broker and waits, until ctx ends, until what was published here is queued for its subscribers. Then it ends the
// loops of Listen and the streams of SSE, with UNAVAILABLE. It does not close connections; the [Server] does.
func (h *Hub) Stop(ctx context.Context) error {
	h.attach.Lock()
	var err error
	if h.detach != nil {
		err = h.detach()
	}
	h.stopped, h.detach = true, nil
	h.attach.Unlock()
	done := make(chan struct{})
	go func() { h.fanning.Wait(); close(done) }() // fan-outs never block, so this ends
	defer h.endListeners()
	select {
	case <-done:
		return err
	case <-ctx.Done():
		return errors.Join(err, context.Cause(ctx))
	}
}

// endListeners ends those who listen without a connection: nobody else would.
func (h *Hub) endListeners() {
	h.mu.RLock()
	var groups []*group
	for _, topics := range []map[string]*topic{h.names, h.listed} {
		for _, t := range topics {
			groups = append(groups, t.groups...)
		}
	}
	h.mu.RUnlock()
	for _, g := range groups {
		for _, s := range g.snapshot() {
			if l, ok := s.sink.(*listener); ok {
				l.fail(errHubStopped)
			}
		}
	}
}

// attached reports whether the broker is there to be told of things.
func (h *Hub) attached() bool {
	h.attach.Lock()
	defer h.attach.Unlock()
	return h.detach != nil
}

// receiver is the hub as its broker sees it.
type receiver struct{ hub *Hub }

func (r receiver) Event(e Event)       { r.hub.deliver(e) }
func (r receiver) Presence(p Presence) { r.hub.presence(p) }

// stripe is the lock under which a name's topic comes and goes, and the broker is told of it.
func (h *Hub) stripe(name string) *sync.Mutex {
	return &h.interests[maphash.String(h.seed, name)%uint64(len(h.interests))]
}

// enter puts a subscription into the first group of its topic in which its sink has none yet. Its name's stripe is held.
func (h *Hub) enter(s *subscription) *topic {
	h.mu.Lock()
	defer h.mu.Unlock()
	t := h.topicLocked(s.name)
	if t == nil {
		t = &topic{name: s.name}
		if isPattern(s.name) {
			h.patterns.put(s.name, t)
			h.listed[s.name] = t
		} else {
			h.names[s.name] = t
		}
	}
	at := 0
	for ; at < len(t.groups); at++ {
		if s.sink.claim(t.groups[at], s) {
			break
		}
	}
	if at == len(t.groups) {
		h.made++
		g := &group{topic: t, id: strconv.FormatUint(h.made, 36)}
		s.sink.claim(g, s) // a new one: it has none in it
		t.groups = append(t.groups[:at:at], g)
	}
	s.group.add(s)
	return t
}

func (h *Hub) topicLocked(name string) *topic {
	if isPattern(name) {
		return h.listed[name]
	}
	return h.names[name]
}

// leave takes a subscription out. last says that nobody is left in its topic. Its name's stripe is held.
func (h *Hub) leave(s *subscription) (t *topic, last bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	s.group.remove(s)
	t = s.group.topic
	for n := len(t.groups); n > 0 && t.groups[n-1].empty(); n-- {
		t.groups = t.groups[: n-1 : n-1]
	}
	if len(t.groups) > 0 {
		return t, false
	}
	if isPattern(t.name) {
		h.patterns.remove(t.name)
		delete(h.listed, t.name)
	} else {
		delete(h.names, t.name)
	}
	return t, true
}

func (g *group) add(s *subscription) {
	g.mu.Lock()
	defer g.mu.Unlock()
	s.at = len(g.subs)
	g.subs = append(g.subs, s) // beyond what anybody who goes through it sees
}

func (g *group) remove(s *subscription) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.shared {
		g.subs, g.shared = slices.Clone(g.subs), false
	}
	last := len(g.subs) - 1
	g.subs[s.at] = g.subs[last]
	g.subs[s.at].at = s.at
	g.subs[last] = nil
	g.subs = g.subs[:last]
}

func (g *group) empty() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return len(g.subs) == 0
}

// snapshot returns the subscriptions to go through without a lock.
func (g *group) snapshot() []*subscription {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.shared = len(g.subs) > 0
	return g.subs
}

// unchanged reports whether a snapshot is what snapshot would return.
func (g *group) unchanged(snapshot []*subscription) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return len(g.subs) == len(snapshot) && (len(snapshot) == 0 || &g.subs[0] == &snapshot[0]) // removing makes a copy
}
