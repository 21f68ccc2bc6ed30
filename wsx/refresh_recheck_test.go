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
		"secret.>": {Authorize: func(ctx context.Context, _ wsx.Subscription) error {
			if closed.Load() || wsx.SubjectFrom(ctx) != "ada" {
				return wsx.NewError(wsx.CodeSubscriptionDenied, "")
			}
			return nil
		}},
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
			serverNotify("wsx.unsubscribed", `{"subscription":"1","channel":"secret.a","code":"PERMISSION_DENIED"}`),
			serverNotify("wsx.unsubscribed", `{"subscription":"2","channel":"secret.*","code":"PERMISSION_DENIED"}`),
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
