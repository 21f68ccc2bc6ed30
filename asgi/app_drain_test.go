package asgi_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/genropy/genro-asgi-go/asgi"
	"github.com/genropy/genro-asgi-go/asgi/asgitest"
)

// load keeps clients sending to base until it refuses connections, and counts the requests that
// reached the handler and the answers that came back whole. Its requests are POST, which
// http.Transport never repeats by itself.
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

// With http.Server.Shutdown alone this fails: see internal/httpconn.
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

// lateConn hands a request on only when the server has done something to its connection: what a
// real one does when the bytes arrive in the instant in which the server shuts down.
type lateConn struct {
	net.Conn
	armed   chan struct{} // closed once the next read is to be held
	holding chan struct{} // closed once a request was read and is held
	touched chan struct{} // closed when the server closed the connection or ended its reads
	touch   sync.Once
}

func (c *lateConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	select {
	case <-c.armed:
		if n > 0 {
			close(c.holding)
			<-c.touched
		}
	default:
	}
	return n, err
}

func (c *lateConn) SetReadDeadline(t time.Time) error {
	if !t.IsZero() && time.Until(t) < 0 {
		defer c.letGo()
	}
	return c.Conn.SetReadDeadline(t)
}

func (c *lateConn) Close() error {
	defer c.letGo()
	return c.Conn.Close()
}

func (c *lateConn) letGo() {
	select {
	case <-c.holding:
		c.touch.Do(func() { close(c.touched) })
	default: // net/http ends its own background reads by a deadline too
	}
}

type oneListener struct {
	net.Listener
	wrap func(net.Conn) net.Conn
}

func (l oneListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return l.wrap(conn), nil
}

// http.Server.Shutdown alone runs the handler and loses its answer here.
func TestApp_ShutdownAnswersTheRequestThatJustArrived(t *testing.T) {
	late := &lateConn{
		armed: make(chan struct{}), holding: make(chan struct{}),
		touched: make(chan struct{}),
	}
	requests := 0
	app := newApp(func(w http.ResponseWriter, r *http.Request) {
		requests++
		if requests == 1 {
			return
		}
		body, err := io.ReadAll(r.Body)
		if err != nil || r.Context().Err() != nil {
			t.Errorf("body %q, %v, context %v", body, err, r.Context().Err())
		}
		_, _ = w.Write(body)
	})
	idle := make(chan struct{}, 2)
	app.Server.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateIdle {
			idle <- struct{}{}
		}
	}
	l, base := listen(t)
	ctx, cancel := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() {
		served <- app.Serve(ctx,
			oneListener{l, func(conn net.Conn) net.Conn { late.Conn = conn; return late }})
	}()
	conn, err := net.Dial("tcp", strings.TrimPrefix(base, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	answers := bufio.NewReader(conn)
	exchange := func(body string, between func()) string {
		fmt.Fprintf(conn, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s", len(body),
			body)
		between()
		resp, err := http.ReadResponse(answers, nil)
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return string(got)
	}
	exchange("first", func() {})
	<-idle
	close(late.armed)
	if got := exchange("second", func() { <-late.holding; cancel() }); got != "second" {
		t.Errorf("got %q", got)
	}
	if err := <-served; err != nil {
		t.Error(err)
	}
}

func TestApp_ShutdownSequence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var j journal
		begun := make(chan struct{}, 2)
		app := newApp(func(w http.ResponseWriter, r *http.Request) {
			switch r.URL.Path {
			case "/slow":
				begun <- struct{}{}
				err := sleep(10 * time.Second)(r.Context())
				j.note(fmt.Sprint("slow ", err))
			case "/stream":
				begun <- struct{}{}
				<-asgi.ShutdownContext(r.Context()).Done()
				j.note("stream")
			case "/quick":
				j.note("quick")
			}
		}, j.component("a", nil, nil))
		app.ShutdownDelay = 3 * time.Second
		c := asgitest.New(t, app)
		var clients sync.WaitGroup
		for _, path := range []string{"/slow", "/stream"} {
			clients.Go(func() {
				resp, err := c.HTTP.Get(asgitest.BaseURL + path)
				if err != nil {
					t.Error(err)
					return
				}
				_ = resp.Body.Close()
			})
			<-begun
		}
		begin := time.Now()
		clients.Go(func() { _ = c.Close() })
		<-time.After(2 * time.Second) // unready, but still serving
		w := httptest.NewRecorder()
		app.Ready().ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
		if w.Code != 503 || w.Body.String() != `{"status":"stopping"}` {
			t.Errorf("ready: %d %s", w.Code, w.Body)
		}
		if resp := c.Get("/quick").Want(200); !resp.Raw.Close {
			t.Error("the client was not asked to go elsewhere")
		}
		if err := c.Close(); err != nil {
			t.Error(err)
		}
		clients.Wait()
		j.want(t, "+a", "quick", "stream", "slow <nil>", "-a")
		if took := time.Since(begin); took < 10*time.Second || took > 11*time.Second {
			t.Errorf("took %v", took)
		}
	})
}

