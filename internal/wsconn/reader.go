package wsconn

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
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

	bitFIN   = 0x80
	bitRSV1  = 0x40
	bitsRSV  = 0x70
	bitMask  = 0x80
	maxSmall = 125 // bytes of payload whose length is in the header's second byte, and of a control frame
)

// reader takes the peer's frames apart, whatever pieces they come in, and holds the peer to the rules and limits. It belongs to the holder
// of the link's read lock.
type reader struct {
	maxFrames  int
	maxControl int // pings a second, and pongs a second
	maxBytes   int64

	header [maxHeader]byte
	have   uint8 // bytes of the next frame's header so far

	client   bool // frames come from a server: they are not masked
	deflate  bool // the handshake agreed on permessage-deflate
	opcode   byte // of the current frame
	last     bool // the current frame is its message's last
	open     bool // a data message has begun and its last frame has not ended
	deflated bool // and it is compressed
	key      uint32
	payload  int64 // bytes of the current frame's payload still to come
	frames   int   // of the message so far
	bytes    int64

	units        int           // messages, and control frames between them, that have ended
	second       time.Duration // when the current count of pings and pongs began
	pings, pongs int
}

// unit tells the messages and control frames under way apart; it is 0 between two.
func (r *reader) unit() int {
	if r.have == 0 && r.payload == 0 && !r.open {
		return 0
	}
	return r.units + 1
}

// gather takes what is missing of a frame's header from p and returns how much that was, and whether it is whole now.
func (r *reader) gather(p []byte) (n int, whole bool) {
	size := 2
	if r.have >= 2 {
		size = r.headerLen()
	}
	for {
		m := copy(r.header[r.have:size], p[n:])
		n += m
		r.have += uint8(m)
		if int(r.have) < size {
			return n, false
		}
		all := r.headerLen()
		if size == all {
			return n, true
		}
		size = all
	}
}

func (r *reader) headerLen() int {
	n := 2
	switch r.header[1] &^ bitMask {
	case 126:
		n += 2
	case 127:
		n += 8
	}
	if r.header[1]&bitMask != 0 {
		n += 4
	}
	return n
}

// begin makes the whole header the current frame's, once it was checked (RFC 6455 section 5).
func (r *reader) begin() *violation {
	first, length, rest := r.header[0], int64(r.header[1]&^bitMask), r.header[2:]
	switch length {
	case 126:
		length, rest = int64(binary.BigEndian.Uint16(rest)), rest[2:]
	case 127:
		length, rest = int64(binary.BigEndian.Uint64(rest)), rest[8:] //nolint:gosec // a top bit that is set is refused below
	}
	opcode, final := first&0x0f, first&bitFIN != 0
	starts := opcode == opText || opcode == opBinary
	switch {
	case length < 0:
		return protocolError("negative frame length")
	case first&bitsRSV != 0 && (first&bitsRSV != bitRSV1 || !r.deflate || !starts):
		return protocolError("reserved bits are set")
	case r.header[1]&bitMask != 0 == r.client:
		return protocolError("frames of clients are masked, those of servers are not")
	case opcode >= opClose && (length > maxSmall || !final):
		return protocolError("control frame that is too long or fragmented")
	case opcode > opPong || opcode > opBinary && opcode < opClose:
		return protocolError("unknown opcode")
	case opcode == opContinuation && !r.open:
		return protocolError("continuation of no message")
	case starts && r.open:
		return protocolError("message inside a message")
	}
	r.have, r.opcode, r.last, r.payload = 0, opcode, final, length
	if !r.client {
		r.key = binary.LittleEndian.Uint32(rest)
	}
	if opcode >= opClose {
		if v := r.countControl(); v != nil {
			return v
		}
	} else {
		if starts {
			r.open, r.deflated, r.frames, r.bytes = true, first&bitRSV1 != 0, 0, 0
		}
		r.frames++
		if r.frames > r.maxFrames {
			return &violation{websocket.StatusPolicyViolation, "too many frames in a message"}
		}
		if length > r.maxBytes-r.bytes {
			return errTooBig
		}
		r.bytes += length
	}
	if length == 0 {
		r.endFrame()
	}
	return nil
}

var errTooBig = &violation{websocket.StatusMessageTooBig, "message too big"}

func (r *reader) countControl() *violation {
	if t := now(); t-r.second >= time.Second || r.pings+r.pongs == 0 {
		r.second, r.pings, r.pongs = t, 0, 0
	}
	switch r.opcode {
	case opPing:
		r.pings++
	case opPong:
		r.pongs++
	}
	if max(r.pings, r.pongs) > r.maxControl {
		return &violation{websocket.StatusPolicyViolation, "too many control frames"}
	}
	return nil
}

