package wsconn_test

import (
	"context"
	"io"
	"math/rand/v2"
	"os"
	"strconv"
	"sync"
	"testing"

	"github.com/genropy/genro-asgi-go/internal/leakcheck"
	"github.com/genropy/genro-asgi-go/internal/wsconn"
)

// hostileFrame is a frame that is a little wrong, very wrong, or not wrong at all.
func hostileFrame(rnd *rand.Rand, out []byte) []byte {
	first := []byte{fin | opText, fin | opBinary, opText, opCont, fin | opCont, fin | opPing, fin | opPong, fin | opText | rsv1, opText | rsv1}[rnd.IntN(9)]
	n := [...]int{0, 1, 5, 124, 125, 126, 127, 300, 1000}[rnd.IntN(9)]
	if first&0x8 != 0 {
		n = rnd.IntN(126)
	}
	mask := byte(masked)
	announced := n
	switch rnd.IntN(300) {
	case 0:
		first = byte(rnd.Uint32())
	case 1:
		mask = unmasked
	case 2:
		announced = rnd.IntN(1 << 20)
	case 3:
		announced = int(rnd.Int64())
	case 4:
		first = fin | opClose
	case 5: // noise
		for range n {
			out = append(out, byte(rnd.Uint32()))
		}
		return out
	}
	out = append(out, head(first, announced, mask)...)
	for range n {
		out = append(out, 'a'^keyBytes[0]) // text, or bad text, or a bad deflate stream
	}
	return out
}

// TestConn_HostileFrames sends 100,000 random frames, or HOSTILE_FRAMES of them, in 20 connections at a time (make hostile: 10 million).
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
	var mu sync.Mutex
	messages := 0
	for lane := range lanes {
		wg.Go(func() {
			rnd := rand.New(rand.NewPCG(uint64(lane), 99))
			var sent []byte
			for frames := 0; frames < total/lanes; frames += perConn {
				opts := &wsconn.Options{Compression: rnd.IntN(2) == 0, MaxControl: 1 + rnd.IntN(1000), KeepaliveAfter: -1}
				c, p := pipe(t, opts)
				sent = sent[:0]
				for range perConn {
					sent = hostileFrame(rnd, sent)
				}
				var peer sync.WaitGroup
				peer.Go(func() { _, _ = p.Write(sent); _ = p.Close() })
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
					_ = c.Send(context.Background(), typ, b) // closed or not
				}
				peer.Wait()
				mu.Lock()
				messages += n
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	if messages == 0 {
		t.Error("not one message came through: the generator is all wrong")
	}
	t.Logf("%d frames, %d whole messages", total, messages)
	if after := len(leakcheck.Left(0)); after > before {
		left := leakcheck.Left(5e9)
		if len(left) > before {
			t.Errorf("%d goroutines before, %d after: %s", before, len(left), left[0])
		}
	}
}

// FuzzConn_Read reads any bytes: no panic, no hang, and no message beyond the limits.
func FuzzConn_Read(f *testing.F) {
	f.Add([]byte(frame(fin|opText, "hello")), false)
	f.Add([]byte(frame(opText|rsv1, deflated("hello", true))), true)
	f.Add([]byte(join(frame(opText, "a"), frame(fin|opPing, "p"), frame(fin|opCont, "b"), closing(1000, "x"))), false)
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
