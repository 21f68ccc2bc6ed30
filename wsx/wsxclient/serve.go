package wsxclient

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"sync"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/genropy/genro-asgi-go/wsx"
	"github.com/genropy/genro-asgi-go/wsx/internal/outcall"
	"github.com/genropy/genro-asgi-go/wsx/internal/wire"
)

// clientKey is the key of the *Client in the context of this client's methods.
type clientKey struct{}

// ClientFrom returns the client whose method was given ctx, to call the server back on the same connection. It is nil elsewhere.
func ClientFrom(ctx context.Context) *Client {
	c, _ := ctx.Value(clientKey{}).(*Client)
	return c
}

// served is the calls of this client's methods that came over one connection.
type served struct {
	link *link
	ctx  context.Context // of the connection
	end  context.CancelFunc

	mu      sync.Mutex
	calls   map[string]*incoming // by id, until they are answered
	running int
	waiting int           // of these, those that wait for an answer of the server: they do not count
	room    chan struct{} // closed when there may be room; nil while the reader does not wait
}

func (s *served) init(l *link) {
	s.link = l
	s.ctx, s.end = context.WithCancel(context.WithValue(context.Background(), clientKey{}, l.client))
}

// incoming is one call of a method of this client. It is answered once, by whoever comes first: its handler or its context's end.
type incoming struct {
	served *served
	id     []byte
	ctx    context.Context
	cancel context.CancelFunc

	waits int  // guarded by served.mu, as the next
	over  bool // the handler has returned

	out      outcall.Producer // what comes before the answer
	mu       sync.Mutex       // held while the answer is sent
	answered bool
}

// begin starts a call, once there is room for one more. The reader waits meanwhile.
func (s *served) begin(m *wire.Message) {
	methods := s.link.client.opts.Methods
	if methods == nil {
		s.refuse(m.ID, wsx.NewError(wsx.CodeMethodNotFound, "this client has no methods"))
		return
	}
	in := &incoming{served: s, id: m.ID, out: outcall.Producer{Window: m.Window}}
	in.ctx = context.WithValue(s.ctx, outcall.WaiterKey{}, in)
	if m.Timeout > 0 {
		in.ctx, in.cancel = context.WithTimeout(in.ctx, m.Timeout)
	} else {
		in.ctx, in.cancel = context.WithCancel(in.ctx)
	}
	if err := s.add(in); err != nil {
		in.cancel()
		s.refuse(m.ID, wsx.PeerError(err))
		return
	}
	r := &wsx.Request{Method: string(m.Method), Params: m.Params, Meta: m.Meta}
	if !s.link.client.opts.JSONRPC { // which has no streams: the result is all
		r.Emit = in.emit
	}
	if string(m.Progress) == "true" {
		r.Report = in.report
	}
	s.link.client.work.Go(func() { in.run(methods, r) })
}

// add takes a call in, unless its id is in flight. It waits for room.
func (s *served) add(in *incoming) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.running-s.waiting >= s.link.client.opts.MaxInFlight {
		room := make(chan struct{})
		s.room = room
		s.mu.Unlock()
		select {
		case <-room:
		case <-s.link.ws.Done(): // the reader learns of it next
			s.mu.Lock()
			return net.ErrClosed
		}
		s.mu.Lock()
	}
	if s.calls[string(in.id)] != nil {
		return wsx.NewError(wsx.CodeInvalidRequest, "a request with this id is in flight")
	}
	if s.calls == nil {
		s.calls = make(map[string]*incoming)
	}
	s.calls[string(in.id)] = in
	s.running++
	return nil
}

// cancel is rpc.cancel.
func (s *served) cancel(id []byte) {
	s.mu.Lock()
	in := s.calls[string(id)]
	s.mu.Unlock()
	if in != nil {
		in.cancel()
	}
}

// errExited is the error of a handler that called runtime.Goexit, as t.Fatal does.
var errExited = errors.New("wsx: the handler ended its goroutine")

