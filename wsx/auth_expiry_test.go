package wsx_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/genropy/genro-asgi-go/wsx"
)

func TestHubSSE_EndsWithTheCredentials(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hub := wsx.NewHub(nil)
		hub.Configure("room.>", nil)
		defer func() { _ = hub.Stop(context.Background()) }()
		h := wsx.Authenticator(byWord).Middleware(hub.SSE(func(r *http.Request) (string, error) {
			return "room." + wsx.IdentityFrom(r.Context()).Subject, nil
		}))
		begin := time.Now()
		time.AfterFunc(30*time.Second, func() {
			if _, err := hub.Publish(context.Background(), "room.ada", 1); err != nil {
				t.Error(err)
			}
		})
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.Header.Set("Authorization", "Bearer ada-60")
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if took := time.Since(begin); took != 60*time.Second {
			t.Errorf("the stream ended after %v", took)
		}
		if w.Code != http.StatusOK || !strings.Contains(w.Body.String(), "data: 1\n\n") {
			t.Errorf("%d %s", w.Code, w.Body)
		}
	})
}

func TestServer_ClosesWhenTheCredentialsExpire(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := authDispatcher()
		ended := make(chan error, 1)
		wsx.Handle(d, "hold", func(ctx context.Context, _ struct{}) (struct{}, error) {
			<-ctx.Done()
			ended <- context.Cause(wsx.ConnFrom(ctx).Context())
			return struct{}{}, ctx.Err()
		})
		_, client := serve(t, d, &wsx.ServerOptions{Authenticate: byWord})
		began := time.Now()
		c := dialAs(t, client, "ada-100")
		c.send(request("1", "hold", ""))
		ce, ok := c.closedAnyhow()
		if took := time.Since(began); !ok || ce.Code != 4401 || took < 100*time.Second ||
			took > 101*time.Second {
			t.Errorf("%v, %v after %v", ce, ok, took)
		}
		if err := <-ended; !errors.Is(err, wsx.NewError(wsx.CodeUnauthenticated, "")) {
			t.Error(err)
		}
	})
}

// The client neither reads nor answers the close frame.
func TestServer_ExpiryWaitsForNoClient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		ended := make(chan time.Duration, 1)
		d := authDispatcher()
		wsx.HandleNotify(d, "hold", func(ctx context.Context, _ struct{}) error {
			<-ctx.Done()
			ended <- time.Since(began)
			return nil
		})
		_, client := serve(t, d, &wsx.ServerOptions{Authenticate: byWord, WriteTimeout: time.Hour})
		c := dialAs(t, client, "ada-3")
		c.send(request("1", "echo", `"`+strings.Repeat("x", 1000)+`"`),
			`{"type":"rpc.notify","method":"hold"}`)
		if got := <-ended; got < 3*time.Second || got > 4*time.Second {
			t.Error(got)
		}
	})
}
