package wsx

import "time"

// round is a channel's events on their way through the subscribers there are, which it visits in turn, again and again. An event begins with
// the visit under way when it comes and has been to everybody one turn later. So it waits for none before it, and one visit, which is one
// write, brings a subscriber all that came since its last: publishers that each wait for their event to be everywhere cost one write a
// subscriber together, however they fall in time.
type round struct {
	channel string
	under   string // the pattern whose options are the channel's
	lane    *lane
	closed  bool // takes no more events
	passes  []pass
	size    int   // visits that make a turn
	visits  int   // so far
	brought int   // events that they brought
	began   []int // of the events on their way, oldest first, the visit each began with
}

// pass is a group's part of a round: its events are not the same bytes as another's.
type pass struct {
	group  *group
	subs   []*subscription
	frames []*eventFrame // one for each of began
}

// fan gives a channel's events to its subscribers, and those that come meanwhile while the subscribers are the same. No lock is held across
// it.
func (h *Hub) fan(channel string, l *lane, events []Event) turning {
	started := time.Now()
	r := round{channel: channel, lane: l}
	r.under, _ = h.options(channel)
	var groups [8]*group
	for _, g := range h.listeners(channel, groups[:0]) {
		p := pass{group: g, subs: g.snapshot()}
		r.passes = append(r.passes, p)
		r.size += len(p.subs)
	}
	if r.size == 0 {
		return turning{}
	}
	r.begin(events)
	for {
		for i := range r.passes {
			p := &r.passes[i]
			narrow := !isPattern(p.group.topic.name)
			for _, s := range p.subs {
				if !r.closed && l.more.Load() {
					r.join(h)
				}
				if r.retire(); len(r.began) == 0 {
					return turning{r.brought / r.visits, time.Since(started) * time.Duration(r.size) / time.Duration(r.visits)}
				}
				r.brought += len(r.began)
				if narrow || s.under == r.under { // else the channel has an authorizer who was not asked
					s.take(p.frames)
				}
				r.visits++
			}
		}
	}
}

// begin starts events with the next visit.
func (r *round) begin(events []Event) {
	for _, e := range events {
		r.began = append(r.began, r.visits)
		for i := range r.passes {
			p := &r.passes[i]
			p.frames = append(p.frames, &eventFrame{Event: e, group: p.group}) // one by one: a queue that keeps one must not keep its like in memory
		}
	}
}

// retire forgets the events that have been to everybody.
func (r *round) retire() {
	n := 0
	for n < len(r.began) && r.visits-r.began[n] >= r.size {
		n++
	}
	if n == 0 {
		return
	}
	r.began = r.began[n:]
	for i := range r.passes {
		p := &r.passes[i]
		clear(p.frames[:n])
		p.frames = p.frames[n:]
	}
}

// join takes events that have come: not more than a lane holds, and none once the subscribers are others or presence has changed, as an event
// goes to those who were there when it was published, and a change behind the events before it.
func (r *round) join(h *Hub) {
	l := r.lane
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.changes) > 0 || !r.current(h) {
		r.closed = true
		return
	}
	n := min(len(l.events), maxLane-len(r.began))
	if n == 0 {
		return
	}
	r.begin(l.events[:n])
	clear(l.events[:n])
	l.events = l.events[n:]
	l.more.Store(len(l.events) > 0)
	l.room.Broadcast()
}

// current reports whether who is to get the channel's events now are those that the round visits.
func (r *round) current(h *Hub) bool {
	var groups [8]*group
	now := h.listeners(r.channel, groups[:0])
	if under, _ := h.options(r.channel); under != r.under || len(now) != len(r.passes) {
		return false
	}
	for i, g := range now {
		if p := &r.passes[i]; g != p.group || !g.unchanged(p.subs) {
			return false
		}
	}
	return true
}
