package wsx_test

import (
	"context"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/genropy/genro-asgi-go/wsx"
)

func TestServer_RefreshKeepsTheConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, client := serve(t, authDispatcher(), &wsx.ServerOptions{Authenticate: byWord})
		began := time.Now()
		c := dialAs(t, client, "ada-5")
		auth := func(token string) { c.send(request("1", "wsx.auth", `{"token":"`+token+`"}`)) }
		auth("x")
		c.expect(fault("1", "UNAUTHENTICATED", "unauthenticated"))
		auth("bob-100")
		c.expect(fault("1", "PERMISSION_DENIED",
			"the token is not the subject's of this connection"))
		auth("broken")
		c.expect(fault("1", "INTERNAL_ERROR", "internal error"))
		auth("ada-20")
		c.expect(response("1", `{"subject":"ada","expires_in_ms":20000}`))
		auth("bad") // changes nothing
		c.expect(fault("1", "UNAUTHENTICATED", "unauthenticated"))
		c.expectClosed(4401)
		if took := time.Since(began); took < 20*time.Second || took > 21*time.Second {
			t.Error(took)
		}
	})
}

func TestServer_RefreshAsksAuthorizersAgain(t *testing.T) {
	may := func(ctx context.Context, s wsx.Subscription) error {
		if s.Subject != "ada" || wsx.IdentityFrom(ctx).Value == "ada-100" {
			return wsx.NewError(wsx.CodeSubscriptionDenied, "")
		}
		return nil
	}
	asked := make(chan struct{})
	inRig(t,
		map[string]wsx.ChannelOptions{
			"open": {}, "held": {Authorize: may},
			"slow": {Authorize: func(ctx context.Context, s wsx.Subscription) error {
				err := may(ctx, s)
				if err == nil {
					asked <- struct{}{}
					<-asked
				}
				return err
			}},
		}, &wsx.ServerOptions{Authenticate: byWord}, func(t *testing.T, r *hubRig) {
			asked = make(chan struct{})
			c := dialAs(t, r.client, "ada-50")
			c.send(subscribeTo("1", "open", ""))
			c.expect(subscribedTo("1", "open", "1", ""))
			c.send(subscribeTo("2", "held", ""))
			c.expect(subscribedTo("2", "held", "2", ""))
			// under way while the credentials change: it must not slip through
			c.send(subscribeTo("3", "slow", ""))
			<-asked
			c.send(request("4", "wsx.auth", `{"token":"ada-100"}`))
			c.expect(serverNotify("wsx.unsubscribed",
				`{"subscription":"2","channel":"held","code":"PERMISSION_DENIED"}`),
				response("4", `{"subject":"ada","expires_in_ms":100000}`))
			asked <- struct{}{}
			c.expect(fault("3", "SUBSCRIPTION_DENIED", "subscription denied"))
			r.publish("held", 1)
			r.publish("slow", 1)
			r.publish("open", 1)
			c.expect(event("open", "1", "1", ""))
		})
}

func TestServer_DisconnectsASubject(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		verifying := make(chan struct{})
		s, client := serve(t, authDispatcher(),
			&wsx.ServerOptions{
				Authenticate: func(r *http.Request, token string) (wsx.Identity, error) {
					if token == "late-0" {
						verifying <- struct{}{}
						<-verifying
						token = "ada-0"
					}
					return byWord(r, token)
				},
			})
		a, b, bob := dialAs(t, client, "ada-0"), dialAs(t, client, "ada-100"), dialAs(t, client,
			"bob-0")
		late := make(chan *socket)
		go func() { late <- dialAs(t, client, "late-0") }()
		<-verifying
		if n := s.Disconnect("ada", 4403) + s.Disconnect("nobody", 0) +
			s.Disconnect("", 0); n != 2 {
			t.Error(n)
		}
		verifying <- struct{}{}
		for _, c := range []*socket{a, b, <-late} {
			c.expectClosed(4403)
		}
		bob.send(request("1", "whoami", ""))
		bob.expect(response("1", `"bob"`))
		if n := s.Disconnect("ada", 0); n != 0 {
			t.Error(n)
		}
		again := dialAs(t, client, "ada-0") // it disconnects, it does not ban
		again.send(request("1", "whoami", ""))
		again.expect(response("1", `"ada"`))
	})
	if panicText(func() { wsx.NewServer(wsx.NewDispatcher(), nil).Disconnect("ada", 1005) }) == "" {
		t.Error("a code that no frame may carry")
	}
}
