package wsconn_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"

	"github.com/genropy/genro-asgi-go/internal/wsconn"
)

const text = websocket.MessageText

func TestConn_KeepsTheOrder(t *testing.T) {
	for _, compression := range []bool{false, true} {
		t.Run(fmt.Sprint("compression ", compression), func(t *testing.T) {
			opts := &wsconn.Options{Compression: compression, KeepaliveAfter: -1}
			sizes := []int{0, 1, 100, 1000, 4090, 4096, 5000, 70000}
			const n = 48 // each size by each way, twice: Close waits 5 s for what is before it
			url := serve(t, opts, func(c *wsconn.Conn) {
				for i := range n {
					b := binary.BigEndian.AppendUint32(nil, uint32(i))
					b = append(b, noise(sizes[i%len(sizes)])...)
					var err error
					switch i % 3 {
					case 0:
						err = c.Send(context.Background(), websocket.MessageBinary, b)
					case 1:
						err = c.Queue(context.Background(), websocket.MessageBinary, b)
					default:
						for err = wsconn.ErrQueueFull; errors.Is(err, wsconn.ErrQueueFull); {
							err = c.SendFrame(wsconn.NewFrame(websocket.MessageBinary, b))
						}
					}
					if err != nil {
						t.Error(err)
					}
				}
				if err := c.Close(websocket.StatusNormalClosure, ""); err != nil {
					t.Error(err)
				}
			})
			c, _, err := wsconn.Dial(t.Context(), url, nil,
				&wsconn.Options{Compression: compression, MaxMessage: 1 << 20})
			if err != nil {
				t.Fatal(err)
			}
			for i := range n {
				_, b, err := c.Read(t.Context(), nil)
				if err != nil || binary.BigEndian.Uint32(b) != uint32(i) ||
					string(b[4:]) != noise(sizes[i%len(sizes)]) {
					t.Fatalf("message %d: %d bytes, %v", i, len(b), err)
				}
			}
			if _, _, err := c.Read(t.Context(), nil); websocket.CloseStatus(err) !=
				websocket.StatusNormalClosure {
				t.Error(err)
			}
		})
	}
}

func TestConn_TheQueueIsBounded(t *testing.T) {
	for name, tt := range map[string]struct {
		opts wsconn.Options
		size int
		room int // messages beyond the one being written
	}{
		"by messages": {wsconn.Options{MaxQueueMessages: 10}, 1, 10},
		"by bytes":    {wsconn.Options{MaxQueueBytes: 10 * 102}, 100, 10},
		"by default":  {wsconn.Options{}, 10, 1024},
		"by default,": {wsconn.Options{}, 64<<10 - 10, 16},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c, p := pipe(t, &tt.opts)
				f := wsconn.NewFrame(text, []byte(noise(tt.size)))
				n := 0
				var err error
				for ; err == nil; n++ {
					err = c.SendFrame(f)
				}
				if n--; n != tt.room || !errors.Is(err, wsconn.ErrQueueFull) {
					t.Errorf("%d messages, %v", n, err)
				}
				if b, m := c.Queued(); b != n*f.Len() || m != n {
					t.Errorf("queued %d bytes, %d messages", b, m)
				}
				ctx, cancel := context.WithTimeout(t.Context(), time.Second)
				defer cancel()
				if err := c.Send(ctx, text, f.Payload()); !errors.Is(err,
					context.DeadlineExceeded) {
					t.Errorf("a send that waits: %v", err)
				}
				sent := make(chan error)
				go func() { sent <- c.Send(context.Background(), text, f.Payload()) }()
				synctest.Wait()
				for i := range n + 1 { // one makes room for the one that waits
					if g, err := p.next(); err != nil || len(g.payload) != tt.size {
						t.Fatalf("message %d: %v, %v", i, g, err)
					}
				}
				if err := <-sent; err != nil {
					t.Error(err)
				}
				synctest.Wait()
				if b, m := c.Queued(); b != 0 || m != 0 {
					t.Errorf("queued %d bytes, %d messages", b, m)
				}
				_ = c.CloseNow()
			})
		})
	}
}