// run calls the method and answers.
func (in *incoming) run(methods *wsx.Dispatcher, r *wsx.Request) {
	early := make(chan struct{})
	stop := context.AfterFunc(in.ctx, func() {
		defer close(early)
		in.answer(nil, in.ctx.Err()) // at once, also when the handler does not look at its context
	})
	var result jsontext.Value
	err := errExited
	defer func() { // also when the handler ends its goroutine
		if err != nil {
			in.log(r.Method, err)
		}
		if !stop() {
			<-early
		}
		in.cancel()
		in.answer(result, err)
		in.served.finished(in)
	}()
	result, err = methods.Serve(in.ctx, r)
}

// answer sends the answer, unless there was one.
func (in *incoming) answer(result []byte, err error) {
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.answered {
		return
	}
	in.answered = true
	in.out.Settle() // the context has ended
	s := in.served
	s.mu.Lock()
	delete(s.calls, string(in.id)) // before the answer: who has read that may use the id again at once
	s.mu.Unlock()
	if err != nil {
		s.refuse(in.id, wsx.PeerError(err))
		return
	}
	_ = s.link.Send(s.ctx, s.link.client.appendResult(in.id, result)) // if it fails, the reader learns of it
}

// refuse answers with an error.
func (s *served) refuse(id []byte, e *wsx.Error) {
	encoded, err := json.Marshal(e)
	if err != nil {
		s.link.client.opts.Logger.ErrorContext(s.ctx, "wsx: error sent without its details", slog.String("code", e.Code), slog.String("error", err.Error()))
		encoded, _ = json.Marshal(&wsx.Error{Code: e.Code, Message: e.Message}) // two strings
	}
	_ = s.link.Send(s.ctx, s.link.client.appendRefusal(id, e, encoded)) // if it fails, the reader learns of it
}

func (in *incoming) log(method string, err error) {
	level := slog.LevelDebug
	if wsx.PeerError(err).Code == wsx.CodeInternalError {
		level = slog.LevelError
	}
	in.served.link.client.opts.Logger.Log(in.ctx, level, "wsx: call failed", slog.String("method", method), slog.Any("error", err))
}

func (in *incoming) emit(item jsontext.Value) error { return in.send(item, nil) }

func (in *incoming) report(progress jsontext.Value) error {
	return in.send(nil, wire.AppendProgress(nil, progress))
}

// send sends an rpc.stream, never behind the answer: the context ends before that is sent.
func (in *incoming) send(item, meta []byte) error {
	err := in.out.Send(in.ctx, func(seq uint64) error {
		return in.served.link.Send(in.ctx, wire.AppendStream(nil, in.id, item, seq, meta))
	})
	if err != nil && in.ctx.Err() != nil {
		return in.ctx.Err()
	}
	return err
}

// acknowledged takes in a wsx.ack.
func (s *served) acknowledged(payload []byte) {
	id, next := wire.ReadAck(payload)
	s.mu.Lock()
	in := s.calls[string(id)]
	s.mu.Unlock()
	if in != nil {
		in.out.Ack(next)
	}
}

// finished is the end of a call whose handler has returned.
func (s *served) finished(in *incoming) {
	s.mu.Lock()
	defer s.mu.Unlock()
	in.over = true
	if in.waits > 0 { // in a goroutine that the handler left behind
		s.waiting--
	}
	s.running--
	s.makeRoomLocked()
}

func (s *served) makeRoomLocked() {
	if s.room != nil {
		close(s.room)
		s.room = nil
	}
}

// waitsFor is the Waits of the method whose context ctx is, if it was called over this connection.
func (s *served) waitsFor(ctx context.Context) (done func()) {
	if in, ok := ctx.Value(outcall.WaiterKey{}).(*incoming); ok && in.served == s {
		return in.Waits()
	}
	return func() {}
}

// Waits implements outcall.Waiter.
func (in *incoming) Waits() (done func()) {
	s := in.served
	s.mu.Lock()
	defer s.mu.Unlock()
	if !in.over {
		if in.waits == 0 {
			s.waiting++
			s.makeRoomLocked()
		}
		in.waits++
	}
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if in.over {
			return
		}
		if in.waits--; in.waits == 0 {
			s.waiting--
		}
	}
}
