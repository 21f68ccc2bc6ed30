package wsx

import (
	"context"
	"fmt"
	"io"
	"iter"
	"log/slog"
	"net"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"
)

// pipes is a listener in memory: what a client does not read waits in the server, and nowhere else.
type pipes struct {
	conns chan net.Conn
	done  chan struct{}
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.done:
		return nil, net.ErrClosed
	}
}
func (p *pipes) Close() error   { close(p.done); return nil }
func (p *pipes) Addr() net.Addr { return &net.IPAddr{} }

// slowClients serves d and returns a function that connects.
func slowClients(t *testing.T, s *Server) (connect func() *websocket.Conn) {
	t.Helper()
	l := &pipes{make(chan net.Conn), make(chan struct{})}
	srv := &http.Server{Handler: s, ReadHeaderTimeout: time.Minute}
	go func() { _ = srv.Serve(l) }()
	transport := &http.Transport{
		DialContext: func(context.Context, string, string) (net.Conn, error) {
			a, b := net.Pipe()
			l.conns <- b
			return a, nil
		},
	}
	t.Cleanup(func() {
		if err := s.Stop(context.Background()); err != nil {
			t.Error(err)
		}
		_ = srv.Close()
		transport.CloseIdleConnections()
	})
	return func() *websocket.Conn {
		c, _, err := websocket.Dial(t.Context(), "ws://wsx.test/",
			&websocket.DialOptions{HTTPClient: &http.Client{Transport: transport}})
		if err != nil {
			t.Fatal(err)
		}
		c.SetReadLimit(-1)
		t.Cleanup(func() { _ = c.CloseNow() })
		return c
	}
}

func say(t *testing.T, c *websocket.Conn, m string) {
	t.Helper()
	if err := c.Write(t.Context(), websocket.MessageText, []byte(m)); err != nil {
		t.Fatal(err)
	}
}

func heap() int {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC() // what the pools let go
	runtime.ReadMemStats(&m)
	return int(m.HeapAlloc)
}

const mebi = 1 << 20

func bigAnswers() (*Dispatcher, http.Handler) {
	big := strings.Repeat("x", mebi-100)
	d := NewDispatcher()
	Handle(d, "big", func(context.Context, struct{}) (string, error) { return big, nil })
	Handle(d, "list", func(context.Context, struct{}) ([]string, error) {
		return strings.Split(big[:mebi/4], "x"), nil
	})
	Handle(d, "small", func(_ context.Context, n int) (int, error) { return n, nil })
	Handle(d, "hold",
		func(ctx context.Context, _ struct{}) (struct{}, error) {
			<-ctx.Done()
			return struct{}{}, ctx.Err()
		})
	HandleStream(d, "stream", func(context.Context, struct{}, *struct{}) iter.Seq2[string, error] {
		return func(yield func(string, error) bool) {
			for yield(big, nil) {
			}
		}
	})
	return d, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		step := mebi - 100
		if r.URL.Path == "/pieces" {
			step = 1000
		}
		for from := 0; from < len(big); from += step {
			if _, err := io.WriteString(w, big[from:min(len(big), from+step)]); err != nil {
				return
			}
		}
	})
}

// Answers that a client asks for and does not read must not pile up: each waits for room before it
// is made.
func TestConn_HoldsLittleForAClientThatDoesNotRead(t *testing.T) {
	for name, ask := range map[string]string{
		"results":  `{"type":"rpc.request","id":%d,"method":"big"}`,
		"lists":    `{"type":"rpc.request","id":%d,"method":"list"}`,
		"JSON-RPC": `{"jsonrpc":"2.0","id":%d,"method":"big"}`,
		"batches": `[{"jsonrpc":"2.0","id":%d,"method":"list"},{"jsonrpc":"2.0","id":"h%[1]d",` +
			`"method":"hold"}]`,
		"streams": `{"type":"rpc.request","id":%d,"method":"stream"}`,
		"tunnel":  `WSX://{"id":%d,"method":"GET","path":"/"}`,
		"pieces":  `WSX://{"id":%d,"method":"GET","path":"/pieces"}`,
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d, h := bigAnswers()
				s := NewServer(d,
					&ServerOptions{
						HTTP: h, WriteTimeout: time.Hour, KeepaliveAfter: -1,
						Logger: slog.New(slog.DiscardHandler),
					})
				c := slowClients(t, s)()
				before := heap()
				for i := range 64 {
					say(t, c, fmt.Sprintf(ask, i))
				}
				synctest.Wait()
				<-time.After(time.Second) // readers that are held up are replaced meanwhile
				synctest.Wait()
				if held := heap() - before; held > 12*mebi {
					t.Errorf("%d KiB are held", held>>10)
				}
				_ = c.CloseNow()
				synctest.Wait()
				<-time.After(time.Second)
				synctest.Wait()
				if n := s.answers.Budget.Used(); n != 0 {
					t.Errorf("%d bytes are held of a connection that has ended", n)
				}
			})
		})
	}
}

// All connections together have a bound, and who does not read keeps nobody else from what it asks
// for.
func TestServer_HoldsLittleForAllClientsThatDoNotRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, h := bigAnswers()
		s := NewServer(d,
			&ServerOptions{
				HTTP: h, MaxAnswerBytes: 8 * mebi, WriteTimeout: time.Hour,
				KeepaliveAfter: -1, Logger: slog.New(slog.DiscardHandler),
			})
		connect := slowClients(t, s)
		before := heap()
		var clients []*websocket.Conn
		for i := range 60 {
			c := connect()
			c.SetReadLimit(-1)
			clients = append(clients, c)
			for j := range 4 {
				say(t, c,
					fmt.Sprintf([]string{
						`{"type":"rpc.request","id":%d,"method":"big"}`,
						`WSX://{"id":%d,"method":"GET","path":"/pieces"}`,
					}[i%2], j))
			}
		}
		synctest.Wait()
		<-time.After(time.Second)
		synctest.Wait()
		if held := heap() - before; held > 40*mebi {
			t.Errorf("%d KiB are held", held>>10)
		}
		c := connect() // small answers pass
		say(t, c, `{"type":"rpc.request","id":1,"method":"small","params":7}`)
		if _, b, err := c.Read(t.Context()); err != nil ||
			string(b) != `{"type":"rpc.response","id":1,"result":7}` {
			t.Fatal(string(b), err)
		}
		for i := range 4 {
			// as do large ones, of a client that reads: those who hold the most have to go
			say(t, c, fmt.Sprintf(`{"type":"rpc.request","id":%d,"method":"big"}`, i))
			if _, b, err := c.Read(t.Context()); err != nil || len(b) < mebi-100 {
				t.Fatal(i, len(b), err)
			}
		}
		for _, c := range clients {
			_ = c.CloseNow()
		}
		<-time.After(time.Minute)
		synctest.Wait()
		if n := s.answers.Budget.Used(); n != 0 {
			t.Errorf("%d bytes are held of connections that have ended", n)
		}
	})
}
