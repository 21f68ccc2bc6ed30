package wsx

import (
	"context"
	"errors"
	"time"

	"github.com/genropy/genro-asgi-go/internal/lockorder"
	"github.com/genropy/genro-asgi-go/internal/stopping"
	"github.com/genropy/genro-asgi-go/wsx/internal/buffer"
	"github.com/genropy/genro-asgi-go/wsx/internal/clientcall"
	"github.com/genropy/genro-asgi-go/wsx/internal/outstanding"
	"github.com/genropy/genro-asgi-go/wsx/internal/wire"
)

// call is one request or notification being served. It is its handler's context too: a context of
// the standard library would cost three more allocations and a place in a map of its parent, and a
// connection knows its calls anyway (BenchmarkCallContext).
//
// A call is answered once, by whoever comes first: its handler, rpc.cancel, its deadline or the end
// of the connection.
type call struct {
	conn        *Conn
	method      *method
	req         Request
	id          []byte // nil for a notification; in short where it fits
	short       [24]byte
	size        int    // of its message in bytes
	readerState uint64 // the reader's state while it runs the handler itself, else 0
	// guarded by callTable.mu
	pauses   int32 // waits for something that this client has to send
	finished bool  // the handler has returned
	idFree   bool  // answered, or about to be, while it still counts as in flight
	// what req and its params lie in, given back when the handler has returned; nil for what is not
	// pooled
	text  *buffer.Buffer
	batch *batch // which the answer is part of; nil when it is a message of its own

	// what a call of rpc.subscribe or rpc.unsubscribe has more; nil for all others
	*subscribing
	afterAnswer       func(answered bool) // to be called when the call is answered, or was before
	beforeEarlyAnswer func()              // to be called before an early answer; guarded by mu

	deadline time.Time
	timer    *time.Timer

	producer *clientcall.Producer // what comes before the answer; nil where nothing can

	reserved outstanding.Reservation // of the answer that is being made, or the item

	answering lockorder.Mutex // held by whoever answers

	mu       lockorder.Mutex
	answered bool
	err      error // why the context ended
	done     chan struct{}
	after    []*func()
}

// subscribing is apart from call, because every call would be the larger for it.
type subscribing struct {
	channel      string
	subscription string
	recover      []byte
	order        uint64 // as calls of the connection came: of these two methods
}

// Deadline implements context.Context.
func (c *call) Deadline() (time.Time, bool) { return c.deadline, !c.deadline.IsZero() }

// closedChan is what Done returns of a context that had ended before anybody asked.
var closedChan = func() chan struct{} {
	ch := make(chan struct{})
	close(ch)
	return ch
}()

// Done implements context.Context.
func (c *call) Done() <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.done == nil {
		if c.err != nil {
			c.done = closedChan
		} else {
			c.done = make(chan struct{})
		}
	}
	return c.done
}

// Err implements context.Context.
func (c *call) Err() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err
}

// Value implements context.Context.
func (c *call) Value(key any) any {
	switch key.(type) {
	case requestKey:
		return &c.req
	case connKey:
		return c.conn
	case clientcall.WaiterKey:
		return c
	case identityKey:
		return c.conn.identity.Load()
	case stopping.ExpiryKey:
		return nil // the connection's end is the call's, and a new token may put it off
	}
	return c.conn.ctx.Value(key)
}

// AfterFunc spares package context a goroutine for each context derived from this one.
func (c *call) AfterFunc(f func()) (stop func() bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err != nil {
		go f() // as context.AfterFunc says: in its own goroutine
		return func() bool { return false }
	}
	entry := &f
	c.after = append(c.after, entry)
	return func() bool {
		c.mu.Lock()
		defer c.mu.Unlock()
		for i, e := range c.after {
			if e == entry {
				c.after = append(c.after[:i], c.after[i+1:]...)
				return true
			}
		}
		return false
	}
}

// cancel ends the context. It reports whether the call was not answered yet, which is now the
// caller's to do.
func (c *call) cancel(err error) bool {
	c.mu.Lock()
	first := !c.answered
	c.answered = true
	if c.err != nil {
		c.mu.Unlock()
		return first
	}
	c.err = err
	if c.done != nil {
		close(c.done)
	}
	after := c.after
	c.after = nil
	c.mu.Unlock()
	for _, f := range after {
		go (*f)()
	}
	return first
}

