package wsx_test

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/genropy/genro-asgi-go/wsx"
)

// TestServer_ReadsOnWhileAHandlerIsSlow: the first call of a method runs where the connection is
// read. The clock is the bubble's.
func TestServer_ReadsOnWhileAHandlerIsSlow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		d := callDispatcher()
		wsx.Handle(d, "slow",
			func(context.Context, struct{}) (string, error) { <-release; return "slow", nil })
		authorize := func(context.Context, wsx.Subscription) error { <-release; return nil }
		r := newRig(t, nil,
			map[string]wsx.ChannelOptions{
				"slow": {Authorize: authorize},
				"hook": {OnSubscribe: func(wsx.Subscription) { <-release }},
			}, nil)
		_, client := serve(t, d, &wsx.ServerOptions{Hub: r.hub})
		for name, slow := range map[string]struct{ send, answer string }{
			"call":      {request("1", "slow", ""), response("1", `"slow"`)},
			"authorize": {subscribeTo("1", "slow", ""), `"status":"subscribed"`},
			"hook":      {subscribeTo("1", "hook", ""), `"status":"subscribed"`},
		} {
			s := dialSocket(t, client, "ws://wsx.test/")
			start := time.Now()
			s.send(slow.send, ping, request("2", "echo", "2"))
			s.expect(pong, response("2", "2"))
			if took := time.Since(start); took > 4*time.Millisecond {
				t.Errorf("%s: read on after %v", name, took)
			}
			release <- struct{}{}
			if got := s.read(); !strings.Contains(got, slow.answer) {
				t.Errorf("%s: %s", name, got)
			}
			start = time.Now()
			// known to be slow now, if real time passed; held up for 4 ms at most if not
			s.send(strings.Replace(slow.send, "1", "3", 1), ping)
			s.expect(pong)
			if took := time.Since(start); took > 4*time.Millisecond {
				t.Errorf("%s, again: read on after %v", name, took)
			}
			release <- struct{}{}
			s.read()
		}
	})
}

// TestServer_HandlersMayWaitForLaterMessages: whichever goroutine reads, it is replaced when it
// waits, and nobody is forgotten.
func TestServer_HandlersMayWaitForLaterMessages(t *testing.T) {
	type ticket struct {
		N    int  `json:"n"`
		Wait bool `json:"wait"`
	}
	var mu sync.Mutex
	gates := make(map[string]chan struct{})
	gate := func(ctx context.Context, n int) chan struct{} {
		mu.Lock()
		defer mu.Unlock()
		key := wsx.ConnFrom(ctx).ID() + strconv.Itoa(n)
		if gates[key] == nil {
			gates[key] = make(chan struct{})
		}
		return gates[key]
	}
	d := wsx.NewDispatcher()
	wsx.Handle(d, "meet", func(ctx context.Context, in ticket) (int, error) {
		if !in.Wait {
			close(gate(ctx, in.N))
			return in.N, nil
		}
		select {
		case <-gate(ctx, in.N):
			return in.N, nil
		case <-ctx.Done():
			return 0, ctx.Err()
		}
	})
	wsx.Handle(d, "quick", func(_ context.Context, n int) (int, error) { return n, nil })
	hub := wsx.NewHub(nil)
	hub.Configure("a",
		&wsx.ChannelOptions{Authorize: func(ctx context.Context, s wsx.Subscription) error {
			<-gate(ctx, 0)
			return nil
		}})
	url := serveTCP(t, d, &wsx.ServerOptions{Hub: hub})
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			c := dialSocket(t, nil, url)
			// The subscription waits for the message after it; then each second call waits for the
			// one behind.
			c.send(subscribeTo(`"sub"`, "a", ""), request(`"open"`, "meet", `{"n":0,"wait":false}`))
			open := map[string]bool{`"sub"`: true, `"open"`: true}
			for n := 1; n <= 100; n++ {
				id := strconv.Itoa(n)
				c.send(request(`"w`+id+`"`, "meet", `{"n":`+id+`,"wait":true}`),
					request(`"q`+id+`"`, "quick", id),
					request(`"r`+id+`"`, "meet", `{"n":`+id+`,"wait":false}`))
				for _, kind := range "wqr" {
					open[fmt.Sprintf(`"%c%s"`, kind, id)] = true
				}
				for len(open) > n%5*3 { // some rounds overlap
					m := c.read()
					_, got, _ := strings.Cut(m, `"id":`)
					got, _, _ = strings.Cut(got, ",")
					if !open[got] || !strings.Contains(m, "rpc.response") {
						t.Errorf("an answer of nothing open: %s", m)
						return
					}
					delete(open, got)
				}
			}
		})
	}
	wg.Wait()
	if err := hub.Stop(t.Context()); err != nil {
		t.Error(err)
	}
}
