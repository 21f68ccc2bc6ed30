package wsx

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/genropy/genro-asgi-go/wsx/internal/outcall"
	"github.com/genropy/genro-asgi-go/wsx/internal/wire"
)

// call is one request or notification being served. It is its handler's context too: a context of the standard library would cost
// three more allocations and a place in a map of its parent, and a connection knows its calls anyway.
//
// A call is answered once, by whoever comes first: its handler, rpc.cancel, its deadline or the end of the connection.
type call struct {
	conn   *Conn
	method *method
	req    Request
	id     []byte // nil for a notification; in short where it fits
	short  [24]byte
	lead   uint64  // the leader's state while it runs the handler itself, else 0
	waits  int32   // for something that this client has to send; guarded by conn.mu, as the next
	over   bool    // the handler has returned
	gone   bool    // answered, or about to be, while it still counts as in flight; guarded by conn.mu
	text   *buffer // what req and its params lie in, given back when the handler has returned; nil for what is not pooled
	batch  *batch  // which the answer is part of; nil when it is a message of its own

	channel      string // of rpc.subscribe and rpc.unsubscribe, as the next two
	subscription string
	recover      []byte
	then         func(answered bool) // to be called when the call is answered, or was before

	deadline time.Time
	timer    *time.Timer

	out *outcall.Producer // what comes before the answer; nil where nothing can

	answering sync.Mutex // held by whoever answers

	mu       sync.Mutex
	answered bool
	err      error // why the context ended
	done     chan struct{}
	after    []*func()
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
	case outcall.WaiterKey:
		return c
	case identityKey:
		return c.conn.identity.Load()
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

// cancel ends the context. It reports whether the call was not answered yet, which is now the caller's to do.
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
		c.endEarly(context.DeadlineExceeded, CodeDeadlineExceeded)
	})
}

// endEarly ends a call whose handler is still running, and answers it unless it was answered.
func (c *call) endEarly(err error, code string) {
	c.answering.Lock()
	defer c.answering.Unlock()
	first := c.cancel(err)
	if c.out != nil {
		c.out.Settle()
	}
	if first && !c.req.Notify {
		c.conn.free(c)
		c.fail(&Error{Code: code})
	}
}

// run calls the handler and answers; corked answers wait for the leader's next read.
func (c *call) run(corked bool) {
	defer c.conn.finished(c)
	out := getBuffer()
	defer out.release()
	if !c.req.Notify {
		out.b = appendResultStart(c.req.dialect, out.b, c.id)
	}
	c.req.result = out.b
	err := errExited
	defer func() { c.conclude(out, err, corked) }() // also when the handler ends its goroutine
	began := time.Now()
	err = c.method.call(c, &c.req)
	c.method.pace.note(time.Since(began))
}

// errExited is the error of a handler that called runtime.Goexit, as t.Fatal does.
var errExited = errors.New("wsx: the handler ended its goroutine")

// conclude ends a call whose handler has returned, and answers it unless it was answered. It leaves the call cancelled, so that what
// the handler started with its context ends.
func (c *call) conclude(out *buffer, err error, corked bool) {
	out.b, c.req.result = c.req.result, nil
	if c.timer != nil {
		c.timer.Stop()
	}
	c.answering.Lock() // an early answer under way comes before this call counts as ended, and before a drained connection's close
	defer c.answering.Unlock()
	answer := c.cancel(context.Canceled) && !c.req.Notify
	if c.out != nil {
		c.out.Settle()
	}
	if answer {
		c.conn.free(c)
	}
	switch {
	case err != nil:
		coded := peerError(err, c.conn.server.opts.Debug)
		c.conn.logError(c.method.Name, err, coded)
		if answer {
			c.fail(coded)
		}
	case answer:
		out.b = wire.AppendEnd(out.b, nil)
		c.deliver(out.b, corked)
	}
	if c.then != nil && (!answer || c.batch == nil) {
		c.then(answer)
	}
}

// deliver hands the whole answer on: to the socket or to the batch that it is part of.
func (c *call) deliver(b []byte, corked bool) {
	switch {
	case c.batch != nil:
		c.batch.add(c.id, b, c.then)
	case corked:
		c.conn.answerLater(b)
	default:
		c.conn.answer(b)
	}
}

// fail answers with an error.
func (c *call) fail(e *Error) {
	out := getBuffer()
	defer out.release()
	out.b = c.conn.appendError(c.req.dialect, out.b, c.id, e)
	c.deliver(out.b, false)
}
