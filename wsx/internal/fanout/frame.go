package fanout

import (
	"sync/atomic"

	"github.com/coder/websocket"

	"github.com/genropy/genro-asgi-go/internal/wsconn"
	"github.com/genropy/genro-asgi-go/wsx/broker"
	"github.com/genropy/genro-asgi-go/wsx/internal/buffer"
	"github.com/genropy/genro-asgi-go/wsx/internal/wire"
)

// Frame is an event as the subscribers of one group get it. Where it may be dropped it is its own
// tag in the out-queues.
type Frame struct {
	broker.Event
	// Label is that of the group: equal for frames of one group, and for no others.
	Label *Label
	// Under is the configured pattern that the channel belongs to.
	Under string
	// TooLarge says that no subscriber gets the event, but that it was lost. It stands here since
	// the hub's limit is not among what a visit touches anyhow.
	TooLarge bool

	encoded, jsonrpc atomic.Pointer[wsconn.Frame]
}

// Encoded returns the event as a message of a dialect, with the number of events that the
// subscriber has lost before it. Without any the message is made once for the group.
func (f *Frame) Encoded(d wire.Dialect, lost uint64) *wsconn.Frame {
	if lost > 0 {
		return f.encode(d, lost)
	}
	shared := &f.encoded
	if d == wire.JSONRPC {
		shared = &f.jsonrpc
	}
	if frame := shared.Load(); frame != nil {
		return frame
	}
	shared.CompareAndSwap(nil, f.encode(d, 0))
	return shared.Load()
}

// encode makes the rpc.event. A subscription by pattern has no position to recover from.
func (f *Frame) encode(d wire.Dialect, lost uint64) *wsconn.Frame {
	out := buffer.Get()
	defer out.Release()
	p := f.Position
	if f.Label.Pattern {
		p = broker.Position{}
	}
	encode := wire.AppendEvent
	if d == wire.JSONRPC {
		encode = wire.AppendJSONRPCEvent
	}
	out.B = encode(out.B, &wire.EventMembers{
		Channel: f.Channel, Payload: f.Payload, SubID: f.Label.ID, Epoch: p.Epoch, Offset: p.Offset,
		Dropped: lost, TraceParent: f.Trace.Parent, TraceState: f.Trace.State,
	})
	return wsconn.NewFrame(websocket.MessageText, out.B)
}