// expire starts the clock of a call with a deadline.
func (c *call) expire(timeout time.Duration) {
	c.deadline = time.Now().Add(timeout)
	c.timer = time.AfterFunc(timeout, func() {
		c.endEarly(context.DeadlineExceeded, &Error{Code: CodeDeadlineExceeded})
	})
}

// endEarly ends a call whose handler is still running, or has not begun, and answers it unless it
// was answered. It does not wait for anybody: the goroutine that reads calls it.
func (c *call) endEarly(err error, e *Error) (ended bool) {
	if !c.answering.TryLock() {
		return false // somebody answers it right now
	}
	defer c.answering.Unlock()
	first := c.cancel(err)
	if c.conn.calls.removeWaiting(c) && first && c.req.Notify {
		c.conn.logError(c.method.Name, e, e, "") // as nobody else learns that it never runs
	}
	if c.producer != nil {
		c.producer.Settle()
	}
	if first && !c.req.Notify {
		c.conn.calls.freeID(c)
		c.mu.Lock()
		early := c.beforeEarlyAnswer
		c.mu.Unlock()
		if early != nil {
			early()
		}
		c.fail(e)
	}
	return first
}

// onEarlyAnswer makes f what is called before an early answer. It reports whether there has been
// none.
func (c *call) onEarlyAnswer(f func()) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.beforeEarlyAnswer = f
	return c.err == nil
}

// enterQueue gets a call of a serial method its place. It is called in the order in which calls
// came.
func (c *call) enterQueue() {
	if c.method.serial != nil {
		c.req.Method = c.method.Name
		c.req.place = c.method.serial.enter(c, &c.req)
	}
}

// run calls the handler and answers; corked answers wait for the reader's next read.
func (c *call) run(corked bool) {
	defer c.finish()
	defer c.releaseAnswer()
	late := c.conn.outstanding.Blocked() && c.method.pace.size.Load() > 0
	if late {
		c.conn.outstanding.WaitUnblocked(c)
	}
	out := buffer.Get()
	defer out.Release()
	if !c.req.Notify {
		out.B = appendResultStart(c.req.dialect, out.B, c.id)
	}
	c.req.result = appender{b: out.B, call: c}
	err := errExited
	defer func() { // also when the handler ends its goroutine
		defer func() {
			if v := recover(); v != nil { // of the logger, or a method of the error's own
				_ = c.conn.broken(v)
			}
		}()
		c.conclude(out, err, corked)
	}()
	if late && c.Err() != nil { // given up meanwhile
		if err = c.Err(); c.req.place != nil && c.req.place.wait(c) == nil {
			c.req.place.leave()
		}
		return
	}
	began := time.Now()
	err = c.method.call(c, &c.req)
	c.method.pace.Note(time.Since(began))
}

// finish is the end of the call, whose handler has returned.
func (c *call) finish() {
	if c.text != nil {
		c.text.Release()
	}
	c.conn.calls.finish(c)
}

// errExited is the error of a handler that called runtime.Goexit, as t.Fatal does.
var errExited = errors.New("wsx: the handler ended its goroutine")

// conclude ends a call whose handler has returned, and answers it unless it was answered. It leaves
// the call cancelled, so that what the handler started with its context ends.
func (c *call) conclude(out *buffer.Buffer, err error, corked bool) {
	out.B, c.req.result.b = c.req.result.b, nil
	if c.timer != nil {
		c.timer.Stop()
	}
	// an early answer under way comes before this call counts as ended, and before a drained
	// connection's close
	c.answering.Lock()
	defer c.answering.Unlock()
	answer := c.cancel(context.Canceled) && !c.req.Notify
	if c.producer != nil {
		c.producer.Settle()
	}
	if answer {
		c.conn.calls.freeID(c)
	}
	switch {
	case err != nil:
		coded := peerError(err, c.conn.server.opts.Debug)
		requestID := ""
		if answer {
			out.B, requestID = c.appendError(out.B[:0], err, coded)
		}
		c.conn.logError(c.method.Name, err, coded, requestID)
		if answer {
			c.deliver(out.B, false)
		}
	case answer:
		if out.B = wire.AppendEnd(out.B, nil); len(out.B) <= smallAnswer {
			c.method.pace.small()
		}
		c.deliver(out.B, corked)
	}
	if c.afterAnswer != nil && (!answer || c.batch == nil) {
		c.afterAnswer(answer)
	}
}

// deliver hands the whole answer on: to the socket or to the batch that it is part of.
func (c *call) deliver(b []byte, corked bool) {
	switch {
	case c.batch != nil:
		c.batch.add(c.id, b, c.afterAnswer, false)
	case corked:
		c.conn.answerLater(b)
	default:
		c.conn.answer(b)
	}
}

