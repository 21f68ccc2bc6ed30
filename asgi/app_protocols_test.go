package asgi_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/signal"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/genropy/genro-asgi-go/asgi"
)

// TLS, HTTP/2 over it and h2c are net/http's; the shutdown must know their connections too.
func TestApp_Protocols(t *testing.T) {
	cert := httptest.NewUnstartedServer(nil) // for its certificate
	cert.StartTLS()
	defer cert.Close()
	protocols := func(set func(*http.Protocols, bool)) *http.Protocols {
		p := new(http.Protocols)
		set(p, true)
		return p
	}
	cases := map[string]struct {
		tls       bool
		protocols *http.Protocols
		want      string
	}{
		"TLS":             {true, protocols((*http.Protocols).SetHTTP1), "HTTP/1.1 true"},
		"HTTP/2 over TLS": {true, protocols((*http.Protocols).SetHTTP2), "HTTP/2.0 true"},
		"h2c": {
			false, protocols((*http.Protocols).SetUnencryptedHTTP2),
			"HTTP/2.0 false",
		},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			begun := make(chan struct{}, 1)
			var states atomic.Int64
			app := newApp(func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path == "/slow" {
					begun <- struct{}{}
					<-asgi.ShutdownContext(r.Context()).Done()
				}
				fmt.Fprint(w, r.Proto, " ", r.TLS != nil)
			})
			app.Server.Protocols = c.protocols
			app.Server.ConnState = func(net.Conn, http.ConnState) { states.Add(1) }
			app.Server.ConnContext = func(ctx context.Context, _ net.Conn) context.Context {
				return ctx
			}
			app.Server.BaseContext = func(net.Listener) context.Context {
				return context.Background()
			}
			transport := &http.Transport{Protocols: c.protocols}
			client := &http.Client{Transport: transport}
			l, url := listen(t)
			if c.tls {
				app.Server.TLSConfig = &tls.Config{Certificates: cert.TLS.Certificates}
				// Transport changes it
				transport.TLSClientConfig = cert.Client().
					Transport.(*http.Transport).TLSClientConfig.Clone()
				url = "https://" + l.Addr().String()
			}
			defer transport.CloseIdleConnections()
			ctx, cancel := context.WithCancel(t.Context())
			served := make(chan error, 1)
			go func() { served <- app.Serve(ctx, l) }()
			fetch := func(path string) string {
				resp, err := client.Get(url + path)
				if err != nil {
					return err.Error()
				}
				defer resp.Body.Close()
				text, err := io.ReadAll(resp.Body)
				if err != nil {
					return err.Error()
				}
				return string(text)
			}
			if got := fetch("/"); got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
			answer := make(chan string, 1)
			go func() { answer <- fetch("/slow") }()
			select {
			case <-begun:
			case got := <-answer:
				t.Errorf("not answered by the handler: %s", got)
				answer <- got
			}
			cancel()
			if got := <-answer; got != c.want {
				t.Errorf("during the shutdown: %q", got)
			}
			if err := <-served; err != nil {
				t.Error(err)
			}
			if states.Load() == 0 {
				t.Error("ConnState was not passed through")
			}
		})
	}
}

// running runs an app that is stopped by signals of the process to itself; the test catches them
// too, so that none of them ends it.
func running(t *testing.T, app *asgi.App, started <-chan struct{}) (result <-chan error,
	send func(),
) {
	t.Helper()
	caught := make(chan os.Signal, 8)
	signal.Notify(caught, syscall.SIGTERM)
	t.Cleanup(func() { signal.Stop(caught) })
	self, err := os.FindProcess(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- app.Run(context.Background(), "127.0.0.1:0") }()
	<-started
	return done, func() {
		if err := self.Signal(syscall.SIGTERM); err != nil {
			t.Error(err)
		}
		<-caught
	}
}

func TestApp_RunStopsOnASignal(t *testing.T) {
	var j journal
	started := make(chan struct{})
	app := newApp(nil, j.component("a", nil, nil),
		asgi.Hooks{OnStart: func(context.Context) error { close(started); return nil }})
	done, send := running(t, app, started)
	send()
	if err := <-done; err != nil && !errors.Is(err, context.Canceled) {
		// the signal may come before Start has returned
		t.Error(err)
	}
	j.want(t, "+a", "-a")
}

func TestApp_SecondSignalStopsAtOnce(t *testing.T) {
	started, stopping := make(chan struct{}), make(chan struct{})
	app := newApp(nil, asgi.Hooks{
		OnStart: func(context.Context) error { close(started); return nil },
		OnStop: func(ctx context.Context) error {
			close(stopping)
			<-ctx.Done()
			return context.Cause(ctx)
		},
	})
	app.Lifespan.StopTimeout = time.Hour
	app.ShutdownTimeout = time.Hour
	done, send := running(t, app, started)
	send()
	<-stopping
	send()
	if err := <-done; err == nil {
		t.Error("no error, though it was forced")
	}
}
