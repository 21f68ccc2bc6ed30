package wsx

import (
	"context"
	"errors"
	"reflect"
	"slices"
	"sync"

	"github.com/coder/websocket"
	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/genropy/genro-asgi-go/internal/wsconn"
	"github.com/genropy/genro-asgi-go/wsx/internal/wire"
)

// closeSlow closes a connection that does not keep up with its events (protocol section 5).
const (
	closeSlow    = 4430
	slowConsumer = "slow consumer"
)

// subscriptions are a connection's. It is their sink.
type subscriptions struct {
	conn *Conn

	mu       sync.Mutex
	claimed  []*subscription // at most MaxSubscriptions, as a rule one or two: less than a map takes
	reserved int             // subscriptions under way, beside those
	cutting  bool

	presence sync.Mutex            // orders what the broker is told
	joined   map[string]membership // channels with presence
}

// stage is how far a subscription is with what follows its beginning and its end: its hooks and presence.
type stage uint8

const (
	stageNone      stage = iota
	stageBeginning       // what follows its beginning is under way
	stageBegun
	stageEnded
)

// The methods behind rpc.subscribe, rpc.unsubscribe and the HTTP tunnel, and those with names of the protocol. They run as any other.
func (s *Server) builtins() {
	s.subscribe = builtin("rpc.subscribe", reflect.TypeFor[subscribeParams](), s.serveSubscribe)
	s.unsubscribe = builtin("rpc.unsubscribe", reflect.TypeFor[unsubscribeParams](), s.serveUnsubscribe)
	s.http = builtin("http", nil, s.serveHTTP)
	s.own = describing(s.dispatcher, s.opts.Describe, s.opts.Hub)
	own := func(name string, in reflect.Type, handler Handler) { s.own[name] = builtin(name, in, handler) }
	own("wsx.presence", reflect.TypeFor[presenceParams](), s.servePresence)
	if s.opts.Authenticate != nil {
		own("wsx.auth", reflect.TypeFor[authParams](), s.serveAuth)
	}
}

func builtin(name string, in reflect.Type, handler Handler) *method {
	return &method{Method: Method{Name: name}, handler: handler, pace: new(pace), positional: positionalOf(in)}
}

// subscribed is the result of rpc.subscribe.
type subscribed struct {
	Status       string  `json:"status"`
	Channel      string  `json:"channel"`
	Subscription string  `json:"subscription"`
	Epoch        string  `json:"epoch,omitzero"`
	Offset       *uint64 `json:"offset,omitzero"`
	Recovered    *bool   `json:"recovered,omitzero"`
}

func (s *Server) serveSubscribe(ctx context.Context, r *Request) error {
	k := ctx.(*call) // a builtin has no middleware to wrap it
	c := k.conn
	if r.dialect == wire.JSONRPC {
		if err := k.readSubscribe(); err != nil {
			return err
		}
	}
	var since Position
	if k.recover != nil {
		if err := json.Unmarshal(k.recover, &since); err != nil {
			return NewError(CodeInvalidRequest, "recover is not an epoch and an offset")
		}
	}
	asked := c.identity.Load()
	sub, err := c.subs.prepare(ctx, k.channel, r.Params)
	if err != nil {
		return err
	}
	sub.speaks = r.dialect
	defer func() {
		if k.then == nil { // refused; also after a panic
			c.subs.abandon(sub)
		}
	}()
	missed, err := sub.hub.subscribe(ctx, sub, since)
	if err == nil {
		err = c.subs.authorized(ctx, sub, asked)
	}
	if err != nil {
		return err
	}
	result := subscribed{Status: "subscribed", Channel: sub.name, Subscription: sub.group.id, Epoch: missed.Newest.Epoch}
	if result.Epoch != "" {
		result.Offset = &missed.Newest.Offset
	}
	if k.recover != nil {
		recovered := missed.Complete && result.Epoch != "" && since.Epoch != ""
		result.Recovered = &recovered
	}
	c.subs.begun(sub)
	if err := json.MarshalWrite(&r.result, &result); err != nil {
		return err
	}
	k.then = func(answered bool) {
		if answered {
			sub.goLive(missed)
		} else {
			c.subs.abandon(sub) // cancelled just before it began
		}
	}
	return nil
}

// abandon ends a subscription that is not answered.
func (u *subscriptions) abandon(s *subscription) {
	u.end(s, "")
	u.forget(s) // ended before or not, it had its place until now
}

