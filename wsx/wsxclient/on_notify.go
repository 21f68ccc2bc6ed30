package wsxclient

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/genropy/genro-asgi-go/internal/lockorder"
	"github.com/genropy/genro-asgi-go/wsx/internal/clientcall"
)

// ErrBacklog is what a call made with OnNotify's context gets when the answer cannot come: as many
// more notifications as may wait for OnNotify to return, and the answer is behind them. The server
// may have run the call.
var ErrBacklog = errors.New(
	"wsx: the answer cannot be read before OnNotify returns: too many notifications wait for it")

// EventMissed is a notification of the client's own: {"dropped":n} says how many of the server's
// are missing there, as OnNotify did not return for 2 s while 4 MiB of them waited, or as one was
// over MaxMessage.
const EventMissed = "wsx.missed"

const (
	maxBacklog = 4 << 20 // bytes of notifications that may wait for OnNotify
	noteSize   = 128     // what one takes beside its event and payload
)

type note struct {
	event   string
	payload jsontext.Value
	dropped int // of EventMissed
}

// backlog is the notifications that wait for OnNotify. The reader may wait for room in it, but not
// for an OnNotify that does not return: that may wait in turn for what the reader has still to
// read.
type backlog struct {
	wake chan struct{} // has room for one: there is something new
	room chan struct{} // has room for one: OnNotify has returned

	mu     lockorder.Mutex
	notes  []note
	bytes  int
	stuck  bool // OnNotify did not return in time: nothing waits for it until it does
	closed bool
}

// add reports whether there was room, and otherwise whether there may be some soon.
func (b *backlog) add(n note) (added, soon bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	size := noteSize + len(n.event) + len(n.payload)
	if b.bytes > 0 && b.bytes+size > maxBacklog {
		return false, !b.stuck
	}
	b.bytes += size
	b.notes = append(b.notes, n)
	b.wakeUp()
	return true, true
}

// lose notes that a notification was lost, in its place.
func (b *backlog) lose(log *slog.Logger) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if last := len(b.notes) - 1; last >= 0 && b.notes[last].event == EventMissed {
		b.notes[last].dropped++
		return
	}
	b.notes = append(b.notes, note{event: EventMissed, dropped: 1})
	b.wakeUp()
	log.Warn(
		"wsx: notifications of the server are lost: OnNotify does not return, or they are over " +
			"MaxMessage")
}

// next waits for the next notification. It reports false when there are no more to come.
func (b *backlog) next() (note, bool) {
	for {
		b.mu.Lock()
		if len(b.notes) > 0 {
			n := b.notes[0]
			b.notes = b.notes[1:]
			b.mu.Unlock()
			if n.event == EventMissed && n.dropped > 0 {
				n.payload = fmt.Appendf(nil, `{"dropped":%d}`, n.dropped)
			}
			return n, true
		}
		b.notes = nil
		closed := b.closed
		b.mu.Unlock()
		if closed {
			return note{}, false
		}
		<-b.wake
	}
}

// delivered is the return of OnNotify.
func (b *backlog) delivered(n note) {
	b.mu.Lock()
	if n.dropped == 0 {
		b.bytes -= noteSize + len(n.event) + len(n.payload)
	}
	b.stuck = false
	b.mu.Unlock()
	select {
	case b.room <- struct{}{}:
	default:
	}
}

// close says that no more come.
func (b *backlog) close() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closed = true
	b.wakeUp()
}

func (b *backlog) wakeUp() {
	select {
	case b.wake <- struct{}{}:
	default:
	}
}

// markStuck says that OnNotify was waited for in vain.
func (b *backlog) markStuck() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.stuck = true
}

// deliveryKey finds in a context the number of the client's notification that it was made for.
type deliveryKey struct{ c *Client }

func (c *Client) deliver() {
	for n := uint64(1); ; n++ {
		note, ok := c.notes.next()
		if !ok {
			return
		}
		c.delivering.Store(n)
		c.opts.OnNotify(context.WithValue(c.ctx, deliveryKey{c}, n), note.event, note.payload)
		c.delivering.Store(0)
		c.notes.delivered(note)
	}
}

// delivers reports whether ctx is that of the notification which OnNotify has now.
func (c *Client) delivers(ctx context.Context) bool {
	n, ok := ctx.Value(deliveryKey{c}).(uint64)
	return ok && n == c.delivering.Load()
}

// notify hands a notification to OnNotify. Without room the connection is not read for as long as
// OnNotify goes on returning, so that the server stops sending and nothing is lost; calls that
// OnNotify waits for end then. One that has not returned for clientcall.Patience may wait for
// something else that is to be read: the notification is lost, and OnNotify told of it in its
// place.
func (l *link) notify(n note) {
	c := l.client
	if c.opts.OnNotify == nil {
		return
	}
	if added, soon := c.notes.add(n); added || !soon {
		if !added {
			l.missed()
		}
		return
	}
	l.calls.Block(func(ctx context.Context) error {
		if c.delivers(ctx) {
			return ErrBacklog
		}
		return nil
	})
	defer l.calls.Block(nil)
	patience := time.NewTimer(clientcall.Patience)
	defer patience.Stop()
	for added := false; !added; added, _ = c.notes.add(n) {
		select {
		case <-c.notes.room:
			patience.Reset(clientcall.Patience)
			continue
		case <-patience.C:
			c.notes.markStuck()
		case <-l.ws.Done():
		}
		l.missed()
		return
	}
}

// missed tells OnNotify that a notification was lost.
func (l *link) missed() {
	if l.client.opts.OnNotify != nil {
		l.client.notes.lose(l.client.opts.Logger)
	}
}