// What a partial write has left counts: coming to 0 messages must not let a second queue in.
func TestConn_AHalfWrittenMessageCounts(t *testing.T) {
	c, p := tcp(t, &wsconn.Options{SendBuffer: 4096, MaxQueueBytes: 1000})
	defer func() { _ = c.CloseNow() }()
	if err := c.Send(t.Context(), text, []byte(noise(8<<20))); err != nil {
		// an empty queue takes any
		t.Fatal(err)
	}
	if b, m := c.Queued(); b == 0 || m != 1 {
		t.Errorf("queued %d bytes, %d messages", b, m)
	}
	if err := c.SendFrame(wsconn.NewFrame(text, []byte("x"))); !errors.Is(err,
		wsconn.ErrQueueFull) {
		t.Error(err)
	}
	g, err := p.next()
	if err != nil || string(g.payload) != noise(8<<20) {
		t.Errorf("%d bytes, %v", len(g.payload), err)
	}
}

// The deadline of a write that a goroutine did must not hold for the next one, which does not wait.
func TestConn_AWriteDeadlineDoesNotLinger(t *testing.T) {
	c, p := tcp(t, &wsconn.Options{SendBuffer: 4096, WriteTimeout: 500 * time.Millisecond})
	defer func() { _ = c.CloseNow() }()
	sent := make(chan error, 1)
	go func() { sent <- c.Send(t.Context(), text, []byte(noise(4<<20))) }()
	if _, err := p.next(); err != nil {
		t.Fatal(err)
	}
	<-time.After(600 * time.Millisecond)
	if err := errors.Join(<-sent, c.Send(t.Context(), text, []byte("x"))); err != nil {
		t.Error(err)
	}
	if g, err := p.next(); string(g.payload) != "x" {
		t.Errorf("%v, %v", g, err)
	}
}

// The write time-out is for 64 KiB, not for a message however long.
func TestConn_ALongMessageMayTakeLonger(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, p := pipe(t, nil)
		if err := c.Send(t.Context(), text, []byte(noise(256<<10))); err != nil {
			t.Fatal(err)
		}
		n := 0
		for buf := make([]byte, 64<<10); n < 10+256<<10; {
			<-time.After(3 * time.Second)
			got, err := io.ReadFull(p.br, buf[:min(len(buf), 10+256<<10-n)])
			if n += got; err != nil {
				t.Fatalf("after %d bytes: %v", n, err)
			}
		}
		_ = c.CloseNow()
	})
}

// Frames that were queued and not flushed make room when one that waits comes along.
func TestConn_SendFlushesAFullQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, p := pipe(t, &wsconn.Options{MaxQueueMessages: 2})
		sent := make(chan error, 1)
		go func() {
			for range 3 {
				if err := c.Queue(context.Background(), text, []byte("x")); err != nil {
					sent <- err
				}
			}
			c.Flush()
			sent <- nil
		}()
		for range 3 {
			if _, err := p.next(); err != nil {
				t.Error(err)
			}
		}
		if err := <-sent; err != nil {
			t.Error(err)
		}
		_ = c.CloseNow()
	})
}

