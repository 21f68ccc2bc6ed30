package wsx

import (
	"context"
	"errors"
	"slices"
	"sync"

	"github.com/coder/websocket"
	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/genropy/genro-asgi-go/internal/wsconn"
	"github.com/genropy/genro-asgi-go/wsx/internal/wire"
)

// closeSlow closes a connection that does not keep up with its events (protocol section 5).
const closeSlow = 4430

// subscriptions are a connection's. It is their sink.
type subscriptions struct {
	conn *Conn

	mu       sync.Mutex
	byID     map[string]*subscription
	joined   map[string]int // channels with presence, and how often subscribed to
	reserved int            // subscriptions under way, beside those in byID
	cutting  bool
}

// The methods behind rpc.subscribe, rpc.unsubscribe and wsx.presence. They run as any other.
func (s *Server) builtins() {
	builtin := func(name string, handler Handler) *method {
		return &method{Method: Method{Name: name}, handler: handler, pace: new(pace)}
	}
	s.subscribe = builtin("rpc.subscribe", s.serveSubscribe)
	s.unsubscribe = builtin("rpc.unsubscribe", s.serveUnsubscribe)
	s.presence = builtin("wsx.presence", s.servePresence)
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
	sub, err := c.subs.prepare(ctx, k.channel, r.Params)
	if err != nil {
		return err
	}
	var since Position
	if k.recover != nil {
		if err := json.Unmarshal(k.recover, &since); err != nil {
			c.subs.release()
			return invalidParams(err)
		}
	}
	missed, err := sub.hub.subscribe(ctx, sub, since)
	c.subs.release()
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
	k.then = func(answered bool) {
		if answered {
			sub.goLive(missed)
		} else {
			c.subs.end(sub) // cancelled just before it began
		}
	}
	return json.MarshalWrite(&r.result, &result)
}

// prepare asks everybody who may refuse a subscription. It takes a place that release gives back.
func (u *subscriptions) prepare(ctx context.Context, name string, params jsontext.Value) (_ *subscription, err error) {
	hub := u.conn.server.opts.Hub
	if err := checkChannel(name, true); err != nil {
		return nil, err
	}
	var opts *ChannelOptions
	if hub != nil {
		opts = hub.options(name)
	}
	if opts == nil { // closed by default
		return nil, &Error{Code: CodeSubscriptionDenied}
	}
	if !u.reserve() {
		return nil, NewError(CodeResourceExhausted, "this connection has as many subscriptions as it may")
	}
	defer func() {
		if err != nil {
			u.release()
		}
	}()
	about := Subscription{Channel: name, Params: params.Clone(), Conn: u.conn}
	if err := opts.authorize(ctx, about); err != nil {
		return nil, err
	}
	sub := &subscription{hub: hub, name: name, opts: opts, sink: u, about: about}
	if opts.Filter != nil {
		if sub.filter, err = opts.Filter(about); err != nil {
			return nil, filterError(err)
		}
	}
	return sub, nil
}

func (u *subscriptions) reserve() bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	if len(u.byID)+u.reserved >= u.conn.server.opts.MaxSubscriptions {
		return false
	}
	u.reserved++
	return true
}

func (u *subscriptions) release() {
	u.mu.Lock()
	u.reserved--
	u.mu.Unlock()
}

// claim implements sink.
func (u *subscriptions) claim(g *group, s *subscription) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.byID[g.id] != nil {
		return false
	}
	if u.byID == nil {
		u.byID = make(map[string]*subscription)
	}
	u.byID[g.id] = s
	return true
}

// begun is what follows a subscription that has begun.
func (u *subscriptions) begun(s *subscription) {
	if s.opts.Presence && !isPattern(s.name) {
		u.mu.Lock()
		if u.joined == nil {
			u.joined = make(map[string]int)
		}
		u.joined[s.name]++
		first := u.joined[s.name] == 1
		u.mu.Unlock()
		if first {
			u.join(s)
		}
	}
	if s.opts.OnSubscribe != nil {
		s.opts.OnSubscribe(s.about)
	}
}

