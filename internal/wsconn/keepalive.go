package wsconn

import (
	"sync"
	"time"

	"github.com/coder/websocket"
)

// StatusKeepalive closes a connection on which nothing came for too long.
const StatusKeepalive websocket.StatusCode = 4408

// keepalive pings a silent peer and ends the connection of one that stays silent. It costs a reader nothing: the timer looks at when
// bytes came last only when it fires. A nil keepalive does nothing.
type keepalive struct {
	conn  *Conn
	after time.Duration
	wait  time.Duration

	mu      sync.Mutex
	timer   *time.Timer
	since   int64 // when the silence began
	pinged  bool
	stalled bool // nobody was reading when the timer fired
	stopped bool
	closing sync.WaitGroup
}

func (k *keepalive) start() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.since = now()
	k.timer = time.AfterFunc(k.after, k.tick)
}

func (k *keepalive) stop() {
	if k == nil {
		return
	}
	k.mu.Lock()
	k.stopped = true
	k.timer.Stop()
	k.mu.Unlock()
	k.closing.Wait()
}

func (k *keepalive) tick() {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.stopped {
		return
	}
	l := k.conn.link
	if !l.reading.Load() { // the clock stands still; a ping that cannot be written still finds out that the peer is gone
		k.stalled = true
		_ = l.control(appendFrame(nil, opPing, nil, false, k.conn.client))
		k.timer.Reset(k.after)
		return
	}
	if last := l.lastRead.Load(); k.stalled {
		k.stalled, k.pinged, k.since = false, false, now()
	} else if last > k.since {
		k.pinged, k.since = false, last
	}
	silent := time.Duration(now() - k.since)
	switch {
	case k.pinged && silent >= k.after+k.wait:
		k.stopped = true
		k.closing.Go(func() {
			k.conn.ending.CompareAndSwap(nil, &violation{StatusKeepalive, "keepalive timeout"})
			_ = k.conn.ws.Close(StatusKeepalive, "keepalive timeout") // nobody is there to hear of an error
		})
	case k.pinged:
		k.timer.Reset(k.after + k.wait - silent)
	case silent >= k.after:
		k.pinged = true
		_ = l.control(appendFrame(nil, opPing, nil, false, k.conn.client)) // a full queue is the write time-out's business
		k.timer.Reset(k.wait)
	default:
		k.timer.Reset(k.after - silent)
	}
}
