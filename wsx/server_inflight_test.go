package wsx_test

import (
	"context"
	"fmt"
	"log/slog"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/genropy/genro-asgi-go/wsx"
)

// serveTCP serves d on a socket, where the system's buffers are.
func serveTCP(t testing.TB, d *wsx.Dispatcher, opts *wsx.ServerOptions) (url string) {
	t.Helper()
	if opts == nil {
		opts = &wsx.ServerOptions{}
	}
	opts.Logger = slog.New(slog.DiscardHandler)
	s := wsx.NewServer(d, opts)
	srv := httptest.NewServer(s)
	t.Cleanup(func() {
		stop(t, s)
		srv.Close()
	})
	return "ws" + strings.TrimPrefix(srv.URL, "http")
}

// settle lets everything happen that happens by itself, and the server a moment to see which
// handlers are slow.
func settle() {
	<-time.After(time.Second)
	synctest.Wait()
}

func TestServer_LosesNothingUnderBackpressure(t *testing.T) {
	const calls = 120
	d := wsx.NewDispatcher()
	var running, most atomic.Int32
	full, release := make(chan struct{}, calls), make(chan struct{})
	wsx.Handle(d, "hold", func(_ context.Context, in []string) (string, error) {
		n := running.Add(1)
		defer running.Add(-1)
		for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
		}
		if n == 8 {
			full <- struct{}{}
		}
		<-release
		return in[0], nil
	})
	s := dialSocket(t, nil, serveTCP(t, d, &wsx.ServerOptions{MaxInFlight: 8}))
	var sent atomic.Int32
	go func() {
		pad := strings.Repeat("x", 60<<10) // 7 MB in all, more than the system's buffers hold
		for i := range calls {
			s.send(request(fmt.Sprint(i), "hold", fmt.Sprintf(`["%d","%s"]`, i, pad)))
			sent.Add(1)
		}
	}()
	<-full
	if n := sent.Load(); n == calls {
		t.Error("all were taken at once")
	}
	close(release)
	seen := map[string]bool{}
	for range calls {
		seen[s.read()] = true
	}
	for i := range calls {
		if !seen[response(fmt.Sprint(i), fmt.Sprintf(`"%d"`, i))] {
			t.Errorf("no answer to %d", i)
		}
	}
	if most.Load() > 8 {
		t.Errorf("%d at a time", most.Load())
	}
}

func TestServer_ASlotIsTakenUntilTheHandlerEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, contexts, release := handing()
		s := dial(t, d, &wsx.ServerOptions{MaxInFlight: 1})
		s.send(`{"type":"rpc.request","id":1,"method":"hand","meta":{"timeout_ms":5}}`)
		<-contexts
		s.expect(fault("1", "DEADLINE_EXCEEDED", "deadline exceeded"))
		go s.send(request("2", "hand", ""))
		settle()
		select {
		case <-contexts:
			t.Error("a handler that ignores its context made room for another")
		default:
		}
		release <- struct{}{}
		<-contexts
		close(release)
		s.expect(response("2", "null"))
	})
}
