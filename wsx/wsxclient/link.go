package wsxclient

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/coder/websocket"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/genropy/genro-asgi-go/internal/lockorder"
	"github.com/genropy/genro-asgi-go/internal/wsconn"
	"github.com/genropy/genro-asgi-go/wsx"
	"github.com/genropy/genro-asgi-go/wsx/internal/clientcall"
	"github.com/genropy/genro-asgi-go/wsx/internal/wire"
)

// link is one connection of a client.
type link struct {
	client *Client
	ws     *wsconn.Conn
	began  time.Time
	token  string // of the handshake

	outline wire.Outline     // of a message that is too big; the reader's own
	largest atomic.Int64     // bytes of the largest message sent that was no call
	calls   clientcall.Table // of the server's methods
	served  served           // calls of this client's methods

	closed chan struct{} // closed when the reader has ended; err is set before
	err    *ClosedError

	mu          lockorder.Mutex          // guards what follows
	subs        map[string]*subscription // nil when the connection has ended
	credentials credentials
}

// open begins the life of a link whose handshake is done.
func (l *link) open(ws *wsconn.Conn) {
	l.ws, l.began, l.closed, l.subs = ws, time.Now(), make(chan struct{}),
		make(map[string]*subscription)
	l.calls.Peer = l
	if l.client.opts.JSONRPC {
		l.calls.Cancel = clientcall.JSONRPCCancel
	}
	l.served.init(l)
}

// read serves what the server sends until the connection ends.
func (l *link) read() {
	for {
		_, b, err := l.ws.Read(context.Background(), nil)
		switch {
		case errors.Is(err, wsconn.ErrSkipped):
			l.skipped()
		case err != nil:
			l.fail(err)
			return
		default:
			l.message(b)
		}
	}
}

// message serves one message. Nothing here waits, but at most clientcall.Patience for a loop or an
// OnNotify that does not keep up.
func (l *link) message(b []byte) {
	var m wire.Message
	fault := m.Parse(b, l.rules())
	switch {
	case m.Dialect == wire.JSONRPC && l.client.opts.JSONRPC:
		l.jsonrpc(&m, fault)
		return
	case m.Dialect != wire.WSX:
		l.log(slog.LevelDebug, "of no dialect")
		return // a server that speaks something else too
	}
	if fault != wire.OK {
		l.faulty(&m, fault)
		return
	}
	switch m.Type {
	case wire.Response:
		l.calls.Answer(m.ID, clientcall.Reply{Result: m.Result})
	case wire.Stream:
		l.calls.Item(&m)
	case wire.Error:
		l.answerError(&m)
	case wire.Event:
		l.event(&m, nil)
	case wire.Notify:
		switch string(m.Event) {
		case wire.Ack:
			l.served.acknowledged(m.Payload)
			return // it is no news for OnNotify
		case "wsx.unsubscribed":
			l.revoked(m.Payload)
		}
		l.notify(note{event: string(m.Event), payload: m.Payload})
	case wire.Ping:
		l.Urge(wire.AppendPong(nil, m.ID))
	case wire.Request:
		l.served.accept(&m)
	case wire.Cancel:
		l.served.cancelCall(m.ID)
	}
}

// faulty serves a message that breaks a rule of the protocol: whoever it was for learns of it.
func (l *link) faulty(m *wire.Message, fault wire.Fault) {
	switch m.Type {
	case wire.Response, wire.Error, wire.Stream:
		l.calls.Answer(m.ID, unreadable(fault))
	case wire.Request:
		l.served.refuse(m.ID, wsx.NewError(fault.Code(), fault.Text()))
	default:
		l.log(slog.LevelDebug, fault.Text())
	}
}

// answerError hands an rpc.error to its call.
func (l *link) answerError(m *wire.Message) {
	if m.ID == nil {
		l.log(slog.LevelWarn, "an error of no call: "+string(m.ErrorCode)+" "+string(m.ErrorText))
		return
	}
	e := &wsx.Error{Code: string(m.ErrorCode), Message: string(m.ErrorText)}
	if m.ErrorDetails != nil {
		e.Details = jsontext.Value(m.ErrorDetails)
	}
	if e.Code == wsx.CodeDeadlineExceeded {
		// the caller's, as a rule: it makes no difference which side saw it first
		e.Err = context.DeadlineExceeded
	}
	l.calls.Answer(m.ID, clientcall.Reply{Err: e})
}

