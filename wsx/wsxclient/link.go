package wsxclient

import (
	"context"
	"fmt"
	"strconv"
	"sync"

	"github.com/coder/websocket"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/genropy/genro-asgi-go/internal/wsconn"
	"github.com/genropy/genro-asgi-go/wsx"
	"github.com/genropy/genro-asgi-go/wsx/internal/wire"
)

// link is one connection of a client.
type link struct {
	client *Client
	ws     *wsconn.Conn
	ended  chan struct{} // closed when the reader has ended; err is set before
	err    *ClosedError

	mu      sync.Mutex
	next    uint64
	pending map[uint64]waiter // nil when the connection has ended
	stuck   bool              // the reader waits for OnNotify
	subs    map[string]*subscription
}

// waiter gets an answer. sub is not nil for the answer to its rpc.subscribe. ctx is who asked.
type waiter struct {
	ctx    context.Context
	answer chan<- reply
	sub    *subscription
}

// reply is the server's answer. Its bytes are the receiver's.
type reply struct {
	result []byte
	err    error
}

func newLink(c *Client, ws *wsconn.Conn) *link {
	return &link{
		client:  c,
		ws:      ws,
		ended:   make(chan struct{}),
		pending: make(map[uint64]waiter),
		subs:    make(map[string]*subscription),
	}
}

// read serves what the server sends until the connection ends.
func (l *link) read() {
	for {
		_, b, err := l.ws.Read(context.Background(), nil)
		if err != nil {
			l.fail(err)
			return
		}
		l.message(b)
	}
}

func (l *link) message(b []byte) {
	var m wire.Message
	fault := m.Parse(b, wire.Rules{FromServer: true, Depth: maxDepth})
	if m.Dialect != wire.WSX {
		return // a server that speaks something else too
	}
	if fault != wire.OK {
		if m.Type == wire.Response || m.Type == wire.Error {
			l.settle(m.ID, reply{err: fmt.Errorf("wsx: the server's answer cannot be read: %s", fault.Text())})
		}
		return
	}
	switch m.Type {
	case wire.Response:
		l.settle(m.ID, reply{result: m.Result})
	case wire.Error:
		e := &wsx.Error{Code: string(m.ErrorCode), Message: string(m.ErrorText)}
		if m.ErrorDetails != nil {
			e.Details = jsontext.Value(m.ErrorDetails)
		}
		if e.Code == wsx.CodeDeadlineExceeded {
			e.Err = context.DeadlineExceeded // the caller's, as a rule: it makes no difference which side saw it first
		}
		l.settle(m.ID, reply{err: e})
	case wire.Event:
		l.event(&m)
	case wire.Notify:
		if string(m.Event) == "wsx.unsubscribed" {
			l.revoked(m.Payload)
		}
		l.notify(note{string(m.Event), m.Payload})
	case wire.Ping:
		_ = l.ws.Send(context.Background(), websocket.MessageText, wire.AppendPong(nil, m.ID)) // if it fails, the reader learns of it
	case wire.Request: // this client has no methods
		b := wire.AppendError(nil, m.ID, wsx.CodeMethodNotFound, "this client has no methods", nil)
		_ = l.ws.Send(context.Background(), websocket.MessageText, b)
	}
}

// settle hands an answer to the call that waits for it, if it still does.
func (l *link) settle(id []byte, r reply) {
	n, err := strconv.ParseUint(string(id), 10, 64)
	if err != nil {
		return
	}
	l.mu.Lock()
	w := l.pending[n]
	delete(l.pending, n)
	l.mu.Unlock()
	if w.answer == nil {
		if w.sub != nil && r.err == nil && l.begin(w.sub, r.result) == nil {
			l.unsubscribe(w.sub) // given up before it began
		}
		return
	}
	if w.sub != nil && r.err == nil {
		r.err = l.begin(w.sub, r.result) // before the next message, which may be its first event
	}
	w.answer <- r // it has room for the one
}

// fail ends everything that waits.
func (l *link) fail(err error) {
	l.err = &ClosedError{Code: int(websocket.StatusAbnormalClosure), Err: err}
	if code := websocket.CloseStatus(err); code >= 0 {
		l.err.Code = int(code)
	} else if code, _, ok := l.ws.Ending(); ok {
		l.err.Code = int(code)
	}
	l.mu.Lock()
	pending, subs := l.pending, l.subs
	l.pending, l.subs = nil, nil
	l.mu.Unlock()
	close(l.ended)
	for _, w := range pending {
		if w.answer != nil {
			w.answer <- reply{err: l.err}
		}
	}
	for _, s := range subs {
		s.end(l.err)
	}
}

// send queues a message. The error is the connection's end or ctx's.
func (l *link) send(ctx context.Context, b []byte) error {
	err := l.ws.Send(ctx, websocket.MessageText, b)
	if err == nil || ctx.Err() != nil {
		return err
	}
	select { // the connection is ending
	case <-l.ended:
		return l.err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// request sends a message made with a new id and waits for its answer, until ctx ends: then the server is told.
func (l *link) request(ctx context.Context, sub *subscription, encode func(id []byte) []byte) ([]byte, error) {
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	answer := make(chan reply, 1)
	n, err := l.register(waiter{ctx, answer, sub})
	if err != nil {
		return nil, err
	}
	id := strconv.AppendUint(nil, n, 10)
	if err := l.send(ctx, encode(id)); err != nil {
		l.forget(n)
		return nil, err
	}
	select {
	case r := <-answer:
		if r.err == ErrBacklog { //nolint:errorlint // it is the very value
			l.cancel(id)
		}
		return r.result, r.err
	case <-ctx.Done():
		if l.forget(n) {
			l.cancel(id)
		}
		return nil, context.Cause(ctx)
	}
}

// cancel tells the server that nobody waits for an answer any more, as far as it can without waiting.
func (l *link) cancel(id []byte) {
	_ = l.ws.Send(now, websocket.MessageText, wire.AppendCancel(nil, id))
}

// now is the context of what is sent only where there is room for it.
var now = func() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}()

// register makes place for an answer, unless the connection has ended.
func (l *link) register(w waiter) (uint64, error) {
	l.mu.Lock()
	if l.pending == nil {
		l.mu.Unlock()
		<-l.ended
		return 0, l.err
	}
	defer l.mu.Unlock()
	if l.stuck && l.client.delivers(w.ctx) {
		return 0, ErrBacklog
	}
	l.next++
	l.pending[l.next] = w
	return l.next, nil
}

// forget reports whether the call was still waiting. A subscription that begins after all has to be ended again.
func (l *link) forget(n uint64) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.forgetLocked(n)
}

func (l *link) forgetLocked(n uint64) bool {
	w, waiting := l.pending[n]
	if w.sub != nil {
		l.pending[n] = waiter{sub: w.sub}
	} else {
		delete(l.pending, n)
	}
	return waiting
}
