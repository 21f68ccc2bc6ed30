package httpconn

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/genropy/genro-asgi-go/internal/leakcheck"
)

func TestMain(m *testing.M) { leakcheck.Main(m) }

// pipes is a listener of connections in memory, whose time synctest knows.
type pipes struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case nc := <-p.conns:
		return nc, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error { p.once.Do(func() { close(p.closed) }); return nil }

func (p *pipes) Addr() net.Addr { return &net.TCPAddr{} }

// rig is a server in a bubble of synctest.
type rig struct {
	t       *testing.T
	tracker Tracker
	server  http.Server
	pipes   *pipes
}

func serve(t *testing.T, h http.HandlerFunc) *rig {
	r := &rig{t: t, pipes: &pipes{conns: make(chan net.Conn), closed: make(chan struct{})}}
	r.server.Handler = h
	r.tracker.Watch(&r.server, 30*time.Second)
	stopped, ok := r.tracker.Serving(r.pipes)
	if !ok {
		t.Fatal("refused before the shutdown")
	}
	go func() {
		defer stopped()
		_ = r.server.Serve(r.pipes)
	}()
	return r
}

// dial connects and sends text, of which the server may read as much as it wants.
func (r *rig) dial(text string) *bufio.Reader {
	client, server := net.Pipe()
	r.pipes.conns <- server
	r.t.Cleanup(func() { _ = client.Close() })
	go func() { _, _ = io.WriteString(client, text) }()
	synctest.Wait()
	return bufio.NewReader(client)
}

// drain is how long a shutdown takes, and its error.
func (r *rig) drain(ctx context.Context, limit time.Duration) (time.Duration, error) {
	began := time.Now()
	err := r.tracker.Drain(ctx, limit)
	took := time.Since(began)
	_ = r.server.Close()
	return took, err
}

func status(t *testing.T, answers *bufio.Reader) int {
	t.Helper()
	resp, err := http.ReadResponse(answers, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, resp.Body)
	return resp.StatusCode
}

func sayOK(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "ok") }

// What a connection is in the middle of decides how it ends and how long that may take.
func TestTracker_DrainEndsEachConnectionAsFarAsItCame(t *testing.T) {
	const post = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n{"
	readAll := func(w http.ResponseWriter, r *http.Request) {
		if _, err := io.ReadAll(r.Body); err != nil {
			w.WriteHeader(http.StatusRequestTimeout)
		}
	}
	for name, tc := range map[string]struct {
		handler http.HandlerFunc
		sent    string
		answer  string // its beginning
		least   time.Duration
		most    time.Duration
	}{
		"never used":        {sayOK, "", "", MaxPatience, MaxPatience + time.Second},
		"kept alive":        {sayOK, getRequest, "HTTP/1.1 200", 0, time.Second},
		"half a header":     {sayOK, "GET / HTT", "", MaxPatience, MaxPatience + time.Second},
		"half a body":       {readAll, post, "HTTP/1.1 408", MaxPatience, 2 * MaxPatience},
		"a body not wanted": {sayOK, post, "HTTP/1.1 200", 0, 2 * MaxPatience},
		"a slow handler": {func(w http.ResponseWriter, r *http.Request) {
			<-time.After(12 * time.Second)
			sayOK(w, r)
		}, getRequest, "HTTP/1.1 200", 12 * time.Second, 13 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := serve(t, tc.handler)
				conn := r.dial(tc.sent)
				got := make(chan string, 1)
				go func() {
					b, _ := io.ReadAll(conn)
					got <- string(b)
				}()
				synctest.Wait()
				took, err := r.drain(t.Context(), time.Minute)
				if err != nil || took < tc.least || took > tc.most {
					t.Errorf("%v after %v", err, took)
				}
				if text := <-got; text == "" != (tc.answer == "") ||
					!strings.HasPrefix(text, tc.answer) {
					t.Errorf("answered with %q", text)
				}
			})
		})
	}
}

// A client that takes nothing of a large answer is given patience once more, and then cut off.
func TestTracker_DrainCutsOffWhoTakesNoAnswer(t *testing.T) {
	for name, own := range map[string]bool{"paced": false, "a deadline of the handler's": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := serve(t, func(w http.ResponseWriter, _ *http.Request) {
					if own {
						later := time.Now().Add(20 * time.Second)
						_ = http.NewResponseController(w).SetWriteDeadline(later)
					}
					_, _ = w.Write(make([]byte, 1<<20))
				})
				r.dial(getRequest)
				took, err := r.drain(t.Context(), time.Minute)
				want := 2 * MaxPatience
				if own {
					want = 20 * time.Second
				}
				if err != nil || took < want || took > want+time.Second {
					t.Errorf("%v after %v", err, took)
				}
			})
		})
	}
}

