package wsxclient_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"

	"github.com/genropy/genro-asgi-go/wsx"
	"github.com/genropy/genro-asgi-go/wsx/wsxclient"
	"github.com/genropy/genro-asgi-go/wsx/wsxtest"
)

// issuer hands out tokens "secret-N", each good for its life, and takes them.
type issuer struct {
	mu      sync.Mutex
	life    time.Duration // zero is for ever
	broken  error         // while set, there are no tokens
	revoked bool          // while set, none is taken
	stale   bool          // while set, none is taken by wsx.auth
	issued  []time.Time
}

func (i *issuer) token(context.Context) (string, error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.broken != nil {
		return "", i.broken
	}
	i.issued = append(i.issued, time.Now())
	return fmt.Sprint("secret-", len(i.issued)-1), nil
}

func (i *issuer) authenticate(r *http.Request, token string) (wsx.Identity, error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	var n int
	if _, err := fmt.Sscanf(token, "secret-%d", &n); err != nil || n >= len(i.issued) ||
		i.revoked || i.stale && wsx.ConnFrom(r.Context()) != nil {
		return wsx.Identity{}, wsx.NewError(wsx.CodeUnauthenticated, "not "+token)
	}
	id := wsx.Identity{Subject: "ada"}
	if i.life > 0 {
		id.Expires = i.issued[n].Add(i.life)
	}
	return id, nil
}

func (i *issuer) set(broken error, revoked bool) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.broken, i.revoked = broken, revoked
}

func (i *issuer) count() int {
	i.mu.Lock()
	defer i.mu.Unlock()
	return len(i.issued)
}

// states collects what OnState is told.
type states struct {
	mu   sync.Mutex
	told []string
}

func (s *states) on(state wsxclient.State, err error) {
	text := state.String()
	if ended, ok := errors.AsType[*wsxclient.ClosedError](err); ok {
		text += fmt.Sprint(" ", ended.Code)
	}
	if text == "reconnecting" {
		return // an attempt that failed, of which there may be any number
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.told = append(s.told, text)
}

// check waits until the bubble is quiet.
func (s *states) check(t *testing.T, want ...string) {
	t.Helper()
	synctest.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	if !slices.Equal(s.told, want) {
		t.Errorf("states %q, want %q", s.told, want)
	}
}

// authClient connects to a server that asks i.
func authClient(t *testing.T, i *issuer, s *states) (*wsxclient.Client, *wsx.Server) {
	t.Helper()
	d := methods()
	wsx.Handle(d, "whoami",
		func(ctx context.Context, _ struct{}) (string, error) {
			return wsx.IdentityFrom(ctx).Subject, nil
		})
	server := wsx.NewServer(d, &wsx.ServerOptions{Authenticate: i.authenticate})
	client := wsxtest.Serve(t, server)
	t.Cleanup(func() { _ = server.Stop(context.Background()) })
	c, err := wsxclient.Dial(t.Context(), "ws://wsx.test/",
		&wsxclient.Options{HTTPClient: client, Token: i.token, Reconnect: true, OnState: s.on})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c, server
}

func whoami(t *testing.T, c *wsxclient.Client) {
	t.Helper()
	if got, err := wsxclient.CallWith[string](t.Context(), c, "whoami", nil,
		&wsxclient.CallOptions{Retry: true}); err != nil || got != "ada" {
		t.Error(got, err)
	}
}

func TestToken_IsRefreshedBeforeItExpires(t *testing.T) {
	for _, life := range []time.Duration{0, time.Second, time.Hour} {
		t.Run(life.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var told states
				i := &issuer{life: life}
				c, _ := authClient(t, i, &told)
				<-time.After(20*life + time.Minute)
				whoami(t, c)
				n := i.count()
				if life == 0 && n != 1 {
					t.Errorf("%d tokens were fetched for one that does not expire", n)
				}
				if most := int((20*life + time.Minute) / max(life, 1) * 3 / 2); life > 0 &&
					(n < 20 || n > most) {
					t.Errorf("%d tokens, at most %d", n, most)
				}
				told.check(t, "connected")
			})
		})
	}
}

func TestToken_RefreshIsTriedAgain(t *testing.T) {
	for name, fail := range map[string]func(i *issuer, fails bool){
		"no tokens": func(i *issuer, fails bool) {
			i.set(map[bool]error{true: errors.New("down")}[fails], false)
		},
		"refused": func(i *issuer, fails bool) { i.mu.Lock(); i.stale = fails; i.mu.Unlock() },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { // it succeeds in time
				var told states
				i := &issuer{life: time.Hour}
				c, _ := authClient(t, i, &told)
				<-time.After(57 * time.Minute)
				fail(i, true)
				<-time.After(2*time.Minute + 20*time.Second)
				fail(i, false)
				<-time.After(time.Hour)
				whoami(t, c)
				told.check(t, "connected")
			})
			synctest.Test(t, func(t *testing.T) { // it does not, and the next connection does
				var told states
				i := &issuer{life: time.Minute}
				c, _ := authClient(t, i, &told)
				<-time.After(30 * time.Second)
				fail(i, true)
				<-time.After(29 * time.Second)
				told.check(t, "connected")
				<-time.After(2 * time.Second)
				fail(i, false)
				whoami(t, c)
				told.check(t, "connected", "reconnecting 4401", "connected")
			})
		})
	}
}

