package wsx_test

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/genropy/genro-asgi-go/wsx"
	"github.com/genropy/genro-asgi-go/wsx/broker"
)

// journal is what hooks were told.
type journal struct {
	mu      sync.Mutex
	entries []string
}

func (j *journal) note(what string) func(wsx.Subscription) {
	return func(s wsx.Subscription) {
		j.mu.Lock()
		defer j.mu.Unlock()
		j.entries = append(j.entries, what+" "+s.Channel+" "+string(s.Params))
	}
}

func (j *journal) wants(t *testing.T, want ...string) {
	t.Helper()
	synctest.Wait()
	j.mu.Lock()
	defer j.mu.Unlock()
	if !slices.Equal(j.entries, want) {
		t.Errorf("hooks: %q, want %q", j.entries, want)
	}
	j.entries = nil
}

func TestHub_TellsHooksOfEverySubscription(t *testing.T) {
	var j journal
	inRig(t,
		map[string]wsx.ChannelOptions{
			"a.>": {OnSubscribe: j.note("on"), OnUnsubscribe: j.note("off")},
		}, nil,
		func(t *testing.T, r *hubRig) {
			c, d := r.tap(), r.tap()
			c.send(subscribeTo("1", "a.b", `,"params":{"x":1}`))
			c.all()
			c.send(subscribeTo("2", "a.*", ""))
			c.all()
			j.wants(t, `on a.b {"x":1}`, "on a.* ")
			c.send(`{"type":"rpc.unsubscribe","id":3,"channel":"a.b"}`)
			c.wants(unsubscribed("3"))
			j.wants(t, `off a.b {"x":1}`)
			d.send(subscribeTo("1", "a.>", ""))
			d.all()
			_ = c.c.CloseNow()
			j.wants(t, "on a.> ", "off a.* ")
			if n := r.hub.Unsubscribe("a.>", "GONE"); n != 1 {
				t.Error(n)
			}
			j.wants(t, "off a.> ")
		})
}

func TestHub_SurvivesHooksThatPanic(t *testing.T) {
	var log logBuffer
	boom := func(wsx.Subscription) { panic("canary-7f3a") }
	inRig(t, map[string]wsx.ChannelOptions{"a": {OnSubscribe: boom, OnUnsubscribe: boom}},
		&wsx.ServerOptions{Logger: log.logger()}, func(t *testing.T, r *hubRig) {
			c := r.tap()
			c.send(subscribeTo("1", "a", ""))
			c.wants(subscribedTo("1", "a", "1", ""))
			r.publish("a", 1)
			c.wants(event("a", "1", "1", ""))
			_ = c.c.CloseNow()
			synctest.Wait()
			if n := strings.Count(log.String(), "hook panicked"); n != 2 {
				t.Errorf("%d in the log: %s", n, log.String())
			}
		})
}

func TestHub_ACancelledSubscribeLeavesNothing(t *testing.T) {
	var j journal
	asked := make(chan struct{})
	inRig(t, map[string]wsx.ChannelOptions{
		"slow.>": {
			Authorize: func(ctx context.Context, _ wsx.Subscription) error {
				<-ctx.Done()
				return ctx.Err()
			},
			OnSubscribe: j.note("on"),
		},
		"late": {
			History: 10, Presence: true, OnUnsubscribe: j.note("off"),
			OnSubscribe: func(s wsx.Subscription) {
				j.note("on")(s)
				asked <- struct{}{}
				<-asked
			},
		},
	}, &wsx.ServerOptions{MaxSubscriptions: 1}, func(t *testing.T, r *hubRig) {
		asked = make(chan struct{}) // of the bubble
		c := r.tap()
		for range 3 {
			c.send(subscribeTo("1", "slow.a", ""), `{"type":"rpc.cancel","id":1}`)
			c.wants(fault("1", "CANCELLED", "cancelled"))
		}
		j.wants(t)
		c.send(subscribeTo("1", "late", ""))
		<-asked
		c.send(`{"type":"rpc.cancel","id":1}`)
		r.publish("late", "held")
		c.wants(fault("1", "CANCELLED", "cancelled"))
		asked <- struct{}{}
		c.wants()
		j.wants(t, "on late ", "off late ")
		r.publish("late", "nobody")
		c.wants()
		c.send(subscribeTo("2", "late", "")) // its place is free again
		<-asked
		asked <- struct{}{}
		c.wants(subscribedTo("2", "late", "2", at("E1", 2)))
		c.send(request("3", "wsx.presence", `{"channel":"late"}`))
		if got := c.all(); len(got) != 1 || strings.Count(got[0], `"conn"`) != 1 {
			t.Error(got)
		}
	})
}

