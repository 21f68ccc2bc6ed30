package wsxclient

import (
	"context"
	"errors"
	"slices"

	"github.com/coder/websocket"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/genropy/genro-asgi-go/wsx/internal/clientcall"
)

// ErrOfflineFull is in the *ClosedError of a notification or call that found no room among those
// that wait for a connection.
var ErrOfflineFull = errors.New("wsx: the offline queue is full")

// offline is what waits for the next connection, in order. It is guarded by the client's mutex; a
// nil one is for clients without.
type offline struct {
	room   int // Options.OfflineMessages
	bytes  int // what is left of Options.OfflineBytes
	queue  []*waiting
	closed *ClosedError // the client's end: nothing waits any more
}

// waiting is a notification, or a call when call is not nil.
type waiting struct {
	size int

	message []byte // a notification
	method  string
	params  jsontext.Value

	ctx    context.Context // of a call
	encode func(id []byte) []byte
	call   *clientcall.Call
	done   chan struct{} // closed when it does not wait any more; what follows is set before
	link   *link         // that it was sent on
	answer <-chan clientcall.Reply
	err    error // why it was not
}

// overhead is what a message has beyond its method, params and middleware's meta, at most, its
// frame included.
const overhead = 256

// waitingSize is what a message counts as in the offline queue.
func waitingSize(method string, params []byte, meta map[string]string) int {
	n := len(method) + len(params)
	for name, value := range meta {
		n += len(name) + len(value) + len(`"":"",`)
	}
	return n
}

// queueOffline lets w wait when there is no connection, or others wait already: then it reports
// true. Otherwise it returns the connection that there is. The error is a *ClosedError.
func (c *Client) queueOffline(w *waiting) (*link, bool, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	l, q := c.link, c.offline
	switch {
	case q.closed != nil:
		return nil, false, q.closed
	case len(q.queue) == 0 && !l.isClosed():
		return l, false, nil
	case len(q.queue) >= q.room || w.size > q.bytes:
		return nil, false, offlineError(ErrOfflineFull)
	}
	q.bytes -= w.size
	q.queue = append(q.queue, w)
	return nil, true, nil
}

// withdraw takes w out of the offline queue. It reports whether it was waiting still.
func (c *Client) withdraw(w *waiting) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	i := slices.Index(c.offline.queue, w)
	if i < 0 {
		return false
	}
	c.offline.bytes += w.size
	c.offline.queue = slices.Delete(c.offline.queue, i, i+1)
	return true
}

// offlineCall makes a call, on the next connection where there is none.
func (c *Client) offlineCall(ctx context.Context, size int, encode func(id []byte) []byte) ([]byte,
	error,
) {
	w := &waiting{
		size: size, ctx: ctx, encode: encode, call: &clientcall.Call{},
		done: make(chan struct{}),
	}
	for {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		l, waits, err := c.queueOffline(w)
		switch {
		case err != nil:
			return nil, err
		case !waits:
			result, err := l.request(ctx, nil, encode)
			if closed, ok := errors.AsType[*ClosedError](err); ok && !closed.MayHaveRun {
				continue // l has ended, and it was not sent
			}
			return result, err
		}
		select {
		case <-w.done:
		case <-ctx.Done():
			if c.withdraw(w) {
				return nil, offlineError(context.Cause(ctx))
			}
			<-w.done
		}
		if w.err != nil {
			return nil, w.err
		}
		defer w.link.served.waitsFor(ctx)()
		return w.link.calls.Await(ctx, w.call, w.answer)
	}
}

// offlineError says why something was not sent while there was no connection.
func offlineError(err error) *ClosedError {
	return &ClosedError{Code: int(websocket.StatusAbnormalClosure), Err: err}
}

// offlineNotify sends a notification, on the next connection where there is none; it does not wait
// for that.
func (c *Client) offlineNotify(ctx context.Context, w *waiting) error {
	for {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		l, waits, err := c.queueOffline(w)
		if err != nil || waits {
			return err
		}
		err = l.send(ctx, w.message)
		if !errors.As(err, new(*ClosedError)) {
			return err
		}
	}
}

// flushLocked sends what waits on a connection that nobody else uses yet. It does not block: the
// out-queue has room for all of it.
func (q *offline) flushLocked(l *link) {
	for q != nil && len(q.queue) > 0 {
		w := q.queue[0]
		if !w.sendLocked(l) {
			return // l has ended already; the next one will do
		}
		q.bytes += w.size
		q.queue = slices.Delete(q.queue, 0, 1)
	}
}

// sendLocked reports whether w waits no longer.
func (w *waiting) sendLocked(l *link) bool {
	if w.call == nil {
		l.note(w.message)
		return l.ws.Send(context.Background(), websocket.MessageText, w.message) == nil
	}
	if w.ctx.Err() != nil {
		w.err = offlineError(context.Cause(w.ctx))
		close(w.done)
		return true
	}
	answer, err := l.calls.Begin(w.ctx, w.call, w.encode)
	if err != nil {
		return false
	}
	w.link, w.answer = l, answer
	close(w.done)
	return true
}

// closeLocked ends what waits, at the client's end, and returns the notifications among it.
func (q *offline) closeLocked(end *ClosedError) (dropped []*waiting) {
	if q == nil {
		return nil
	}
	q.closed = end
	for _, w := range q.queue {
		if w.call == nil {
			dropped = append(dropped, w)
			continue
		}
		w.err = end
		close(w.done)
	}
	q.queue = nil
	return dropped
}
