package wsx_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"

	"github.com/genropy/genro-asgi-go/wsx"
	"github.com/genropy/genro-asgi-go/wsx/wsxtest"
)

func TestServer_StopLetsCallsInFlightEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, contexts, release := handing()
		server, client := serve(t, d, nil)
		idle := dialSocket(t, client, "ws://wsx.test/")
		busy := dialSocket(t, client, "ws://wsx.test/")
		busy.send(request("1", "hand", ""))
		<-contexts
		stopped := make(chan error, 2)
		for range 2 { // twice at a time
			go func() { stopped <- server.Stop(t.Context()) }()
		}
		go idle.expectClosed(websocket.StatusGoingAway)
		settle()
		busy.send(request("2", "echo", ""), `{"type":"rpc.notify","method":"echo"}`, ping)
		busy.expect(fault("2", "UNAVAILABLE", "the server is shutting down"), pong)
		select {
		case err := <-stopped:
			t.Fatal("stopped with a call in flight", err)
		default:
		}
		close(release)
		busy.expect(response("1", "null"))
		busy.expectClosed(websocket.StatusGoingAway)
		if err := errors.Join(<-stopped, <-stopped, server.Stop(t.Context())); err != nil {
			t.Error(err)
		}
		if server.Start(t.Context()) == nil {
			t.Error("started again")
		}
	})
}

func TestServer_StopCancelsCallsAfterDrainTimeout(t *testing.T) {
	for _, tc := range []struct {
		name string
		opts wsx.ServerOptions
		want time.Duration
	}{
		{"default", wsx.ServerOptions{}, 10 * time.Second},
		{"as set", wsx.ServerOptions{DrainTimeout: time.Minute}, time.Minute},
		{"negative", wsx.ServerOptions{DrainTimeout: -1}, 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				server, client := serve(t, callDispatcher(), &tc.opts)
				s := dialSocket(t, client, "ws://wsx.test/")
				s.send(request("1", "wait", ""))
				settle()
				go s.expectClosed(websocket.StatusGoingAway)
				start := time.Now()
				if err := server.Stop(t.Context()); err != nil {
					t.Error(err)
				}
				if took := time.Since(start); took != tc.want {
					t.Errorf("took %v", took)
				}
			})
		})
	}
}

func TestServer_StopGivesUpOnHandlersThatIgnoreTheirContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, contexts, release := handing()
		server, client := serve(t, d, nil)
		s := dialSocket(t, client, "ws://wsx.test/")
		s.send(request("1", "hand", ""))
		call := <-contexts
		settle()
		go func() { _, _ = s.closedAnyhow() }()
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		start := time.Now()
		err := server.Stop(ctx)
		if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "1 ") {
			t.Error(err)
		}
		if took := time.Since(start); took != 3100*time.Millisecond {
			t.Errorf("took %v", took)
		}
		if call.Err() == nil {
			t.Error("the connection is still there")
		}
		close(release)
		if err := server.Stop(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

func TestServer_StopGivesHandlersAMomentAfterItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server, client := serve(t, callDispatcher(), nil)
		for range 10 {
			dialSocket(t, client, "ws://wsx.test/").send(request("1", "wait", ""))
		}
		settle()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := server.Stop(ctx); err != nil {
			t.Error(err)
		}
	})
}

func TestServer_StopDropsAPeerThatDoesNotClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server, client := serve(t, callDispatcher(), nil)
		dialRaw(t, client, "http://wsx.test/") // and nobody reads
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		start := time.Now()
		if err := server.Stop(ctx); err != nil {
			t.Error(err) // there is no handler to wait for
		}
		if took := time.Since(start); took > 1100*time.Millisecond {
			t.Errorf("took %v", took)
		}
	})
}

func TestServer_StopsWithoutConnections(t *testing.T) {
	server := wsx.NewServer(wsx.NewDispatcher(), nil)
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if err := errors.Join(server.Start(t.Context()), server.Start(t.Context()), server.Stop(ended),
		server.Stop(t.Context())); err != nil {
		t.Error(err)
	}
	if server.Start(t.Context()) == nil {
		t.Error("started again")
	}
}

func TestServer_StopLeavesNoUpgradeBehind(t *testing.T) {
	for range 100 {
		server := wsx.NewServer(callDispatcher(), nil)
		client := wsxtest.Serve(t, server)
		var wg sync.WaitGroup
		dialled := make(chan struct{}, 4)
		for range 4 {
			wg.Go(func() {
				dialled <- struct{}{}
				c, resp, err := websocket.Dial(t.Context(), "ws://wsx.test/",
					&websocket.DialOptions{HTTPClient: client})
				if err != nil {
					if resp == nil || resp.StatusCode != http.StatusServiceUnavailable {
						t.Error(err)
					}
					return
				}
				s := &socket{t, c}
				if ce, ok := s.closedAnyhow(); !ok || ce.Code != websocket.StatusGoingAway {
					t.Error(ce, ok)
				}
			})
		}
		<-dialled
		stop(t, server)
		wg.Wait()
	}
}

func TestServer_StopsWhileCallsCome(t *testing.T) {
	for range 20 {
		server, client := serve(t, callDispatcher(), nil)
		var wg sync.WaitGroup
		answered := make(chan struct{}, 1000)
		for range 4 {
			s := dialSocket(t, client, "ws://wsx.test/")
			wg.Go(func() {
				// no call that was answered with anything but its result or UNAVAILABLE, and 1001
				// after
				for {
					if err := s.c.Write(t.Context(), websocket.MessageText,
						[]byte(request("1", "echo", "2"))); err != nil {
						break
					}
					_, b, err := s.c.Read(t.Context())
					if err != nil {
						if websocket.CloseStatus(err) != websocket.StatusGoingAway {
							t.Error(err)
						}
						return
					}
					if got := string(b); got != response("1", "2") &&
						got != fault("1", "UNAVAILABLE", "the server is shutting down") {
						t.Error(got)
					}
					select {
					case answered <- struct{}{}:
					default:
					}
				}
				if ce, ok := s.closedAnyhow(); ok && ce.Code != websocket.StatusGoingAway {
					t.Error(ce)
				}
			})
		}
		for range 20 {
			<-answered
		}
		stop(t, server)
		wg.Wait()
	}
}