func TestHub_AConnectionMayEndWhileItSubscribes(t *testing.T) {
	var j journal
	step := make(chan struct{})
	hold := func(wsx.Subscription) { step <- struct{}{}; <-step }
	inRig(t, map[string]wsx.ChannelOptions{
		"asked": {Authorize: func(context.Context, wsx.Subscription) error {
			hold(wsx.Subscription{})
			return nil
		}, OnSubscribe: j.note("on"), OnUnsubscribe: j.note("off")},
		"begun": {OnSubscribe: hold, OnUnsubscribe: j.note("off"), Presence: true},
	}, nil, func(t *testing.T, r *hubRig) {
		step = make(chan struct{})
		for _, channel := range []string{"asked", "begun"} {
			c := r.tap()
			c.send(subscribeTo("1", channel, ""))
			<-step
			_ = c.c.CloseNow()
			synctest.Wait()
			step <- struct{}{}
			synctest.Wait()
			r.publish(channel, 1)
		}
		j.wants(t, "on asked ", "off asked ", "off begun ")
	})
}

func TestHub_UnsubscribeTellsTheClientLast(t *testing.T) {
	inRig(t, map[string]wsx.ChannelOptions{"a.>": {History: 5}}, nil,
		func(t *testing.T, r *hubRig) {
			c, d := r.tap(), r.tap()
			c.send(subscribeTo("1", "a.b", ""))
			c.all()
			c.send(subscribeTo("2", "a.b", ""))
			c.all()
			c.send(subscribeTo("3", "a.*", ""))
			c.all()
			d.send(subscribeTo("1", "a.b", ""))
			d.all()
			r.publish("a.b", 1)
			synctest.Wait()
			if n := r.hub.Unsubscribe("a.b", wsx.CodePermissionDenied); n != 3 {
				t.Error(n)
			}
			r.publish("a.b", 2)
			told := func(sub string) string {
				return serverNotify("wsx.unsubscribed",
					`{"subscription":"`+sub+`","channel":"a.b","code":"PERMISSION_DENIED"}`)
			}
			got := c.all()
			for _, last := range []string{told("1"), told("2")} {
				if !slices.Contains(got, last) {
					t.Errorf("%s not told: %v", last, got)
				}
			}
			if n := strings.Count(strings.Join(got, ""), "rpc.event"); n != 4 ||
				!slices.Contains(got, event("a.b", "2", "3", "")) {
				t.Error(got)
			}
			d.wants(event("a.b", "1", "1", at("E1", 1)), told("1"))
			if n := r.hub.Unsubscribe("a.b", "X") + r.hub.Unsubscribe("a.x", "X") +
				r.hub.Unsubscribe("a.>", "X"); n != 0 {
				t.Error(n)
			}
			d.send(`{"type":"rpc.unsubscribe","id":1,"subscription":"1"}`)
			d.wants(fault("1", "NOT_FOUND", "not found"))
			if n := r.hub.Unsubscribe("a.*", "\xff"); n != 1 {
				t.Error(n)
			}
			c.wants(serverNotify("wsx.unsubscribed",
				`{"subscription":"3","channel":"a.*","code":"`+"\ufffd"+`"}`))
		})
}

func TestHub_UnsubscribeOfASubscriptionUnderWayComesAfterItsResponse(t *testing.T) {
	var hub *wsx.Hub
	inRig(t,
		map[string]wsx.ChannelOptions{
			"a": {History: 5, Presence: true, OnSubscribe: func(s wsx.Subscription) {
				_, _ = hub.Publish(context.Background(), "a", 1)
				hub.Unsubscribe("a", "GONE")
			}},
		}, nil, func(t *testing.T, r *hubRig) {
			hub = r.hub
			c := r.tap()
			c.send(subscribeTo("1", "a", ""))
			c.wants(subscribedTo("1", "a", "1", at("E1", 0)),
				serverNotify("wsx.unsubscribed",
					`{"subscription":"1","channel":"a","code":"GONE"}`))
			d := r.tap()
			d.send(request("1", "wsx.presence", `{"channel":"a"}`))
			d.wants(fault("1", "PERMISSION_DENIED",
				"only subscribers of a channel see who is in it"))
		})
}

