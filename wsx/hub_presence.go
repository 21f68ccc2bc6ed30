package wsx

import (
	"context"
	"errors"
	"slices"

	"github.com/coder/websocket"
	"github.com/go-json-experiment/json"

	"github.com/genropy/genro-asgi-go/internal/lockorder"
	"github.com/genropy/genro-asgi-go/internal/typed"
	"github.com/genropy/genro-asgi-go/internal/wsconn"
	"github.com/genropy/genro-asgi-go/wsx/broker"
	"github.com/genropy/genro-asgi-go/wsx/internal/pattern"
	"github.com/genropy/genro-asgi-go/wsx/internal/wire"
)

// member is the connection as others see it.
func (c *Conn) member() broker.Member {
	return broker.Member{Conn: c.id, Subject: c.Identity().Subject}
}

// membership is a connection's presence in a channel: what the broker is told of it, and what the
// connection is told of the others.
type membership struct {
	subs  *subscriptions
	first *subscription // of the connection in the channel; the options of the others are the same

	count int // of the connection's subscriptions to the channel; guarded by subs.mu

	telling   contextMutex  // held by whoever tells the broker
	announced bool          // the broker knows of the member; guarded by telling, as the next
	member    broker.Member // as it joined: a subject that comes later is not told

	answering contextMutex // held until an answer to wsx.presence has been sent

	// mu orders what the client is told, and guards what follows. subs.mu and the locks of the
	// out-queue may be taken with it.
	mu          lockorder.Mutex
	live        bool   // a subscription has been answered, and has what it missed
	openAnswers int    // answers to wsx.presence that are made up and not sent yet
	heardSeq    uint64 // the Seq of the newest change heard of
	readSeq     uint64 // the Seq up to which some answer goes
	toldSeq     uint64 // the Seq up to which the client knows by an answer
	leastSent   uint64 // the least Seq of the answers sent while others are open; 0 for none
	held        []note // changes to be told behind the open answers, at most maxHeld
	rosters     []*roster
}

// note is a change that a client is told of.
type note struct {
	seq   uint64
	frame *wsconn.Frame
}

// roster is what a broker is asked for, and what has been heard of meanwhile: the last change of
// each member. A broker that is far away may have read it before those.
type roster struct {
	after uint64                     // it is read later than this change
	heard map[string]broker.Presence // by connection
}

// present counts a subscription in or out, and sees to it that the broker knows.
func (u *subscriptions) present(ctx context.Context, s *subscription, n int) {
	if !s.opts.Presence || pattern.HasWildcard(s.name) {
		return
	}
	u.mu.Lock()
	m := u.memberships[s.name]
	if m == nil { // and n is 1
		if u.memberships == nil {
			u.memberships = make(map[string]*membership)
		}
		m = &membership{subs: u, first: s, telling: newContextMutex(), answering: newContextMutex()}
		u.memberships[s.name] = m
	}
	m.count += n
	s.presence = m
	u.mu.Unlock()
	if err := m.announce(ctx); err != nil {
		s.hub.log.Warn("wsx: presence not announced", "channel", s.name, "conn", u.conn.id, "error",
			err.Error())
	}
}

// announce tells the broker of the connection's first subscription to the channel and of the end of
// its last, unless it knows. One at a time does so, with no lock held.
func (m *membership) announce(ctx context.Context) error {
	ctx, done := brokerContext(ctx)
	defer done()
	if err := m.telling.lock(ctx); err != nil {
		return err // who has the telling sees to it
	}
	defer m.telling.unlock()
	hub := m.first.hub
	broker := hub.broker.(broker.PresenceBroker) // Configure has seen to it
	var errs error
	for m.subscribed() != m.announced {
		m.announced = !m.announced
		if m.announced {
			m.member = m.subs.conn.member()
			errs = errors.Join(errs, broker.Join(ctx, receiver{hub}, m.first.name, m.member))
		} else if hub.attached.Load() { // else the broker knows by itself
			errs = errors.Join(errs, broker.Leave(ctx, receiver{hub}, m.first.name, m.member))
		}
	}
	return errs
}

// subscribed reports whether the connection has a subscription to the channel. A membership without
// one that the broker knows nothing of is forgotten.
func (m *membership) subscribed() bool {
	u := m.subs
	u.mu.Lock()
	defer u.mu.Unlock()
	if m.count == 0 && !m.announced && u.memberships[m.first.name] == m {
		delete(u.memberships, m.first.name)
	}
	return m.count > 0
}

// membership implements sink. It returns the connection's membership in a channel, nil when it is
// not subscribed to just that name.
func (u *subscriptions) membership(channel string) *membership {
	u.mu.Lock()
	defer u.mu.Unlock()
	if m := u.memberships[channel]; m != nil && m.count > 0 {
		return m
	}
	return nil
}

// presenceNote is the payload of wsx.join and wsx.leave.
type presenceNote struct {
	Channel string        `json:"channel"`
	Member  broker.Member `json:"member"`
	Seq     uint64        `json:"seq,omitzero"`
}

