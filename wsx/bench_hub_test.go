package wsx_test

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/genropy/genro-asgi-go/wsx"
)

// BenchmarkHub_Publish compares an event of 200 bytes to many subscribers with the floor: a loop
// that writes the same bytes, encoded beforehand, to each socket. One op is one event, published
// and read by all; so many are outstanding.
func BenchmarkHub_Publish(b *testing.B) {
	payload := strings.Repeat("x", 198)
	for _, subscribers := range []int{1, 100, 1000} {
		for _, outstanding := range []int{1, 16} {
			b.Run(fmt.Sprintf("floor/subscribers=%d/outstanding=%d", subscribers, outstanding),
				func(b *testing.B) {
					var mu sync.Mutex
					var conns []net.Conn
					// the client has its answer before the server has the connection
					var ready sync.WaitGroup
					ready.Add(subscribers)
					srv := httptest.NewServer(
						http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
							w.Header().Set("Connection", "Upgrade")
							w.Header().Set("Upgrade", "websocket")
							w.WriteHeader(http.StatusSwitchingProtocols)
							c, _, err := http.NewResponseController(w).Hijack()
							if err != nil {
								b.Error(err)
								return
							}
							mu.Lock()
							conns = append(conns, c)
							mu.Unlock()
							ready.Done()
						}))
					defer srv.Close()
					message := event("a", `"`+payload+`"`, "1", "")
					frame := append([]byte{0x81, 126, byte(len(message) >> 8), byte(len(message))},
						message...)
					fanOut(b, srv.URL, subscribers, outstanding, nil, func() {
						ready.Wait()
						for _, c := range conns {
							if _, err := c.Write(frame); err != nil {
								b.Error(err)
							}
						}
					})
					for _, c := range conns {
						_ = c.Close()
					}
				})
			b.Run(fmt.Sprintf("wsx/subscribers=%d/outstanding=%d", subscribers, outstanding),
				func(b *testing.B) {
					hub := wsx.NewHub(nil)
					hub.Configure("a", nil)
					// the subscribers answer no pings
					_, url := newTestServer(b, &wsx.ServerOptions{Hub: hub, KeepaliveAfter: -1})
					fanOut(b, url, subscribers, outstanding, clientFrame(subscribeTo("1", "a", "")),
						func() {
							if _, err := hub.Publish(context.Background(), "a", payload); err !=
								nil {
								b.Error(err)
							}
						})
				})
		}
	}
}

// fanOut measures publish until every subscriber has read the event. Subscribers send subscribe and
// read one message first, when it is not nil.
func fanOut(b *testing.B, url string, subscribers, outstanding int, subscribe []byte,
	publish func(),
) {
	b.ReportAllocs()
	conns := make([]net.Conn, subscribers)
	for i := range conns {
		conns[i] = benchDial(b, url, subscribe)
		defer func() { _ = conns[i].Close() }()
	}
	room := make(chan struct{}, outstanding)
	read := make(chan struct{}, subscribers*outstanding)
	lost := make(chan error, subscribers) // a connection that ended before its time
	var readers sync.WaitGroup
	for _, c := range conns {
		readers.Go(func() {
			buf := make([]byte, 64<<10)
			for have, left := 0, b.N; left > 0; {
				n, err := c.Read(buf[have:])
				if err != nil {
					lost <- err
					return
				}
				have += n
				at := 0
				for have-at >= 4 {
					// an event is over 125 bytes and under 64 KiB
					size := 4 + int(buf[at+2])<<8 + int(buf[at+3])
					if have-at < size {
						break
					}
					at += size
					left--
					read <- struct{}{}
				}
				have = copy(buf, buf[at:have])
			}
		})
	}
	b.ResetTimer()
	var publishing sync.WaitGroup
	publishing.Go(func() {
		for range b.N {
			room <- struct{}{}
			publish()
		}
	})
	for range b.N {
		for range subscribers {
			select {
			case <-read:
			case err := <-lost:
				b.Fatal(err)
			}
		}
		<-room
	}
	publishing.Wait()
	b.StopTimer()
	readers.Wait()
	b.ReportMetric(float64(b.N*subscribers)/b.Elapsed().Seconds(), "deliveries/s")
}

// benchDial makes a handshake over TCP, sends subscribe and reads what is answered to it.
func benchDial(b *testing.B, url string, subscribe []byte) net.Conn {
	c, err := net.Dial("tcp", strings.TrimPrefix(url, "http://"))
	if err != nil {
		b.Fatal(err)
	}
	r := handshake(b, url)
	if err := r.Write(c); err != nil {
		b.Fatal(err)
	}
	var got []byte
	readUntil := func(end string) {
		for !strings.Contains(string(got), end) {
			p := make([]byte, 512)
			n, err := c.Read(p)
			if err != nil {
				b.Fatal(err)
			}
			got = slices.Concat(got, p[:n])
		}
	}
	readUntil("\r\n\r\n")
	if subscribe != nil {
		if _, err := c.Write(subscribe); err != nil {
			b.Fatal(err)
		}
		readUntil(`"subscription":"1"}}`)
	}
	return c
}