// TestHub_TellsOfAnEndBeforeTheIDIsAnothers: a client that subscribes again meanwhile must not take
// the end of the old subscription for that of the new one.
func TestHub_TellsOfAnEndBeforeTheIDIsAnothers(t *testing.T) {
	var first atomic.Bool // the hook of the next subscription waits
	step := make(chan struct{})
	hold := func(wsx.Subscription) {
		if first.CompareAndSwap(true, false) {
			step <- struct{}{}
			<-step
		}
	}
	inRig(t, map[string]wsx.ChannelOptions{"a": {OnUnsubscribe: hold}}, nil,
		func(t *testing.T, r *hubRig) {
			step = make(chan struct{})
			c, d := r.tap(), r.tap()
			for _, s := range []*tap{c, d} { // they share the ID
				s.send(subscribeTo("1", "a", ""))
				s.wants(subscribedTo("1", "a", "1", ""))
			}
			first.Store(true)
			go r.hub.Unsubscribe("a", "GONE")
			<-step
			c.send(subscribeTo("2", "a", ""))
			c.wants(serverNotify("wsx.unsubscribed",
				`{"subscription":"1","channel":"a","code":"GONE"}`),
				subscribedTo("2", "a", "1", ""))
			step <- struct{}{}
			r.publish("a", 1)
			c.wants(event("a", "1", "1", ""))
		})
	inRig(t, map[string]wsx.ChannelOptions{"a": {OnSubscribe: hold}}, nil,
		func(t *testing.T, r *hubRig) {
			step = make(chan struct{})
			c, d := r.tap(), r.tap()
			d.send(subscribeTo("1", "a", ""))
			d.wants(subscribedTo("1", "a", "1", ""))
			first.Store(true)
			c.send(subscribeTo("1", "a", ""))
			<-step
			c.send(`{"type":"rpc.unsubscribe","id":2,"channel":"a"}`) // what is not answered yet
			c.wants(fault("1", "CANCELLED", "cancelled"), unsubscribed("2"))
			c.send(subscribeTo("3", "a", ""))
			c.wants(subscribedTo("3", "a", "2", ""))
			step <- struct{}{}
			c.wants()
			r.publish("a", 1)
			c.wants(event("a", "1", "2", ""))
		})
}

// TestHub_ASubscriptionWhoseAnswerHasNoRoomInItsBatchIsNone: the client is told that there is none.
func TestHub_ASubscriptionWhoseAnswerHasNoRoomInItsBatchIsNone(t *testing.T) {
	step := make(chan struct{})
	channel, j := strings.Repeat("a", 256), &journal{}
	o := wsx.ChannelOptions{
		OnSubscribe:   func(wsx.Subscription) { <-step },
		OnUnsubscribe: j.note("off"),
	}
	inRig(t, map[string]wsx.ChannelOptions{channel: o}, &wsx.ServerOptions{MaxMessage: -1},
		func(t *testing.T, r *hubRig) {
			step = make(chan struct{})
			c := r.tap()
			c.send(`[{"jsonrpc":"2.0","id":1,"method":"echo","params":["` +
				strings.Repeat("x", 1<<20-250) + `"]},` +
				`{"jsonrpc":"2.0","id":2,"method":"rpc.subscribe","params":{"channel":"` + channel +
				`"}}]`)
			synctest.Wait() // the first answer is there
			close(step)
			if got := c.all(); len(got) != 1 ||
				!strings.Contains(got[0], `"code":"RESOURCE_EXHAUSTED"`) {
				t.Fatalf("%d answers", len(got))
			}
			j.wants(t, "off "+channel+" ")
			r.publish(channel, 1)
			c.wants()
		})
}

// TestHub_EndsASubscriptionInTheMiddleOfItsReplay: the client does not read, so that the replay
// waits for room.
func TestHub_EndsASubscriptionInTheMiddleOfItsReplay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, nil, map[string]wsx.ChannelOptions{"a": {History: 500}},
			&wsx.ServerOptions{MaxQueueMessages: 10, WriteTimeout: 1 << 40})
		var p broker.Position
		for i := range 500 {
			p = r.publish("a", strings.Repeat("x", 2000)+strconv.Itoa(i))
		}
		s := dialSocket(t, r.client, "ws://wsx.test/")
		s.send(subscribeTo("1", "a", fmt.Sprintf(`,"recover":{"epoch":"%s","offset":0}`, p.Epoch)))
		synctest.Wait()
		if n := r.hub.Unsubscribe("a", "GONE"); n != 1 {
			t.Error(n)
		}
		r.publish("a", "after")
		if got := s.read(); !strings.Contains(got, `"recovered":true`) {
			t.Error(got)
		}
		for offset := uint64(1); ; offset++ {
			m := s.read()
			if strings.Contains(m, "wsx.unsubscribed") {
				if offset < 2 || offset > 400 {
					t.Errorf("%d events before the end", offset-1)
				}
				break
			}
			if _, got, _ := positionOf(t, m); got != offset {
				t.Fatalf("%d in place of %d", got, offset)
			}
		}
		s.send(ping)
		s.expect(pong)
	})
}

func TestHub_AReplayLongerThanTheQueueArrivesWhole(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, nil, map[string]wsx.ChannelOptions{"a": {History: 3000}},
			&wsx.ServerOptions{MaxQueueMessages: 10})
		var p broker.Position
		for i := range 3000 {
			p = r.publish("a", i)
		}
		s := dialSocket(t, r.client, "ws://wsx.test/")
		s.send(subscribeTo("1", "a", fmt.Sprintf(`,"recover":{"epoch":"%s","offset":0}`, p.Epoch)))
		synctest.Wait()
		for i := range 5 { // while the replay waits for room
			r.publish("a", 3000+i)
		}
		if got := s.read(); !strings.Contains(got, `"recovered":true`) {
			t.Error(got)
		}
		for i := range 3005 {
			if _, offset, dropped := positionOf(t, s.read()); offset != uint64(i+1) ||
				dropped != 0 {
				t.Fatal(i, offset, dropped)
			}
		}
	})
}
