package fanout

import (
	"runtime"
	"sync"
	"sync/atomic"

	"github.com/genropy/genro-asgi-go/internal/lockorder"
	"github.com/genropy/genro-asgi-go/wsx/broker"
)

// maxQueued is how many events and changes of one channel wait before those who bring more do.
const maxQueued = 1024

// Owner is the hub, as the queues see it. Its methods are called by many goroutines at a time, with
// no lock of this package held but that of a cycle, and do not wait.
type Owner[S Subscriber] interface {
	// Listeners appends the groups that get a channel's events now, in an order that stays as long
	// as they do, and returns the configured pattern that the channel belongs to.
	Listeners(channel string, to []*Group[S]) (groups []*Group[S], under string)
	// TooLarge reports whether an event is more than subscribers get.
	TooLarge(e broker.Event) bool
	// TellPresence tells of a change of presence.
	TellPresence(p broker.Presence)
}

// Queues are the queues of all channels of one owner. They are safe for concurrent use.
type Queues[S Subscriber] struct {
	owner   Owner[S]
	workers int            // a cycle has at most
	running sync.WaitGroup // the queues' goroutines

	mu        lockorder.Mutex // guards what follows; a queue's own may be taken with it
	byChannel map[string]*queue
}

// queue is one channel's.
type queue struct {
	some atomic.Bool // there are events: asked at every stretch, without the lock

	mu      lockorder.Mutex // guards what follows
	events  []broker.Event
	changes []broker.Presence
	room    sync.Cond // events have been taken out, or the queue is closed
	closed  bool      // its goroutine has ended: look it up again
	wanted  int       // so many events, or any change, are announced in came; 0 for none

	came chan struct{} // has room for one
}

// New returns queues without events.
func New[S Subscriber](owner Owner[S]) *Queues[S] {
	return &Queues[S]{
		owner: owner, workers: min(maxWorkers, runtime.GOMAXPROCS(0)),
		byChannel: make(map[string]*queue),
	}
}

func newQueue() *queue {
	q := &queue{came: make(chan struct{}, 1)}
	q.room.L = &q.mu
	return q
}

// Event queues an event for its fan-out.
func (q *Queues[S]) Event(e broker.Event) {
	q.put(e.Channel, func(of *queue) {
		of.events = append(of.events, e)
		of.some.Store(true)
	})
}

// Presence queues a change of presence, behind the events that wait.
func (q *Queues[S]) Presence(p broker.Presence) {
	q.put(p.Channel, func(of *queue) { of.changes = append(of.changes, p) })
}

// Wait waits until what was queued has been to everybody. Nothing may be queued meanwhile.
func (q *Queues[S]) Wait() { q.running.Wait() }

// put calls add with the channel's queue, its lock held, once there is room.
func (q *Queues[S]) put(channel string, add func(*queue)) {
	for !q.open(channel, add) {
	}
}

// open is put where the queue may just be closing: then it returns false, to be called again.
func (q *Queues[S]) open(channel string, add func(*queue)) bool {
	q.mu.Lock()
	of := q.byChannel[channel]
	if of == nil {
		of = newQueue()
		add(of) // nobody else has it
		q.byChannel[channel] = of
		q.running.Add(1)
		q.mu.Unlock()
		go q.serve(channel, of)
		return true
	}
	q.mu.Unlock()
	of.mu.Lock()
	defer of.mu.Unlock()
	for !of.closed && len(of.events)+len(of.changes) >= maxQueued {
		of.room.Wait()
	}
	if of.closed {
		return false
	}
	add(of)
	of.announceLocked()
	return true
}

// serve is a queue's goroutine. It ends when nothing waits.
func (q *Queues[S]) serve(channel string, of *queue) {
	defer q.running.Done()
	var last pace
	for {
		of.gather(last)
		last = pace{}
		events, changes, closed := of.takeAll()
		if closed {
			q.mu.Lock()
			if q.byChannel[channel] == of {
				delete(q.byChannel, channel)
			}
			q.mu.Unlock()
			return
		}
		if len(events) > 0 {
			last = newCycle(q.owner, channel, of, events).run(q.workers)
		}
		for _, p := range changes {
			q.owner.TellPresence(p)
		}
	}
}

// takeAll takes out what waits. A queue in which nothing does is closed.
func (of *queue) takeAll() (events []broker.Event, changes []broker.Presence, closed bool) {
	of.mu.Lock()
	defer of.mu.Unlock()
	events, changes = of.events, of.changes
	of.events, of.changes = nil, nil
	of.some.Store(false)
	of.room.Broadcast()
	of.closed = len(events)+len(changes) == 0
	return events, changes, of.closed
}
