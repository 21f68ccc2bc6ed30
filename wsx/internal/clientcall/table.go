package clientcall

import (
	"context"
	"errors"
	"strconv"
	"sync/atomic"

	"github.com/genropy/genro-asgi-go/internal/lockorder"
	"github.com/genropy/genro-asgi-go/wsx/internal/wire"
)

// ErrLimit says that as many calls as may be are under way.
var ErrLimit = errors.New("wsx: too many calls wait for the peer's answer")

// Peer is the other end.
type Peer interface {
	// Send sends a message, waiting for room until ctx ends. Its error is the context's cause, or
	// how the connection ended.
	Send(ctx context.Context, b []byte) error
	// Urge sends a message that must get through and not wait, also where Send has no room: word
	// that something is given up. There are fewer of them than of messages that found room before.
	Urge(b []byte)
	// Done is closed when the connection is.
	Done() <-chan struct{}
}

// Table holds the calls under way over one connection. The zero value has no limit and no peer.
type Table struct {
	// Peer is who is called.
	Peer Peer
	// FromServer says that the calls are a server's.
	FromServer bool
	// Cancel makes what tells the peer that nobody waits for an answer any more; rpc.cancel when
	// nil.
	Cancel func(id []byte) []byte
	// Limit is how many calls may be under way; zero is no limit.
	Limit int

	mu     lockorder.Mutex
	next   uint64
	calls  map[uint64]*Call
	block  func(ctx context.Context) error
	closed bool
	err    error // how the connection ended
}

// Reply is the answer to a call: a result, JSON, or an error.
type Reply struct {
	Result []byte
	Err    error
}

// Call is one call under way. The zero value is one of which only the result is wanted.
type Call struct {
	// OnAnswer, if not nil, sees the answer first, in the goroutine that reads and before the next
	// message is read, and may change it. wanted says whether somebody waits for it still: it is
	// called also when nobody does.
	OnAnswer func(r *Reply, wanted bool)
	// Cancel is the table's for this call, unless nil.
	Cancel func(id []byte) []byte

	ctx    context.Context
	number uint64
	size   atomic.Int64 // of its message
	short  [20]byte     // what id lies in
	id     []byte       // the number, as it is sent
	// has room for the one; nil when nobody waits for it any more; guarded by Table.mu, as the next
	answer  chan<- Reply
	sent    bool          // the peer gets word that the call is given up behind its message
	items   chan item     // nil where they are not wanted
	gone    chan struct{} // closed when nobody takes the items any more
	nextSeq uint64        // the reader's own
}

// Do sends the message that encode makes with a new id and waits for the answer.
func (t *Table) Do(ctx context.Context, c *Call, encode func(id []byte) []byte) ([]byte, error) {
	answer, err := t.begin(ctx, ctx, c, encode)
	if err != nil {
		return nil, err
	}
	return t.Await(ctx, c, answer)
}

// Begin is the first half of Do, for a caller that cannot wait: without room the call is not sent,
// and there is an error.
func (t *Table) Begin(ctx context.Context, c *Call,
	encode func(id []byte) []byte,
) (answer <-chan Reply, err error) {
	return t.begin(ctx, noWait, c, encode)
}

// Await is the second half of Do.
func (t *Table) Await(ctx context.Context, c *Call, answer <-chan Reply) ([]byte, error) {
	select {
	case r := <-answer:
		return r.Result, r.Err
	case <-ctx.Done():
		if t.giveUp(c) {
			return nil, context.Cause(ctx)
		}
		r := <-answer // it came first, and what it did is done: the caller must know of it
		return r.Result, r.Err
	}
}

// begin registers a call and sends it, waiting for room until room ends.
func (t *Table) begin(ctx, room context.Context, c *Call,
	encode func(id []byte) []byte,
) (<-chan Reply, error) {
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	answer := make(chan Reply, 1)
	c.ctx, c.answer = ctx, answer
	if err := t.register(c); err != nil {
		return nil, err
	}
	message := encode(c.id)
	c.size.Store(int64(len(message)))
	if err := t.Peer.Send(room, message); err != nil {
		t.remove(c)
		return nil, err
	}
	if t.markSent(c) {
		t.cancel(c)
	}
	return answer, nil
}