// prepare asks everybody who may refuse a subscription. It takes a place for it, which forget gives back.
func (u *subscriptions) prepare(ctx context.Context, name string, params jsontext.Value) (_ *subscription, err error) {
	hub := u.conn.server.opts.Hub
	if err := checkChannel(name, true); err != nil {
		return nil, err
	}
	var under string
	var opts *ChannelOptions
	if hub != nil {
		under, opts = hub.options(name)
	}
	if opts == nil { // closed by default
		return nil, &Error{Code: CodeSubscriptionDenied}
	}
	if !u.reserve() {
		return nil, NewError(CodeResourceExhausted, "this connection has as many subscriptions as it may")
	}
	about := Subscription{Channel: name, Params: params.Clone(), Conn: u.conn, Subject: SubjectFrom(ctx)}
	sub := &subscription{hub: hub, name: name, under: under, opts: opts, sink: u, about: about}
	passed := false
	defer func() {
		if !passed { // also after a panic
			u.forget(sub)
		}
	}()
	if err := opts.authorize(ctx, about); err != nil {
		return nil, err
	}
	if opts.Filter != nil {
		if sub.filter, err = opts.Filter(about); err != nil {
			return nil, filterError(err)
		}
	}
	passed = true
	return sub, nil
}

func (u *subscriptions) reserve() bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	if len(u.claimed)+u.reserved >= u.conn.server.opts.MaxSubscriptions {
		return false
	}
	u.reserved++
	return true
}

// forget implements sink.
func (u *subscriptions) forget(s *subscription) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if s.group == nil {
		u.reserved--
	} else if i := slices.Index(u.claimed, s); i >= 0 {
		u.claimed = slices.Delete(u.claimed, i, i+1)
	}
}

// claim implements sink.
func (u *subscriptions) claim(g *group, s *subscription) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	if slices.ContainsFunc(u.claimed, func(other *subscription) bool { return other.group == g }) {
		return false
	}
	u.claimed = append(u.claimed, s)
	u.reserved--
	s.group = g
	return true
}

// begun is what follows a subscription that has begun: unless it has been ended since. Its own end waits for it.
func (u *subscriptions) begun(s *subscription) {
	if u.advance(s, stageBeginning) == stageEnded {
		return
	}
	u.present(s, 1)
	s.hub.hook(s.opts.OnSubscribe, s)
	if u.advance(s, stageBegun) == stageEnded {
		u.ended(s)
	}
}

// end implements sink. It does what follows, too.
func (u *subscriptions) end(s *subscription, code string) bool {
	if !s.hub.unsubscribe(s, code) {
		return false
	}
	if u.advance(s, stageEnded) == stageBegun {
		u.ended(s)
	}
	return true
}

// ended is what follows a subscription that has ended.
func (u *subscriptions) ended(s *subscription) {
	u.present(s, -1)
	s.hub.hook(s.opts.OnUnsubscribe, s)
}