// A token that is not taken is replaced once; no text that the program gets holds one.
func TestToken_GivesUpWhenAFreshOneIsRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var told states
		i := &issuer{life: time.Minute}
		c, _ := authClient(t, i, &told)
		synctest.Wait()
		i.set(nil, true)
		<-c.Done()
		refused, ok := errors.AsType[*wsxclient.HandshakeError](c.Err())
		if !ok || refused.Status != 401 ||
			strings.Contains(c.Err().Error()+string(refused.Body), "secret") ||
			!strings.Contains(string(refused.Body), "[token]") {
			t.Errorf("%v %s", c.Err(), refused.Body)
		}
		told.check(t, "connected", "reconnecting 4401", "closed 4401")
	})
	synctest.Test(t, func(t *testing.T) {
		// taken, and thrown out: once is an expiry that this side did not see, twice is meant
		var told states
		i := &issuer{}
		c, server := authClient(t, i, &told)
		synctest.Wait()
		server.Disconnect("ada", 0)
		whoami(t, c)
		synctest.Wait()
		server.Disconnect("ada", 0)
		<-c.Done()
		told.check(t, "connected", "reconnecting 4401", "connected", "closed 4401")
	})
	synctest.Test(t, func(t *testing.T) { // after a while it is another matter
		var told states
		c, server := authClient(t, &issuer{}, &told)
		for range 5 {
			<-time.After(time.Minute)
			server.Disconnect("ada", 0)
			synctest.Wait()
			whoami(t, c)
		}
	})
}

func TestToken_FailsDial(t *testing.T) {
	down := errors.New("down")
	i := &issuer{broken: down}
	if _, err := wsxclient.Dial(t.Context(), "ws://wsx.test/",
		&wsxclient.Options{Token: i.token}); !errors.Is(err, down) {
		t.Error(err)
	}
	i = &issuer{revoked: true}
	client := wsxtest.Serve(t,
		wsx.NewServer(methods(), &wsx.ServerOptions{Authenticate: i.authenticate}))
	_, err := wsxclient.Dial(t.Context(), "ws://wsx.test/",
		&wsxclient.Options{
			HTTPClient: client, Token: i.token,
			Header: http.Header{"X-Other": {"kept"}},
		})
	if refused, ok := errors.AsType[*wsxclient.HandshakeError](err); !ok || refused.Status != 401 ||
		strings.Contains(string(refused.Body), "secret") {
		t.Error(err)
	}
}

// The refusals of a server that repeats the token do not tell it either.
func TestToken_IsNotInTheLastRefreshsError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := fake(t,
			&wsxclient.Options{Token: func(context.Context) (string, error) {
				return "secret", nil
			}}, func(c *websocket.Conn) error {
				return errors.Join(
					expect(c,
						`{"type":"rpc.request","id":1,"method":"wsx.auth",`+
							`"params":{"token":"secret"},"meta":{"timeout_ms":30000}}`),
					say(c,
						`{"type":"rpc.error","id":1,"error":{"code":"UNAUTHENTICATED",`+
							`"message":"not secret"}}`),
					expect(c,
						`{"type":"rpc.request","id":2,"method":"wsx.auth",`+
							`"params":{"token":"secret"},"meta":{"timeout_ms":30000}}`),
					say(c,
						`{"type":"rpc.error","id":2,"error":{"code":"UNAUTHENTICATED",`+
							`"message":"not secret"}}`),
					// it has been read
					say(c, `{"type":"rpc.ping","id":3}`), expect(c, `{"type":"rpc.pong","id":3}`),
					c.Close(4401, ""))
			})
		<-c.Done()
		if text := c.Err().Error(); !strings.Contains(text, "not [token]") ||
			strings.Contains(text, "secret") {
			t.Error(text)
		}
	})
}

// A loop that is busy while its connection ends for want of a token goes on with the next one.
func TestToken_ALoopOutlivesTheConnectionThatNeededANewOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hub, i := wsx.NewHub(nil), &issuer{}
		hub.Configure("room", &wsx.ChannelOptions{History: 10})
		server := wsx.NewServer(methods(),
			&wsx.ServerOptions{Authenticate: i.authenticate, Hub: hub})
		defer func() { _ = server.Stop(context.Background()) }()
		c, err := wsxclient.Dial(t.Context(), "ws://wsx.test/",
			&wsxclient.Options{
				HTTPClient: wsxtest.Serve(t, server), Token: i.token,
				Reconnect: true,
			})
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = c.Close() }()
		publish := func(payload string) {
			if _, err := hub.Publish(t.Context(), "room", payload); err != nil {
				t.Error(err)
			}
		}
		var got []string
		for event, err := range wsxclient.Subscribe[string](t.Context(), c, "room",
			&wsxclient.SubscribeOptions{OnSubscribed: func(recovered bool) {
				if !recovered {
					publish("one")
				}
			}}) {
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, event.Payload)
			if event.Payload == "two" {
				break
			}
			server.Disconnect("ada", 0)
			synctest.Wait() // the client knows it before the loop does
			publish("two")
		}
		if !slices.Equal(got, []string{"one", "two"}) || i.count() != 2 {
			t.Errorf("%q with %d tokens", got, i.count())
		}
	})
}
