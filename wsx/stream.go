package wsx

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"reflect"
	"sync"

	"github.com/coder/websocket"
	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/genropy/genro-asgi-go/wsx/internal/wire"
)

// HandleStream registers fn as the method name of d: one that has items before its result. Each item that fn's iterator yields is sent in an
// rpc.stream as it comes; when the iterator has ended, *out is the result. An error that it yields ends the call. For the rest, In, Out, the
// context and errors are as [Handle] says.
//
//	wsx.HandleStream(d, "count", func(ctx context.Context, in Count, out *Counted) iter.Seq2[int, error] {
//		return func(yield func(int, error) bool) {
//			for ; out.N < in.N; out.N++ {
//				if !yield(out.N, nil) {
//					return
//				}
//			}
//		}
//	})
//
// The iterator waits in yield while the caller does not take what was sent: when the connection's out-queue is full. When the call ends early,
// by rpc.cancel, its deadline or the connection's end, yield returns false; an iterator that waits for something else has to look at ctx itself.
//
// Who wants only the result gets only that: [Dispatcher.Call], a notification, JSON-RPC. The iterator then runs to its end and its items are dropped.
func HandleStream[In, Item, Out any](d *Dispatcher, name string, fn func(ctx context.Context, in In, out *Out) iter.Seq2[Item, error]) {
	if fn == nil {
		panic(fmt.Sprintf("wsx: HandleStream(%q): nil function", name))
	}
	decode, encodeItem, encode := decoder[In](name), encoder[Item](), encoder[Out]()
	d.add(&method{
		Method: Method{
			Name: name, Kind: kindStream,
			In: reflect.TypeFor[In](), Out: reflect.TypeFor[Out](), Item: reflect.TypeFor[Item](),
		},
		handler: func(ctx context.Context, r *Request) error {
			var call struct {
				in  In
				out Out
			}
			if err := decode(r.Params, &call.in); err != nil {
				return err
			}
			items := fn(ctx, call.in, &call.out)
			if items == nil {
				return errors.New("wsx: the method returned no iterator")
			}
			buf := getBuffer()
			defer buf.release()
			for item, err := range items {
				if err == nil {
					err = ctx.Err()
				}
				if err != nil {
					return err
				}
				if r.Emit == nil {
					continue
				}
				encoded := appender(buf.b[:0])
				err := encodeItem(&encoded, &item)
				buf.b = encoded
				if err == nil {
					err = r.Emit(jsontext.Value(encoded))
				}
				if err != nil {
					return err
				}
			}
			if err := ctx.Err(); err != nil || r.Notify { // an iterator that looked at ctx, and ended without a word
				return err
			}
			return encode(&r.result, &call.out)
		},
	})
}

// kindStream is the Kind of methods of HandleStream.
const kindStream = "stream"

// Progress reports how far the handler that was given ctx has come, to a caller who asked for that: others cost next to nothing. The
// report is anything that JSON can say. It is sent at once and in order, and waits while the caller does not take what was sent.
// The error is ctx's when the call is over, or says that the report cannot be encoded; a handler may ignore it.
func Progress(ctx context.Context, report any) error {
	r := RequestFrom(ctx)
	if r == nil || r.Report == nil {
		return nil
	}
	encoded, err := json.Marshal(report)
	if err != nil {
		return fmt.Errorf("wsx: encode the progress of %q: %w", r.Method, err)
	}
	return r.Report(encoded)
}

// outgoing is what a call sends before its answer.
type outgoing struct {
	mu  sync.Mutex
	seq uint64
}

func (c *call) emit(item jsontext.Value) error { return c.send(item, nil) }

func (c *call) report(progress jsontext.Value) error {
	return c.send(nil, wire.AppendProgress(nil, progress))
}

// send sends an rpc.stream.
func (c *call) send(item, meta []byte) error {
	out, err := c.openOut()
	if err != nil {
		return err
	}
	defer out.mu.Unlock()
	message := getBuffer()
	defer message.release()
	message.b = wire.AppendStream(message.b, c.id, item, out.seq, meta)
	if err := c.conn.ws.Send(c, websocket.MessageText, message.b); err != nil {
		if c.Err() != nil {
			return c.Err()
		}
		return fmt.Errorf("%w: %w", context.Canceled, err) // the connection is ending, which ends the call next
	}
	out.seq++
	return nil
}

// openOut is for who sends something before the answer, and returns with out locked. That is never behind the answer: who answers ends the
// context first and then waits, in settleOut, for a send under way, which that stops.
func (c *call) openOut() (*outgoing, error) {
	c.mu.Lock()
	if c.err == nil && c.out == nil {
		c.out = new(outgoing)
	}
	out := c.out
	c.mu.Unlock()
	if out == nil {
		return nil, c.Err()
	}
	out.mu.Lock()
	if err := c.Err(); err != nil {
		out.mu.Unlock()
		return nil, err
	}
	return out, nil
}

// settleOut waits for a send under way to end. The context has ended, which makes it end, and that no other begins.
func (c *call) settleOut() {
	if c.out != nil {
		c.out.mu.Lock()
		c.out.mu.Unlock() //nolint:staticcheck // an empty critical section is the point
	}
}