// A request that arrives on an idle connection in the instant of the shutdown reaches its handler
// and is answered, though the connection had been told to end.
func TestTracker_DrainAnswersTheRequestThatJustArrived(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := serve(t, sayOK)
		client, server := net.Pipe()
		defer client.Close()
		held := &heldConn{Conn: server, touched: make(chan struct{})}
		r.pipes.conns <- held
		answers := bufio.NewReader(client)
		go func() { _, _ = io.WriteString(client, getRequest) }()
		if got := status(t, answers); got != 200 {
			t.Fatal(got)
		}
		synctest.Wait()
		held.armed.Store(true)
		go func() { _, _ = io.WriteString(client, getRequest) }()
		synctest.Wait() // it is in the hands of the connection, not of net/http
		drained := make(chan error, 1)
		go func() { drained <- r.tracker.Drain(t.Context(), time.Minute) }()
		if got := status(t, answers); got != 200 {
			t.Errorf("answered with %d", got)
		}
		if err := <-drained; err != nil {
			t.Error(err)
		}
	})
}

// heldConn holds what it has read, once it is armed, until the server ends its reads.
type heldConn struct {
	net.Conn
	armed   atomic.Bool
	touched chan struct{}
	once    sync.Once
}

func (c *heldConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if n > 0 && c.armed.Load() {
		<-c.touched
	}
	return n, err
}

func (c *heldConn) SetReadDeadline(at time.Time) error {
	if c.armed.Load() && at.Equal(longAgo) {
		c.once.Do(func() { close(c.touched) })
	}
	return c.Conn.SetReadDeadline(at)
}

func TestTracker_DrainEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cause, never := errors.New("enough"), make(chan struct{})
		r := serve(t, func(http.ResponseWriter, *http.Request) { <-never })
		r.dial(getRequest)
		ctx, cancel := context.WithTimeoutCause(t.Context(), 3*time.Second, cause)
		defer cancel()
		if took, err := r.drain(ctx, time.Minute); !errors.Is(err, cause) || took != 3*time.Second {
			t.Errorf("%v after %v", err, took)
		}
		close(never)
	})
}

func TestTracker_ServesNothingAfterDrain(t *testing.T) {
	var tracker Tracker
	if err := tracker.Drain(t.Context(), time.Minute); err != nil {
		t.Error(err)
	}
	if _, ok := tracker.Serving(&pipes{}); ok {
		t.Error("a listener was let in")
	}
}

// What the program had set on its server still has its say.
func TestTracker_WatchKeepsTheServersFunctions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		type key struct{}
		states := make(chan http.ConnState, 10)
		r := &rig{t: t, pipes: &pipes{conns: make(chan net.Conn), closed: make(chan struct{})}}
		r.server.ConnContext = func(ctx context.Context, _ net.Conn) context.Context {
			return context.WithValue(ctx, key{}, "program")
		}
		r.server.ConnState = func(_ net.Conn, state http.ConnState) { states <- state }
		r.server.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.WriteString(w, r.Context().Value(key{}).(string))
		})
		r.tracker.Watch(&r.server, -1)
		go func() { _ = r.server.Serve(r.pipes) }()
		answer := r.dial(lastRequest)
		if text, _ := io.ReadAll(answer); !strings.HasSuffix(string(text), "program") {
			t.Errorf("answered with %q", text)
		}
		synctest.Wait()
		_ = r.server.Close()
		close(states)
		var seen []http.ConnState
		for state := range states {
			seen = append(seen, state)
		}
		if len(seen) != 3 || seen[0] != http.StateNew || seen[2] != http.StateClosed {
			t.Errorf("states %v", seen)
		}
	})
}

func TestTracker_CountsConnections(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		r := serve(t, func(w http.ResponseWriter, r *http.Request) {
			if r.Method == http.MethodPut {
				nc, _, err := http.NewResponseController(w).Hijack()
				if err != nil {
					t.Error(err)
					return
				}
				_ = nc.Close()
				return
			}
			<-release
		})
		want := func(open int, total uint64) {
			t.Helper()
			synctest.Wait()
			if o, n := r.tracker.Connections(); o != open || n != total {
				t.Errorf("%d of %d, want %d of %d", o, n, open, total)
			}
		}
		want(0, 0)
		for range 3 {
			r.dial(getRequest)
		}
		want(3, 3)
		r.dial("PUT / HTTP/1.1\r\nHost: a\r\n\r\n") // is hijacked
		answer := r.dial(lastRequest)
		want(4, 5)
		close(release)
		if _, err := io.ReadAll(answer); err != nil { // it ends with its connection
			t.Error(err)
		}
		want(3, 5)
		_ = r.server.Close()
		want(0, 5)
	})
}