func TestConn_APeerThatNeverReadsIsCut(t *testing.T) {
	t.Run("pipe", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			c, p := pipe(t, nil)
			from := time.Now()
			if err := c.Send(t.Context(), text, []byte("x")); err != nil {
				t.Fatal(err)
			}
			_, _, err := c.Read(t.Context(), nil)
			if err == nil || !strings.Contains(err.Error(), "does not read") ||
				time.Since(from) != 5*time.Second {
				t.Errorf("%v after %v", err, time.Since(from))
			}
			if err := c.Send(t.Context(), text, []byte("x")); err == nil {
				t.Error("sent")
			}
			_ = p.Close()
		})
	})
	t.Run("socket", func(t *testing.T) {
		c, p := tcp(t, &wsconn.Options{SendBuffer: 4096, WriteTimeout: 20 * time.Millisecond})
		waiting := make(chan error)
		go func() {
			for {
				if err := c.Send(t.Context(), text, []byte(noise(60000))); err != nil {
					waiting <- err
					return
				}
			}
		}()
		if err := <-waiting; err == nil || !strings.Contains(err.Error(), "does not read") {
			t.Error(err)
		}
		<-c.Done()
		_ = c.CloseNow() // waits for the writer
		if b, m := c.Queued(); b != 0 || m != 0 {
			t.Errorf("queued %d bytes, %d messages", b, m)
		}
		if _, err := io.Copy(io.Discard, p); !errors.Is(err, syscall.ECONNRESET) {
			// an end would come after what the system still holds
			t.Errorf("the peer that did not read got %v", err)
		}
	})
}

// A ping is answered although the queue is full, and a flood of them does not make it grow.
func TestConn_ControlFramesGoOverAFullQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, p := pipe(t,
			&wsconn.Options{
				MaxQueueMessages: 1, MaxControl: -1, WriteTimeout: time.Hour,
				KeepaliveAfter: -1,
			})
		if err := c.Send(t.Context(), text, []byte("x")); err != nil {
			t.Fatal(err)
		}
		ended := make(chan error, 1)
		go func() {
			_, err := readAll(c)
			ended <- err
		}()
		for range 10 {
			_, _ = p.Write(frame(fin|opPing, "p"))
		}
		synctest.Wait()
		if b, m := c.Queued(); b != 3+10*3 || m != 11 {
			t.Errorf("queued %d bytes, %d messages", b, m)
		}
		for range 400 {
			if _, err := p.Write(frame(fin|opPing, noise(120))); err != nil {
				break
			}
		}
		synctest.Wait()
		if b, _ := c.Queued(); b > 1<<20+20<<10 {
			t.Errorf("queued %d bytes", b)
		}
		for range 11 {
			if g, err := p.next(); err != nil || g.first&0xf == opClose {
				t.Errorf("%v, %v", g, err)
			}
		}
		_ = c.CloseNow()
		if err := <-ended; err == nil {
			t.Error("a flood of pings was borne")
		}
	})
	synctest.Test(t, func(t *testing.T) {
		c, p := pipe(t, &wsconn.Options{MaxQueueBytes: 1, MaxControl: -1, KeepaliveAfter: -1})
		if err := c.Send(t.Context(), text, []byte("x")); err != nil {
			t.Fatal(err)
		}
		ended := make(chan struct{})
		go func() { defer close(ended); _, _ = readAll(c) }()
		p.send([]byte(strings.Repeat(string(frame(fin|opPing, noise(120))), 200)))
		synctest.Wait()
		if b, _ := c.Queued(); b > 17<<10 {
			t.Errorf("queued %d bytes", b)
		}
		// a peer that does not read has pongs to come, and is not cut off for those that it has not
		p.send(closing(statusNormal, ""))
		code, err := p.untilClose()
		if code != statusNormal {
			t.Errorf("close %d, %v", code, err)
		}
		_ = p.Close()
		<-ended
	})
}

func TestConn_NothingFollowsACloseFrame(t *testing.T) {
	for range 50 {
		c, p := tcp(t, nil)
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() {
				for c.Send(context.Background(), text, []byte("x")) == nil {
				}
				if err := c.Send(context.Background(), text, nil); !errors.Is(err, net.ErrClosed) {
					t.Error(err)
				}
			})
		}
		closed := make(chan error)
		go func() { closed <- c.Close(4321, "enough") }()
		if code, err := p.untilClose(); code != 4321 {
			t.Fatalf("close %d, %v", code, err)
		}
		if _, err := p.Write(closing(4321, "")); err != nil {
			t.Error(err)
		}
		if left := p.all(); len(left) != 0 {
			t.Errorf("after the close frame came %q", left)
		}
		if err := <-closed; err != nil {
			t.Error(err)
		}
		wg.Wait()
	}
}

