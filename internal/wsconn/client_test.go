package wsconn_test

import (
	"bufio"
	"context"
	"crypto/sha1"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"

	"github.com/genropy/genro-asgi-go/internal/wsconn"
)

// dialPipe is a client's connection in memory, and its server on the level of frames.
func dialPipe(t *testing.T, opts *wsconn.Options) (*wsconn.Conn, *peer) {
	t.Helper()
	client, server := net.Pipe()
	p := &peer{server, bufio.NewReader(server)}
	go func() {
		r, err := http.ReadRequest(p.br)
		if err != nil {
			return
		}
		sum := sha1.Sum([]byte(r.Header.Get("Sec-WebSocket-Key") +
			"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
		extension := ""
		if opts.Compression {
			extension = "Sec-WebSocket-Extensions: permessage-deflate; " +
				"server_no_context_takeover; client_no_context_takeover\r\n"
		}
		_, _ = io.WriteString(server,
			"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"+
				extension+
				"Sec-WebSocket-Accept: "+base64.StdEncoding.EncodeToString(sum[:])+"\r\n\r\n")
	}()
	transport := &http.Transport{
		DialContext: func(context.Context, string, string) (net.Conn, error) { return client, nil },
	}
	c, _, err := wsconn.Dial(t.Context(), "ws://server.test/",
		&wsconn.DialOptions{Client: &http.Client{Transport: transport}}, opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = server.Close(); _ = c.CloseNow() })
	return c, p
}

// bare is a server's frame.
func bare(first byte, payload string) []byte {
	return append(head(first, len(payload), unmasked), payload...)
}

// controls tells which control frames a client sends and when, until the connection ends.
func controls(p *peer) <-chan string {
	from, out := time.Now(), make(chan string, 100)
	go func() {
		defer close(out)
		for {
			var h [6]byte
			if _, err := io.ReadFull(p.br, h[:]); err != nil {
				return
			}
			if _, err := io.CopyN(io.Discard, p.br, int64(h[1]&0x7f)); err != nil {
				return
			}
			out <- fmt.Sprintf("%s at %s",
				map[byte]string{opPing: "ping", opPong: "pong", opClose: "close"}[h[0]&0xf],
				time.Since(from))
		}
	}()
	return out
}

func TestDial_AMessageThatIsTooBigMayBeSkipped(t *testing.T) {
	long := strings.Repeat("abcdefgh", 1000)
	for name, tt := range map[string]struct {
		frames []byte
		want   string
	}{
		"one frame": {bare(fin|opText, long), long},
		"fragments": {
			join(bare(opText, "within"), bare(fin|opPing, "x"), bare(opCont, long),
				bare(fin|opCont, "and an end")), "within" + long + "and an end",
		},
		"inflated": {bare(fin|rsv1|opText, deflated(long, false)), long},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var skipped strings.Builder
				c, p := dialPipe(t,
					&wsconn.Options{
						MaxMessage: 100, Compression: name == "inflated",
						TooBig: func(b []byte) { skipped.Write(b) },
					})
				collected := controls(p)
				for range 2 { // one that was skipped leaves nothing behind
					p.send(join(tt.frames, bare(fin|opText, "small")))
					if _, b, err := c.Read(t.Context(), []byte("kept ")); !errors.Is(err,
						wsconn.ErrSkipped) || string(b) != "kept " {
						t.Fatal(string(b), err)
					}
					if skipped.String() != tt.want {
						t.Fatalf("%d bytes, want %d", skipped.Len(), len(tt.want))
					}
					skipped.Reset()
					if _, b, err := c.Read(t.Context(), nil); err != nil || string(b) != "small" {
						t.Fatal(string(b), err)
					}
				}
				_ = p.Close()
				collect(collected)
			})
		})
	}
}

// What a server does to find out whether a client is there, the client may be too busy, or its link
// too slow, to hear of in time.
func TestKeepalive_AClientThatIsBusySaysThatItIsThere(t *testing.T) {
	for name, begin := range map[string]func(t *testing.T, c *wsconn.Conn, p *peer){
		"not reading": func(*testing.T, *wsconn.Conn, *peer) {},
		"a long message": func(_ *testing.T, c *wsconn.Conn, p *peer) {
			go func() { _, _ = readAll(c) }()
			p.send(bare(opText, "part"))
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c, p := dialPipe(t, &wsconn.Options{KeepaliveAfter: time.Hour})
				frames := controls(p)
				begin(t, c, p)
				sleep(9 * time.Second)
				_ = p.Close()
				_ = c.CloseNow()
				equal(t, collect(frames), []string{"pong at 4s", "pong at 8s"})
			})
		})
	}
	synctest.Test(t, func(t *testing.T) {
		c, p := dialPipe(t, &wsconn.Options{KeepaliveAfter: 25 * time.Second})
		go func() { _, _ = readAll(c) }()
		frames := controls(p)
		sleep(24 * time.Second)
		p.send(bare(fin|opText, "whole")) // between two messages the server's pings are answered
		sleep(30 * time.Second)
		_ = p.Close()
		equal(t, collect(frames), []string{"ping at 49s"})
	})
}

// A ping behind what a slow link takes its time for has not reached the peer.
func TestKeepalive_WaitsForAPingThatIsQueued(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, p := pipe(t, &wsconn.Options{WriteTimeout: time.Minute})
		go func() { _, _ = readAll(c) }()
		if err := c.Send(t.Context(), websocket.MessageText, make([]byte, 200<<10)); err != nil {
			t.Fatal(err)
		}
		for range 200 { // 100 s
			sleep(500 * time.Millisecond)
			if _, err := io.CopyN(io.Discard, p.br, 1<<10); err != nil {
				t.Fatal(err)
			}
		}
		if _, _, ended := c.Ending(); ended {
			t.Error("ended while it was being sent")
		}
		_, _ = io.Copy(io.Discard, p.br) // at once: then nothing is queued any more
		if code, _, _ := c.Ending(); code != wsconn.StatusKeepalive {
			t.Errorf("Ending %d", code)
		}
		_ = c.CloseNow()
	})
}

func TestConn_UrgeGoesOverAFullQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, p := pipe(t,
			&wsconn.Options{MaxQueueMessages: 2, WriteTimeout: time.Hour, KeepaliveAfter: -1})
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		full := func() error { return c.Send(ctx, websocket.MessageText, []byte("message")) }
		for full() == nil {
		}
		if err := c.Urge(websocket.MessageText, []byte("urgent")); err != nil {
			t.Error(err)
		}
		if err := c.Urge(websocket.MessageText, make([]byte, 3<<20)); !errors.Is(err,
			wsconn.ErrQueueFull) {
			t.Error(err)
		}
		var last string
		for !strings.Contains(last, "urgent") {
			g, err := p.next()
			if err != nil {
				t.Fatal(err)
			}
			last = g.String()
		}
		_ = c.CloseNow()
		if err := c.Urge(websocket.MessageText, nil); !errors.Is(err, net.ErrClosed) {
			t.Error(err)
		}
	})
}