// tellPresence tells the other connections subscribed to just that name, each once.
func (h *Hub) tellPresence(p broker.Presence) {
	event := "wsx.join"
	if p.Left {
		event = "wsx.leave"
	}
	payload, err := json.Marshal(presenceNote{p.Channel, p.Member, p.Seq})
	if err != nil {
		h.log.Warn("wsx: presence not told", "channel", p.Channel, "error", err.Error())
		return
	}
	frames := map[wire.Dialect]*wsconn.Frame{}
	for _, d := range []wire.Dialect{wire.WSX, wire.JSONRPC} {
		frames[d] = wsconn.NewFrame(websocket.MessageText, appendNote(d, event, payload))
	}
	told := make(map[*membership]bool)
	h.mu.RLock()
	var groups []*group
	if t := h.byName[p.Channel]; t != nil {
		groups = t.groups
	}
	h.mu.RUnlock()
	for _, g := range groups {
		for _, s := range g.Snapshot() {
			if m := s.sink.membership(p.Channel); m != nil && !told[m] {
				told[m] = true
				m.hear(p, frames[m.first.dialect])
			}
		}
	}
}

// hear takes in a change, of which the connection is told unless it is its own: now, or behind an
// answer that is under way.
func (m *membership) hear(p broker.Presence, frame *wsconn.Frame) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.heardSeq = p.Seq
	for _, r := range m.rosters {
		r.heard[p.Member.Conn] = p
	}
	if p.Member.Conn == m.subs.conn.id {
		return
	}
	n := note{p.Seq, frame}
	if m.live && m.openAnswers == 0 {
		m.tellLocked(n)
		return
	}
	if m.held = append(m.held, n); len(m.held) <= maxHeld {
		return
	}
	m.held = m.held[1:] // the next number tells of it
	if m.first.opts.Slow == SlowDisconnect {
		m.subs.tooSlow()
	}
}

// tellLocked sends changes, but those that the last answer had already.
func (m *membership) tellLocked(notes ...note) {
	for _, n := range notes {
		if n.seq > m.toldSeq || n.seq == 0 { // a broker that does not number them
			m.subs.notify(m.first, n.frame)
		}
	}
}

// resumeLocked sends what has waited, unless there is something to wait for still.
func (m *membership) resumeLocked() {
	if m.live && m.openAnswers == 0 {
		m.tellLocked(m.held...)
		m.held = nil
	}
}

// goLive is called when a subscription to the channel has been answered, and has what it missed.
func (m *membership) goLive() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.live = true
	m.resumeLocked()
}

// members asks the broker who is there, and makes one sequence of that and of what the connection
// is told: what it returns has all changes up to seq, those that were told before included, and
// those that come wait until the caller has called answered.
func (m *membership) members(ctx context.Context) (all []broker.Member, seq uint64, err error) {
	r := &roster{heard: make(map[string]broker.Presence)}
	m.mu.Lock()
	r.after = max(m.heardSeq, m.readSeq)
	m.rosters = append(m.rosters, r)
	m.mu.Unlock()
	defer func() { // also after a panic
		m.mu.Lock()
		defer m.mu.Unlock()
		m.rosters = slices.DeleteFunc(m.rosters, func(other *roster) bool { return other == r })
	}()
	all, err = m.first.hub.broker.(broker.PresenceBroker).Members(ctx, m.first.name)
	if err != nil {
		return nil, 0, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.openAnswers++
	all = r.complete(all)
	seq = max(r.after, m.heardSeq)
	m.readSeq = max(m.readSeq, seq)
	return all, seq, nil
}

// complete adds to what a broker has read what was heard of meanwhile and is newer. The newest
// joining that is in it is when it was read at the earliest: what was heard up to that is in it
// too.
func (r *roster) complete(read []broker.Member) (all []broker.Member) {
	for _, m := range read {
		r.after = max(r.after, m.Seq)
	}
	all = slices.DeleteFunc(read,
		func(m broker.Member) bool { return r.heard[m.Conn].Seq > r.after })
	for _, p := range r.heard {
		if p.Seq > r.after && !p.Left {
			all = append(all, p.Member)
		}
	}
	return all
}

// answered is called when the answer with the members up to seq has been sent, or never will.
func (m *membership) answered(seq uint64, sent bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if sent && (m.leastSent == 0 || seq < m.leastSent) {
		m.leastSent = seq
	}
	m.openAnswers--
	if m.openAnswers == 0 && m.leastSent > 0 { // which of them the client reads last is not known
		m.toldSeq, m.leastSent = m.leastSent, 0
	}
	m.resumeLocked()
}

type presenceParams struct {
	Channel string `json:"channel"`
}

type presenceResult struct {
	Members []broker.Member `json:"members"`
	Seq     uint64          `json:"seq,omitzero"`
}

// servePresence is the method wsx.presence. It is for those who are subscribed to the channel
// themselves.
func (s *Server) servePresence(ctx context.Context, r *Request) error {
	k := ctx.(*call) // a builtin has no middleware to wrap it
	var in presenceParams
	if err := typed.Decode(r.Params, &in); err != nil {
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
	m := k.conn.subs.membership(in.Channel)
	if m == nil {
		return NewError(CodePermissionDenied, "only subscribers of a channel see who is in it")
	}
	after := func() {}
	defer func() {
		if k.afterAnswer == nil { // there is no answer; also after a panic
			after()
		}
	}()
	if k.batch == nil {
		// the answers to a batch are sent together: one that waits for another there would do so
		// for ever
		if err := m.answering.lock(ctx); err != nil {
			return err
		}
		after = m.answering.unlock
	}
	members, seq, err := m.members(ctx)
	if err != nil {
		return refusedAs(err, CodeUnavailable)
	}
	k.afterAnswer = func(answered bool) {
		m.answered(seq, answered)
		after()
	}
	return json.MarshalWrite(&r.result, presenceResult{members, seq})
}