// A close frame that the library queued behind a slow drain must not be lost to a later one of
// ours.
func TestConn_AProtocolErrorIsToldBehindASlowDrain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, p := pipe(t, nil)
		for range 3 {
			if err := c.Send(t.Context(), text, []byte("x")); err != nil {
				t.Fatal(err)
			}
		}
		p.send(frame(fin|3, "no such opcode"))
		ended := make(chan struct{})
		go func() { defer close(ended); _, _ = readAll(c) }()
		synctest.Wait() // the drain waits for this peer to read
		if code, err := p.untilClose(); code != statusProto {
			t.Errorf("close %d, %v", code, err)
		}
		<-ended
	})
}

func TestConn_ManySendersManyKinds(t *testing.T) {
	for _, compression := range []bool{false, true} {
		for _, buffer := range []int{2048, 0} {
			t.Run(fmt.Sprintf("compression %v, SO_SNDBUF %d", compression, buffer),
				func(t *testing.T) {
					stress(t,
						&wsconn.Options{
							Compression: compression, SendBuffer: buffer,
							MaxQueueBytes: 50000, MaxControl: -1, KeepaliveAfter: -1,
						})
				})
		}
	}
}

// stress has 8 goroutines send numbered messages, a ninth shared frames and a tenth pings; the
// client checks every byte and each sender's order.
func stress(t *testing.T, opts *wsconn.Options) {
	const senders, each = 8, 30
	body := noise(9000)
	size := func(who, i int) int { return (i*37 + who*911) % 9000 }
	url := serve(t, opts, func(c *wsconn.Conn) {
		var wg sync.WaitGroup
		reader := make(chan struct{})
		go func() { defer close(reader); _, _ = readAll(c) }()
		for who := range senders {
			wg.Go(func() {
				for i := range each {
					b := append([]byte{byte(who), byte(i >> 8), byte(i)}, body[:size(who, i)]...)
					send := c.Send
					if i%5 == 0 {
						send = c.Queue
					}
					if err := send(context.Background(), websocket.MessageBinary, b); err != nil {
						t.Error(err)
					}
				}
				c.Flush()
			})
		}
		wg.Go(func() {
			for i := range each {
				f := wsconn.NewFrame(websocket.MessageBinary,
					append([]byte{senders, byte(i >> 8), byte(i)}, body[:size(senders, i)]...))
				for err := wsconn.ErrQueueFull; errors.Is(err, wsconn.ErrQueueFull); {
					if err = c.SendFrame(f); err != nil && !errors.Is(err, wsconn.ErrQueueFull) {
						t.Error(err)
					}
				}
			}
		})
		wg.Go(func() {
			for range 20 {
				if err := c.Ping(context.Background()); err != nil {
					t.Error(err)
				}
			}
		})
		wg.Wait()
		if err := c.Close(websocket.StatusNormalClosure, ""); err != nil {
			t.Error(err)
		}
		<-reader
	})
	client, _, err := wsconn.Dial(t.Context(), url, nil,
		&wsconn.Options{Compression: opts.Compression, MaxMessage: 1 << 20, MaxControl: -1})
	if err != nil {
		t.Fatal(err)
	}
	var next [senders + 1]int
	for {
		_, b, err := client.Read(context.Background(), nil)
		if err != nil {
			if websocket.CloseStatus(err) != websocket.StatusNormalClosure {
				t.Error(err)
			}
			break
		}
		who, i := int(b[0]), int(b[1])<<8|int(b[2])
		if i != next[who] || string(b[3:]) != body[:size(who, i)] {
			t.Fatalf("sender %d: message %d of %d bytes, want message %d of %d", who, i, len(b)-3,
				next[who], size(who, next[who]))
		}
		next[who]++
	}
	for who, n := range next {
		if n != each {
			t.Errorf("sender %d: %d messages", who, n)
		}
	}
}
