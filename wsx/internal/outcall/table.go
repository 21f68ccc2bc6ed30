package outcall

import (
	"context"
	"errors"
	"strconv"
	"sync"

	"github.com/genropy/genro-asgi-go/wsx/internal/wire"
)

// ErrLimit says that as many calls as may be are under way.
var ErrLimit = errors.New("wsx: too many calls wait for the peer's answer")

// Peer is the other end.
type Peer interface {
	// Send sends a message, waiting for room until ctx ends. Its error is the context's cause, or how the connection ended.
	Send(ctx context.Context, b []byte) error
	// Done is closed when the connection is.
	Done() <-chan struct{}
}

// Table holds the calls under way over one connection. The zero value has no limit and no peer.
type Table struct {
	// Peer is who is called.
	Peer Peer
	// FromServer says that the calls are a server's.
	FromServer bool
	// Cancel makes what tells the peer that nobody waits for an answer any more; rpc.cancel when nil.
	Cancel func(id []byte) []byte
	// Limit is how many calls may be under way; zero is no limit.
	Limit int

	mu    sync.Mutex
	next  uint64
	calls map[uint64]*Call
	block func(ctx context.Context) error
	ended bool
	err   error // how the connection ended
}

// Reply is the answer to a call: a result, JSON, or an error.
type Reply struct {
	Result []byte
	Err    error
}

// Call is one call under way. The zero value is one of which only the result is wanted.
type Call struct {
	// OnAnswer, if not nil, sees the answer first, in the goroutine that reads and before the next message is read, and may change it.
	// wanted says whether somebody waits for it still: it is called also when nobody does.
	OnAnswer func(r *Reply, wanted bool)
	// Cancel is the table's for this call, unless nil.
	Cancel func(id []byte) []byte

	ctx     context.Context
	number  uint64
	short   [20]byte     // what id lies in
	id      []byte       // the number, as it is sent
	answer  chan<- Reply // has room for the one; nil when nobody waits for it any more
	items   chan item    // nil where they are not wanted
	left    chan struct{}
	nextSeq uint64 // the reader's own
}

// Do sends the message that encode makes with a new id and waits for the answer.
func (t *Table) Do(ctx context.Context, c *Call, encode func(id []byte) []byte) ([]byte, error) {
	answer, err := t.begin(ctx, ctx, c, encode)
	if err != nil {
		return nil, err
	}
	return t.Await(ctx, c, answer)
}

// Begin is the first half of Do, for a caller that cannot wait: without room the call is not sent, and there is an error.
func (t *Table) Begin(ctx context.Context, c *Call, encode func(id []byte) []byte) (answer <-chan Reply, err error) {
	return t.begin(ctx, over, c, encode)
}

// Await is the second half of Do.
func (t *Table) Await(ctx context.Context, c *Call, answer <-chan Reply) ([]byte, error) {
	select {
	case r := <-answer:
		return r.Result, r.Err
	case <-ctx.Done():
		t.giveUp(c)
		return nil, context.Cause(ctx)
	}
}

// begin registers a call and sends it, waiting for room until room ends.
func (t *Table) begin(ctx, room context.Context, c *Call, encode func(id []byte) []byte) (<-chan Reply, error) {
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	answer := make(chan Reply, 1)
	c.ctx, c.answer = ctx, answer
	if err := t.register(c); err != nil {
		return nil, err
	}
	if err := t.Peer.Send(room, encode(c.id)); err != nil {
		t.remove(c)
		return nil, err
	}
	return answer, nil
}

func (t *Table) register(c *Call) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case t.ended:
		return t.err
	case t.Limit > 0 && len(t.calls) >= t.Limit:
		return ErrLimit
	}
	if t.block != nil {
		if err := t.block(c.ctx); err != nil {
			return err
		}
	}
	if t.calls == nil {
		t.calls = make(map[uint64]*Call)
	}
	t.next++
	c.number = t.next
	c.id = strconv.AppendUint(c.short[:0], c.number, 10)
	t.calls[c.number] = c
	return nil
}

// NextID is an id of no call in the table: nobody waits for its answer.
func (t *Table) NextID() []byte {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.next++
	return strconv.AppendUint(nil, t.next, 10)
}

// remove takes back a call that was not sent: no answer will come.
func (t *Table) remove(c *Call) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.calls, c.number)
}

// forget returns where the call still waited for its answer, or nil. One with an OnAnswer stays, for that to see the answer.
func (t *Table) forget(c *Call) (answer chan<- Reply) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.calls[c.number] != c {
		return nil
	}
	if c.OnAnswer == nil {
		delete(t.calls, c.number)
	}
	answer, c.answer = c.answer, nil
	return answer
}

// giveUp forgets a call and tells the peer, unless it has answered.
func (t *Table) giveUp(c *Call) (answer chan<- Reply) {
	if answer = t.forget(c); answer != nil {
		switch {
		case c.Cancel != nil:
			t.Tell(c.Cancel(c.id))
		case t.Cancel != nil:
			t.Tell(t.Cancel(c.id))
		default:
			t.Tell(wire.AppendCancel(nil, c.id))
		}
	}
	return answer
}

// breakOff ends a call from this side: the peer is told, and the caller gets err.
func (t *Table) breakOff(c *Call, err error) {
	if answer := t.giveUp(c); answer != nil {
		answer <- Reply{Err: err}
	}
}

// over is a context that has ended: what is sent with it does not wait.
var over = func() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}()

// Tell sends a message if there is room for it.
func (t *Table) Tell(b []byte) { _ = t.Peer.Send(over, b) }

// Block ends the calls, those under way and those to come, for whose context refuse returns an error, until Block is called with nil. It is
// for the goroutine that reads and is going to wait: what waits for the answer to such a call it would wait for in turn.
func (t *Table) Block(refuse func(ctx context.Context) error) {
	t.mu.Lock()
	t.block = refuse
	refused := make(map[*Call]error)
	if refuse != nil {
		for _, c := range t.calls {
			if err := refuse(c.ctx); err != nil {
				refused[c] = err
			}
		}
	}
	t.mu.Unlock()
	for c, err := range refused {
		t.breakOff(c, err)
	}
}

// Answer hands an answer to the call with that id. It reports whether there is one.
func (t *Table) Answer(id []byte, r Reply) bool {
	c := t.find(id)
	if c == nil {
		return false
	}
	t.settle(c, r)
	return true
}

func (t *Table) find(id []byte) *Call {
	n, err := strconv.ParseUint(string(id), 10, 64)
	if err != nil {
		return nil
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.calls[n]
}

// settle ends a call with its answer.
func (t *Table) settle(c *Call, r Reply) {
	t.mu.Lock()
	delete(t.calls, c.number)
	answer := c.answer
	t.mu.Unlock()
	if c.OnAnswer != nil {
		c.OnAnswer(&r, answer != nil)
	}
	if answer != nil {
		answer <- r
	}
}

// Fail ends every call: the connection has ended. Those under way get underWay, those that come err.
func (t *Table) Fail(underWay, err error) {
	t.mu.Lock()
	calls := t.calls
	t.calls, t.ended, t.err = nil, true, err
	t.mu.Unlock()
	for _, c := range calls {
		if c.answer != nil {
			c.answer <- Reply{Err: underWay}
		}
	}
}
