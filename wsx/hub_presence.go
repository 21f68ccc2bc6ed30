package wsx

import (
	"context"

	"github.com/coder/websocket"
	"github.com/go-json-experiment/json"

	"github.com/genropy/genro-asgi-go/internal/wsconn"
	"github.com/genropy/genro-asgi-go/wsx/internal/wire"
)

// member is the connection as others see it.
func (c *Conn) member() Member { return Member{Conn: c.id, Subject: c.Identity().Subject} }

// membership is a connection's presence in a channel.
type membership struct {
	subscriptions int
	member        Member // as it joined: a subject that comes later is not told
}

// present counts a subscription in or out, and tells the broker of the connection's first to a channel with presence and of the end of
// its last.
func (u *subscriptions) present(s *subscription, n int) {
	if !s.opts.Presence || isPattern(s.name) {
		return
	}
	u.presence.Lock()
	defer u.presence.Unlock()
	before := u.joined[s.name]
	now := membership{before.subscriptions + n, before.member}
	broker := s.hub.broker.(PresenceBroker) // Configure has seen to it
	ctx, done := brokerContext()
	defer done()
	var err error
	switch {
	case before.subscriptions == 0: // and n is 1
		if u.joined == nil {
			u.joined = make(map[string]membership)
		}
		now.member = u.conn.member()
		u.joined[s.name] = now
		err = broker.Join(ctx, receiver{s.hub}, s.name, now.member)
	case now.subscriptions == 0:
		delete(u.joined, s.name)
		if s.hub.attached() { // else the broker knows by itself
			err = broker.Leave(ctx, receiver{s.hub}, s.name, now.member)
		}
	default:
		u.joined[s.name] = now
	}
	if err != nil {
		s.hub.log.Warn("wsx: presence not announced", "channel", s.name, "conn", u.conn.id, "error", err.Error())
	}
}

// presenceNote is the payload of wsx.join and wsx.leave.
type presenceNote struct {
	Channel string `json:"channel"`
	Member  Member `json:"member"`
}

// fanPresence tells the other connections subscribed to just that name, each once.
func (h *Hub) fanPresence(p Presence) {
	event := "wsx.join"
	if p.Left {
		event = "wsx.leave"
	}
	payload, err := json.Marshal(presenceNote{p.Channel, p.Member})
	if err != nil {
		h.log.Warn("wsx: presence not told", "channel", p.Channel, "error", err.Error())
		return
	}
	frames := map[wire.Dialect]*wsconn.Frame{}
	for _, d := range []wire.Dialect{wire.WSX, wire.JSONRPC} {
		frames[d] = wsconn.NewFrame(websocket.MessageText, appendNote(d, event, payload))
	}
	told := make(map[*Conn]bool)
	h.mu.RLock()
	var groups []*group
	if t := h.names[p.Channel]; t != nil {
		groups = t.groups
	}
	h.mu.RUnlock()
	for _, held := range []bool{false, true} { // a connection has to wait only when none of its subscriptions is live
		for _, g := range groups {
			for _, s := range g.snapshot() {
				if c := s.about.Conn; c != nil && c.id != p.Member.Conn && !told[c] {
					told[c] = s.note(frames[s.speaks], held)
				}
			}
		}
	}
}

// note sends a presence notification; or, with held, keeps it until the subscription is live. It reports whether it did.
func (s *subscription) note(f *wsconn.Frame, held bool) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.state == subLive:
		s.about.Conn.subs.notify(s, f)
	case s.state == subEnded || !held:
		return false
	case len(s.notes) >= maxHeld && s.opts.Slow == SlowDisconnect:
		s.sink.cut()
	case len(s.notes) >= maxHeld:
		s.notes = append(s.notes[1:], f)
	default:
		s.notes = append(s.notes, f)
	}
	return true
}

type presenceParams struct {
	Channel string `json:"channel"`
}

type presenceResult struct {
	Members []Member `json:"members"`
}

// servePresence is the method wsx.presence. It is for those who are subscribed to the channel themselves.
func (s *Server) servePresence(ctx context.Context, r *Request) error {
	var in presenceParams
	if err := json.Unmarshal(r.Params, &in, decodeOptions...); err != nil {
		return invalidParams(err)
	}
	if err := checkChannel(in.Channel, false); err != nil {
		return err
	}
	var opts *ChannelOptions
	if s.opts.Hub != nil {
		_, opts = s.opts.Hub.options(in.Channel)
	}
	if opts == nil || !opts.Presence {
		return NewError(CodeNotFound, "the channel has no presence")
	}
	if len(ConnFrom(ctx).subs.all(func(sub *subscription) bool { return sub.name == in.Channel })) == 0 {
		return NewError(CodePermissionDenied, "only subscribers of a channel see who is in it")
	}
	members, err := s.opts.Hub.broker.(PresenceBroker).Members(ctx, in.Channel)
	if err != nil {
		return err
	}
	return json.MarshalWrite(&r.result, presenceResult{members})
}
