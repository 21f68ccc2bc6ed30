package wsconn_test

import (
	"context"
	"errors"
	"io"
	"net"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"

	"github.com/genropy/genro-asgi-go/internal/wsconn"
)

// readAll reads until an error and returns how many messages came.
func readAll(c *wsconn.Conn) (n int, err error) {
	for {
		if _, _, err = c.Read(context.Background(), nil); err != nil {
			return n, err
		}
		n++
	}
}

func TestConn_LimitsCloseWithTheirCode(t *testing.T) {
	many := func(n int, f []byte) []byte { return []byte(strings.Repeat(string(f), n)) }
	for name, tt := range map[string]struct {
		opts     wsconn.Options
		sent     []byte
		messages int
		code     int // 0: no limit is broken
	}{
		"64 KiB": {
			wsconn.Options{},
			frame(fin|opText, noise(64<<10)), 1,
			0,
		},
		"64 KiB + 1": {
			wsconn.Options{},
			frame(fin|opText, noise(64<<10+1)),
			0, 1009,
		},
		"64 KiB + 1 announced": {
			wsconn.Options{},
			head(fin|opText, 64<<10+1, masked),
			0, 1009,
		},
		"64 KiB in fragments": {
			wsconn.Options{},
			fragments(opText, noise(64<<10), 100), 1, 0,
		},
		"64 KiB + 1 in fragments": {
			wsconn.Options{},
			fragments(opText, noise(64<<10+1), 100), 0, 1009,
		},
		"64 KiB + 1 compressed": {
			wsconn.Options{Compression: true},
			frame(fin|opText|rsv1, deflated(noise(64<<10+1), false)), 0, 1009,
		},
		"64 KiB compressed": {
			wsconn.Options{Compression: true},
			frame(fin|opText|rsv1, deflated(noise(64<<10), false)), 1, 0,
		},
		"1,024 frames": {
			wsconn.Options{},
			join(frame(opText, ""), many(1022, frame(opCont, "x")), frame(fin|opCont, "")), 1, 0,
		},
		"1,025 frames": {
			wsconn.Options{},
			join(frame(opText, ""), many(1023, frame(opCont, "x")), frame(fin|opCont, "")), 0,
			1008,
		},
		"1,025 empty frames": {
			wsconn.Options{},
			join(frame(opText, ""), many(1024, frame(opCont, ""))), 0, 1008,
		},
		"2,000 messages of one frame": {
			wsconn.Options{},
			many(2000, frame(fin|opText, "x")),
			2000, 0,
		},
		"a minute's pongs at once": {
			wsconn.Options{},
			many(600, frame(fin|opPong, "")), 0,
			0,
		},
		"more than a minute's pongs": {
			wsconn.Options{},
			many(700, frame(fin|opPong, "")), 0,
			4420,
		},
		"a minute's pings at once": {
			wsconn.Options{MaxControl: 1},
			many(60, frame(fin|opPing, "")), 0, 0,
		},
		"many pings in a message": {
			wsconn.Options{MaxControl: 1},
			join(frame(opText, "x"), many(70, frame(fin|opPing, "")), frame(fin|opCont, "x")), 0,
			4420,
		},
		"as many pings as pongs": {
			wsconn.Options{MaxControl: 1},
			many(50, join(frame(fin|opPing, ""), frame(fin|opPong, ""))), 0, 0,
		},
		"no limits": {
			wsconn.Options{MaxMessage: -1, MaxFrames: -1, MaxControl: -1},
			join(frame(opText, ""), many(100, frame(fin|opPing, "")),
				many(3000, frame(opCont, noise(100))), frame(fin|opCont, "")), 1, 0,
		},
		"the frame that breaks it is whole": {
			wsconn.Options{MaxMessage: 10},
			join(frame(fin|opText, "1234567890"), frame(fin|opText, "12345678901")), 1, 1009,
		},
	} {
		t.Run(name, func(t *testing.T) {
			c, p := tcp(t, &tt.opts)
			want := tt.code
			if want == 0 {
				want = statusNormal
			}
			p.send(join(tt.sent, closing(statusNormal, "")))
			codes := make(chan int)
			go func() {
				code, err := p.untilClose()
				if err != nil {
					t.Error(err)
				}
				_ = p.Close() // the server waits for it
				codes <- code
			}()
			n, err := readAll(c)
			if n != tt.messages {
				t.Errorf("%d messages, want %d", n, tt.messages)
			}
			if code := <-codes; code != want {
				t.Errorf("close %d, want %d", code, want)
			}
			code, _, ok := c.Ending()
			if ok != (tt.code != 0) || ok && int(code) != tt.code {
				t.Errorf("Ending %d, %v; error %v", code, ok, err)
			}
		})
	}
}

