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

// BenchmarkEcho echoes 64 bytes over the loopback interface, with 1 or 32 messages on their way. The client is bare bytes.
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

// BenchmarkFanOut sends one message of 256 bytes to 1,000 connections, a round per iteration. The baseline is a loop that makes each frame anew
// and writes it to the socket.
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
	b.Run("wsconn", func(b *testing.B) {
		var all []*wsconn.Conn
		for _, s := range sockets(b) {
			all = append(all, upgradeConn(b, s, nil))
		}
		b.ReportAllocs()
		b.ResetTimer()
		for range b.N {
			f := wsconn.NewFrame(websocket.MessageText, payload)
			for _, c := range all {
				if err := c.SendFrame(f); errors.Is(err, wsconn.ErrQueueFull) {
					err = c.Send(context.Background(), websocket.MessageText, payload)
					if err != nil {
						b.Fatal(err)
					}
				} else if err != nil {
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

// BenchmarkIdle reports the heap and stack that an idle connection with its reading goroutine takes; one iteration is 2,000 of them.
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
		"wsconn": func(b *testing.B) string { return serve(b, nil, echo(b)) },
		"coder":  plainServer,
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