func (l *link) rules() wire.Rules {
	return wire.Rules{FromServer: true, Depth: maxDepth, JSONRPC: l.client.opts.JSONRPC}
}

func unreadable(fault wire.Fault) clientcall.Reply {
	return clientcall.Reply{
		Err: fmt.Errorf("wsx: the server's answer cannot be read: %s", fault.Text()),
	}
}

// log notes a message of the server that nobody can be told of.
func (l *link) log(level slog.Level, what string) {
	l.client.opts.Logger.Log(context.Background(), level, "wsx: message of the server ignored",
		slog.String("reason", what))
}

// fail ends everything that waits.
func (l *link) fail(err error) {
	l.err = &ClosedError{Code: int(websocket.StatusAbnormalClosure), Err: err}
	if code := websocket.CloseStatus(err); code >= 0 {
		l.err.Code = int(code)
	} else if code, _, ok := l.ws.Ending(); ok {
		l.err.Code = int(code)
		l.err.unreadable = code >= websocket.StatusProtocolError &&
			code <= websocket.StatusMessageTooBig
	}
	l.mu.Lock()
	subs, refresh := l.subs, l.credentials.err
	l.subs = nil
	l.mu.Unlock()
	if refresh != nil && l.err.Code == closeUnauthenticated {
		l.err.Err = fmt.Errorf("%w (the last refresh: %w)", err, refresh)
	}
	close(l.closed)
	underWay := *l.err
	underWay.MayHaveRun = true
	blamed := underWay
	blamed.blamed = blames(err) && l.calls.Largest() > int(l.largest.Load())
	l.calls.Fail(&underWay, &blamed, l.err)
	l.served.stop()
	for _, s := range subs {
		s.finish(l.err)
	}
}

// send is Send for what is no call.
func (l *link) send(ctx context.Context, b []byte) error {
	l.note(b)
	return l.Send(ctx, b)
}

// note remembers how large a message was that is no call.
func (l *link) note(b []byte) {
	for n, size := l.largest.Load(), int64(len(b)); size > n &&
		!l.largest.CompareAndSwap(n, size); n = l.largest.Load() {
	}
}

// Urge implements clientcall.Peer. It is for the reader too, which must not wait for room.
func (l *link) Urge(b []byte) {
	if errors.Is(l.ws.Urge(websocket.MessageText, b), wsconn.ErrQueueFull) {
		// a server that does not read and asks for more: the next read tells how it ended
		l.ws.Drop(closeTooMany, "too many messages")
	}
}

// Send queues a message, as clientcall.Peer says.
func (l *link) Send(ctx context.Context, b []byte) error {
	err := l.ws.Send(ctx, websocket.MessageText, b)
	if err == nil || ctx.Err() != nil {
		return err
	}
	select { // the connection is ending
	case <-l.closed:
		return l.err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// Done implements clientcall.Peer.
func (l *link) Done() <-chan struct{} { return l.ws.Done() }

// request sends a message made with a new id and waits for its answer, until ctx ends: then the
// server is told. sub is not nil where that is an rpc.subscribe.
func (l *link) request(ctx context.Context, sub *subscription,
	encode func(id []byte) []byte,
) ([]byte, error) {
	defer l.served.waitsFor(ctx)()
	call := &clientcall.Call{}
	if sub != nil {
		call.OnAnswer = func(r *clientcall.Reply, wanted bool) {
			if r.Err == nil {
				// before the next message, which may be its first event
				r.Err = l.subscribed(sub, r.Result)
			}
			if !wanted && r.Err == nil {
				l.unsubscribe(sub) // given up before it began
			}
		}
	}
	return l.calls.Do(ctx, call, encode)
}

// isClosed reports whether the connection has ended.
func (l *link) isClosed() bool {
	select {
	case <-l.closed:
		return true
	default:
		return false
	}
}