// markSent notes that the message of a call is on its way. It reports whether the call was broken
// off before, so that the peer is to be told now.
func (t *Table) markSent(c *Call) (brokenOff bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	c.sent = true
	if c.answer != nil || t.calls[c.number] != c {
		// an answer that came meanwhile has ended it on both sides
		return false
	}
	if c.OnAnswer == nil {
		delete(t.calls, c.number)
	}
	return true
}

func (t *Table) register(c *Call) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case t.closed:
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

// forget returns where the call still waited for its answer, or nil. One that is not sent yet stays
// in the table, so that [Table.begin] tells the peer, and so does one with an OnAnswer, for that to
// see the answer; sent says whether the caller is to tell the peer.
func (t *Table) forget(c *Call) (answer chan<- Reply, sent bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.calls[c.number] != c {
		return nil, false
	}
	if c.sent && c.OnAnswer == nil {
		delete(t.calls, c.number)
	}
	answer, c.answer = c.answer, nil
	return answer, c.sent
}

// giveUp forgets a call that was sent and tells the peer, unless it has been answered: then it
// reports false, and the answer is there or comes at once.
func (t *Table) giveUp(c *Call) bool {
	if answer, _ := t.forget(c); answer == nil {
		return false
	}
	t.cancel(c)
	return true
}

// cancel tells the peer that nobody waits for an answer any more.
func (t *Table) cancel(c *Call) {
	switch {
	case c.Cancel != nil:
		t.Peer.Urge(c.Cancel(c.id))
	case t.Cancel != nil:
		t.Peer.Urge(t.Cancel(c.id))
	default:
		t.Peer.Urge(wire.AppendCancel(nil, c.id))
	}
}

// breakOff ends a call from this side: the caller gets err, and the peer is told, once, after it
// has been sent the call.
func (t *Table) breakOff(c *Call, err error) {
	answer, sent := t.forget(c)
	if answer == nil {
		return
	}
	answer <- Reply{Err: err}
	if sent {
		t.cancel(c)
	}
}

// noWait is a context that has ended: what is sent with it does not wait for room.
var noWait = func() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}()

// Block ends the calls, those under way and those to come, for whose context refuse returns an
// error, until Block is called with nil. It is for the goroutine that reads and is going to wait:
// what waits for the answer to such a call it would wait for in turn.
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

// Abandon ends the call with that id from this side: the peer is told, and the caller gets err.
func (t *Table) Abandon(id []byte, err error) {
	if c, wanted := t.find(id); wanted {
		t.breakOff(c, err)
	}
}

// Answer hands an answer to the call with that id. It reports whether there is one.
func (t *Table) Answer(id []byte, r Reply) bool {
	c, _ := t.find(id)
	if c == nil {
		return false
	}
	t.settle(c, r)
	return true
}

// find returns the call with that id, or nil, and whether somebody waits for its answer still.
func (t *Table) find(id []byte) (c *Call, wanted bool) {
	n, err := strconv.ParseUint(string(id), 10, 64)
	if err != nil {
		return nil, false
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	c = t.calls[n]
	return c, c != nil && c.answer != nil
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

// Largest is how many bytes the largest message of a call under way has.
func (t *Table) Largest() (n int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, c := range t.calls {
		n = max(n, int(c.size.Load()))
	}
	return n
}

// Fail ends every call: the connection has ended. Those under way get underWay, but the one with
// the largest message largest, and those that come err.
func (t *Table) Fail(underWay, largest, err error) {
	t.mu.Lock()
	calls := t.calls
	t.calls, t.closed, t.err = nil, true, err
	t.mu.Unlock()
	var heaviest *Call
	for _, c := range calls {
		if heaviest == nil || c.size.Load() > heaviest.size.Load() {
			heaviest = c
		}
	}
	for _, c := range calls {
		switch {
		case c.answer == nil:
		case c == heaviest:
			c.answer <- Reply{Err: largest}
		default:
			c.answer <- Reply{Err: underWay}
		}
	}
}