// A client that is still sending when it is refused would lose the close frame to a reset if the
// server closed at once.
func TestConn_ARefusedClientThatGoesOnSendingGetsTheCloseFrame(t *testing.T) {
	url := serve(t, nil, echo(t))
	for i := range 8 {
		p := dialRaw(t, url, "")
		if _, err := p.Write(frame(fin|opBinary, noise((2+3*i)<<20))); err != nil {
			t.Fatalf("reset while sending: %v", err)
		}
		if code, err := p.untilClose(); code != 1009 {
			t.Fatalf("close %d, %v", code, err)
		}
		_ = p.Close()
	}
}

func TestConn_ADeflateBombIsStoppedWithLittleMemory(t *testing.T) {
	bomb := frame(fin|opBinary|rsv1, deflated(strings.Repeat("\x00", 40<<20), false))
	if len(bomb) > 64<<10 {
		t.Fatalf("the bomb is %d bytes", len(bomb))
	}
	c, p := tcp(t, &wsconn.Options{Compression: true})
	codes := make(chan int, 1)
	go func() {
		_, _ = p.Write(bomb)
		code, _ := p.untilClose()
		_ = p.Close()
		codes <- code
	}()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	n, err := readAll(c)
	runtime.ReadMemStats(&after)
	if n != 0 || !errors.Is(err, websocket.ErrMessageTooBig) {
		t.Errorf("%d messages, %v", n, err)
	}
	if got := after.TotalAlloc - before.TotalAlloc; got > 2<<20 {
		t.Errorf("%d bytes allocated", got)
	}
	if code := <-codes; code != 1009 {
		t.Errorf("close %d", code)
	}
}

func TestConn_AMessageMayTakeAMinute(t *testing.T) {
	for name, begun := range map[string][]byte{
		"half a header":             {fin | opText},
		"a header":                  head(fin|opText, 5, masked),
		"half a payload":            frame(fin|opText, "hello")[:8],
		"a first fragment":          frame(opText, "hello"),
		"a fragment and a half":     join(frame(opText, "hello"), frame(fin|opCont, "hello")[:3]),
		"a ping inside the message": join(frame(opText, "hello"), frame(fin|opPing, "")),
		"half a ping's header":      {fin | opPing},
		"after a whole message":     join(frame(fin|opText, "whole"), []byte{fin | opText}),
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c, p := pipe(t, &wsconn.Options{KeepaliveAfter: -1})
				from := time.Now()
				p.send(begun)
				codes := make(chan int)
				go func() {
					code, _ := p.untilClose()
					codes <- code
					_, _ = io.Copy(io.Discard, p.br)
					_ = p.Close()
				}()
				_, err := readAll(c)
				if code := <-codes; code != 4420 || time.Since(from) != time.Minute {
					t.Errorf("close %d after %v, %v", code, time.Since(from), err)
				}
			})
		})
	}
}

