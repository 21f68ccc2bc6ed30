package asgi_test

import (
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/genropy/genro-asgi-go/asgi"
)

// load keeps clients sending to base until it refuses connections, and counts the requests that reached the handler and the answers
// that came back whole. Its requests are POST, which http.Transport never repeats by itself.
type load struct {
	accepted, answered atomic.Int64
	warm               chan struct{} // closed once every client was answered
	clients            sync.WaitGroup
}

const answerSize = 8 << 10

func (l *load) handler() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		l.accepted.Add(1)
		_, _ = io.Copy(io.Discard, r.Body)
		_, _ = io.WriteString(w, strings.Repeat("x", answerSize))
	})
}

func startLoad(l *load, base string, clients int) {
	l.warm = make(chan struct{})
	var first atomic.Int64
	for range clients {
		l.clients.Go(func() {
			transport := &http.Transport{}
			defer transport.CloseIdleConnections()
			client := &http.Client{Transport: transport}
			for n := 0; ; n++ {
				resp, err := client.Post(base, "text/plain", strings.NewReader("body"))
				if err != nil {
					return // refused, or closed before the request was read: never accepted
				}
				body, err := io.ReadAll(resp.Body)
				_ = resp.Body.Close()
				if err == nil && len(body) == answerSize {
					l.answered.Add(1)
				}
				if n == 0 && first.Add(1) == int64(clients) {
					close(l.warm)
				}
			}
		})
	}
}

func listen(t testing.TB) (net.Listener, string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return l, "http://" + l.Addr().String()
}

// With http.Server.Shutdown alone this fails: see conns.
func TestApp_ShutdownUnderLoadLosesNoRequest(t *testing.T) {
	for round := range 100 {
		var l load
		app := asgi.New(l.handler())
		app.Logger = silent
		listener, base := listen(t)
		ctx, cancel := context.WithCancel(t.Context())
		served := make(chan error, 1)
		go func() { served <- app.Serve(ctx, listener) }()
		startLoad(&l, base, 16)
		<-l.warm
		cancel()
		if err := <-served; err != nil {
			t.Fatalf("round %d: %v", round, err)
		}
		l.clients.Wait()
		if accepted, answered := l.accepted.Load(), l.answered.Load(); accepted != answered {
			t.Fatalf("round %d: %d requests accepted, %d answered", round, accepted, answered)
		}
	}
}