func TestApp_DrainDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begun, ended := make(chan struct{}), make(chan error, 1)
		app := newApp(func(_ http.ResponseWriter, r *http.Request) {
			close(begun)
			<-r.Context().Done()
			ended <- context.Cause(r.Context())
		}, asgi.Hooks{OnStop: sleep(2 * time.Second)})
		app.ShutdownTimeout = 9 * time.Second
		l := newPipe()
		ctx, cancel := context.WithCancel(t.Context())
		served := make(chan error, 1)
		go func() { served <- app.Serve(ctx, l) }()
		client := l.dial()
		defer client.Close()
		fmt.Fprint(client, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
		<-begun
		begin := time.Now()
		cancel()
		err := <-served
		if !errors.Is(err, context.DeadlineExceeded) ||
			!strings.Contains(err.Error(), "1 requests or sockets") {
			t.Errorf("error %v", err)
		}
		if took := time.Since(begin); took != 8*time.Second { // two thirds, and the component
			t.Errorf("took %v", took)
		}
		if err := <-ended; !errors.Is(err, asgi.ErrShutdown) {
			t.Errorf("the request's context ended with %v", err)
		}
	})
}

// pipe is a listener for one connection.
type pipe struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func newPipe() *pipe { return &pipe{conns: make(chan net.Conn), closed: make(chan struct{})} }

func (p *pipe) dial() net.Conn {
	client, server := net.Pipe()
	p.conns <- server
	return client
}

func (p *pipe) Accept() (net.Conn, error) {
	select {
	case conn := <-p.conns:
		return conn, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p *pipe) Close() error   { p.once.Do(func() { close(p.closed) }); return nil }
func (p *pipe) Addr() net.Addr { return &net.TCPAddr{} }

func TestApp_StopEndsServe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var j journal
		app := newApp(nil, j.component("a", nil, errA))
		served := make(chan error, 1)
		go func() { served <- app.Serve(t.Context(), newPipe()) }()
		synctest.Wait()
		for range 2 {
			if err := app.Stop(t.Context()); !errors.Is(err, errA) {
				t.Errorf("stop: %v", err)
			}
		}
		if err := <-served; !errors.Is(err, errA) {
			t.Errorf("serve: %v", err)
		}
		j.want(t, "+a", "-a")
	})
}

func TestApp_StopDuringStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var j journal
		app := newApp(nil, j.component("a", nil, nil), asgi.Hooks{OnStart: sleep(time.Minute)})
		served := make(chan error, 1)
		go func() { served <- app.Serve(t.Context(), newPipe()) }()
		synctest.Wait()
		if err := app.Stop(t.Context()); err != nil {
			t.Errorf("stop: %v", err)
		}
		if err := <-served; !errors.Is(err, asgi.ErrShutdown) {
			t.Errorf("serve: %v", err)
		}
		j.want(t, "+a", "-a")
	})
}

func TestApp_StopIsImpatientWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		app := newApp(nil, asgi.Hooks{OnStop: sleep(5 * time.Second)})
		app.ShutdownDelay = time.Minute
		if err := app.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		var wg sync.WaitGroup
		wg.Go(func() {
			if err := app.Stop(ctx); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("first: %v", err)
			}
		})
		synctest.Wait()
		begin := time.Now()
		if err := app.Stop(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("second: %v", err)
		}
		wg.Wait()
		if took := time.Since(begin); took != time.Second {
			t.Errorf("took %v", took)
		}
	})
}

func TestApp_MountedIsDrainedByStop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var j journal
		app := newApp(func(_ http.ResponseWriter, r *http.Request) {
			err := sleep(5 * time.Second)(r.Context())
			j.note(fmt.Sprint("answered ", err))
		}, j.component("a", nil, nil))
		if err := app.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		serve := func() *httptest.ResponseRecorder {
			w := httptest.NewRecorder()
			app.ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
			return w
		}
		var wg sync.WaitGroup
		wg.Go(func() { serve() })
		synctest.Wait()
		if err := app.Stop(t.Context()); err != nil {
			t.Error(err)
		}
		wg.Wait()
		j.want(t, "+a", "answered <nil>", "-a")
		if w := serve(); w.Code != 503 ||
			w.Header().Get("Content-Type") != "application/problem+json" {
			t.Errorf("after the stop: %d %v", w.Code, w.Header())
		}
	})
}

// A connection that its handler took over is the business of whoever took it, as with
// http.Server.Shutdown.
func TestApp_HijackedConnectionIsLeftToTheComponents(t *testing.T) {
	var mu sync.Mutex
	var taken net.Conn
	begun := make(chan struct{})
	app := newApp(func(w http.ResponseWriter, r *http.Request) {
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		mu.Lock()
		taken = conn
		mu.Unlock()
		close(begun)
		_, _ = io.Copy(io.Discard, conn) // for as long as it is open
	}, asgi.Hooks{OnStop: func(context.Context) error {
		mu.Lock()
		defer mu.Unlock()
		_, err := io.WriteString(taken, "bye")
		return errors.Join(err, taken.Close())
	}})
	l := newPipe()
	ctx, cancel := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() { served <- app.Serve(ctx, l) }()
	client := l.dial()
	defer client.Close()
	fmt.Fprint(client, "GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: test\r\n\r\n")
	<-begun
	cancel()
	if got, err := io.ReadAll(client); string(got) != "bye" || err != nil {
		t.Errorf("got %q, %v", got, err)
	}
	if err := <-served; err != nil {
		t.Error(err)
	}
}

func TestApp_PanicIsNotWaitedFor(t *testing.T) {
	app := newApp(func(_ http.ResponseWriter, r *http.Request) { panic(http.ErrAbortHandler) })
	c := asgitest.New(t, app)
	for _, header := range []http.Header{nil, {"Upgrade": {"test"}}} {
		if resp, err := c.HTTP.Do(c.Request("GET", "/", nil, header)); err == nil {
			_ = resp.Body.Close()
			t.Error("answered")
		}
	}
	if err := c.Close(); err != nil {
		t.Error(err)
	}
}
