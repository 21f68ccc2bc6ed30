package wsconn_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"slices"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/coder/websocket"

	"github.com/genropy/genro-asgi-go/internal/wsconn"
)

// reading is what comes of a stream of frames: whole messages, and how it ends.
type reading struct {
	messages []string // a byte of type and the payload
	broke    int      // the code of the rule that the peer broke
	closed   int      // the code that the peer closed with; neither: the stream was cut
}

// plainReading sees the whole stream at once and knows no pieces: the oracle of the reader.
func plainReading(stream []byte, maxFrames int, maxBytes uint64) (out reading) {
	r := bytes.NewReader(stream)
	var frames int
	var size uint64
	var typ byte
	var message []byte // nil outside of one
	for {
		var h [2]byte
		if _, err := io.ReadFull(r, h[:]); err != nil {
			return out
		}
		length := uint64(h[1] & 0x7f)
		var err error
		switch length {
		case 126:
			var n uint16
			err = binary.Read(r, binary.BigEndian, &n)
			length = uint64(n)
		case 127:
			err = binary.Read(r, binary.BigEndian, &length)
		}
		key := make([]byte, 4)
		if h[1] < 0x80 {
			key = nil
		}
		if _, e := io.ReadFull(r, key); err != nil || e != nil {
			return out
		}
		op, final := h[0]&0xf, h[0] >= 0x80
		control, inside := op >= 8, message != nil
		known := op <= 2 || op >= 8 && op <= 10
		switch {
		case length >= 1<<63, h[0]&0x70 != 0, key == nil, !known,
			control && (length > 125 || !final):
			out.broke = 1002
		case !control && (op == 0) != inside:
			out.broke = 1002
		}
		if out.broke == 0 && !control {
			if op != 0 {
				typ, message, frames, size = op, []byte{}, 0, 0
			}
			frames++
			if size += length; frames > maxFrames {
				out.broke = 1008
			} else if size > maxBytes {
				out.broke = 1009
			}
		}
		if out.broke != 0 || uint64(r.Len()) < length {
			return out
		}
		payload := make([]byte, length)
		_, _ = io.ReadFull(r, payload)
		for i := range payload {
			payload[i] ^= key[i%4]
		}
		if op == 8 {
			out.closed, out.broke = plainClose(payload)
			return out
		}
		if control {
			continue
		}
		message = append(message, payload...)
		if final {
			if typ == 1 && !utf8.Valid(message) {
				out.broke = 1007
				return out
			}
			out.messages = append(out.messages, string(typ)+string(message))
			message = nil
		}
	}
}

func plainClose(payload []byte) (closed, broke int) {
	switch len(payload) {
	case 0:
		return 1005, 0
	case 1:
		return 0, 1002
	}
	code := int(payload[0])<<8 | int(payload[1])
	switch {
	case code < 1000, code > 1014 && code < 3000, code > 4999,
		slices.Contains([]int{1004, 1005, 1006}, code):
		return 0, 1002
	case !utf8.Valid(payload[2:]):
		return 0, 1007
	}
	return code, 0
}

// pieces is a connection whose bytes come in random pieces, and then its end.
type pieces struct {
	in  []byte
	rnd *rand.Rand
	net.Conn
}

func (p *pieces) Read(b []byte) (int, error) {
	if len(p.in) == 0 {
		return 0, io.EOF
	}
	most := 1 + p.rnd.IntN([...]int{1, 3, 40, 1000}[p.rnd.IntN(4)])
	n := copy(b, p.in[:min(most, len(p.in))])
	p.in = p.in[n:]
	return n, nil
}
func (*pieces) Write(p []byte) (int, error)      { return len(p), nil }
func (*pieces) Close() error                     { return nil }
func (*pieces) SetDeadline(time.Time) error      { return nil }
func (*pieces) SetReadDeadline(time.Time) error  { return nil }
func (*pieces) SetWriteDeadline(time.Time) error { return nil }

// checkReading has a connection read stream in random pieces and compares with the plain reading.
func checkReading(t *testing.T, stream []byte, seed uint64) {
	t.Helper()
	want := plainReading(stream, 4, 300)
	nc := &pieces{in: bytes.Clone(stream), rnd: rand.New(rand.NewPCG(seed, 1))}
	c := upgradeConn(t, nc,
		&wsconn.Options{MaxFrames: 4, MaxMessage: 300, MaxControl: -1, KeepaliveAfter: -1})
	var got reading
	var buf []byte
	for {
		typ, b, err := c.Read(context.Background(), buf[:0])
		if err == nil {
			got.messages = append(got.messages, string(byte(typ))+string(b))
			buf = b
			continue
		}
		code, _, broke := c.Ending()
		peer, closed := errors.AsType[websocket.CloseError](err)
		switch {
		case broke:
			got.broke = int(code)
		case closed:
			got.closed = int(peer.Code)
		}
		break
	}
	if !slices.Equal(got.messages, want.messages) || got.broke != want.broke ||
		got.closed != want.closed {
		t.Fatalf("got %+v, want %+v; stream %x", got, want, stream)
	}
}

func FuzzConn_Pieces(f *testing.F) {
	f.Add(frame(fin|opText, "hello"), uint64(1))
	f.Add(join(frame(opText, "h"), frame(fin|opPing, "p"), frame(fin|opCont, "i"),
		closing(1000, "bye")), uint64(2))
	f.Add(head(fin|opBinary, 301, masked), uint64(3))
	f.Add([]byte{0x82, 0xff, 0x80, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4}, uint64(4))
	f.Add(join(frame(fin|opText, "\xce"), frame(fin|opPong, "")), uint64(5))
	f.Fuzz(checkReading)
}

func TestConn_ReadsAsAPlainReaderDoes(t *testing.T) {
	rnd := rand.New(rand.NewPCG(7, 7))
	for seed := range uint64(5000) {
		var stream []byte
		open := false
		for range 1 + rnd.IntN(12) {
			op := [...]byte{opText, opBinary, opPing, opPong}[rnd.IntN(4)]
			if open && op < opClose {
				op = opCont
			}
			first := op | fin
			if op < opClose && rnd.IntN(2) == 0 {
				first = op
			}
			open = open && op >= opClose || first&fin == 0
			payload := noise([...]int{0, 1, 7, 125, 126, 200}[rnd.IntN(6)])
			if op >= opClose {
				payload = payload[:min(len(payload), 125)]
			}
			switch rnd.IntN(60) {
			case 0:
				first = byte(rnd.Uint32())
			case 1:
				payload += "\xc3"
			case 2:
				first, payload = fin|
					opClose, string([]byte{byte(rnd.IntN(24)), byte(rnd.Uint32())})+
					payload[:min(len(payload), 100)]
			}
			stream = append(stream, frame(first, payload)...)
		}
		checkReading(t, stream[:len(stream)-rnd.IntN(min(len(stream), 9))], seed)
	}
}