// A process that stood still finds the deadline past and the message there: it has come in time.
func TestConn_AMessageThatIsThereIsReadWhateverTheClockSays(t *testing.T) {
	c, p := tcp(t, &wsconn.Options{MessageTimeout: time.Nanosecond})
	want := noise(60 << 10) // more than one read takes
	p.send(frame(fin|opBinary, want))
	if _, b, err := c.Read(t.Context(), nil); string(b) != want {
		t.Errorf("%d bytes, %v", len(b), err)
	}
	p.send(frame(fin|opBinary, want)[:100])
	codes := make(chan int)
	go func() {
		code, _ := p.untilClose()
		_ = p.Close()
		codes <- code
	}()
	if _, _, err := c.Read(t.Context(), nil); err == nil {
		t.Error("a message of which the rest never came")
	}
	if code := <-codes; code != 4420 {
		t.Errorf("close %d", code)
	}
}

// Reads that end inside a message must not add up: each message has its own minute.
func TestConn_TheMessageTimeoutBeginsWithEachMessage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, p := pipe(t, nil)
		go func() {
			f := frame(fin|opText, "hello")
			_, _ = p.Write(f[:5])
			for range 20 {
				sleep(6 * time.Second)
				_, _ = p.Write(append(f[5:len(f):len(f)], f[:5]...))
			}
			_, _ = p.Write(f[5:])
			_ = p.Close()
		}()
		if n, err := readAll(c); n != 21 {
			t.Errorf("%d messages, %v", n, err)
		}
	})
}

func TestConn_TenPingsASecondForever(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, p := pipe(t, nil)
		go func() { _, _ = io.Copy(io.Discard, p.br) }()
		go func() {
			for range 100 {
				_, _ = p.Write(frame(fin|opPing, "p"))
				sleep(100 * time.Millisecond)
			}
			_, _ = p.Write(frame(fin|opText, "done"))
			_ = p.Close()
		}()
		if n, err := readAll(c); n != 1 {
			t.Errorf("%d messages, %v", n, err)
		}
	})
}

func TestConn_ReadGivesUpOnlyBetweenMessages(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, p := pipe(t, nil)
		defer func() { _ = c.CloseNow(); _ = p.Close() }()
		read := func(after time.Duration) (string, error) {
			cause := errors.New("enough")
			ctx, cancel := context.WithTimeoutCause(t.Context(), after, cause)
			defer cancel()
			_, b, err := c.Read(ctx, nil)
			if err != nil && !errors.Is(err, cause) {
				t.Errorf("not the cause but %v", err)
			}
			return string(b), err
		}
		for range 3 {
			if _, err := read(time.Second); err == nil {
				t.Error("nothing was sent")
			}
		}
		f := frame(fin|opText, "hello")
		go func() {
			_, _ = p.Write(f[:3])
			sleep(2 * time.Second)
			_, _ = p.Write(f[3:])
		}()
		if b, err := read(time.Second); b != "hello" { // begun, so waited for
			t.Errorf("%q, %v", b, err)
		}
		if _, err := read(time.Second); err == nil {
			t.Error("nothing was sent")
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		p.send(f)
		if _, _, err := c.Read(ctx, nil); !errors.Is(err, context.Canceled) {
			t.Errorf("ended context: %v", err)
		}
		if _, b, err := c.Read(context.Background(), nil); string(b) != "hello" {
			t.Errorf("%q, %v", b, err)
		}
	})
}

// A cut while nobody reads, and contexts that end while nobody reads, harm nothing.
func TestConn_AContextThatEndsLateIsForgotten(t *testing.T) {
	c, p := tcp(t, nil)
	f := frame(fin|opText, "hello")
	for range 200 {
		ctx, cancel := context.WithCancel(t.Context())
		if _, err := p.Write(f); err != nil {
			t.Fatal(err)
		}
		go cancel()
		_, b, err := c.Read(ctx, nil)
		if err != nil {
			if !errors.Is(err, context.Canceled) {
				t.Fatal(err)
			}
			if _, b, err = c.Read(context.Background(), nil); err != nil {
				t.Fatal(err)
			}
		}
		if string(b) != "hello" {
			t.Fatalf("%q", b)
		}
	}
	if err := c.CloseNow(); err != nil {
		t.Error(err)
	}
	if _, _, err := c.Read(t.Context(), nil); !errors.Is(err, net.ErrClosed) {
		t.Errorf("after CloseNow: %v", err)
	}
}
