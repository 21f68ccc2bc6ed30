package wsconn

import (
	"encoding/binary"
	"fmt"
	"math/bits"
	"time"
	"unicode/utf8"

	"github.com/coder/websocket"
)

// violation is a rule or a limit that the peer broke; the connection ends with its code.
type violation struct {
	code   websocket.StatusCode
	reason string
}

func (v *violation) Error() string {
	return fmt.Sprintf("websocket: %s (closing with %d)", v.reason, v.code)
}

// Is makes a message that is too big an [websocket.ErrMessageTooBig].
func (v *violation) Is(target error) bool {
	return target == websocket.ErrMessageTooBig && v.code == websocket.StatusMessageTooBig
}

func protocolError(reason string) *violation {
	return &violation{websocket.StatusProtocolError, reason}
}

// Frame opcodes and header bits (RFC 6455 section 5.2).
const (
	opContinuation = 0x0
	opText         = 0x1
	opBinary       = 0x2
	opClose        = 0x8
	opPing         = 0x9
	opPong         = 0xA

	bitFIN  = 0x80
	bitRSV1 = 0x40
	bitsRSV = 0x70
	bitMask = 0x80
	// bytes of payload whose length is in the header's second byte, and of a control frame
	maxSmall = 125
)

// parser takes the peer's frames apart, whatever pieces they come in, and holds the peer to the
// rules and limits. It knows nothing of connections.
type parser struct {
	maxFrames int
	apart     time.Duration // the average time between two pings, and between two pongs
	maxBytes  int64
	acceptBig bool // a message over maxBytes is marked as big, and no error

	fromServer bool // frames are not masked
	deflate    bool // the handshake agreed on permessage-deflate

	header [maxHeader]byte
	have   uint8 // bytes of the next frame's header so far

	opcode   byte // of the current frame
	last     bool // the current frame is its message's last
	open     bool // a data message has begun and its last frame has not ended
	text     bool // and it is text
	deflated bool // and it is compressed
	big      bool // and it is over maxBytes
	key      uint32
	payload  int64 // bytes of the current frame's payload still to come
	frames   int   // of the message so far
	bytes    int64

	units        int           // messages, and control frames between them, that have ended
	pings, pongs time.Duration // until when those that came are paid for; 0 before the first
}

// unit tells the messages and control frames under way apart; it is 0 between two.
func (p *parser) unit() int {
	if p.have == 0 && p.payload == 0 && !p.open {
		return 0
	}
	return p.units + 1
}

// gather takes what is missing of a frame's header from b and returns how much that was, and
// whether it is whole now.
func (p *parser) gather(b []byte) (n int, whole bool) {
	size := 2
	if p.have >= 2 {
		size = p.headerLen()
	}
	for {
		m := copy(p.header[p.have:size], b[n:])
		n += m
		p.have += uint8(m)
		if int(p.have) < size {
			return n, false
		}
		all := p.headerLen()
		if size == all {
			return n, true
		}
		size = all
	}
}

func (p *parser) headerLen() int {
	n := 2
	switch p.header[1] &^ bitMask {
	case 126:
		n += 2
	case 127:
		n += 8
	}
	if p.header[1]&bitMask != 0 {
		n += 4
	}
	return n
}

