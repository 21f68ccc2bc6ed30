package wsx

import (
	"sync"
	"sync/atomic"
)

// maxLane is how many events of one channel wait for their fan-out before publishers do.
const maxLane = 1024

// lane is a channel's events on their way to the subscribers of this hub. It is there while there are some, and one goroutine with it.
type lane struct {
	more atomic.Bool // there are events

	mu      sync.Mutex
	events  []Event
	room    *sync.Cond
	gone    bool
	changes []Presence
}

// deliver queues an event for its fan-out.
func (h *Hub) deliver(e Event) {
	h.lane(e.Channel, func(l *lane) {
		l.events = append(l.events, e)
		l.more.Store(true)
	})
}

// presence queues a change of presence. Events that wait go before it.
func (h *Hub) presence(p Presence) {
	h.lane(p.Channel, func(l *lane) { l.changes = append(l.changes, p) })
}

// lane calls put with the channel's lane, its lock held, once there is room.
func (h *Hub) lane(channel string, put func(*lane)) {
	for {
		h.lanes.Lock()
		l := h.busy[channel]
		if l == nil {
			l = &lane{}
			l.room = sync.NewCond(&l.mu)
			put(l)
			h.busy[channel] = l
			h.fanning.Add(1)
			h.lanes.Unlock()
			go h.fanOut(channel, l)
			return
		}
		h.lanes.Unlock()
		l.mu.Lock()
		for !l.gone && len(l.events)+len(l.changes) >= maxLane {
			l.room.Wait()
		}
		if !l.gone {
			put(l)
			l.mu.Unlock()
			return
		}
		l.mu.Unlock() // its goroutine has just ended
	}
}

// fanOut is the lane's goroutine.
func (h *Hub) fanOut(channel string, l *lane) {
	defer h.fanning.Done()
	for {
		l.mu.Lock()
		events, changes := l.events, l.changes
		l.events, l.changes = nil, nil
		l.more.Store(false)
		l.room.Broadcast()
		if len(events)+len(changes) == 0 {
			l.gone = true
			l.mu.Unlock()
			h.lanes.Lock()
			if h.busy[channel] == l {
				delete(h.busy, channel)
			}
			h.lanes.Unlock()
			return
		}
		l.mu.Unlock()
		if len(events) > 0 {
			h.fan(channel, l, events)
		}
		for _, p := range changes {
			h.fanPresence(p)
		}
	}
}

// listeners appends the groups that get a channel's events.
func (h *Hub) listeners(channel string, groups []*group) []*group {
	h.mu.RLock()
	defer h.mu.RUnlock()
	if t := h.names[channel]; t != nil {
		groups = append(groups, t.groups...)
	}
	h.patterns.match(channel, func(t *topic) { groups = append(groups, t.groups...) })
	return groups
}
