package wsconn

import (
	"sync"
	"time"

	"github.com/coder/websocket"
)

// StatusKeepalive closes a connection on which nothing came for too long.
const StatusKeepalive websocket.StatusCode = 4408

// keepalive pings a silent peer and ends the connection of one that stays silent. It costs a reader next to nothing: the timer
// looks at how long the silence has lasted only when it fires.
type keepalive struct {
	conn  *Conn // nil without a keepalive
	after time.Duration
	wait  time.Duration

	mu      sync.Mutex
	timer   *time.Timer
	pinged  bool
	stopped bool
	closing sync.WaitGroup
}

func (k *keepalive) start(c *Conn, o *Options) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.conn, k.after, k.wait = c, o.KeepaliveAfter, o.KeepaliveWait
	k.timer = time.AfterFunc(k.after, k.tick)
}

func (k *keepalive) stop() {
	if k.conn == nil {
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
	l := &k.conn.link
	if l.heard.Swap(false) {
		k.pinged = false
	}
	limit := k.after
	if k.pinged {
		limit += k.wait
	}
	since := l.src.quiet.since.Load()
	if since == 0 { // nobody waits for bytes: the clock stands still; a ping that cannot be written still finds out that the peer is gone
		k.ping()
		k.timer.Reset(limit)
		return
	}
	if left := limit - (now() - time.Duration(since)); left > 0 {
		k.timer.Reset(left)
		return
	}
	if !k.pinged {
		k.pinged = true
		k.ping()
		k.timer.Reset(k.wait)
		return
	}
	k.stopped = true
	k.closing.Go(func() {
		_ = k.conn.close(StatusKeepalive, "keepalive timeout") // nobody is there to hear of an error
	})
}

func (k *keepalive) ping() {
	_ = k.conn.link.control(appendFrame(nil, opPing, nil, false, k.conn.frames.client)) // a full queue is the write time-out's business
}