// begin makes the whole header the current frame's, once it was checked (RFC 6455 section 5).
func (p *parser) begin() *violation {
	first, length, rest := p.header[0], int64(p.header[1]&^bitMask), p.header[2:]
	switch length {
	case 126:
		length, rest = int64(binary.BigEndian.Uint16(rest)), rest[2:]
	case 127:
		length, rest = int64(binary.BigEndian.Uint64(rest)), rest[8:] // refused below when negative
	}
	opcode, final := first&0x0f, first&bitFIN != 0
	starts := opcode == opText || opcode == opBinary
	switch {
	case length < 0:
		return protocolError("negative frame length")
	case first&bitsRSV != 0 && (first&bitsRSV != bitRSV1 || !p.deflate || !starts):
		return protocolError("reserved bits are set")
	case p.header[1]&bitMask != 0 == p.fromServer:
		return protocolError("frames of clients are masked, those of servers are not")
	case opcode >= opClose && (length > maxSmall || !final):
		return protocolError("control frame that is too long or fragmented")
	case opcode > opPong || opcode > opBinary && opcode < opClose:
		return protocolError("unknown opcode")
	case opcode == opContinuation && !p.open:
		return protocolError("continuation of no message")
	case starts && p.open:
		return protocolError("message inside a message")
	}
	p.have, p.opcode, p.last, p.payload = 0, opcode, final, length
	if !p.fromServer {
		p.key = binary.LittleEndian.Uint32(rest)
	}
	if opcode >= opClose {
		if v := p.countControl(); v != nil {
			return v
		}
	} else {
		if starts {
			p.open, p.text, p.deflated = true, opcode == opText, first&bitRSV1 != 0
			p.big, p.frames, p.bytes = false, 0, 0
		}
		p.frames++
		if p.frames > p.maxFrames {
			return &violation{websocket.StatusPolicyViolation, "too many frames in a message"}
		}
		switch {
		case length <= p.maxBytes-p.bytes:
			p.bytes += length
		case p.acceptBig:
			p.big = true
		default:
			return errTooBig
		}
	}
	if length == 0 {
		p.endFrame()
	}
	return nil
}

var errTooBig = &violation{websocket.StatusMessageTooBig, "message too big"}

// controlBurst is how long a network may hold pings back that then come at once: longer than the
// keepalive bears silence.
const controlBurst = time.Minute

// countControl holds pings, and pongs, to their rate (the generic cell rate algorithm).
func (p *parser) countControl() *violation {
	paid := &p.pings
	switch p.opcode {
	case opPong:
		paid = &p.pongs
	case opClose:
		return nil
	}
	t := now()
	if *paid == 0 {
		*paid = t
	}
	*paid = max(*paid, t) + p.apart
	if *paid-t > controlBurst {
		return &violation{StatusTiming, "too many control frames"}
	}
	return nil
}

// unmask makes the next bytes of the payload, b, readable where they lie.
func (p *parser) unmask(b []byte) {
	p.payload -= int64(len(b))
	if !p.fromServer {
		p.key = mask(b, p.key)
	}
	if p.payload == 0 {
		p.endFrame()
	}
}

func (p *parser) endFrame() {
	if p.opcode < opClose && p.last {
		p.open = false
	}
	if !p.open {
		p.units++
	}
}

// mask masks, or unmasks, p (RFC 6455 section 5.3). It returns the key for what follows p.
func mask(p []byte, key uint32) uint32 {
	for wide := uint64(key)<<32 | uint64(key); len(p) >= 8; p = p[8:] {
		binary.LittleEndian.PutUint64(p, binary.LittleEndian.Uint64(p)^wide)
	}
	for i := range p {
		p[i] ^= byte(key)
		key = bits.RotateLeft32(key, -8)
	}
	return key
}

// parseClose reads the payload of a close frame (RFC 6455 sections 5.5.1 and 7.4).
func parseClose(p []byte) (websocket.CloseError, *violation) {
	if len(p) == 0 {
		return websocket.CloseError{Code: websocket.StatusNoStatusRcvd}, nil
	}
	if len(p) == 1 {
		return websocket.CloseError{}, protocolError("half a close code")
	}
	peer := websocket.CloseError{
		Code:   websocket.StatusCode(binary.BigEndian.Uint16(p)),
		Reason: string(p[2:]),
	}
	switch {
	case !validCode(peer.Code):
		return peer, protocolError("close code that no frame may carry")
	case !utf8.ValidString(peer.Reason):
		return peer, &violation{
			websocket.StatusInvalidFramePayloadData,
			"close reason that is not UTF-8",
		}
	}
	return peer, nil
}

// validCode reports whether a close frame may carry the code (RFC 6455 section 7.4, and what IANA
// has registered since).
func validCode(code websocket.StatusCode) bool {
	switch code {
	case 1004, websocket.StatusNoStatusRcvd, websocket.StatusAbnormalClosure:
		return false
	}
	return code >= 1000 && code <= 1014 || code >= 3000 && code <= 4999
}
