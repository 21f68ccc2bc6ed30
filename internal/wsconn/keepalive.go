package wsconn

import (
	"sync"
	"time"

	"github.com/coder/websocket"

	"github.com/genropy/genro-asgi-go/internal/lockorder"
)

const (
	// StatusKeepalive closes a connection on which nothing came for too long.
	StatusKeepalive websocket.StatusCode = 4408
	// StatusTiming closes a connection whose peer broke a rule about time, as a slow network alone
	// can make it do: a message that took too long, too many pings at once. It is apart from 1008,
	// which says that coming back is of no use.
	StatusTiming websocket.StatusCode = 4420
)

// pongInterval is how often a client that cannot answer pings at once, as it is busy with what came
// before or gets a long message over a slow link, lets its server know by a pong that nobody asked
// for (RFC 6455 section 5.5.3) that it is there.
const pongInterval = 4 * time.Second

// keepalive pings a silent peer and ends the connection of one that stays silent. It costs a reader
// next to nothing: the timer looks at how long the silence has lasted only when it fires.
type keepalive struct {
	conn  *Conn         // nil without a keepalive
	after time.Duration // of silence: a ping
	wait  time.Duration // of silence after that: the end

	mu      lockorder.Mutex // guards what follows, to stopped
	timer   *time.Timer
	pinged  bool // since bytes came last
	stopped bool
	closing sync.WaitGroup // the goroutine that closes the connection
}

func (k *keepalive) start(c *Conn, o *Options) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.conn, k.after, k.wait = c, o.KeepaliveAfter, o.KeepaliveWait
	k.timer = time.AfterFunc(k.next(k.after), k.tick)
}

// next is how long to wait for the next tick when there is nothing to do for left.
func (k *keepalive) next(left time.Duration) time.Duration {
	if k.conn.client {
		return min(left, pongInterval)
	}
	return left
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
	in := &k.conn.in
	if in.heard.Swap(false) {
		k.pinged = false
	}
	limit := k.after
	if k.pinged {
		limit += k.wait
	}
	since := in.src.quiet.since.Load()
	busy := since == 0 // nobody waits for bytes: the clock stands still
	switch {
	case k.conn.client && (busy || k.conn.deadline.midMessage()):
		k.send(opPong)
	case busy:
		k.send(opPing) // one that cannot be written still finds out that the peer is gone
	}
	if busy {
		k.timer.Reset(k.next(limit))
		return
	}
	if left := limit - (now() - time.Duration(since)); left > 0 {
		k.timer.Reset(k.next(left))
		return
	}
	if !k.pinged {
		k.pinged = true
		k.send(opPing)
		k.timer.Reset(k.next(k.wait))
		return
	}
	if bytes, _ := k.conn.queue.size(); bytes > 0 {
		// the ping may wait behind what a slow link takes its time for: that is the write
		// time-out's business
		k.timer.Reset(k.next(k.wait))
		return
	}
	k.stopped = true
	k.closing.Go(func() {
		// nobody is there to hear of an error
		_ = k.conn.close(StatusKeepalive, "keepalive timeout")
	})
}

func (k *keepalive) send(opcode byte) {
	// a full queue is the write time-out's business
	_ = k.conn.queue.sendControl(appendFrame(nil, opcode, nil, false, k.conn.client))
}
