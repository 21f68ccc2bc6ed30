// Package wsxtest connects WSX clients and servers in memory, for tests, and tests servers and
// brokers of others.
//
// [New] is the short way: a dispatcher in, a client of it out. [Serve] is for a handler of the
// test's own, such as a router with the server's options and middleware on it. The HTTP is
// net/http's and the WebSocket is real; only the socket is a net.Pipe. It needs no port, it works
// inside testing/synctest bubbles, whose clock makes time-outs exact and immediate, and everything
// ends with the test.
//
//	d := wsx.NewDispatcher()
//	wsx.Handle(d, "orders.get", getOrder)
//	c := wsxtest.New(t, d, nil, nil)
//	order, err := wsxclient.Call[Order](t.Context(), c, "orders.get", GetOrder{ID: 1})
//
// [LoadSuite] and [RunSuite] run the protocol's conformance vectors, wsx/testdata/conformance,
// against a server on a socket, and [ExerciseBroker] is the contract of brokers.
//
// A net.Pipe holds no bytes: a peer that does not read is felt at the first one. Tests of what the
// system's socket buffers do need a socket.
package wsxtest

import (
	"context"
	"net"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/genropy/genro-asgi-go/wsx"
	"github.com/genropy/genro-asgi-go/wsx/wsxclient"
)

// stopTimeout is how long the handlers of a test may take to end when it is over.
const stopTimeout = 30 * time.Second

// New serves d's methods in memory and returns a client of them. Both end with the test, which
// fails when a handler does not end within 30 s. The options may be nil; HTTPClient is set.
func New(t testing.TB, d *wsx.Dispatcher, server *wsx.ServerOptions,
	client *wsxclient.Options,
) *wsxclient.Client {
	t.Helper()
	s := wsx.NewServer(d, server)
	var opts wsxclient.Options
	if client != nil {
		opts = *client
	}
	opts.HTTPClient = Serve(t, s)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), stopTimeout)
		defer cancel()
		if err := s.Stop(ctx); err != nil {
			t.Error(err)
		}
	})
	c, err := wsxclient.Dial(t.Context(), "ws://wsx.test/", &opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// Serve serves h in memory until the test ends and returns a client whose every request goes there,
// whatever the host of its URL. WebSockets that h took over are its own to end.
func Serve(t testing.TB, h http.Handler) *http.Client {
	t.Helper()
	if h == nil { // net/http would serve http.DefaultServeMux
		t.Fatal("wsxtest: Serve: the handler is nil")
	}
	l := &listener{conns: make(chan net.Conn), closed: make(chan struct{})}
	srv := &http.Server{Handler: h}
	served := make(chan struct{})
	go func() {
		defer close(served)
		_ = srv.Serve(l) // http.ErrServerClosed
	}()
	transport := &http.Transport{DialContext: l.dial}
	t.Cleanup(func() {
		transport.CloseIdleConnections()
		_ = srv.Close()
		<-served
	})
	return &http.Client{Transport: transport}
}

// listener hands the far ends of pipes to an http.Server.
type listener struct {
	conns  chan net.Conn
	once   sync.Once
	closed chan struct{}
}

func (l *listener) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	near, far := net.Pipe()
	select {
	case l.conns <- far:
		return near, nil
	case <-l.closed:
		return nil, net.ErrClosed
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

func (l *listener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *listener) Close() error {
	l.once.Do(func() { close(l.closed) })
	return nil
}

func (l *listener) Addr() net.Addr { return &net.UnixAddr{Name: "wsx.test", Net: "pipe"} }
