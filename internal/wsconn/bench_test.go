package wsconn_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"sync"
	"testing"

	"github.com/coder/websocket"

	"github.com/genropy/genro-asgi-go/internal/wsconn"
)

// plainServer is the baseline: an echo on coder/websocket as its documentation shows it.
func plainServer(b *testing.B) string {
	var wg sync.WaitGroup
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		wg.Add(1)
		c, err := websocket.Accept(w, r, nil)
		if err != nil {
			wg.Done()
			b.Error(err)
			return
		}
		go func() {
			defer wg.Done()
			defer func() { _ = c.CloseNow() }()
			for {
				typ, msg, err := c.Read(context.Background())
				if err != nil {
					return
				}
				if err := c.Write(context.Background(), typ, msg); err != nil {
					return
				}
			}
		}()
	}))
	b.Cleanup(func() { srv.Close(); wg.Wait() })
	return srv.URL
}

// BenchmarkEcho echoes 64 bytes over the loopback interface, with 1 or 32 messages on their way.
// The client is bare bytes.
func BenchmarkEcho(b *testing.B) {
	for _, outstanding := range []int{1, 32} {
		for name, url := range map[string]func(*testing.B) string{
			"wsconn": func(b *testing.B) string { return serve(b, nil, echo(b)) },
			"coder":  plainServer,
		} {
			b.Run(fmt.Sprintf("%s/outstanding=%d", name, outstanding), func(b *testing.B) {
				p := dialRaw(b, url(b), "")
				f := frame(fin|opBinary, noise(64))
				burst := make([]byte, 0, outstanding*len(f))
				for range outstanding {
					burst = append(burst, f...)
				}
				answer := make([]byte, outstanding*(2+64))
				b.ReportAllocs()
				b.ResetTimer()
				for range (b.N + outstanding - 1) / outstanding {
					if _, err := p.Write(burst); err != nil {
						b.Fatal(err)
					}
					if _, err := io.ReadFull(p.br, answer); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}

// BenchmarkFanOut sends one message of 256 bytes to 1,000 connections, a round per iteration. The
// baseline is a loop that makes each frame anew and writes it to the socket. wsconn queues the
// frame and then writes the queue; event writes at once, from where the frame is, what nothing
// waits before.
func BenchmarkFanOut(b *testing.B) {
	const conns = 1000
	payload := []byte(noise(256))
	sockets := func(b *testing.B) (servers []*net.TCPConn) {
		for range conns {
			s, c := tcpPair(b)
			servers = append(servers, s)
			go func() { _, _ = io.Copy(io.Discard, c); _ = c.Close() }()
		}
		return servers
	}
	perConn := func(b *testing.B) {
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/conns, "ns/conn")
	}
	for name, send := range map[string]func(c *wsconn.Conn, f *wsconn.Frame) error{
		"wsconn": (*wsconn.Conn).SendFrame,
		"event": func(c *wsconn.Conn, f *wsconn.Frame) error {
			return c.Offer(f, "", 0, false, true)
		},
	} {
		b.Run(name, func(b *testing.B) {
			var all []*wsconn.Conn
			for _, s := range sockets(b) {
				all = append(all, upgradeConn(b, s, nil))
			}
			b.ReportAllocs()
			b.ResetTimer()
			for range b.N {
				f := wsconn.NewFrame(websocket.MessageText, payload)
				for _, c := range all {
					err := send(c, f)
					if errors.Is(err, wsconn.ErrQueueFull) {
						err = c.Send(context.Background(), websocket.MessageText, payload)
					}
					if err != nil {
						b.Fatal(err)
					}
				}
			}
			perConn(b)
			b.StopTimer()
			for _, c := range all {
				_ = c.CloseNow()
			}
		})
	}
	b.Run("loop", func(b *testing.B) {
		all := sockets(b)
		b.ReportAllocs()
		b.ResetTimer()
		for range b.N {
			for _, s := range all {
				f := append(head(fin|opText, len(payload), unmasked), payload...)
				if _, err := s.Write(f); err != nil {
					b.Fatal(err)
				}
			}
		}
		perConn(b)
		b.StopTimer()
		for _, s := range all {
			_ = s.Close()
		}
	})
}

// BenchmarkIdle reports the heap and stack that an idle connection with its reading goroutine
// takes, both ends together; one iteration is 2,000 of them. kept and renewed have served a message
// with a handler that needs 8 KiB of stack: kept goes on in the same goroutine, renewed in a new
// one, as ErrRenew asks.
func BenchmarkIdle(b *testing.B) {
	const conns = 2000
	inUse := func() uint64 {
		runtime.GC()
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc + m.StackInuse
	}
	for name, url := range map[string]func(*testing.B) string{
		"wsconn":  func(b *testing.B) string { return serve(b, nil, echo(b)) },
		"kept":    func(b *testing.B) string { return serve(b, nil, kept) },
		"renewed": func(b *testing.B) string { return serve(b, nil, renewed) },
		"coder":   plainServer,
	} {
		b.Run(name, func(b *testing.B) {
			u := url(b)
			for range b.N {
				before := inUse()
				var clients []net.Conn
				for range conns {
					clients = append(clients, quietDial(b, u))
				}
				b.ReportMetric(float64(inUse()-before)/conns, "bytes/conn")
				for _, c := range clients {
					_ = c.Close()
				}
			}
		})
	}
}

// kept echoes messages, each by a handler that needs much of the stack.
func kept(c *wsconn.Conn) { readDeep(c, false) }

// renewed is kept that goes on in a new goroutine where it should.
func renewed(c *wsconn.Conn) { readDeep(c, true) }

// readDeep returns when the connection has ended. It waits for its reader, also where that stays
// the same, so that both ways have a goroutine beside it.
func readDeep(c *wsconn.Conn, renew bool) {
	var readers sync.WaitGroup
	var read func()
	read = func() {
		for {
			typ, err := c.Next(context.Background())
			switch {
			case errors.Is(err, wsconn.ErrRenew) && renew:
				readers.Go(read)
				return
			case errors.Is(err, wsconn.ErrRenew):
				continue
			case err != nil:
				return
			}
			b, err := c.Message(nil)
			if err != nil || useStack(32) == 0 || c.Send(context.Background(), typ, b) != nil {
				return
			}
		}
	}
	readers.Go(read)
	readers.Wait()
}

// useStack needs 256 bytes of stack for each level.
//
//go:noinline
func useStack(levels int) byte {
	var local [256]byte
	if local[levels] = 1; levels > 0 {
		local[0] = useStack(levels - 1)
	}
	return local[levels] + local[0]
}

// quietDial does the handshake and one echo, and keeps no buffer.
func quietDial(b *testing.B, url string) net.Conn {
	p := dialRaw(b, url, "")
	if _, err := p.Write(frame(fin|opText, "x")); err != nil {
		b.Fatal(err)
	}
	if _, err := io.ReadFull(p.br, make([]byte, 3)); err != nil {
		b.Fatal(err)
	}
	return p.Conn
}
