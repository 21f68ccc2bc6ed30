package wsconn_test

import (
	"context"
	"io"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/genropy/genro-asgi-go/internal/leakcheck"
	"github.com/genropy/genro-asgi-go/internal/wsconn"
)

// hostile makes frames that are right, but for one in some hundred.
type hostile struct {
	*rand.Rand
	deflate bool
	open    bool // a message has begun
}

func (h *hostile) frame(out []byte) []byte {
	n := [...]int{0, 1, 5, 124, 125, 126, 127, 300, 1000}[h.IntN(9)]
	payload := letters[:n]
	var first byte
	switch k := h.IntN(8); {
	case k == 0:
		first, payload = fin|opPing, payload[:min(n, 125)]
	case k == 1:
		first, payload = fin|opPong, payload[:min(n, 125)]
	case h.open:
		first = byte(opCont | h.IntN(2)<<7)
	default:
		first = byte(opText + h.IntN(2) | h.IntN(2)<<7)
		if h.deflate && h.IntN(4) == 0 {
			first, payload = first|fin|rsv1, deflatedLetters[h.IntN(len(deflatedLetters))]
		}
	}
	if first&8 == 0 {
		h.open = first&fin == 0
	}
	mask, announced := byte(masked), len(payload)
	switch h.IntN(1000) { // and now what is wrong
	case 0:
		first = byte(h.Uint32())
	case 1:
		mask = unmasked
	case 2:
		announced = h.IntN(1 << 20)
	case 3:
		announced = int(h.Int64())
	case 4:
		first = fin | opClose
	case 5:
		first ^= rsv1
	case 6:
		payload = "\xff" + payload
		announced++
	case 7:
		for range len(payload) {
			out = append(out, byte(h.Uint32()))
		}
		return out
	}
	out = append(out, head(first, announced, mask)...)
	for i := range len(payload) {
		out = append(out, payload[i]^keyBytes[i&3])
	}
	return out
}

var deflatedLetters = []string{
	deflated("", false), deflated(letters[:2000], false),
	deflated(strings.Repeat("x", 60000), false), deflated("final", true),
}

// TestConn_HostileFrames has 100,000 random frames read, or HOSTILE_FRAMES of them, in 20
// connections at a time (make hostile: 10 million).
func TestConn_HostileFrames(t *testing.T) {
	total := 100_000
	if s := os.Getenv("HOSTILE_FRAMES"); s != "" {
		var err error
		if total, err = strconv.Atoi(s); err != nil {
			t.Fatal(err)
		}
	}
	before := len(leakcheck.Left(0))
	var wg sync.WaitGroup
	const lanes, perConn = 20, 500
	var frames, messages, conns atomic.Int64
	for lane := range lanes {
		wg.Go(func() {
			rnd := rand.New(rand.NewPCG(uint64(lane), 99))
			var sent []byte
			ends := make([]int, perConn)
			for done := 0; done < total/lanes; {
				h := hostile{Rand: rnd, deflate: rnd.IntN(2) == 0}
				opts := &wsconn.Options{
					Compression: h.deflate, MaxControl: 1 + rnd.IntN(1000),
					KeepaliveAfter: -1,
				}
				c, p := pipe(t, opts)
				sent = sent[:0]
				for i := range ends {
					sent = h.frame(sent)
					ends[i] = len(sent)
				}
				var peer sync.WaitGroup
				taken := 0 // a pipe's write ends with what was read: only that counts
				peer.Go(func() { taken, _ = p.Write(sent); _ = p.Close() })
				peer.Go(func() { _, _ = io.Copy(io.Discard, p.br) })
				n := 0
				for {
					typ, b, err := c.Read(context.Background(), nil)
					if err != nil {
						break
					}
					n++
					if len(b) > 64<<10 {
						t.Errorf("message of %d bytes", len(b))
					}
					if len(b) < 500 { // the race detector's sync.Pool forgets compressors of 1.2 MB
						_ = c.Send(context.Background(), typ, b) // closed or not
					}
				}
				peer.Wait()
				read, _ := slices.BinarySearch(ends, taken+1)
				done += read
				messages.Add(int64(n))
				frames.Add(int64(read))
				conns.Add(1)
			}
		})
	}
	wg.Wait()
	if messages.Load() < int64(total/10) {
		t.Errorf("%d messages: most connections end before they have seen anything",
			messages.Load())
	}
	t.Logf("%d frames were read, %d whole messages, %d connections", frames.Load(), messages.Load(),
		conns.Load())
	if after := len(leakcheck.Left(0)); after > before {
		left := leakcheck.Left(5e9)
		if len(left) > before {
			t.Errorf("%d goroutines before, %d after: %s", before, len(left), left[0])
		}
	}
}

// FuzzConn_Read reads any bytes: no panic, no hang, and no message beyond the limits.
func FuzzConn_Read(f *testing.F) {
	f.Add(frame(fin|opText, "hello"), false)
	f.Add(frame(opText|rsv1, deflated("hello", true)), true)
	f.Add(join(frame(opText, "a"), frame(fin|opPing, "p"), frame(fin|opCont, "b"),
		closing(1000, "x")), false)
	f.Fuzz(func(t *testing.T, sent []byte, compression bool) {
		c, p := pipe(t, &wsconn.Options{Compression: compression, MaxMessage: 1000})
		var peer sync.WaitGroup
		peer.Go(func() { _, _ = p.Write(sent); _ = p.Close() })
		peer.Go(func() { _, _ = io.Copy(io.Discard, p.br) })
		for {
			_, b, err := c.Read(context.Background(), nil)
			if err != nil {
				break
			}
			if len(b) > 1000 {
				t.Errorf("message of %d bytes", len(b))
			}
		}
		peer.Wait()
	})
}
