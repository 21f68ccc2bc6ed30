package wsx_test

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/coder/websocket"

	"github.com/genropy/genro-asgi-go/wsx"
	"github.com/genropy/genro-asgi-go/wsx/broker"
)

// TestHub_AFullQueueWhileSubscribing: more comes than is held before the subscription is answered.
func TestHub_AFullQueueWhileSubscribing(t *testing.T) {
	var hub *wsx.Hub
	var step chan struct{}
	flood := func(n int, payload string) func(wsx.Subscription) {
		return func(s wsx.Subscription) {
			for range n {
				_, _ = hub.Publish(context.Background(), s.Channel, payload)
			}
			<-step
		}
	}
	huge := strings.Repeat("x", 2<<20)
	inRig(t, map[string]wsx.ChannelOptions{
		"cut":  {OnSubscribe: flood(1500, "x"), History: 2000},
		"drop": {OnSubscribe: flood(1500, "x"), Slow: wsx.SlowDropOldest},
		"big":  {OnSubscribe: flood(40, huge[:100_000]), Slow: wsx.SlowDropOldest},
		"huge": {OnSubscribe: flood(1, huge)},
	}, &wsx.ServerOptions{MaxQueueMessages: 1 << 20, MaxQueueBytes: 1 << 30},
		func(t *testing.T, r *hubRig) {
			hub, step = r.hub, make(chan struct{})
			c := r.tap()
			begun := func(channel string) []string {
				c.send(subscribeTo("1", channel, ""))
				synctest.Wait()
				step <- struct{}{}
				return c.all()
			}
			if got := begun("drop"); len(got) != 1025 ||
				got[1] != event("drop", `"x"`, "1", `,"dropped":476`) ||
				got[1024] != event("drop", `"x"`, "1", "") {
				t.Error(len(got), got[:2])
			}
			if got := begun("big"); len(got) != 1+10 || droppedOf(t, got[1]) != 30 {
				t.Error(len(got))
			}
			if got := begun("huge"); len(got) != 2 || len(got[1]) < len(huge) {
				t.Error(len(got))
			}
			if got := begun("cut"); len(got) > 1 || websocket.CloseStatus(c.ended()) != 4430 {
				t.Errorf("%d messages, then %v", len(got), c.ended())
			}
		})
}

// TestHub_WhatIsReplayedIsNotCountedAsLost: more is published than is held while the broker looks
// for what was missed, which has it.
func TestHub_WhatIsReplayedIsNotCountedAsLost(t *testing.T) {
	for name, policy := range map[string]wsx.SlowPolicy{
		"disconnect":  wsx.SlowDisconnect,
		"drop oldest": wsx.SlowDropOldest,
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := &slowSince{Memory: broker.NewMemory()}
				r := newRig(t, b, map[string]wsx.ChannelOptions{"a": {History: 5000, Slow: policy}},
					&wsx.ServerOptions{MaxQueueMessages: 1 << 20})
				p := r.publish("a", 1)
				step := make(chan struct{})
				b.before = func() {
					for range 2000 {
						r.publish("a", 1)
					}
					<-step
				}
				c := r.tap()
				c.send(subscribeTo("1", "a", `,"recover":{"epoch":"`+p.Epoch+`","offset":1}`))
				synctest.Wait()
				step <- struct{}{}
				got := c.all()
				if len(got) != 2001 || strings.Contains(strings.Join(got, ""), "dropped") ||
					c.ended() != nil {
					t.Errorf("%d messages, then %v", len(got), c.ended())
				}
				r.publish("a", 2)
				c.wants(event("a", "2", "1", at("E1", 2002)))
			})
		})
	}
}

type slowSince struct {
	*broker.Memory
	before func()
}

func (b *slowSince) Since(ctx context.Context, channel string, since broker.Position,
	h broker.History,
) (broker.Replay, error) {
	b.before()
	return b.Memory.Since(ctx, channel, since, h)
}
