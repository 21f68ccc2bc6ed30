package wsxclient

import (
	"fmt"
	"log/slog"

	"github.com/genropy/genro-asgi-go/wsx"
	"github.com/genropy/genro-asgi-go/wsx/internal/clientcall"
	"github.com/genropy/genro-asgi-go/wsx/internal/wire"
)

// errEventTooBig stands in for an event.
var errEventTooBig = fmt.Errorf("%w: %w", ErrMissed, ErrTooBig)

// skipped tells whoever a message over MaxMessage was for, of which there is an outline. To end the
// connection for it would help nobody: a call with Retry would ask for it again, a subscription
// recover it, and each time all else would be lost with the connection.
func (l *link) skipped() {
	outline := l.outline.Bytes()
	l.outline = wire.Outline{}
	var m wire.Message
	_ = m.Parse(outline, l.rules()) // what could be told of it is enough
	if !m.Batch() {
		l.skippedOne(&m)
		return
	}
	for element := range wire.Elements(m.Raw) {
		var one wire.Message
		_ = one.Parse(element, l.rules())
		l.skippedOne(&one)
	}
}

func (l *link) skippedOne(m *wire.Message) {
	switch m.Type {
	case wire.Response, wire.Error:
		if m.Dialect == wire.JSONRPC {
			m.ID = clientcall.JSONRPCID(m.ID)
		}
		l.calls.Answer(m.ID, clientcall.Reply{Err: ErrTooBig})
	case wire.Stream:
		l.calls.Abandon(m.ID, ErrTooBig)
	case wire.Event:
		l.event(m, errEventTooBig)
	case wire.Request:
		l.served.refuse(m.ID,
			wsx.NewError(wsx.CodeResourceExhausted, "the request is larger than this client takes"))
	case wire.Notify:
		if string(m.Method) == jsonrpcEvent {
			l.jsonrpcEvent(m, errEventTooBig)
			return
		}
		l.missed()
	default:
		l.log(slog.LevelWarn, "over MaxMessage")
	}
}