// take makes the next bytes of the payload, which are in p, readable where they lie.
func (r *reader) take(p []byte) {
	r.payload -= int64(len(p))
	if !r.client {
		r.key = unmask(p, r.key)
	}
	if r.payload == 0 {
		r.endFrame()
	}
}

func (r *reader) endFrame() {
	if r.opcode < opClose && r.last {
		r.open = false
	}
	if !r.open {
		r.units++
	}
}

// unmask is also mask (RFC 6455 section 5.3). It returns the key for what follows p.
func unmask(p []byte, key uint32) uint32 {
	for wide := uint64(key)<<32 | uint64(key); len(p) >= 8; p = p[8:] {
		binary.LittleEndian.PutUint64(p, binary.LittleEndian.Uint64(p)^wide)
	}
	for i := range p {
		p[i] ^= byte(key)
		key = bits.RotateLeft32(key, -8)
	}
	return key
}

// frame waits for the next frame and makes it the current one.
func (c *Conn) frame() error {
	for {
		n, whole := c.frames.gather(c.link.avail)
		c.link.avail = c.link.avail[n:]
		if whole {
			if v := c.frames.begin(); v != nil {
				return v
			}
			return nil
		}
		if err := c.fill(); err != nil {
			return err
		}
	}
}

// piece waits for more of the current frame's payload, of which there is some. It is valid until the next byte is read.
func (c *Conn) piece() ([]byte, error) {
	if len(c.link.avail) == 0 {
		if err := c.fill(); err != nil {
			return nil, err
		}
	}
	n := int(min(int64(len(c.link.avail)), c.frames.payload))
	p := c.link.avail[:n:n]
	c.link.avail = c.link.avail[n:]
	c.frames.take(p)
	return p, nil
}

// next waits for more of the message under way and answers control frames inside it. The error is io.EOF at the message's end.
func (c *Conn) next() ([]byte, error) {
	for {
		switch {
		case c.frames.payload > 0:
			return c.piece()
		case !c.frames.open:
			return nil, io.EOF
		}
		if err := c.frame(); err != nil {
			return nil, err
		}
		if c.frames.opcode >= opClose {
			if err := c.control(); err != nil {
				return nil, err
			}
		}
	}
}

// control serves the control frame under way. The error is the peer's websocket.CloseError when it is a close frame.
func (c *Conn) control() error {
	opcode := c.frames.opcode
	var p []byte
	for c.frames.payload > 0 {
		piece, err := c.piece()
		switch {
		case err != nil:
			return err
		case p == nil && c.frames.payload == 0:
			p = piece // as a rule it has come whole
		default:
			p = append(p, piece...)
		}
	}
	switch opcode {
	case opPing:
		err := c.link.control(appendFrame(nil, opPong, p, false, c.frames.client))
		if errors.Is(err, ErrQueueFull) {
			return &violation{websocket.StatusPolicyViolation, "too many control frames"}
		}
	case opPong:
		c.pings.pong(p)
	case opClose:
		return c.closed(p)
	}
	return nil // a queue that has failed has closed the connection, which the next read tells
}

// closed answers the peer's close frame, and returns what it says.
func (c *Conn) closed(payload []byte) error {
	peer, v := parseClose(payload)
	if v != nil {
		return v
	}
	_ = c.link.control(appendFrame(nil, opClose, payload, false, c.frames.client)) // unless one is on its way
	return peer
}

// parseClose reads the payload of a close frame (RFC 6455 sections 5.5.1 and 7.4).
func parseClose(p []byte) (websocket.CloseError, *violation) {
	if len(p) == 0 {
		return websocket.CloseError{Code: websocket.StatusNoStatusRcvd}, nil
	}
	if len(p) == 1 {
		return websocket.CloseError{}, protocolError("half a close code")
	}
	peer := websocket.CloseError{Code: websocket.StatusCode(binary.BigEndian.Uint16(p)), Reason: string(p[2:])}
	switch {
	case !validCode(peer.Code):
		return peer, protocolError("close code that no frame may carry")
	case !utf8.ValidString(peer.Reason):
		return peer, &violation{websocket.StatusInvalidFramePayloadData, "close reason that is not UTF-8"}
	}
	return peer, nil
}

// validCode reports whether a close frame may carry the code (RFC 6455 section 7.4, and what IANA has registered since).
func validCode(code websocket.StatusCode) bool {
	switch code {
	case 1004, websocket.StatusNoStatusRcvd, websocket.StatusAbnormalClosure:
		return false
	}
	return code >= 1000 && code <= 1014 || code >= 3000 && code <= 4999
}
