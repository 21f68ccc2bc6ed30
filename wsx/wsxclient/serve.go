package wsxclient

import (
	"context"
	"errors"
	"log/slog"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/genropy/genro-asgi-go/internal/lockorder"
	"github.com/genropy/genro-asgi-go/wsx"
	"github.com/genropy/genro-asgi-go/wsx/internal/clientcall"
	"github.com/genropy/genro-asgi-go/wsx/internal/wire"
)

// clientKey is the key of the *Client in the context of this client's methods.
type clientKey struct{}

// ClientFrom returns the client whose method was given ctx, to call the server back on the same
// connection. It is nil elsewhere.
func ClientFrom(ctx context.Context) *Client {
	c, _ := ctx.Value(clientKey{}).(*Client)
	return c
}

// served is the calls of this client's methods that came over one connection.
type served struct {
	link *link
	ctx  context.Context    // of the connection
	stop context.CancelFunc // ends ctx

	mu      lockorder.Mutex
	calls   map[string]*incoming // by id, until they are answered
	running int
	waiting int         // of these, those that wait for an answer of the server: they do not count
	queue   []*incoming // those that wait for a place, in order
	queued  int         // their bytes
}

func (s *served) init(l *link) {
	s.link = l
	s.ctx, s.stop = context.WithCancel(context.WithValue(context.Background(), clientKey{},
		l.client))
}

// incoming is one call of a method of this client. It is answered once, by whoever comes first: its
// handler or its context's end.
type incoming struct {
	served *served
	id     []byte
	size   int           // bytes of its message
	place  chan struct{} // closed when it has a place; nil when it had one at once
	ctx    context.Context
	cancel context.CancelFunc

	waits    int  // guarded by served.mu, as the next
	returned bool // the handler has

	out      clientcall.Producer // what comes before the answer
	mu       lockorder.Mutex     // held while the answer is sent
	answered bool
}

// accept takes a call in. Nothing here waits: the reader has cancels, answers and the connection's
// end to read.
func (s *served) accept(m *wire.Message) {
	methods := s.link.client.opts.Methods
	if methods == nil {
		s.refuse(m.ID, wsx.NewError(wsx.CodeMethodNotFound, "this client has no methods"))
		return
	}
	in := &incoming{
		served: s, id: m.ID, size: len(m.Raw),
		out: clientcall.Producer{Window: m.Window},
	}
	in.ctx = context.WithValue(s.ctx, clientcall.WaiterKey{}, in)
	if m.Timeout > 0 {
		in.ctx, in.cancel = context.WithTimeout(in.ctx, m.Timeout)
	} else {
		in.ctx, in.cancel = context.WithCancel(in.ctx)
	}
	if refusal := s.admit(in); refusal != nil {
		in.cancel()
		s.refuse(m.ID, refusal)
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

// cancelCall is rpc.cancel.
func (s *served) cancelCall(id []byte) {
	s.mu.Lock()
	in := s.calls[string(id)]
	s.mu.Unlock()
	if in != nil {
		in.cancel()
	}
}

// errExited is the error of a handler that called runtime.Goexit, as t.Fatal does.
var errExited = errors.New("wsx: the handler ended its goroutine")

// run calls the method, when there is a place for it, and answers.
func (in *incoming) run(methods *wsx.Dispatcher, r *wsx.Request) {
	if !in.served.awaitPlace(in) {
		in.answer(nil, in.ctx.Err())
		in.cancel()
		return
	}
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
	if err = in.ctx.Err(); err == nil { // else it ended while it waited for a place
		result, err = methods.Serve(in.ctx, r)
	}
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
	// before the answer: who has read that may use the id again at once
	delete(s.calls, string(in.id))
	s.mu.Unlock()
	if err != nil {
		// if it fails, the reader learns of it, here and below
		_ = s.link.send(s.ctx, s.refusal(in.id, wsx.PeerError(err)))
		return
	}
	_ = s.link.send(s.ctx, s.link.client.appendResult(in.id, result))
}

// refuse answers a call that was not taken in. It is the reader's and does not wait.
func (s *served) refuse(id []byte, e *wsx.Error) { s.link.Urge(s.refusal(id, e)) }

// refusal is the answer that is an error.
func (s *served) refusal(id []byte, e *wsx.Error) []byte {
	encoded, err := json.Marshal(e)
	if err != nil {
		s.link.client.opts.Logger.ErrorContext(s.ctx, "wsx: error sent without its details",
			slog.String("code", e.Code), slog.String("error", err.Error()))
		encoded, _ = json.Marshal(&wsx.Error{Code: e.Code, Message: e.Message}) // two strings
	}
	return s.link.client.appendRefusal(id, e, encoded)
}

func (in *incoming) log(method string, err error) {
	level := slog.LevelDebug
	if wsx.PeerError(err).Code == wsx.CodeInternalError {
		level = slog.LevelError
	}
	in.served.link.client.opts.Logger.Log(in.ctx, level, "wsx: call failed",
		slog.String("method", method), slog.Any("error", err))
}

func (in *incoming) emit(item jsontext.Value) error { return in.send(item, nil) }

func (in *incoming) report(progress jsontext.Value) error {
	return in.send(nil, wire.AppendProgress(nil, progress))
}

// send sends an rpc.stream, never behind the answer: the context ends before that is sent.
func (in *incoming) send(item, meta []byte) error {
	err := in.out.Send(in.ctx, func(seq uint64) error {
		return in.served.link.send(in.ctx, wire.AppendStream(nil, in.id, item, seq, meta))
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

// waitsFor is the Waits of the method whose context ctx is, if it was called over this connection.
func (s *served) waitsFor(ctx context.Context) (done func()) {
	if in, ok := ctx.Value(clientcall.WaiterKey{}).(*incoming); ok && in.served == s {
		return in.Waits()
	}
	return func() {}
}
