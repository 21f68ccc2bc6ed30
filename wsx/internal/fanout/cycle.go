package fanout

import (
	"math"
	"slices"
	"sync"
	"time"

	"github.com/genropy/genro-asgi-go/internal/lockorder"
	"github.com/genropy/genro-asgi-go/wsx/broker"
)

const (
	// A worker is worth waking for so many visits a lap: BenchmarkQueues has the gain.
	visitsPerWorker = 128
	maxWorkers      = 4 // so that other goroutines find a processor
	maxStretch      = 16
)

// cycle is the way of a channel's events through its subscribers; doc.go has the terms. Where there
// are many subscribers and one event at a time, several workers share the visits.
type cycle[S Subscriber] struct {
	owner   Owner[S]
	channel string
	under   string // the configured pattern that the channel belongs to
	queue   *queue // in which events come meanwhile
	lap     int    // visits in one
	stretch int    // visits, at most, in one; set by run

	// mu guards what follows. Nobody is visited with it; a queue's, the owner's and a group's may
	// be taken.
	mu       lockorder.Mutex
	closed   bool      // takes in no more events
	parts    []part[S] // one a group, in the order of the visits
	part     int       // whose the next visit is
	at       int       // and to which subscriber of it
	visits   int       // handed out so far
	brought  int       // events that they bring
	starts   []int     // of the events under way, oldest first: the visit that each began with
	inHand   []int     // of each worker: the visit that its stretch begins with, or none
	returned sync.Cond // a worker has done its stretch
}

// none is in place of a worker's visit while it makes none. It is later than any.
const none = math.MaxInt

// part is what a cycle has of one group.
type part[S Subscriber] struct {
	group  *Group[S]
	subs   []S
	frames []*Frame // of the events under way, as starts; workers may be reading them
}

// stretch is what one worker does next.
type stretch[S Subscriber] struct {
	subs   []S
	frames []*Frame
}

func newCycle[S Subscriber](owner Owner[S], channel string, q *queue,
	events []broker.Event,
) *cycle[S] {
	c := &cycle[S]{owner: owner, channel: channel, queue: q}
	c.returned.L = &c.mu
	var some [8]*Group[S]
	groups, under := owner.Listeners(channel, some[:0])
	c.under = under
	for _, g := range groups {
		p := part[S]{group: g, subs: g.Snapshot()}
		c.parts = append(c.parts, p)
		c.lap += len(p.subs)
	}
	c.startLocked(events)
	return c
}

// run makes the cycle with at most so many workers. Events in company have one: they are one write
// a subscriber anyhow.
func (c *cycle[S]) run(atMost int) pace {
	workers := 1
	if len(c.starts) == 1 {
		workers = min(c.lap/visitsPerWorker, atMost)
	}
	return c.runWith(workers)
}

// runWith makes the cycle with so many workers, of which the caller is one.
func (c *cycle[S]) runWith(workers int) pace {
	if c.lap == 0 {
		return pace{}
	}
	started := time.Now()
	c.stretch = 1
	if workers > 1 {
		c.stretch = min(1+c.lap/visitsPerWorker, maxStretch)
	}
	c.inHand = append(c.inHand, none)
	for len(c.inHand) < workers {
		c.inHand = append(c.inHand, none)
	}
	var helpers sync.WaitGroup
	for i := 1; i < len(c.inHand); i++ {
		helpers.Go(func() { c.work(i) })
	}
	c.work(0)
	helpers.Wait()
	c.work(0) // what a helper took in, and left
	return pace{
		c.brought / c.visits,
		time.Since(started) * time.Duration(c.lap) / time.Duration(c.visits),
	}
}

// work makes visits until the events have been to everybody.
func (c *cycle[S]) work(worker int) {
	for s, ok := c.next(worker); ok; s, ok = c.next(worker) {
		for _, sub := range s.subs {
			sub.Take(s.frames)
		}
	}
}

// next ends a worker's stretch and returns its next one. Helpers leave several events to the first
// worker: the sooner it comes round, the fewer a visit brings.
func (c *cycle[S]) next(worker int) (s stretch[S], ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.inHand[worker] = none
	c.returned.Broadcast()
	for {
		if !c.closed && c.queue.some.Load() {
			c.joinLocked()
		}
		if c.finishLocked(); len(c.starts) == 0 || worker > 0 && len(c.starts) > 1 {
			return stretch[S]{}, false
		}
		for c.at == len(c.parts[c.part].subs) {
			c.part, c.at = (c.part+1)%len(c.parts), 0
		}
		p := &c.parts[c.part]
		n := min(c.stretch, len(p.subs)-c.at, c.starts[0]+c.lap-c.visits)
		if slices.Min(c.inHand) < c.visits+n-c.lap {
			// some of these may still be visited from the lap before, and must get what came later
			// after it
			c.returned.Wait()
			continue
		}
		s = stretch[S]{p.subs[c.at : c.at+n], p.frames}
		c.inHand[worker] = c.visits
		c.at += n
		c.visits += n
		c.brought += n * len(c.starts)
		return s, true
	}
}

// startLocked lets events begin with the next visit.
func (c *cycle[S]) startLocked(events []broker.Event) {
	for _, e := range events {
		c.starts = append(c.starts, c.visits)
		large := c.owner.TooLarge(e)
		for i := range c.parts {
			p := &c.parts[i]
			// one by one: an out-queue that keeps one must not keep its like in memory
			p.frames = append(p.frames,
				&Frame{Event: e, Label: &p.group.Label, Under: c.under, TooLarge: large})
		}
	}
}

// finishLocked forgets the events that have been to everybody.
func (c *cycle[S]) finishLocked() {
	n := 0
	for n < len(c.starts) && c.visits-c.starts[n] >= c.lap {
		n++
	}
	if n == 0 {
		return
	}
	c.starts = c.starts[n:]
	nobodyReads := slices.Min(c.inHand) == none
	for i := range c.parts {
		p := &c.parts[i]
		if nobodyReads { // else they are few
			clear(p.frames[:n])
		}
		p.frames = p.frames[n:]
	}
}

// joinLocked takes in events that have come: not more than a queue holds, and none once the
// subscribers are others or presence has changed, as an event goes to those who were there when it
// was published, and a change behind the events before it.
func (c *cycle[S]) joinLocked() {
	q := c.queue
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.changes) > 0 || !c.current() {
		c.closed = true
		return
	}
	n := min(len(q.events), maxQueued-len(c.starts))
	if n == 0 {
		return
	}
	c.startLocked(q.events[:n])
	clear(q.events[:n])
	q.events = q.events[n:]
	q.some.Store(len(q.events) > 0)
	q.room.Broadcast()
}

// current reports whether who is to get the channel's events now are those whom the cycle visits.
func (c *cycle[S]) current() bool {
	var some [8]*Group[S]
	now, under := c.owner.Listeners(c.channel, some[:0])
	if under != c.under || len(now) != len(c.parts) {
		return false
	}
	for i, g := range now {
		if p := &c.parts[i]; g != p.group || !g.unchanged(p.subs) {
			return false
		}
	}
	return true
}
