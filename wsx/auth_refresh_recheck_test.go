package wsx_test

import (
	"context"
	"slices"
	"sync/atomic"
	"testing"

	"github.com/genropy/genro-asgi-go/wsx"
)

func TestServer_RefreshRechecksSubscriptions(t *testing.T) {
	var closed atomic.Bool
	inRig(t, map[string]wsx.ChannelOptions{
		"secret.>": {
			AllowPatterns: true,
			Authorize: func(ctx context.Context, _ wsx.Subscription) error {
				if closed.Load() || wsx.IdentityFrom(ctx).Subject != "ada" {
					return wsx.NewError(wsx.CodeSubscriptionDenied, "")
				}
				return nil
			},
		},
		"open.>": {},
	}, &wsx.ServerOptions{Authenticate: byWord}, func(t *testing.T, r *hubRig) {
		s := dialAs(t, r.client, "ada-0")
		auth := request("9", "wsx.auth", `{"token":"ada-0"}`)
		s.send(subscribeTo("1", "secret.a", ""))
		s.expect(subscribedTo("1", "secret.a", "1", ""))
		s.send(subscribeTo("2", "secret.*", ""))
		s.expect(subscribedTo("2", "secret.*", "2", ""))
		s.send(subscribeTo("3", "open.a", ""))
		s.expect(subscribedTo("3", "open.a", "3", ""))
		s.send(auth) // all may stay
		s.expect(response("9", `{"subject":"ada"}`))

		closed.Store(true)
		s.send(auth)
		got := []string{s.read(), s.read(), s.read()}
		want := []string{
			serverNotify("wsx.unsubscribed",
				`{"subscription":"1","channel":"secret.a","code":"PERMISSION_DENIED"}`),
			serverNotify("wsx.unsubscribed",
				`{"subscription":"2","channel":"secret.*","code":"PERMISSION_DENIED"}`),
			response("9", `{"subject":"ada"}`),
		}
		slices.Sort(got)
		slices.Sort(want)
		if !slices.Equal(got, want) {
			t.Errorf("got %q, want %q", got, want)
		}
		r.publish("secret.a", 1)
		r.publish("open.a", 2)
		s.expect(event("open.a", "2", "3", ""))
	})
}

// TestServer_AnAuthorizerThatPanicsWhenAskedAgainLeavesNothing: the credentials were refreshed
// while the subscription was under way.
func TestServer_AnAuthorizerThatPanicsWhenAskedAgainLeavesNothing(t *testing.T) {
	var asked atomic.Int32
	step := make(chan struct{})
	inRig(t,
		map[string]wsx.ChannelOptions{
			"a": {Authorize: func(context.Context, wsx.Subscription) error {
				switch asked.Add(1) {
				case 1:
					step <- struct{}{}
					<-step
				case 2:
					panic("canary-7f3a")
				}
				return nil
			}},
		}, &wsx.ServerOptions{Authenticate: byWord, MaxSubscriptions: 1},
		func(t *testing.T, r *hubRig) {
			step = make(chan struct{})
			s := dialAs(t, r.client, "ada-0")
			s.send(subscribeTo("1", "a", ""))
			<-step
			s.send(request("9", "wsx.auth", `{"token":"ada-0"}`))
			s.expect(response("9", `{"subject":"ada"}`))
			step <- struct{}{}
			s.expect(fault("1", "INTERNAL_ERROR", "internal error"))
			s.send(subscribeTo("2", "a", "")) // its place is free again
			s.expect(subscribedTo("2", "a", "2", ""))
		})
}
