package wsx

import (
	"math"
	"runtime"
	"slices"
	"sync"
	"time"
)

// round is a channel's events on their way through the subscribers there are, which it visits in turn, again and again. An event begins with
// the next visit when it comes and has been to everybody one turn later. So it waits for none before it, and one visit, which is one
// write, brings a subscriber all that came since its last: publishers that each wait for their event to be everywhere cost one write a
// subscriber together, however they fall in time.
//
// Where there are many subscribers and one event at a time, several workers share the visits, a span at a time.
type round struct {
	hub     *Hub
	channel string
	under   string // the pattern whose options are the channel's
	lane    *lane
	size    int // visits that make a turn
	stride  int // and, at most, a span

	mu      sync.Mutex // guards what follows; nobody is visited with it
	closed  bool       // takes no more events
	passes  []pass
	pass    int       // whose the next visit is
	at      int       // and to which subscriber
	visits  int       // given out so far
	brought int       // events that they bring
	began   []int     // of the events on their way, oldest first, the visit each begins with
	busy    []int     // of each worker, the visit that its span begins with, or idle
	left    sync.Cond // a span is over
}

// idle is no visit, and later than any.
const idle = math.MaxInt

// pass is a group's part of a round: its events are not the same bytes as another's.
type pass struct {
	group  *group
	subs   []*subscription
	frames []*eventFrame // one for each of began; workers may be reading them
}

// span is visits that one worker makes.
type span struct {
	subs   []*subscription
	frames []*eventFrame
	narrow bool // to the subscribers of a name, not of a pattern
}

const (
	share      = 128 // subscribers that a worker is worth waking for
	maxWorkers = 4   // and no more, so that other goroutines find a processor
	maxStride  = 16
)

// fan gives a channel's events to its subscribers, and those that come meanwhile while the subscribers are the same. No lock is held across
// it.
func (h *Hub) fan(channel string, l *lane, events []Event) turning {
	r := h.round(channel, l, events)
	if r.size == 0 {
		return turning{}
	}
	return r.run(min(r.size/share, runtime.GOMAXPROCS(0), maxWorkers))
}

func (h *Hub) round(channel string, l *lane, events []Event) *round {
	r := &round{hub: h, channel: channel, lane: l}
	r.left.L = &r.mu
	r.under, _ = h.options(channel)
	var groups [8]*group
	for _, g := range h.listeners(channel, groups[:0]) {
		p := pass{group: g, subs: g.snapshot()}
		r.passes = append(r.passes, p)
		r.size += len(p.subs)
	}
	r.beginLocked(events)
	return r
}

// run makes the round with so many workers, of which the caller is one.
func (r *round) run(workers int) turning {
	started := time.Now()
	r.stride = min(1+r.size/share, maxStride)
	if workers <= 1 || r.lane.crowded || len(r.began) > 1 {
		workers, r.stride = 1, 1
	}
	r.busy = append(r.busy, idle)
	for len(r.busy) < workers {
		r.busy = append(r.busy, idle)
	}
	var helpers sync.WaitGroup
	for i := 1; i < len(r.busy); i++ {
		helpers.Go(func() { r.work(i) })
	}
	r.work(0)
	helpers.Wait()
	r.work(0) // what a helper took in, and left
	return turning{r.brought / r.visits, time.Since(started) * time.Duration(r.size) / time.Duration(r.visits)}
}

// work makes visits until the events have been to everybody.
func (r *round) work(worker int) {
	for s, ok := r.next(worker); ok; s, ok = r.next(worker) {
		for _, sub := range s.subs {
			if s.narrow || sub.under == r.under { // else the channel has an authorizer who was not asked
				sub.take(s.frames)
			}
		}
	}
}

// next ends a worker's span and returns its next one. Helpers leave several events to the first worker: the sooner it comes round, the fewer a
// visit brings.
func (r *round) next(worker int) (s span, ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.busy[worker] = idle
	r.left.Broadcast()
	for {
		if !r.closed && r.lane.more.Load() {
			r.joinLocked()
		}
		if r.retireLocked(); len(r.began) == 0 || worker > 0 && len(r.began) > 1 {
			return span{}, false
		}
		for r.at == len(r.passes[r.pass].subs) {
			r.pass, r.at = (r.pass+1)%len(r.passes), 0
		}
		p := &r.passes[r.pass]
		n := min(r.stride, len(p.subs)-r.at, r.began[0]+r.size-r.visits)
		if first := slices.Min(r.busy); first < r.visits+n-r.size {
			r.left.Wait() // some of these may still be visited from the turn before, and get what came later after it
			continue
		}
		s = span{p.subs[r.at : r.at+n], p.frames, !isPattern(p.group.topic.name)}
		r.busy[worker] = r.visits
		r.at += n
		r.visits += n
		r.brought += n * len(r.began)
		return s, true
	}
}

// beginLocked starts events with the next visit.
func (r *round) beginLocked(events []Event) {
	for _, e := range events {
		r.began = append(r.began, r.visits)
		for i := range r.passes {
			p := &r.passes[i]
			p.frames = append(p.frames, &eventFrame{Event: e, group: p.group}) // one by one: a queue that keeps one must not keep its like in memory
		}
	}
}

// retireLocked forgets the events that have been to everybody.
func (r *round) retireLocked() {
	n := 0
	for n < len(r.began) && r.visits-r.began[n] >= r.size {
		n++
	}
	if n == 0 {
		return
	}
	r.began = r.began[n:]
	alone := slices.Min(r.busy) == idle
	for i := range r.passes {
		p := &r.passes[i]
		if alone { // else they are few
			clear(p.frames[:n])
		}
		p.frames = p.frames[n:]
	}
}

// joinLocked takes events that have come: not more than a lane holds, and none once the subscribers are others or presence has changed, as an event
// goes to those who were there when it was published, and a change behind the events before it.
func (r *round) joinLocked() {
	l := r.lane
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.changes) > 0 || !r.current() {
		r.closed = true
		return
	}
	n := min(len(l.events), maxLane-len(r.began))
	if n == 0 {
		return
	}
	r.beginLocked(l.events[:n])
	clear(l.events[:n])
	l.events = l.events[n:]
	l.more.Store(len(l.events) > 0)
	l.room.Broadcast()
}

// current reports whether who is to get the channel's events now are those that the round visits.
func (r *round) current() bool {
	var groups [8]*group
	now := r.hub.listeners(r.channel, groups[:0])
	if under, _ := r.hub.options(r.channel); under != r.under || len(now) != len(r.passes) {
		return false
	}
	for i, g := range now {
		if p := &r.passes[i]; g != p.group || !g.unchanged(p.subs) {
			return false
		}
	}
	return true
}
