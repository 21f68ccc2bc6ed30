package asgi_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"

	"github.com/genropy/genro-asgi-go/asgi"
)

// A context that ends gives up waiting; the connection does not notice.
func TestWebSocket_AContextThatEndsLeavesTheConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		exchange(t, func(ctx context.Context, ws *asgi.WebSocket) error {
			for range 3 {
				short, cancel := context.WithTimeout(ctx, time.Second)
				from := time.Now()
				if _, err := ws.Receive(short); !errors.Is(err, context.DeadlineExceeded) ||
					time.Since(from) != time.Second {
					t.Errorf("%v after %v", err, time.Since(from))
				}
				for _, err := range ws.Messages(short) {
					if !errors.Is(err, context.DeadlineExceeded) {
						t.Errorf("sequence: %v", err)
					}
				}
				cancel()
			}
			if err := ws.SendText(ctx, "now"); err != nil {
				t.Error(err)
			}
			if text, err := ws.ReceiveText(ctx); text != "yes" || err != nil {
				t.Errorf("got %q, %v", text, err)
			}
			return nil
		}, nil, func(conn *websocket.Conn) {
			if _, data, err := conn.Read(t.Context()); string(data) != "now" || err != nil {
				t.Error(err)
			}
			_ = conn.Write(t.Context(), websocket.MessageText, []byte("yes"))
			if got := closing(t, conn); got != "1000" {
				t.Error(got)
			}
		})
	})
}

// The queue is bounded: a peer that does not read makes senders wait, until their context ends or
// the write time-out ends the connection, and with it the handler's context, though nobody reads.
func TestWebSocket_APeerThatDoesNotRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		done := make(chan struct{})
		client, _ := memory(t, accepted(func(ctx context.Context, ws *asgi.WebSocket) error {
			defer close(done)
			from := time.Now()
			short, cancel := context.WithTimeout(ctx, time.Second)
			defer cancel()
			var err error
			n := 0
			for ; err == nil; n++ {
				err = ws.SendBytes(short, make([]byte, 1<<10))
			}
			if !errors.Is(err, context.DeadlineExceeded) || time.Since(from) != time.Second ||
				n > 10 {
				t.Errorf("message %d: %v after %v", n, err, time.Since(from))
			}
			<-ctx.Done()
			if time.Since(from) != 5*time.Second {
				t.Errorf("ended after %v", time.Since(from))
			}
			var gone *asgi.WebSocketDisconnect
			if err := ws.SendText(ctx, ""); !errors.As(err, &gone) || gone.Code != 1006 {
				t.Errorf("send: %v", err)
			}
			if _, err := ws.Receive(ctx); !errors.As(err, &gone) || gone.Code != 1006 ||
				gone.Err == nil || !strings.Contains(gone.Err.Error(), "does not read") {
				t.Errorf("receive: %v", err)
			}
			return nil
		}), &asgi.WebSocketOptions{MaxQueueBytes: 4 << 10})
		open(t, client)
		<-done
	})
}

func TestWebSocket_KeepaliveEndsASilentPeer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		done := make(chan struct{})
		client, _ := memory(t, accepted(func(ctx context.Context, ws *asgi.WebSocket) error {
			defer close(done)
			from := time.Now()
			_, err := ws.Receive(ctx)
			var gone *asgi.WebSocketDisconnect
			if !errors.As(err, &gone) || gone.Code != 4408 {
				t.Errorf("receive: %v", err)
			}
			// 25 s and 10 s, and 5 s for an answer to the close frame
			if took := time.Since(from); took != 40*time.Second {
				t.Errorf("ended after %v", took)
			}
			return err
		}), nil)
		resp, err := client.HTTP.Do(client.Request("GET", "/", nil, handshakeHeader()))
		if err != nil || resp.StatusCode != http.StatusSwitchingProtocols {
			t.Fatal(resp, err)
		}
		from := time.Now()
		wire := make([]byte, 100)
		n, err := resp.Body.Read(wire)
		if time.Since(from) != 25*time.Second || n < 2 || wire[0] != 0x89 {
			t.Errorf("%x after %v, %v", wire[:n], time.Since(from), err)
		}
		n, err = resp.Body.Read(wire)
		if time.Since(from) != 35*time.Second || n < 4 || wire[0] != 0x88 ||
			int(wire[2])<<8|int(wire[3]) != 4408 {
			t.Errorf("%x after %v, %v", wire[:n], time.Since(from), err)
		}
		<-done
		_ = resp.Body.Close()
	})
}

func TestWebSocket_KeepaliveKeepsAQuietPeer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		exchange(t, func(ctx context.Context, ws *asgi.WebSocket) error {
			from := time.Now()
			text, err := ws.ReceiveText(ctx)
			if text != "late" || time.Since(from) != time.Hour {
				t.Errorf("%q, %v after %v", text, err, time.Since(from))
			}
			return nil
		}, nil, func(conn *websocket.Conn) {
			ended := make(chan string)
			go func() { ended <- closing(t, conn) }() // answers pings
			<-time.After(time.Hour)
			_ = conn.Write(t.Context(), websocket.MessageText, []byte("late"))
			if got := <-ended; got != "1000" {
				t.Error(got)
			}
		})
	})
}
