package wsx_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/genropy/genro-asgi-go/wsx"
	"github.com/genropy/genro-asgi-go/wsx/wsxtest"
)

// TestHub_UnsubscribingGivesUpWhatWasAskedForBefore and is not answered, and nothing that was asked
// for later.
func TestHub_UnsubscribingGivesUpWhatWasAskedForBefore(t *testing.T) {
	var asked atomic.Int32
	step := make(chan struct{})
	inRig(t,
		map[string]wsx.ChannelOptions{
			"a": {Authorize: func(context.Context, wsx.Subscription) error {
				if asked.Add(1) == 1 {
					<-step
				}
				return nil
			}},
		}, nil, func(t *testing.T, r *hubRig) {
			step = make(chan struct{})
			c := r.tap()
			c.send(subscribeTo("1", "a", ""))
			synctest.Wait()
			c.send(`{"type":"rpc.unsubscribe","id":2,"channel":"a"}`)
			c.wants(fault("1", "CANCELLED", "cancelled"), unsubscribed("2"))
			c.send(subscribeTo("3", "a", ""))
			c.wants(subscribedTo("3", "a", "1", ""))
			close(step)
			r.publish("a", 1)
			c.wants(event("a", "1", "1", ""))
			c.send(`{"type":"rpc.unsubscribe","id":4,"channel":"a"}`)
			c.wants(unsubscribed("4"))
			c.send(`{"type":"rpc.unsubscribe","id":5,"channel":"a"}`)
			c.wants(fault("5", "NOT_FOUND", "not found"))
		})
}

// TestHub_NothingStaysOpenThatWasGivenUp: no answer is waited for, and in the end the server has
// what was asked for last.
func TestHub_NothingStaysOpenThatWasGivenUp(t *testing.T) {
	var open atomic.Int32
	hub := wsx.NewHub(nil)
	t.Cleanup(func() { _ = hub.Stop(context.Background()) })
	hub.Configure("a", &wsx.ChannelOptions{
		OnSubscribe:   func(wsx.Subscription) { open.Add(1) },
		OnUnsubscribe: func(wsx.Subscription) { open.Add(-1) },
	})
	_, url := newTestServer(t, &wsx.ServerOptions{Hub: hub})
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			s := dialSocket(t, nil, url)
			answers := 0
			for i := range 200 {
				s.send(subscribeTo(fmt.Sprintf(`"s%d"`, i), "a", ""),
					fmt.Sprintf(`{"type":"rpc.unsubscribe","id":"u%d","channel":"a"}`, i))
				for answers < 2*(i-10) { // some are under way all the time
					s.read()
					answers++
				}
			}
			s.send(subscribeTo(`"last"`, "a", ""))
			for answers < 401 {
				s.read()
				answers++
			}
			s.send(request("9", "add", `{"a":1,"b":2}`))
			s.read()
		})
	}
	wg.Wait()
	if n := hub.Unsubscribe("a", "GONE"); n != 4 {
		t.Errorf("%d subscriptions are open, want 4", n)
	}
	if n := open.Load(); n != 0 {
		t.Errorf("%d subscriptions have not ended", n)
	}
}

// TestHub_APlaceIsFreeWithTheAnswer: also where the authorizer goes on after that.
func TestHub_APlaceIsFreeWithTheAnswer(t *testing.T) {
	step := make(chan struct{})
	inRig(t,
		map[string]wsx.ChannelOptions{
			"slow": {Authorize: func(context.Context, wsx.Subscription) error {
				<-step
				return nil
			}}, "a": {},
		},
		&wsx.ServerOptions{MaxSubscriptions: 1}, func(t *testing.T, r *hubRig) {
			step = make(chan struct{})
			c := r.tap()
			said := func(what string) {
				t.Helper()
				if got := c.all(); len(got) != 1 || !strings.Contains(got[0], what) {
					t.Errorf("%v, want %s", got, what)
				}
			}
			for range 3 {
				c.send(subscribeTo("1", "slow", ""))
				synctest.Wait()
				c.send(`{"type":"rpc.cancel","id":1}`)
				c.wants(fault("1", "CANCELLED", "cancelled"))
				c.send(subscribeTo("2", "a", ""))
				said(`"subscribed"`)
				c.send(subscribeTo("3", "a", ""))
				said("RESOURCE_EXHAUSTED")
				c.send(`{"type":"rpc.unsubscribe","id":4,"channel":"a"}`)
				c.wants(unsubscribed("4"))
			}
			close(step)
			c.send(subscribeTo("2", "a", ""))
			said(`"subscribed"`)
			c.send(subscribeTo("3", "a", "")) // what was given up has not given a place back twice
			said("RESOURCE_EXHAUSTED")
		})
}

