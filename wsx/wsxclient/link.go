package wsxclient

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/coder/websocket"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/genropy/genro-asgi-go/internal/wsconn"
	"github.com/genropy/genro-asgi-go/wsx"
	"github.com/genropy/genro-asgi-go/wsx/internal/outcall"
	"github.com/genropy/genro-asgi-go/wsx/internal/wire"
)

// link is one connection of a client.
type link struct {
	client *Client
	ws     *wsconn.Conn
	began  time.Time
	ended  chan struct{} // closed when the reader has ended; err is set before
	err    *ClosedError
	calls  outcall.Table // of the server's methods
	served served        // calls of this client's methods
	token  string        // of the handshake

	mu          sync.Mutex
	subs        map[string]*subscription // nil when the connection has ended
	credentials credentials
}

func newLink(c *Client, ws *wsconn.Conn) *link {
	l := &link{
		client: c,
		ws:     ws,
		began:  time.Now(),
		ended:  make(chan struct{}),
		subs:   make(map[string]*subscription),
	}
	l.calls.Peer = l
	if c.opts.JSONRPC {
		l.calls.Cancel = outcall.JSONRPCCancel
	}
	l.served.init(l)
	return l
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
	fault := m.Parse(b, l.rules())
	switch {
	case m.Dialect == wire.JSONRPC && l.client.opts.JSONRPC:
		l.jsonrpc(&m, fault)
		return
	case m.Dialect != wire.WSX:
		return // a server that speaks something else too
	}
	if fault != wire.OK {
		switch m.Type {
		case wire.Response, wire.Error, wire.Stream:
			l.calls.Answer(m.ID, unreadable(fault))
		case wire.Request:
			l.served.refuse(m.ID, wsx.NewError(fault.Code(), fault.Text()))
		}
		return
	}
	switch m.Type {
	case wire.Response:
		l.calls.Answer(m.ID, outcall.Reply{Result: m.Result})
	case wire.Stream:
		l.calls.Item(&m)
	case wire.Error:
		e := &wsx.Error{Code: string(m.ErrorCode), Message: string(m.ErrorText)}
		if m.ErrorDetails != nil {
			e.Details = jsontext.Value(m.ErrorDetails)
		}
		if e.Code == wsx.CodeDeadlineExceeded {
			e.Err = context.DeadlineExceeded // the caller's, as a rule: it makes no difference which side saw it first
		}
		l.calls.Answer(m.ID, outcall.Reply{Err: e})
	case wire.Event:
		l.event(&m)
	case wire.Notify:
		switch string(m.Event) {
		case wire.Ack:
			l.served.acknowledged(m.Payload)
			return // it is no news for OnNotify
		case "wsx.unsubscribed":
			l.revoked(m.Payload)
		}
		l.notify(note{string(m.Event), m.Payload})
	case wire.Ping:
		_ = l.ws.Send(context.Background(), websocket.MessageText, wire.AppendPong(nil, m.ID)) // if it fails, the reader learns of it
	case wire.Request:
		l.served.begin(&m)
	case wire.Cancel:
		l.served.cancel(m.ID)
	}
}

func (l *link) rules() wire.Rules {
	return wire.Rules{FromServer: true, Depth: maxDepth, JSONRPC: l.client.opts.JSONRPC}
}

func unreadable(fault wire.Fault) outcall.Reply {
	return outcall.Reply{Err: fmt.Errorf("wsx: the server's answer cannot be read: %s", fault.Text())}
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
	subs, refresh := l.subs, l.credentials.err
	l.subs = nil
	l.mu.Unlock()
	if refresh != nil && l.err.Code == closeUnauthenticated {
		l.err.Err = fmt.Errorf("%w (the last refresh: %w)", err, refresh)
	}
	close(l.ended)
	underWay := *l.err
	underWay.MayHaveRun = true
	l.calls.Fail(&underWay, l.err)
	l.served.end()
	for _, s := range subs {
		s.end(l.err)
	}
}

// Send queues a message, as outcall.Peer says.
func (l *link) Send(ctx context.Context, b []byte) error {
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

// Done implements outcall.Peer.
func (l *link) Done() <-chan struct{} { return l.ws.Done() }

// request sends a message made with a new id and waits for its answer, until ctx ends: then the server is told. sub is not nil where
// that is an rpc.subscribe.
func (l *link) request(ctx context.Context, sub *subscription, encode func(id []byte) []byte) ([]byte, error) {
	defer l.served.waitsFor(ctx)()
	call := &outcall.Call{}
	if sub != nil {
		call.OnAnswer = func(r *outcall.Reply, wanted bool) {
			if r.Err == nil {
				r.Err = l.begin(sub, r.Result) // before the next message, which may be its first event
			}
			if !wanted && r.Err == nil {
				l.unsubscribe(sub) // given up before it began
			}
		}
	}
	return l.calls.Do(ctx, call, encode)
}

// over reports whether the connection has ended.
func (l *link) over() bool {
	select {
	case <-l.ended:
		return true
	default:
		return false
	}
}
