package wsx

import (
	"context"
	"errors"
	"slices"

	"github.com/coder/websocket"
	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/genropy/genro-asgi-go/internal/lockorder"
	"github.com/genropy/genro-asgi-go/internal/wsconn"
	"github.com/genropy/genro-asgi-go/wsx/broker"
	"github.com/genropy/genro-asgi-go/wsx/internal/fanout"
	"github.com/genropy/genro-asgi-go/wsx/internal/pattern"
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

	// mu guards what follows, and of each subscription its stage and its place. No other lock is
	// taken with it.
	mu            lockorder.Mutex
	claimed       []*subscription        // as a rule one or two: a slice takes less than a map
	places        int                    // taken by those and by subscriptions under way
	namePlaces    int                    // those of places that are not by pattern
	paramBytes    int                    // of the params of those that have places
	disconnecting bool                   // the connection is being closed as it is too slow
	memberships   map[string]*membership // by channel with presence
}

// stage is how far a subscription is with what follows its beginning and its end: its hooks and
// presence.
type stage uint8

const (
	stageNone      stage = iota
	stageBeginning       // what follows its beginning is under way
	stageBegun
	stageEnded
)

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
	var since broker.Position
	if k.recover != nil {
		if err := json.Unmarshal(k.recover, &since); err != nil {
			return NewError(CodeInvalidRequest, "recover is not an epoch and an offset")
		}
	}
	asked := c.subs.grounds()
	sub, err := c.subs.prepare(k, r.Params)
	if err != nil {
		return err
	}
	defer func() {
		if k.afterAnswer == nil { // refused; also after a panic
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
	result := subscribed{
		Status: "subscribed", Channel: sub.name, Subscription: sub.group.ID,
		Epoch: missed.Newest.Epoch,
	}
	if result.Epoch != "" {
		result.Offset = &missed.Newest.Offset
	}
	if k.recover != nil {
		recovered := missed.Complete && result.Epoch != "" && since.Epoch != ""
		result.Recovered = &recovered
	}
	c.subs.runSubscribeHooks(sub)
	if err := json.MarshalWrite(&r.result, &result); err != nil {
		return err
	}
	k.afterAnswer = func(answered bool) {
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
	u.end(context.Background(), s, "")
	u.forget(s) // ended before or not, it had its place until now
}

// prepare asks everybody who may refuse a subscription. It takes a place for it, which is given
// back: also when the call is answered early, as who has read that it is cancelled may ask for
// another.
func (u *subscriptions) prepare(k *call, params jsontext.Value) (_ *subscription, err error) {
	name, hub := k.channel, u.conn.server.opts.Hub
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
	about := Subscription{
		Channel: name, Pattern: pattern.HasWildcard(name), Params: params.Clone(),
		Conn: u.conn, Subject: IdentityFrom(k).Subject,
	}
	sub := &subscription{
		hub: hub, name: name, under: under, opts: opts, sink: u, about: about,
		dialect: k.req.dialect, order: k.order,
	}
	if err := u.place(sub); err != nil {
		return nil, err
	}
	passed := false
	defer func() {
		if !passed { // also after a panic
			u.forget(sub)
		}
	}()
	if !k.onEarlyAnswer(func() { u.giveBack(sub) }) {
		return nil, k.Err()
	}
	if err := opts.authorize(k, about); err != nil {
		return nil, err
	}
	if sub.filter, err = opts.filterFor(about); err != nil {
		return nil, err
	}
	passed = true
	return sub, nil
}

// place takes a place for a subscription, if there is one.
func (u *subscriptions) place(s *subscription) error {
	u.mu.Lock()
	defer u.mu.Unlock()
	opts := &u.conn.server.opts
	switch {
	case u.places >= opts.MaxSubscriptions:
		return NewError(CodeResourceExhausted,
			"this connection has as many subscriptions as it may")
	case s.about.Pattern && u.places-u.namePlaces >= opts.MaxPatterns:
		return NewError(CodeResourceExhausted,
			"this connection has as many subscriptions by pattern as it may")
	case u.paramBytes+len(s.about.Params) > opts.MaxSubscriptionParams:
		return NewError(CodeResourceExhausted,
			"the params of this connection's subscriptions are larger than they may be")
	}
	u.count(s, 1)
	s.placed = true
	return nil
}

func (u *subscriptions) count(s *subscription, n int) {
	u.places += n
	u.paramBytes += n * len(s.about.Params)
	if !s.about.Pattern {
		u.namePlaces += n
	}
}

// giveBack gives back the place of a subscription, once.
func (u *subscriptions) giveBack(s *subscription) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if s.placed {
		u.count(s, -1)
		s.placed = false
	}
}

// forget implements sink.
func (u *subscriptions) forget(s *subscription) {
	u.giveBack(s)
	u.mu.Lock()
	defer u.mu.Unlock()
	if i := slices.Index(u.claimed, s); i >= 0 {
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
	s.group = g
	return true
}

// runSubscribeHooks is what follows a subscription that has begun: unless it has been ended since.
// Its own end waits for it.
func (u *subscriptions) runSubscribeHooks(s *subscription) {
	if u.advance(s, stageBeginning) == stageEnded {
		return
	}
	u.present(context.Background(), s, 1)
	s.hub.hook(s.opts.OnSubscribe, s)
	if u.advance(s, stageBegun) == stageEnded {
		u.runUnsubscribeHooks(context.Background(), s)
	}
}

// end implements sink. It does what follows, too.
func (u *subscriptions) end(ctx context.Context, s *subscription, code string) bool {
	if !s.hub.unsubscribe(ctx, s, code) {
		return false
	}
	if u.advance(s, stageEnded) == stageBegun {
		u.runUnsubscribeHooks(ctx, s)
	}
	return true
}

// runUnsubscribeHooks is what follows a subscription that has ended.
func (u *subscriptions) runUnsubscribeHooks(ctx context.Context, s *subscription) {
	u.present(ctx, s, -1)
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

// endAll is the end of the connection. A broker that does not answer holds it up once, not once a
// subscription.
func (u *subscriptions) endAll() {
	ctx, done := brokerContext(context.Background())
	defer done()
	for _, s := range u.all(nil) {
		u.end(ctx, s, "")
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

// isFor reports whether the call subscribes to a channel; of JSON-RPC that is known once its
// handler has read it.
func (c *call) isFor(channel string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.channel == channel
}

func (s *Server) serveUnsubscribe(ctx context.Context, r *Request) error {
	k := ctx.(*call)
	if r.dialect == wire.JSONRPC {
		if err := k.readUnsubscribe(); err != nil {
			return err
		}
	}
	ended := 0
	if k.subscription == "" {
		if err := checkChannel(k.channel, true); err != nil {
			return err
		}
		ended = k.conn.calls.cancelSubscribing(k)
	}
	for _, sub := range k.conn.subs.all(func(sub *subscription) bool {
		if k.subscription != "" {
			return sub.group.ID == k.subscription
		}
		return sub.name == k.channel && sub.order < k.order
	}) {
		if k.conn.subs.end(context.Background(), sub, "") {
			ended++
		}
	}
	if ended == 0 {
		return &Error{Code: CodeNotFound}
	}
	return json.MarshalWrite(&r.result, unsubscribed{"unsubscribed"})
}

// offer implements sink. Where the out-queue has no room for f, the subscription's policy decides:
// SlowDisconnect closes the connection; SlowDropOldest evicts the oldest events of this
// subscription, and drops f where none of them waits; SlowLatest evicts all of f's channel and goes
// on with the subscription's others, so that f is queued in any case. It returns how many new
// events were dropped, 0 or 1. Those evicted are not among them: the next event of the subscription
// tells of them, by s.dropped or by what recount makes.
func (u *subscriptions) offer(s *subscription, f *fanout.Frame, now bool) (lost uint64) {
	ws := u.conn.ws
	rejected := func(untilEmpty bool) bool {
		frame, carried := u.frame(s, f)
		return errors.Is(ws.Offer(frame, f, carried, untilEmpty, now), wsconn.ErrQueueFull)
	}
	evict := func(n int, channel string) bool {
		evicted, evictedEvents := ws.Evict(
			func(tag any) bool { return s.waits(tag, channel) }, n, s.recount)
		s.dropped += evictedEvents
		return evicted > 0
	}
	switch s.opts.Slow {
	case SlowDropOldest:
		for rejected(false) {
			if !evict(1, "") {
				return 1 // what waits is not of this subscription: the new event goes
			}
		}
	case SlowLatest:
		if !rejected(true) {
			break
		}
		evict(-1, f.Channel)
		for rejected(false) {
			if !evict(1, "") { // of another channel of the pattern
				frame, carried := u.frame(s, f)
				_ = ws.Force(frame, f, carried) // the only one of this subscription that waits
				break
			}
		}
	default:
		frame, _ := u.frame(s, f)
		if errors.Is(ws.Offer(frame, nil, 0, false, now), wsconn.ErrQueueFull) {
			u.tooSlow()
		}
	}
	s.dropped = 0
	return 0
}

// waits reports whether the tag of what waits in the out-queue is an event of s, and of a channel
// when that is not empty.
func (s *subscription) waits(tag any, channel string) bool {
	f := tag.(*fanout.Frame)
	// a group has one subscription of a connection
	return f.Label == &s.group.Label && (channel == "" || f.Channel == channel)
}

// recount is an event of s that waits, telling of those lost before it; nil when it is not of s.
func (s *subscription) recount(tag any, lost uint64) *wsconn.Frame {
	if !s.waits(tag, "") {
		return nil
	}
	return tag.(*fanout.Frame).Encoded(s.dialect, lost)
}

// frame is the event with the count of those dropped before it, and that count.
func (*subscriptions) frame(s *subscription, f *fanout.Frame) (*wsconn.Frame, uint64) {
	return f.Encoded(s.dialect, s.dropped), s.dropped
}

// replay implements sink.
func (u *subscriptions) replay(ctx context.Context, s *subscription, f *fanout.Frame,
	dropped uint64,
) error {
	return u.conn.ws.Replay(ctx, f.Encoded(s.dialect, dropped))
}

// tooSlow implements sink.
func (u *subscriptions) tooSlow() {
	u.mu.Lock()
	first := !u.disconnecting
	u.disconnecting = true
	u.mu.Unlock()
	if !first {
		return
	}
	// at once: an event behind a gap would make the client believe that it has those before
	u.conn.ws.Drop(closeSlow, slowConsumer)
	u.conn.server.addRunning()
	go func() {
		defer u.conn.server.doneRunning()
		_ = u.conn.ws.Close(closeSlow, slowConsumer) // it ends either way, and the reader logs how
	}()
}

// hubStopped implements sink: a connection learns of it from its server.
func (*subscriptions) hubStopped(error) {}

// flush implements sink.
func (u *subscriptions) flush() { u.conn.ws.Flush() }

// notify queues a shared message that is no event, for s. Where there is no room it goes as the
// policy has it: the client is cut, or goes without.
func (u *subscriptions) notify(s *subscription, f *wsconn.Frame) {
	if errors.Is(u.conn.ws.Offer(f, nil, 0, false, true), wsconn.ErrQueueFull) &&
		s.opts.Slow == SlowDisconnect {
		u.tooSlow()
	}
	u.flush()
}

// unsubscribedNote is what a client is told of a subscription that the server ends.
type unsubscribedNote struct {
	Subscription string `json:"subscription"`
	Channel      string `json:"channel"`
	Code         string `json:"code"`
}

// tell implements sink. There are few of these messages, so they find room.
func (u *subscriptions) tell(s *subscription, code string) {
	payload, err := json.Marshal(unsubscribedNote{s.group.ID, s.name, code},
		jsontext.AllowInvalidUTF8(true))
	if err != nil {
		s.hub.log.Error("wsx: end of a subscription not told", "channel", s.name, "error",
			err.Error())
		return
	}
	out := appendNote(s.dialect, "wsx.unsubscribed", payload)
	// its error is the connection's end
	_ = u.conn.ws.Force(wsconn.NewFrame(websocket.MessageText, out), nil, 0)
	u.flush()
}
