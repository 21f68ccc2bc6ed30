package wsconn

import (
	"context"
	"errors"
	"net"
	"time"

	"github.com/genropy/genro-asgi-go/internal/lockorder"
)

// errInterrupted is what a read gets that was told to give up between two messages.
var errInterrupted = errors.New("websocket: read interrupted")

// readDeadline sets a connection's read deadline, for which there are two reasons: a message that
// has begun must end in time, and a read that waits for the next message must give up when its
// context ends. The deadline of a message has precedence: no context breaks a message off.
type readDeadline struct {
	nc             net.Conn
	messageTimeout time.Duration

	mu             lockorder.Mutex // guards what follows, and nc's read deadline
	unit           int             // the message or control frame that it is set for, 0 for none
	watched        <-chan struct{} // closed when the context that reads heed ends; may be nil
	unwatch        func() bool     // stops waiting for that
	generation     int             // counts the contexts watched: an earlier one interrupts nobody
	interrupted    bool            // the context has ended
	ignoreContexts bool            // the connection is being closed
}

// set sets the deadline of a read: that of the message or control frame under way, none where unit
// is 0, between two.
func (d *readDeadline) set(unit int) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	switch {
	case unit == 0 && d.interrupted:
		return errInterrupted
	case unit == d.unit:
		return nil
	}
	d.unit = unit
	var t time.Time
	if unit != 0 {
		t = time.Now().Add(d.messageTimeout)
	}
	return d.nc.SetReadDeadline(t)
}

// midMessage reports whether a message or control frame has begun to come in.
func (d *readDeadline) midMessage() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.unit != 0
}

// watch makes reads give up between two messages once ctx has ended, and no longer for the context
// watched before. A loop that reads with one context pays once.
func (d *readDeadline) watch(ctx context.Context) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.ignoreContexts || ctx.Done() == d.watched {
		return
	}
	d.unwatchLocked()
	if d.watched = ctx.Done(); d.watched != nil {
		generation := d.generation
		d.unwatch = context.AfterFunc(ctx, func() { d.interrupt(generation) })
	}
}

func (d *readDeadline) unwatchLocked() {
	d.generation++
	if d.unwatch != nil {
		d.unwatch()
		d.unwatch = nil
	}
	if d.interrupted {
		d.interrupted = false
		if d.unit == 0 {
			_ = d.nc.SetReadDeadline(time.Time{}) // a closed connection needs none
		}
	}
}

func (d *readDeadline) interrupt(generation int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if generation != d.generation {
		return
	}
	d.interrupted = true
	if d.unit == 0 {
		_ = d.nc.SetReadDeadline(time.Unix(1, 0)) // a closed connection needs no waking
	}
}

// stopWatching makes reads wait whatever becomes of their context: the connection is being closed.
func (d *readDeadline) stopWatching() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.ignoreContexts {
		d.ignoreContexts = true
		d.unwatchLocked()
	}
}