// advance sets the stage of a subscription that has not ended, and returns the one before.
func (u *subscriptions) advance(s *subscription, to stage) (from stage) {
	u.mu.Lock()
	defer u.mu.Unlock()
	from = s.stage
	if from != stageEnded {
		s.stage = to
	}
	return from
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

// endAll is the end of the connection.
func (u *subscriptions) endAll() {
	for _, s := range u.all(nil) {
		u.end(s, "")
	}
}

// all returns the subscriptions that pick is true for; a nil pick is all.
func (u *subscriptions) all(pick func(*subscription) bool) []*subscription {
	u.mu.Lock()
	defer u.mu.Unlock()
	var all []*subscription
	for _, s := range u.claimed {
		if pick == nil || pick(s) {
			all = append(all, s)
		}
	}
	return all
}

type unsubscribed struct {
	Status string `json:"status"`
}

func (s *Server) serveUnsubscribe(ctx context.Context, r *Request) error {
	k := ctx.(*call)
	if r.dialect == wire.JSONRPC {
		if err := k.readUnsubscribe(); err != nil {
			return err
		}
	}
	if k.subscription == "" {
		if err := checkChannel(k.channel, true); err != nil {
			return err
		}
	}
	ended := 0
	for _, sub := range k.conn.subs.all(func(sub *subscription) bool {
		if k.subscription != "" {
			return sub.group.id == k.subscription
		}
		return sub.name == k.channel
	}) {
		if k.conn.subs.end(sub, "") {
			ended++
		}
	}
	if ended == 0 {
		return &Error{Code: CodeNotFound}
	}
	return json.MarshalWrite(&r.result, unsubscribed{"unsubscribed"})
}

// offer implements sink.
func (u *subscriptions) offer(s *subscription, f *eventFrame, now bool) (lost uint64) {
	ws := u.conn.ws
	full := func(untilEmpty bool) bool {
		frame, carried := u.frame(s, f)
		return errors.Is(ws.Offer(frame, f, carried, untilEmpty, now), wsconn.ErrQueueFull)
	}
	evict := func(n int, channel string) bool {
		evicted, lost := ws.Evict(func(tag any) bool { return s.waits(tag, channel) }, n, s.recount)
		s.dropped += lost
		return evicted > 0
	}
	switch s.opts.Slow {
	case SlowDropOldest:
		for full(false) {
			if !evict(1, "") {
				return 1 // what waits is not of this subscription: the new event goes
			}
		}
	case SlowLatest:
		if !full(true) {
			break
		}
		evict(-1, f.Channel)
		for full(false) {
			if !evict(1, "") { // of another channel of the pattern
				frame, carried := u.frame(s, f)
				_ = ws.Force(frame, f, carried) // the only one of this subscription that waits
				break
			}
		}
	default:
		if errors.Is(ws.Offer(f.frame(s.speaks), nil, 0, false, now), wsconn.ErrQueueFull) {
			u.cut()
		}
		return 0
	}
	s.dropped = 0
	return 0
}

// waits reports whether the tag of what waits in the out-queue is an event of s, and of a channel when that is not empty.
func (s *subscription) waits(tag any, channel string) bool {
	f := tag.(*eventFrame)
	return f.group == s.group && (channel == "" || f.Channel == channel) // a group has one subscription of a connection
}

// recount is an event of s that waits, telling of those lost before it; nil when it is not of s.
func (s *subscription) recount(tag any, lost uint64) *wsconn.Frame {
	if !s.waits(tag, "") {
		return nil
	}
	return tag.(*eventFrame).encode(s.speaks, lost)
}

// frame is the event with the count of those dropped before it, and that count.
func (*subscriptions) frame(s *subscription, f *eventFrame) (*wsconn.Frame, uint64) {
	if s.dropped == 0 {
		return f.frame(s.speaks), 0
	}
	return f.encode(s.speaks, s.dropped), s.dropped
}

// replay implements sink.
func (u *subscriptions) replay(ctx context.Context, s *subscription, f *eventFrame) error {
	return u.conn.ws.Replay(ctx, f.frame(s.speaks))
}

// cut implements sink.
func (u *subscriptions) cut() {
	u.mu.Lock()
	first := !u.cutting
	u.cutting = true
	u.mu.Unlock()
	if !first {
		return
	}
	u.conn.ws.Drop(closeSlow, slowConsumer) // at once: an event behind a gap would make the client believe that it has those before
	u.conn.server.hold()
	go func() {
		defer u.conn.server.leave()
		_ = u.conn.ws.Close(closeSlow, slowConsumer) // it ends either way, and the leader logs how
	}()
}

// flush implements sink.
func (u *subscriptions) flush() { u.conn.ws.Flush() }

// notify queues a shared message that is no event, for s. Where there is no room it goes as the policy has it: the client is cut, or
// goes without.
func (u *subscriptions) notify(s *subscription, f *wsconn.Frame) {
	if errors.Is(u.conn.ws.Offer(f, nil, 0, false, true), wsconn.ErrQueueFull) && s.opts.Slow == SlowDisconnect {
		u.cut()
	}
	u.flush()
}

// unsubscribedNote is what a client is told of a subscription that the server ends.
type unsubscribedNote struct {
	Subscription string `json:"subscription"`
	Channel      string `json:"channel"`
	Code         string `json:"code"`
}

// Unsubscribe ends all subscriptions of this hub to a name or pattern, as it was subscribed to, and tells their clients: the last message
// of each is an rpc.notify wsx.unsubscribed with that code, such as [CodePermissionDenied]. It returns how many there were.
func (h *Hub) Unsubscribe(name, code string) int {
	h.mu.RLock()
	var subs []*subscription
	if t := h.topicLocked(name); t != nil {
		for _, g := range t.groups {
			subs = append(subs, slices.Clone(g.snapshot())...)
		}
	}
	h.mu.RUnlock()
	n := 0
	for _, s := range subs {
		if s.sink.end(s, code) {
			n++
		}
	}
	return n
}

// tell implements sink. There are few of these messages, so they find room.
func (u *subscriptions) tell(s *subscription, code string) {
	payload, err := json.Marshal(unsubscribedNote{s.group.id, s.name, code}, jsontext.AllowInvalidUTF8(true))
	if err != nil {
		s.hub.log.Error("wsx: end of a subscription not told", "channel", s.name, "error", err.Error())
		return
	}
	out := appendNote(s.speaks, "wsx.unsubscribed", payload)
	_ = u.conn.ws.Force(wsconn.NewFrame(websocket.MessageText, out), nil, 0) // its error is the connection's end
	u.flush()
}
