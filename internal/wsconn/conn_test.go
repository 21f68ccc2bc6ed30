package wsconn_test

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/genropy/genro-asgi-go/internal/leakcheck"
	"github.com/genropy/genro-asgi-go/internal/wsconn"
)

func TestMain(m *testing.M) { leakcheck.Main(m) }

// serve upgrades every request and hands the connection to handle in a goroutine of its own, as users of the package do.
func serve(t testing.TB, opts *wsconn.Options, handle func(*wsconn.Conn)) string {
	t.Helper()
	var wg sync.WaitGroup
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if ref := wsconn.Check(w, r, &wsconn.Policy{}); ref != nil {
			http.Error(w, ref.Detail, ref.Status)
			return
		}
		c, err := wsconn.Upgrade(w, r, opts)
		if err != nil {
			t.Error(err)
			return
		}
		wg.Go(func() { handle(c) })
	}))
	t.Cleanup(func() { srv.Close(); wg.Wait() })
	return srv.URL
}

func echo(t testing.TB) func(c *wsconn.Conn) {
	return func(c *wsconn.Conn) {
		for {
			typ, b, err := c.Read(context.Background(), nil)
			if err != nil {
				return
			}
			if err := c.Send(context.Background(), typ, b); err != nil && !errors.Is(err, net.ErrClosed) {
				t.Error(err)
			}
		}
	}
}

func TestConn_EchoesEverySize(t *testing.T) {
	for _, compression := range []bool{false, true} {
		url := serve(t, &wsconn.Options{Compression: compression, MaxMessage: 1 << 20}, echo(t))
		c, _, err := wsconn.Dial(t.Context(), url, nil, &wsconn.Options{Compression: compression, MaxMessage: 1 << 20})
		if err != nil {
			t.Fatal(err)
		}
		for _, n := range []int{0, 1, 125, 126, 127, 511, 512, 513, 4095, 4096, 65535, 65536, 70000, 1 << 20} {
			want := strings.Repeat("x", n)
			if err := c.Send(t.Context(), websocket.MessageText, []byte(want)); err != nil {
				t.Fatal(err)
			}
			typ, got, err := c.Read(t.Context(), nil)
			if err != nil || typ != websocket.MessageText || string(got) != want {
				t.Fatalf("compression %v, %d bytes: type %v, %d bytes, %v", compression, n, typ, len(got), err)
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
