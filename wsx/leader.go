package wsx

import (
	"sync"
	"sync/atomic"
	"time"
)

// A goroutine a call costs more than a quick handler does, most of it in waking a second thread. So the goroutine that reads
// a connection, its leader, runs the calls of quick methods itself. A handler that turns out to be slow keeps that goroutine, and
// another one is made leader in its place; the method's next calls get goroutines of their own until they are quick again.
const (
	quick     = 50 * time.Microsecond // a handler that takes longer is not run by the leader
	patience  = 64                    // so many quick calls in a row make a slow method quick again
	watchTick = 2 * time.Millisecond  // a leader that spends this long, and at most twice it, in one handler is replaced
)

// pace is what is known of a method's speed. The zero value is quick.
type pace struct{ slow atomic.Int32 }

func (p *pace) quick() bool { return p.slow.Load() <= 0 }

// note learns from a call. Updates may be lost to each other: it is a guess either way.
func (p *pace) note(took time.Duration) {
	if took > quick {
		p.slow.Store(patience)
	} else if n := p.slow.Load(); n > 0 {
		p.slow.Store(n - 1)
	}
}

// leading is what a connection's leader and the watcher share.
type leading struct {
	state   atomic.Uint64 // the number of the leader's calls, times two, plus one while one runs; another number when it was replaced
	watched atomic.Bool
	seen    uint64 // state at the last tick; the watcher's own
}

// start marks the beginning of a call that the leader runs itself.
func (l *leading) start() (state uint64) {
	state = l.state.Load() + 2 | 1
	l.state.Store(state)
	return state
}

// done reports whether the leader is still the leader.
func (l *leading) done(state uint64) bool { return l.state.CompareAndSwap(state, state-1) }

// watcher replaces leaders that are held up. Its goroutine is there while connections are active.
type watcher struct {
	server *Server

	mu      sync.Mutex
	active  []*Conn
	running bool
}

// watch looks after c until it has been idle for a while. It is called with a call of the leader under way, so that one of the
// two sees the other: the watcher the call, or the leader that nobody watches.
func (w *watcher) watch(c *Conn) {
	if c.lead.watched.Load() {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if c.lead.watched.Swap(true) {
		return
	}
	w.active = append(w.active, c)
	if !w.running {
		w.running = true
		w.server.hold()
		go w.run()
	}
}

func (w *watcher) run() {
	defer w.server.leave()
	ticker := time.NewTicker(watchTick)
	defer ticker.Stop()
	for range ticker.C {
		if !w.tick() {
			return
		}
	}
}

// tick reports whether there is still something to watch.
func (w *watcher) tick() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	kept := w.active[:0]
	for _, c := range w.active {
		if w.keepLocked(c) {
			kept = append(kept, c)
		}
	}
	clear(w.active[len(kept):])
	w.active = kept
	w.running = len(kept) > 0
	return w.running
}

func (w *watcher) keepLocked(c *Conn) bool {
	state := c.lead.state.Load()
	if state != c.lead.seen {
		c.lead.seen = state
		return true
	}
	if state&1 != 0 { // the same call as a tick ago
		c.replaceLeader(state)
		return true
	}
	c.lead.watched.Store(false)
	if c.lead.state.Load() == state {
		return false
	}
	c.lead.watched.Store(true) // a call began meanwhile
	return true
}

// replaceLeader starts a new leader, unless the call that holds the old one up has just ended.
func (c *Conn) replaceLeader(state uint64) {
	if c.lead.state.CompareAndSwap(state, state+1) {
		c.ws.Flush() // the answers that the old one meant to send with its next
		go c.serve()
	}
}
