package wsx

import (
	"sync"
	"sync/atomic"
	"time"
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
	wants   int           // so many events, or any change, are announced in came; 0 for none
	came    chan struct{} // holds one

	last    turning // of the goroutine, as the next
	crowded bool    // the round before was one of crowds
}

// turning is how a round went.
type turning struct {
	together int           // events that a visit brought a subscriber, on average
	turn     time.Duration // that a turn took
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
			l = &lane{came: make(chan struct{}, 1)}
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
			l.announceLocked()
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
		l.gather()
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
			l.last = h.fan(channel, l, events)
		}
		for _, p := range changes {
			h.fanPresence(p)
		}
	}
}

// Events that went round together come together again where publishers wait for theirs to be everywhere, and one that goes ahead costs a write a
// subscriber of its own. So the first to come after a round of crowds waits a little for its like.
const (
	crowd     = 4                     // events a visit that make a round one of crowds
	gatherMax = 10 * time.Millisecond // and at most a quarter of the last turn: how long an event waits
	stayMax   = 50 * time.Millisecond // and at most the last turn: how long the lane stays for an event to come
)

// gather waits for events as there were in the last round, if that was one of crowds.
func (l *lane) gather() {
	last := l.last
	l.last = turning{}
	l.crowded = last.together >= crowd
	if l.crowded && l.wait(1, min(last.turn, stayMax)) {
		l.wait(last.together, min(last.turn/4, gatherMax))
	}
}

// wait waits for n events, or a change, and reports whether they are there.
func (l *lane) wait(n int, atMost time.Duration) bool {
	l.mu.Lock()
	l.wants = n
	l.announceLocked()
	l.mu.Unlock()
	t := time.NewTimer(atMost)
	defer t.Stop()
	select {
	case <-l.came:
		return true
	case <-t.C:
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.wants = 0
	select {
	case <-l.came: // at the last moment
		return true
	default:
		return false
	}
}

// announceLocked tells the waiting goroutine that what it wants is there.
func (l *lane) announceLocked() {
	if l.wants > 0 && (len(l.events) >= l.wants || len(l.changes) > 0) {
		l.wants = 0
		l.came <- struct{}{}
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
