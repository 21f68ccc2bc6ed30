package wsx_test

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"
	"sync"
	"testing"

	"github.com/coder/websocket"
)

// BenchmarkServer_Add compares typed calls with the floor: a loop that echoes the same bytes over
// coder/websocket and knows no JSON. The clients are the same: connections that keep so many
// requests outstanding. One op is one call.
func BenchmarkServer_Add(b *testing.B) {
	_, wsxURL := newTestServer(b, nil)
	floor := httptest.NewServer(http.HandlerFunc(rawEcho))
	b.Cleanup(floor.Close)
	for _, load := range []struct{ conns, outstanding int }{{1, 1}, {16, 1}, {16, 32}} {
		for _, server := range []struct{ name, url string }{{"floor", floor.URL}, {"wsx", wsxURL}} {
			b.Run(fmt.Sprintf("%s/conns=%d/outstanding=%d", server.name, load.conns,
				load.outstanding), func(b *testing.B) {
				drive(b, server.url, load.conns, load.outstanding)
			})
		}
	}
}

func rawEcho(w http.ResponseWriter, r *http.Request) {
	c, err := websocket.Accept(w, r, nil)
	if err != nil {
		return
	}
	defer func() { _ = c.CloseNow() }()
	for {
		typ, p, err := c.Read(context.Background())
		if err != nil {
			return
		}
		if err := c.Write(context.Background(), typ, p); err != nil {
			return
		}
	}
}

func drive(b *testing.B, url string, conns, outstanding int) {
	b.ReportAllocs()
	var clients []*websocket.Conn
	for range conns {
		c, _, err := websocket.Dial(context.Background(), url, nil)
		if err != nil {
			b.Fatal(err)
		}
		defer func() { _ = c.CloseNow() }()
		clients = append(clients, c)
	}
	b.ResetTimer()
	var wg sync.WaitGroup
	for i, c := range clients {
		n := b.N / conns
		if i == 0 {
			n += b.N % conns
		}
		wg.Go(func() {
			room := make(chan struct{}, outstanding)
			wg.Go(func() {
				for j := range n {
					room <- struct{}{}
					msg := strconv.AppendInt([]byte(`{"type":"rpc.request","id":`), int64(j), 10)
					msg = append(msg, `,"method":"add","params":{"A":2,"B":40}}`...)
					if err := c.Write(context.Background(), websocket.MessageText, msg); err !=
						nil {
						b.Error(err)
						return
					}
				}
			})
			for range n {
				_, p, err := c.Read(context.Background())
				if err != nil || !bytes.Contains(p, []byte(`"id":`)) {
					b.Error(string(p), err)
					return
				}
				<-room
			}
		})
	}
	wg.Wait()
}
