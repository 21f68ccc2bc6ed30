package wsconn

import (
	"fmt"
	"time"

	"github.com/coder/websocket"
)

// violation is a limit that the peer broke; the connection ends with its code.
type violation struct {
	code   websocket.StatusCode
	reason string
}

func (v *violation) Error() string {
	return fmt.Sprintf("websocket: %s (closing with %d)", v.reason, v.code)
}

// Frame opcodes (RFC 6455 section 5.2).
const (
	opContinuation = 0x0
	opClose        = 0x8
	opPing         = 0x9
	opPong         = 0xA
)

// account follows the peer's frame headers through the bytes read, whatever pieces they come in, and holds
// the peer to the limits that only frames show. It checks nothing that coder/websocket checks.
type account struct {
	maxFrames  int
	maxBytes   int64
	maxControl int // pings a second, and pongs a second

	header  [14]byte
	have    int   // bytes of the current header so far
	payload int64 // bytes of the current frame's payload still to come
	open    bool  // a data message has begun and its last frame has not ended
	last    bool  // the current frame is its message's last
	data    bool  // the current frame carries data
	frames  int
	bytes   int64

	units    int   // messages, and control frames between them, that have ended
	messages int64 // messages that have ended

	second       time.Time
	pings, pongs int
}

// unit tells the messages and control frames under way apart; it is 0 between two.
func (a *account) unit() int {
	if a.have == 0 && a.payload == 0 && !a.open {
		return 0
	}
	return a.units + 1
}

// feed reads on in p. It returns how many bytes are good, fewer than len(p) only with a violation, whose frame begins there.
func (a *account) feed(p []byte) (int, *violation) {
	for i := 0; i < len(p); {
		if a.payload > 0 {
			n := min(a.payload, int64(len(p)-i))
			a.payload -= n
			i += int(n)
			if a.payload == 0 {
				a.endFrame()
			}
			continue
		}
		start := i
		for i < len(p) && (a.have < 2 || a.have < a.headerLen()) {
			a.header[a.have] = p[i]
			a.have++
			i++
		}
		if a.have < 2 || a.have < a.headerLen() {
			return i, nil // the rest of the header comes with the next read
		}
		if v := a.beginFrame(); v != nil {
			return start, v
		}
		a.have = 0
		if a.payload == 0 {
			a.endFrame()
		}
	}
	return len(p), nil
}

func (a *account) headerLen() int {
	n := 2
	switch a.header[1] & 0x7f {
	case 126:
		n += 2
	case 127:
		n += 8
	}
	if a.header[1]&0x80 != 0 {
		n += 4
	}
	return n
}

func (a *account) beginFrame() *violation {
	length := int64(a.header[1] & 0x7f)
	switch length {
	case 126:
		length = int64(a.header[2])<<8 | int64(a.header[3])
	case 127:
		length = 0
		for _, b := range a.header[2:10] {
			length = length<<8 | int64(b)
		}
	}
	if length < 0 { // the top bit must be 0 (RFC 6455 section 5.2)
		return &violation{websocket.StatusProtocolError, "negative frame length"}
	}
	opcode := a.header[0] & 0x0f
	a.payload, a.data, a.last = length, opcode < opClose, a.header[0]&0x80 != 0
	switch {
	case opcode == opPing || opcode == opPong:
		return a.control(opcode)
	case !a.data:
		return nil
	}
	if opcode != opContinuation {
		a.frames, a.bytes = 0, 0
	}
	a.open = true
	a.frames++
	if a.frames > a.maxFrames {
		return &violation{websocket.StatusPolicyViolation, "too many frames in a message"}
	}
	if length > a.maxBytes-a.bytes {
		return &violation{websocket.StatusMessageTooBig, "message too big"}
	}
	a.bytes += length
	return nil
}

func (a *account) control(opcode byte) *violation {
	if now := time.Now(); now.Sub(a.second) >= time.Second {
		a.second, a.pings, a.pongs = now, 0, 0
	}
	if opcode == opPing {
		a.pings++
	} else {
		a.pongs++
	}
	if max(a.pings, a.pongs) > a.maxControl {
		return &violation{websocket.StatusPolicyViolation, "too many control frames"}
	}
	return nil
}

func (a *account) endFrame() {
	if a.data && a.last {
		a.open = false
		a.messages++
	}
	if !a.open {
		a.units++
	}
}
