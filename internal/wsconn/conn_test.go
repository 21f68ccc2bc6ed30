package wsconn_test

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"

	"github.com/genropy/genro-asgi-go/internal/wsconn"
)

func TestConn_EchoesEverySize(t *testing.T) {
	for _, compression := range []bool{false, true} {
		url := serve(t, &wsconn.Options{Compression: compression, MaxMessage: 1 << 20}, echo(t))
		c, _, err := wsconn.Dial(t.Context(), url, nil,
			&wsconn.Options{Compression: compression, MaxMessage: 1 << 20})
		if err != nil {
			t.Fatal(err)
		}
		for _, n := range []int{
			0, 1, 125, 126, 127, 511, 512, 513, 4095, 4096, 65535, 65536, 70000,
			1 << 20,
		} {
			want := strings.Repeat("x", n)
			if err := c.Send(t.Context(), websocket.MessageText, []byte(want)); err != nil {
				t.Fatal(err)
			}
			typ, got, err := c.Read(t.Context(), nil)
			if err != nil || typ != websocket.MessageText || string(got) != want {
				t.Fatalf("compression %v, %d bytes: type %v, %d bytes, %v", compression, n, typ,
					len(got), err)
			}
		}
		if err := c.Close(websocket.StatusNormalClosure, "done"); err != nil {
			t.Error(err)
		}
	}
}

func TestConn_ReadGivesUpWithItsContextAndTheConnectionLives(t *testing.T) {
	read := make(chan error)
	url := serve(t, nil, func(c *wsconn.Conn) {
		ctx, cancel := context.WithTimeout(context.Background(), time.Millisecond)
		defer cancel()
		_, _, err := c.Read(ctx, nil)
		read <- err
		echo(t)(c)
	})
	c, _, err := websocket.Dial(t.Context(), url, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.CloseNow() }()
	if err := <-read; !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("got %v", err)
	}
	if err := c.Write(t.Context(), websocket.MessageText, []byte("hello")); err != nil {
		t.Fatal(err)
	}
	if _, b, err := c.Read(t.Context()); err != nil || string(b) != "hello" {
		t.Errorf("got %q, %v", b, err)
	}
}

// A reader is asked to renew itself once it has read after a long silence, and never while messages
// come close together.
func TestConn_NextAsksForANewGoroutineAfterALongSilence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, p := pipe(t, nil)
		defer func() { _ = c.CloseNow(); _ = p.Close() }()
		go func() { _, _ = io.Copy(io.Discard, p.br) }()
		go func() {
			for _, silence := range []time.Duration{0, 0, 2 * time.Second, 0, 3 * time.Second} {
				<-time.After(silence)
				_, _ = p.Write(frame(fin|opText, "x"))
			}
			<-time.After(2 * time.Second)
			_, _ = p.Write(frame(fin|opPong, ""))
		}()
		var got string
		for range 9 {
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			_, err := c.Next(ctx)
			switch {
			case errors.Is(err, wsconn.ErrRenew):
				got += "n"
			case err == nil:
				got += "m"
				if _, err := c.Message(nil); err != nil {
					t.Fatal(err)
				}
			default:
				t.Fatal(err)
			}
			cancel()
			if got == "mnmmnmmnn" { // the last one after the pong
				return
			}
		}
		t.Errorf("messages and renewals came as %q", got)
	})
}
