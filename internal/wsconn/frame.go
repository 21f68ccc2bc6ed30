package wsconn

import (
	"encoding/binary"
	"math/rand/v2"
	"sync"

	"github.com/coder/websocket"
)

// maxHeader is the longest header of a frame: 2 bytes, 8 of length, 4 of mask.
const maxHeader = 14

// appendFrame appends a whole message as one frame (RFC 6455 section 5.2), masked where masked
// is true.
func appendFrame(dst []byte, opcode byte, payload []byte, deflated, masked bool) []byte {
	first := 0x80 | opcode
	if deflated {
		first |= 0x40 // RSV1 (RFC 7692 section 6)
	}
	var maskBit byte
	if masked {
		maskBit = 0x80
	}
	switch n := len(payload); {
	case n < 126:
		dst = append(dst, first, maskBit|byte(n))
	case n <= 0xffff:
		dst = binary.BigEndian.AppendUint16(append(dst, first, maskBit|126), uint16(n))
	default:
		dst = binary.BigEndian.AppendUint64(append(dst, first, maskBit|127), uint64(n))
	}
	if !masked {
		return append(dst, payload...)
	}
	key := rand.Uint32() // ChaCha8 seeded by the system: not to be guessed (section 5.3)
	dst = binary.LittleEndian.AppendUint32(dst, key)
	at := len(dst)
	dst = append(dst, payload...)
	mask(dst[at:], key)
	return dst
}

// closeFrame is a whole close frame; v's reason is at most 123 bytes.
func closeFrame(v *violation, masked bool) []byte {
	payload := append([]byte{byte(v.code >> 8), byte(v.code)}, v.reason...)
	return appendFrame(nil, opClose, payload, false, masked)
}

// Frame is one message made ready once and sent to any number of connections. It is immutable and
// safe for concurrent use.
type Frame struct {
	typ     websocket.MessageType
	payload int // where the payload begins in plain
	plain   []byte

	once     sync.Once
	deflated []byte
}

// NewFrame copies payload into a frame.
func NewFrame(typ websocket.MessageType, payload []byte) *Frame {
	plain := appendFrame(make([]byte, 0, maxHeader+len(payload)), byte(typ), payload, false, false)
	return &Frame{typ: typ, plain: plain, payload: len(plain) - len(payload)}
}

// Payload is the message. It must not be changed.
func (f *Frame) Payload() []byte { return f.plain[f.payload:] }

// Len is the size of the frame in bytes, header included.
func (f *Frame) Len() int { return len(f.plain) }

// wire is the frame as a connection sends it.
func (f *Frame) wire(deflate bool) []byte {
	if !deflate || len(f.Payload()) < deflateThreshold {
		return f.plain
	}
	f.once.Do(func() {
		f.deflated = appendFrame(nil, byte(f.typ), appendDeflated(nil, f.Payload()), true, false)
	})
	return f.deflated
}
