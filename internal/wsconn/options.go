package wsconn

import (
	"slices"
	"strings"
	"time"

	"github.com/coder/websocket"
)

// Options are the limits of a connection. nil and the zero value are valid; a zero field means its
// default, a negative one no limit (for KeepaliveAfter: no keepalive).
type Options struct {
	Subprotocols []string // in the server's order of preference

	MaxMessage int64 // bytes a message, also after inflating; 64 KiB
	// gets a message over MaxMessage, in pieces and in the goroutine that reads; nil ends the
	// connection with 1009
	TooBig         func([]byte)
	MaxFrames      int           // frames a message; 1,024
	MessageTimeout time.Duration // from a message's first byte to its last; 1 min
	MaxControl     int           // pings a second, and pongs a second, on average over a minute; 10

	MaxQueueBytes    int           // out-queue in bytes; 1 MiB
	MaxQueueMessages int           // out-queue in messages; 1,024
	Budget           *Budget       // of many connections together; nil is none
	WriteTimeout     time.Duration // for one write of at most 64 KiB; 5 s
	SendBuffer       int           // SO_SNDBUF in bytes; 64 KiB, negative leaves the system's

	KeepaliveAfter time.Duration // silence before a ping; 25 s
	KeepaliveWait  time.Duration // silence after it before the end; 10 s

	// permessage-deflate (RFC 7692) without context takeover, where the peer offers it
	Compression bool
}

func orDefault[T int | int64 | time.Duration](v, def, none T) T {
	switch {
	case v == 0:
		return def
	case v < 0:
		return none
	}
	return v
}

func (o *Options) withDefaults() Options {
	var d Options
	if o != nil {
		d = *o
	}
	const most = 1 << 30 // no limit, and still far from overflowing
	d.MaxMessage = orDefault(d.MaxMessage, 64<<10, 1<<40)
	d.MaxFrames = orDefault(d.MaxFrames, 1024, most)
	d.MessageTimeout = orDefault(d.MessageTimeout, time.Minute, 1000*time.Hour)
	d.MaxControl = orDefault(d.MaxControl, 10, most)
	d.MaxQueueBytes = orDefault(d.MaxQueueBytes, 1<<20, most)
	d.MaxQueueMessages = orDefault(d.MaxQueueMessages, 1024, most)
	d.WriteTimeout = orDefault(d.WriteTimeout, 5*time.Second, 1000*time.Hour)
	d.SendBuffer = orDefault(d.SendBuffer, 64<<10, -1)
	d.KeepaliveAfter = orDefault(d.KeepaliveAfter, 25*time.Second, -1)
	d.KeepaliveWait = orDefault(d.KeepaliveWait, 10*time.Second, 1000*time.Hour)
	return d
}

func (o *Options) compressionMode() websocket.CompressionMode {
	if o.Compression {
		return websocket.CompressionNoContextTakeover
	}
	return websocket.CompressionDisabled
}

// subprotocol is what was agreed on as this side writes it: the other may write it in another case,
// and gets that back.
func (o *Options) subprotocol(agreed string) string {
	if i := slices.IndexFunc(o.Subprotocols,
		func(own string) bool { return strings.EqualFold(own, agreed) }); i >= 0 {
		return o.Subprotocols[i]
	}
	return agreed
}