// fail answers with an error, before the handler returns or instead of it. It does not wait for
// room.
func (c *call) fail(e *Error) {
	out := buffer.Get()
	defer out.Release()
	var requestID string
	if out.B, requestID = c.appendError(out.B, e, e); requestID != "" {
		c.conn.logError(c.method.Name, e, e, requestID)
	}
	if c.batch != nil {
		// conclude says that what the handler began was not answered
		c.batch.add(c.id, out.B, nil, true)
		return
	}
	c.conn.tell(out.B)
}

// appendError appends the answer that tells e, of err, and returns the request id that is in it,
// empty where there is none.
func (c *call) appendError(dst []byte, err error, e *Error) (_ []byte, requestID string) {
	if c.req.dialect == wire.Tunnel {
		r, header := c.failedRequest(err)
		return c.conn.appendTunnelError(dst, c.id, r, header, e)
	}
	return c.conn.appendError(c.req.dialect, dst, c.id, e), ""
}

// errCancelled is what a request gets that its client gave up.
var errCancelled = &Error{Code: CodeCancelled}

// startCall starts a request or notification, or lets it wait until there is room for one more: by
// itself when the method is quick and it is no part of a batch, else in a goroutine of its own.
func (r *reader) startCall(method *method, m *wire.Message, in *buffer.Buffer,
	b *batch,
) (kept, reading bool) {
	k := &call{conn: r.conn, method: method, text: in, batch: b, size: len(m.Raw)}
	k.req = Request{
		Params: m.Params, Meta: m.Meta, Notify: m.Type == wire.Notify,
		dialect: m.Dialect,
	}
	if !k.req.Notify {
		k.id = append(k.short[:0], m.ID...)
	}
	if method == r.conn.server.subscribe || method == r.conn.server.unsubscribe {
		r.subscribeCalls++
		k.subscribing = &subscribing{
			channel:      string(m.Channel),
			subscription: string(m.Subscription), recover: m.Recover, order: r.subscribeCalls,
		}
	}
	if !k.req.Notify && (method.stream || m.Progress != nil || m.Dialect == wire.Tunnel) {
		k.produce(m)
	}
	timeout := m.Timeout
	if most := r.conn.server.opts.RequestTimeout; most > 0 && (timeout == 0 || most < timeout) {
		timeout = most
	}
	if timeout > 0 {
		k.expire(timeout)
	}
	now, err := r.conn.calls.admit(k) // from here on others may run it
	if err != nil {
		r.conn.calls.refuse(k, err)
		return false, true
	}
	if !now {
		return true, true
	}
	k.enterQueue()
	behind := r.conn.outstanding.Blocked() && method.pace.size.Load() > 0
	if b != nil || !method.pace.Quick() || behind || k.req.place != nil && !k.req.place.free() {
		go k.run(false)
		return true, true
	}
	state := r.conn.handover.Begin()
	returned := false
	defer func() {
		if !returned && r.conn.handover.End(state) {
			// the handler ended this goroutine (runtime.Goexit): another one has to read
			go r.conn.serve()
		}
	}()
	k.readerState = state
	k.run(true)
	returned = true
	reading = r.conn.handover.End(state)
	if !reading {
		r.conn.ws.Flush() // its answer waits for a next read that is not this goroutine's any more
	}
	return true, reading
}

// smallAnswer is what an answer may have in bytes without asking for room.
const smallAnswer = 4 << 10

// reserve makes room for an answer, or an item, that has grown to n bytes.
func (c *call) reserve(ctx context.Context, n int) error {
	err := c.conn.outstanding.Grow(ctx, &c.reserved, n)
	if errors.Is(err, outstanding.ErrClosed) {
		return ErrClosed
	}
	return err
}

// reserveAnswer is reserve for a handler that has returned, or an iterator that waits, with what
// the answer is made of.
func (c *call) reserveAnswer(n int) error {
	if c.conn.outstanding.Fits(&c.reserved, n) {
		return c.reserve(c, n)
	}
	defer c.conn.outstanding.Block()()
	return c.reserve(c, n)
}

// releaseAnswer gives back what the call's answer, or its item, held: it is in the out-queue now.
func (c *call) releaseAnswer() {
	if !c.reserved.Empty() {
		c.conn.outstanding.Release(&c.reserved)
	}
}
