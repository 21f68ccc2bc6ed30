package httpconn

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"
	"time"
)

// sockets serves h on a real socket, of TLS if secure, until the test ends. A request whose client
// half-closed goes on for grace.
func sockets(t *testing.T, h http.HandlerFunc, grace time.Duration,
	secure bool,
) (dial func() net.Conn) {
	t.Helper()
	srv, tracker, roots := &http.Server{Handler: h}, &Tracker{grace: grace}, &tls.Config{}
	if secure {
		made := httptest.NewTLSServer(nil) // for its certificate
		srv.TLSConfig = &tls.Config{Certificates: made.TLS.Certificates}
		roots = made.Client().Transport.(*http.Transport).TLSClientConfig.Clone()
		roots.ServerName = "example.com"
		made.Close()
	}
	tracker.Watch(srv, time.Minute)
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan struct{})
	go func() {
		defer close(served)
		if secure {
			_ = srv.ServeTLS(l, "", "")
		} else {
			_ = srv.Serve(l)
		}
	}()
	t.Cleanup(func() {
		_ = srv.Close()
		<-served
	})
	return func() net.Conn {
		nc, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = nc.Close() })
		if secure {
			return tls.Client(nc, roots)
		}
		return nc
	}
}

const (
	lastRequest = "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
	getRequest  = "GET / HTTP/1.1\r\nHost: a\r\n\r\n"
)

// A client that ends its side of the connection with its last request gets its answer.
func TestTracker_AnswersWhoHalfCloses(t *testing.T) {
	for name, secure := range map[string]bool{"TCP": false, "TLS": true} {
		for _, request := range []string{lastRequest, "GET / HTTP/1.0\r\n\r\n"} {
			closed := make(chan struct{})
			dial := sockets(t, func(w http.ResponseWriter, r *http.Request) {
				<-closed
				// net/http learns of the end in a goroutine of its own; that the context went with
				// it would show by now and then.
				for range 100 {
					runtime.Gosched()
				}
				if r.Context().Err() == nil {
					_, _ = io.WriteString(w, "answer")
				}
			}, time.Hour, secure)
			nc := dial()
			if _, err := io.WriteString(nc, request); err != nil {
				t.Fatal(err)
			}
			if err := nc.(interface{ CloseWrite() error }).CloseWrite(); err != nil {
				t.Fatal(err)
			}
			close(closed)
			answer, err := io.ReadAll(nc)
			if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) ||
				!strings.HasSuffix(string(answer), "\r\n\r\nanswer") {
				t.Errorf("%s, %q: %q, %v", name, request, answer, err)
			}
		}
	}
}

// The context ends for a client that is gone: at once where that is certain or where it had more to
// say, else after the grace.
func TestTracker_TheContextEndsWithWhoIsGone(t *testing.T) {
	reset := func(c net.Conn) error { return errors.Join(c.(*net.TCPConn).SetLinger(0), c.Close()) }
	for name, tc := range map[string]struct {
		request string
		grace   time.Duration
		end     func(net.Conn) error
	}{
		"more requests": {getRequest, time.Hour, net.Conn.Close},
		"reset":         {lastRequest, time.Hour, reset},
		"grace":         {lastRequest, time.Millisecond, net.Conn.Close},
	} {
		if name == "reset" && runtime.GOOS != "linux" {
			continue // the grace would decide
		}
		begun, ended := make(chan struct{}), make(chan error, 1)
		dial := sockets(t, func(_ http.ResponseWriter, r *http.Request) {
			close(begun)
			<-r.Context().Done()
			ended <- context.Cause(r.Context())
		}, tc.grace, false)
		nc := dial()
		if _, err := io.WriteString(nc, tc.request); err != nil {
			t.Fatal(err)
		}
		<-begun
		if err := tc.end(nc); err != nil {
			t.Fatal(err)
		}
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A request that waits for its half-closed client ends with the server.
func TestTracker_TheServersEndEndsTheGrace(t *testing.T) {
	begun, ended := make(chan struct{}), make(chan struct{})
	base, end := context.WithCancel(t.Context())
	srv := &http.Server{
		BaseContext: func(net.Listener) context.Context { return base },
		Handler: http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			close(begun)
			<-r.Context().Done()
			close(ended)
		}),
	}
	new(Tracker).Watch(srv, time.Minute)
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan struct{})
	go func() {
		defer close(served)
		_ = srv.Serve(l)
	}()
	nc, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	if _, err := io.WriteString(nc, lastRequest); err != nil {
		t.Fatal(err)
	}
	<-begun
	if err := nc.(*net.TCPConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	end()
	<-ended
	_ = srv.Close()
	<-served
}