// end ends a subscription and does what follows. It reports whether the subscription was not ended before.
func (u *subscriptions) end(s *subscription) bool {
	if !s.hub.unsubscribe(s) {
		return false
	}
	u.mu.Lock()
	delete(u.byID, s.group.id)
	last := false
	if u.joined[s.name] > 0 {
		u.joined[s.name]--
		if last = u.joined[s.name] == 0; last {
			delete(u.joined, s.name)
		}
	}
	u.mu.Unlock()
	if last {
		u.leave(s)
	}
	if s.opts.OnUnsubscribe != nil {
		s.opts.OnUnsubscribe(s.about)
	}
	return true
}

// endAll is the end of the connection.
func (u *subscriptions) endAll() {
	for _, s := range u.all(nil) {
		u.end(s)
	}
}

// all returns the subscriptions that pick is true for; a nil pick is all.
func (u *subscriptions) all(pick func(*subscription) bool) []*subscription {
	u.mu.Lock()
	defer u.mu.Unlock()
	var all []*subscription
	for _, s := range u.byID {
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
	ended := 0
	for _, sub := range k.conn.subs.all(func(sub *subscription) bool {
		if k.subscription != "" {
			return sub.group.id == k.subscription
		}
		return sub.name == k.channel
	}) {
		if k.conn.subs.end(sub) {
			ended++
		}
	}
	if ended == 0 {
		return &Error{Code: CodeNotFound}
	}
	return json.MarshalWrite(&r.result, unsubscribed{"unsubscribed"})
}

// offer implements sink.
func (u *subscriptions) offer(s *subscription, f *eventFrame) (lost uint64) {
	ws := u.conn.ws
	switch s.opts.Slow {
	case SlowDropOldest:
		frame, carried := u.frame(s, f)
		for errors.Is(ws.Offer(frame, s, carried, false), wsconn.ErrQueueFull) {
			evicted := ws.Evict(s, 1)
			if evicted == 0 {
				return 1 // what waits is not of this channel: the new event goes
			}
			s.dropped += evicted
			frame, carried = u.frame(s, f)
		}
	case SlowLatest:
		frame, carried := u.frame(s, f)
		if errors.Is(ws.Offer(frame, s, carried, true), wsconn.ErrQueueFull) {
			s.dropped += ws.Evict(s, -1)
			frame, carried = u.frame(s, f)
			_ = ws.Force(frame, s, carried) // the one of this channel that waits
		}
	default:
		if errors.Is(ws.Offer(f.frame(), nil, 0, false), wsconn.ErrQueueFull) {
			u.cut()
		}
		return 0
	}
	s.dropped = 0
	return 0
}

// frame is the event with the count of those dropped before it, and that count.
func (*subscriptions) frame(s *subscription, f *eventFrame) (*wsconn.Frame, uint64) {
	if s.dropped == 0 {
		return f.frame(), 0
	}
	return f.encode(s.dropped), s.dropped
}

// replay implements sink.
func (u *subscriptions) replay(s *subscription, f *eventFrame) error {
	return u.conn.ws.Replay(u.conn.ctx, f.frame())
}

// cut implements sink.
func (u *subscriptions) cut() {
	u.mu.Lock()
	first := !u.cutting
	u.cutting = true
	u.mu.Unlock()
	if first {
		u.conn.server.hold()
		go func() {
			defer u.conn.server.leave()
			_ = u.conn.ws.Drop(closeSlow, "slow consumer") // it ends either way, and the leader logs how
		}()
	}
}

// flush implements sink.
func (u *subscriptions) flush() { u.conn.ws.Flush() }

// notify queues a shared message that is no event. A connection with no room for it is cut: it does not keep up.
func (u *subscriptions) notify(f *wsconn.Frame) {
	if errors.Is(u.conn.ws.Offer(f, nil, 0, false), wsconn.ErrQueueFull) {
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
		if s.sink.revoke(s, code) {
			n++
		}
	}
	return n
}

// revoke implements sink.
func (u *subscriptions) revoke(s *subscription, code string) bool {
	if !u.end(s) {
		return false
	}
	payload, err := json.Marshal(unsubscribedNote{s.group.id, s.name, code})
	if err != nil {
		return true // three strings: it cannot fail but for invalid UTF-8 in code
	}
	out := wire.AppendServerNotify(nil, "wsx.unsubscribed", payload, nil)
	u.notify(wsconn.NewFrame(websocket.MessageText, out))
	return true
}
