package wsconn

import (
	"bytes"
	"encoding/binary"
	"io"
	"math/rand/v2"
	"testing"

	"github.com/coder/websocket"
)

// parsed is what a plain parser, which sees the whole stream at once, makes of it: the oracle of account.
type parsed struct {
	good     int // bytes before the frame that breaks a limit
	code     websocket.StatusCode
	messages int64
	between  bool // the stream ends between two messages
}

func parse(stream []byte, maxFrames int, maxBytes uint64, maxControl int) parsed {
	r := bytes.NewReader(stream)
	at := func() int { return len(stream) - r.Len() }
	out := parsed{between: true}
	var frames, pings, pongs int
	var size uint64
	var open bool
	for {
		out.good, out.between = at(), !open
		var h [2]byte
		if n, err := io.ReadFull(r, h[:]); err != nil {
			out.good, out.between = len(stream), out.between && n == 0
			return out
		}
		out.between = false
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
		if err == nil && h[1] >= 0x80 {
			_, err = io.ReadFull(r, make([]byte, 4))
		}
		if err != nil {
			out.good = len(stream)
			return out
		}
		op, final := h[0]&0xf, h[0] >= 0x80
		switch {
		case length >= 1<<63:
			out.code = 1002
		case op == 9:
			if pings++; pings > maxControl {
				out.code = 1008
			}
		case op == 10:
			if pongs++; pongs > maxControl {
				out.code = 1008
			}
		case op < 8:
			if op != 0 {
				frames, size = 0, 0
			}
			open = true
			frames++
			if size += length; frames > maxFrames {
				out.code = 1008
			} else if size > maxBytes {
				out.code = 1009
			}
		}
		if out.code != 0 {
			return out
		}
		if uint64(r.Len()) < length {
			out.good = len(stream)
			return out
		}
		_, _ = r.Seek(int64(length), io.SeekCurrent)
		if op < 8 && final {
			open = false
			out.messages++
		}
	}
}

// checkAccount feeds stream in random pieces and compares with the parser.
func checkAccount(t *testing.T, stream []byte, seed uint64) {
	t.Helper()
	const maxFrames, maxBytes, maxControl = 4, 300, 5
	want := parse(stream, maxFrames, maxBytes, maxControl)
	a := account{maxFrames: maxFrames, maxBytes: maxBytes, maxControl: maxControl}
	rnd := rand.New(rand.NewPCG(seed, 1))
	at := 0
	var bad *violation
	lastUnit, lastMessages := 0, int64(0)
	for at < len(stream) && bad == nil {
		piece := stream[at:min(len(stream), at+1+rnd.IntN(40))]
		var n int
		n, bad = a.feed(piece)
		if n < len(piece) != (bad != nil) {
			t.Fatalf("%d of %d bytes good, violation %v", n, len(piece), bad)
		}
		at += n
		if u := a.unit(); u != 0 && u == lastUnit && a.messages != lastMessages {
			t.Fatalf("unit %d goes on although a message has ended", u)
		}
		lastUnit, lastMessages = a.unit(), a.messages
	}
	var code websocket.StatusCode
	if bad != nil {
		code = bad.code
	}
	if code != want.code || a.messages != want.messages {
		t.Fatalf("code %d, %d messages, want %d and %d; stream %x", code, a.messages, want.code, want.messages, stream)
	}
	// A header that began in an earlier piece has been handed on up to there.
	if bad == nil && at != want.good || bad != nil && (at < want.good || at >= want.good+14) {
		t.Fatalf("%d bytes good, want %d; stream %x", at, want.good, stream)
	}
	if bad == nil && (a.unit() == 0) != want.between {
		t.Fatalf("unit %d, between two messages %v", a.unit(), want.between)
	}
}

func FuzzAccount(f *testing.F) {
	f.Add([]byte{0x81, 0x85, 1, 2, 3, 4, 'h', 'e', 'l', 'l', 'o'}, uint64(1))
	f.Add([]byte{0x01, 0x01, 'h', 0x89, 0x00, 0x80, 0x00}, uint64(2))
	f.Add([]byte{0x82, 0x7e, 0x01, 0x2d}, uint64(3))
	f.Add([]byte{0x82, 0x7f, 0x80, 0, 0, 0, 0, 0, 0, 0}, uint64(4))
	f.Fuzz(checkAccount)
}

func TestAccount_AgreesWithAPlainParser(t *testing.T) {
	rnd := rand.New(rand.NewPCG(7, 7))
	for seed := range uint64(20000) {
		var stream []byte
		for range 1 + rnd.IntN(12) {
			op := [...]byte{0, 0, 1, 2, 8, 9, 10, 3}[rnd.IntN(8)]
			payload := make([]byte, [...]int{0, 1, 125, 126, 200}[rnd.IntN(5)])
			frame := appendFrame(nil, op, payload, rnd.IntN(9) == 0, rnd.IntN(2) == 0)
			frame[0] &^= byte(rnd.IntN(2)) << 7
			stream = append(stream, frame...)
		}
		checkAccount(t, stream[:len(stream)-rnd.IntN(min(len(stream), 9))], seed)
	}
}
