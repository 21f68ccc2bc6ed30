package wsx

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"reflect"

	"github.com/coder/websocket"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/genropy/genro-asgi-go/internal/typed"
	"github.com/genropy/genro-asgi-go/wsx/internal/buffer"
	"github.com/genropy/genro-asgi-go/wsx/internal/clientcall"
	"github.com/genropy/genro-asgi-go/wsx/internal/wire"
)

// HandleStream registers fn as the method name of d: one that has items before its result. Each
// item that fn's iterator yields is sent in an rpc.stream as it comes; when the iterator has ended,
// *out is the result. An error that it yields ends the call. For the rest, In, Out, the context and
// errors are as [Handle] says.
//
//	count := func(ctx context.Context, in Count, out *Counted) iter.Seq2[int, error] {
//		return func(yield func(int, error) bool) {
//			for ; out.N < in.N; out.N++ {
//				if !yield(out.N, nil) {
//					return
//				}
//			}
//		}
//	}
//	wsx.HandleStream(d, "count", count)
//
// The iterator waits in yield while the caller does not take what was sent: when its window or the
// connection's out-queue is full. When the call ends early, by rpc.cancel, its deadline or the
// connection's end, yield returns false; an iterator that waits for something else has to look at
// ctx itself.
//
// Who wants only the result gets only that: [Dispatcher.Call], a notification, JSON-RPC. The
// iterator then runs to its end and its items are dropped.
func HandleStream[In, Item, Out any](d *Dispatcher, name string,
	fn func(ctx context.Context, in In, out *Out) iter.Seq2[Item, error],
) {
	if fn == nil {
		panic(fmt.Sprintf("wsx: HandleStream(%q): nil function", name))
	}
	decode, encodeItem, encode := decoder[In](name), encoder[Item](name), encoder[Out](name)
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
			if err := decode(ctx, r, &call.in); err != nil {
				return err
			}
			items := fn(ctx, call.in, &call.out)
			if items == nil {
				return errors.New("wsx: the method returned no iterator")
			}
			buf := buffer.Get()
			defer buf.Release()
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
				encoded := appender{b: buf.B[:0], call: r.result.call}
				err := encodeItem(&encoded, &item)
				buf.B = encoded.b
				if err == nil {
					err = r.Emit(jsontext.Value(encoded.b))
				}
				if err != nil {
					return err
				}
			}
			if err := ctx.Err(); err != nil || r.Notify {
				// an iterator that looked at ctx, and ended without a word
				return err
			}
			return encode(&r.result, &call.out)
		},
	})
}

// kindStream is the Kind of methods of HandleStream.
const kindStream = "stream"

// Progress reports how far the handler that was given ctx has come, to a caller who asked for that:
// others cost next to nothing. The report is anything that JSON can say. It is sent at once and in
// order, and waits while the caller does not take what was sent. The error is ctx's when the call
// is over, or says that the report cannot be encoded; a handler may ignore it.
func Progress(ctx context.Context, report any) error {
	r := RequestFrom(ctx)
	if r == nil || r.Report == nil {
		return nil
	}
	encoded, err := typed.Marshal(report)
	if err != nil {
		return fmt.Errorf("wsx: encode the progress of %q: %w", r.Method, err)
	}
	return r.Report(encoded)
}

// produce lets a call send something before its answer. JSON-RPC has no message for that.
func (c *call) produce(m *wire.Message) {
	if m.Dialect == wire.JSONRPC {
		return
	}
	c.producer = &clientcall.Producer{Window: m.Window}
	if c.method.stream {
		c.req.Emit = c.emit
	}
	if string(m.Progress) == "true" {
		c.req.Report = c.report
	}
}

// takeAck takes in a wsx.ack.
func (r *reader) takeAck(params []byte) {
	id, next := wire.ReadAck(params)
	if k := r.conn.calls.find(id); k != nil && k.producer != nil {
		k.producer.Ack(next)
	}
}

func (c *call) emit(item jsontext.Value) error { return c.send(item, nil) }

func (c *call) report(progress jsontext.Value) error {
	return c.send(nil, wire.AppendProgress(nil, progress))
}

// send sends an rpc.stream, never behind the answer: who answers ends the context first and then
// settles c.producer.
func (c *call) send(item, meta []byte) error {
	err := c.producer.Send(c, func(seq uint64) error {
		message := buffer.Get()
		defer message.Release()
		message.B = wire.AppendStream(message.B, c.id, item, seq, meta)
		return c.conn.ws.Send(c, websocket.MessageText, message.B)
	})
	if item != nil {
		c.releaseAnswer()
	}
	if err != nil && c.Err() == nil {
		// the connection is ending, which ends the call next
		return fmt.Errorf("%w: %w", context.Canceled, err)
	}
	return err
}
