package wsxclient

import (
	"context"
	"errors"

	"github.com/go-json-experiment/json/jsontext"
)

// ErrBacklog is what a call made with OnNotify's context gets when the answer cannot come: 256 more notifications wait for OnNotify to return, and
// the answer is behind them. The server may have run the call.
var ErrBacklog = errors.New("wsx: the answer cannot be read before OnNotify returns: too many notifications wait for it")

// maxNotifications is how many of the server's notifications may wait for OnNotify.
const maxNotifications = 256

type note struct {
	event   string
	payload jsontext.Value
}

// deliveryKey finds in a context the number of the client's notification that it was made for.
type deliveryKey struct{ c *Client }

func (c *Client) deliver() {
	var n uint64
	for note := range c.notes {
		n++
		c.delivering.Store(n)
		c.opts.OnNotify(context.WithValue(c.ctx, deliveryKey{c}, n), note.event, note.payload)
		c.delivering.Store(0)
	}
}

// delivers reports whether ctx is that of the notification which OnNotify has now.
func (c *Client) delivers(ctx context.Context) bool {
	n, ok := ctx.Value(deliveryKey{c}).(uint64)
	return ok && n == c.delivering.Load()
}

// notify hands a notification to OnNotify. Without room it waits, and the connection is not read meanwhile: OnNotify must not wait
// for an answer then.
func (l *link) notify(n note) {
	if l.client.opts.OnNotify == nil {
		return
	}
	select {
	case l.client.notes <- n:
		return
	default:
	}
	l.calls.Block(func(ctx context.Context) error {
		if l.client.delivers(ctx) {
			return ErrBacklog
		}
		return nil
	})
	defer l.calls.Block(nil)
	select {
	case l.client.notes <- n:
	case <-l.ws.Done():
	}
}
