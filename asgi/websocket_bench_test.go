package asgi_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/coder/websocket"

	"github.com/genropy/genro-asgi-go/asgi"
)

// rawEcho is the loop as coder/websocket's documentation shows it.
func rawEcho(w http.ResponseWriter, r *http.Request) {
	conn, err := websocket.Accept(w, r, nil)
	if err != nil {
		return
	}
	defer conn.CloseNow() // it has ended
	for {
		typ, data, err := conn.Read(r.Context())
		if err != nil {
			return
		}
		if err := conn.Write(r.Context(), typ, data); err != nil {
			return
		}
	}
}

// BenchmarkWebSocket_Echo echoes 64 bytes of text over the loopback interface, with 1 or 32
// messages on their way. The client is bare bytes.
func BenchmarkWebSocket_Echo(b *testing.B) {
	byText := func(ctx context.Context, ws *asgi.WebSocket) error {
		for {
			text, err := ws.ReceiveText(ctx)
			if err != nil {
				return err
			}
			if err := ws.SendText(ctx, text); err != nil {
				return err
			}
		}
	}
	handlers := []struct {
		name string
		h    http.HandlerFunc
	}{
		{"messages", asgi.HandleWebSocket(accepted(echo), nil)},
		{"text", asgi.HandleWebSocket(accepted(byText), nil)},
		{"coder", rawEcho},
	}
	for _, outstanding := range []int{1, 32} {
		for _, c := range handlers {
			b.Run(fmt.Sprintf("%s/outstanding=%d", c.name, outstanding), func(b *testing.B) {
				srv := httptest.NewServer(c.h)
				defer srv.Close()
				conn := handshake(b, srv)
				defer func() { _ = conn.Close() }()
				frame := append([]byte{0x81, 0x80 | 64, 0, 0, 0, 0}, strings.Repeat("x", 64)...)
				burst := bytes.Repeat(frame, outstanding)
				answer := make([]byte, outstanding*(2+64))
				b.ReportAllocs()
				b.ResetTimer()
				for range (b.N + outstanding - 1) / outstanding {
					if _, err := conn.Write(burst); err != nil {
						b.Fatal(err)
					}
					if _, err := io.ReadFull(conn, answer); err != nil {
						b.Fatal(err)
					}
				}
				b.StopTimer()
			})
		}
	}
}

// handshake opens a WebSocket by hand.
func handshake(b *testing.B, srv *httptest.Server) net.Conn {
	b.Helper()
	conn, err := net.Dial("tcp", srv.Listener.Addr().String())
	if err != nil {
		b.Fatal(err)
	}
	fmt.Fprintf(conn,
		"GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: "+
			"websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: "+
			"dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")
	var head []byte
	for one := make([]byte, 1); !bytes.HasSuffix(head, []byte("\r\n\r\n")); head = append(head,
		one...) {
		if _, err := conn.Read(one); err != nil {
			b.Fatal(err)
		}
	}
	if !bytes.HasPrefix(head, []byte("HTTP/1.1 101")) {
		b.Fatalf("answer %s", head)
	}
	return conn
}