func TestHub_LimitsPatternsAndParams(t *testing.T) {
	inRig(t, map[string]wsx.ChannelOptions{"a.>": {}}, nil, func(t *testing.T, r *hubRig) {
		c := r.tap()
		refused := func(what, said string) {
			t.Helper()
			if got := c.all(); len(got) != 1 || !strings.Contains(got[0], "RESOURCE_EXHAUSTED") ||
				!strings.Contains(got[0], said) {
				t.Errorf("%s: %v", what, got)
			}
		}
		taken := func(n int) {
			t.Helper()
			if got := c.all(); len(got) != n ||
				strings.Count(strings.Join(got, ""), `"subscribed"`) != n {
				t.Error(got)
			}
		}
		for i := range 32 {
			c.send(subscribeTo(fmt.Sprint(i), fmt.Sprintf("a.%d.*", i), ""))
		}
		taken(32)
		c.send(subscribeTo("1", "a.>", ""))
		refused("the 33rd pattern", "by pattern")
		c.send(`{"type":"rpc.unsubscribe","id":1,"channel":"a.7.*"}`,
			subscribeTo("2", "a.name", ""))
		c.all()
		c.send(subscribeTo("1", "a.>", ""))
		taken(1)
		params := func(n int) string { return `,"params":"` + strings.Repeat("x", n-2) + `"` }
		c.send(subscribeTo("1", "a.p", params(60<<10)), subscribeTo("2", "a.q", params(4<<10)))
		taken(2)
		c.send(subscribeTo("3", "a.r", params(2)))
		refused("more params", "params")
		c.send(`{"type":"rpc.unsubscribe","id":1,"channel":"a.q"}`)
		c.wants(unsubscribed("1"))
		c.send(subscribeTo("3", "a.r", params(4<<10)))
		taken(1)
		c.send(subscribeTo("1", strings.Repeat("a.", 16)+"*", ""))
		c.wants(fault("1", "INVALID_REQUEST", "a channel name has at most 16 tokens"))
	})
}

// TestHub_UnsubscribeFindsWhoIsBeingLetIn: the authorizer said yes before the rights were taken
// away, and the subscription comes behind Unsubscribe.
func TestHub_UnsubscribeFindsWhoIsBeingLetIn(t *testing.T) {
	var revoked atomic.Bool
	begun, step := make(chan struct{}, 1), make(chan struct{})
	hub := wsx.NewHub(nil)
	t.Cleanup(func() { _ = hub.Stop(context.Background()) })
	hub.Configure("a", &wsx.ChannelOptions{
		Authorize: func(context.Context, wsx.Subscription) error {
			if revoked.Load() {
				return errors.New("not any more")
			}
			begun <- struct{}{}
			<-step
			return nil
		},
	})
	revoke := func() {
		<-begun
		revoked.Store(true)
		if n := hub.Unsubscribe("a", wsx.CodePermissionDenied); n != 0 {
			t.Error(n)
		}
		step <- struct{}{}
	}
	_, client := serve(t, callDispatcher(), &wsx.ServerOptions{Hub: hub})
	s := dialSocket(t, client, "ws://wsx.test/")
	s.send(subscribeTo("1", "a", ""))
	revoke()
	s.expect(fault("1", "SUBSCRIPTION_DENIED", "subscription denied"))

	revoked.Store(false)
	go revoke()
	resp, err := wsxtest.Serve(t,
		hub.SSE(func(*http.Request) (string, error) { return "a", nil })).Get("http://wsx.test/")
	if err != nil || resp.StatusCode != 403 {
		t.Error(resp.StatusCode, err)
	}
	_ = resp.Body.Close()
}

// TestHub_AnAuthorizerThatCouldNotAnswerIsAskedAgain: what is no answer is told as that, at the
// subscription and at a refresh of the credentials.
func TestHub_AnAuthorizerThatCouldNotAnswerIsAskedAgain(t *testing.T) {
	var answer atomic.Value
	hub := wsx.NewHub(nil)
	t.Cleanup(func() { _ = hub.Stop(context.Background()) })
	hub.Configure("a",
		&wsx.ChannelOptions{Authorize: func(context.Context, wsx.Subscription) error {
			return answer.Load().(func() error)()
		}})
	_, client := serve(t, callDispatcher(), &wsx.ServerOptions{Hub: hub, Authenticate: byWord})
	sse := wsxtest.Serve(t, hub.SSE(func(*http.Request) (string, error) { return "a", nil }))
	s := dialAs(t, client, "ada-0")
	for name, tc := range map[string]struct {
		err    error
		code   string
		status int
		later  string
	}{
		"no": {errors.New("no"), "SUBSCRIPTION_DENIED", 403, "PERMISSION_DENIED"},
		"a time-out": {
			fmt.Errorf("ask the database: %w", context.DeadlineExceeded), "UNAVAILABLE",
			503, "UNAVAILABLE",
		},
		"overloaded": {status(503), "UNAVAILABLE", 503, "UNAVAILABLE"},
		"too many":   {status(429), "UNAVAILABLE", 503, "UNAVAILABLE"},
		"not found":  {status(404), "SUBSCRIPTION_DENIED", 403, "PERMISSION_DENIED"},
		"its own": {
			wsx.NewError(wsx.CodeResourceExhausted, "x"), "RESOURCE_EXHAUSTED", 429,
			"UNAVAILABLE",
		},
		"its own, no": {wsx.NewError("PAY_FIRST", "x"), "PAY_FIRST", 500, "PERMISSION_DENIED"},
	} {
		answer.Store(func() error { return tc.err })
		s.send(subscribeTo("1", "a", ""))
		if got := s.read(); !strings.Contains(got, `"code":"`+tc.code+`"`) {
			t.Errorf("%s: %s", name, got)
		}
		resp, err := sse.Get("http://wsx.test/")
		if err != nil || resp.StatusCode != tc.status ||
			(resp.Header.Get("Retry-After") != "") != (tc.later == "UNAVAILABLE") {
			t.Error(name, resp, err)
		}
		_ = resp.Body.Close()
		answer.Store(func() error { return nil })
		s.send(subscribeTo("1", "a", ""))
		s.read()
		answer.Store(func() error { return tc.err })
		s.send(request("9", "wsx.auth", `{"token":"ada-0"}`))
		if got := s.read() + s.read(); !strings.Contains(got, `"code":"`+tc.later+`"`) ||
			!strings.Contains(got, `"subject":"ada"`) {
			t.Errorf("%s: %s", name, got)
		}
	}
}

// status is an error with an HTTP status.
type status int

func (s status) Error() string   { return http.StatusText(int(s)) }
func (s status) StatusCode() int { return int(s) }
