package wsx_test

import (
	"context"
	"encoding/hex"
	"errors"
	"log/slog"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/genropy/genro-asgi-go/wsx"
	"github.com/genropy/genro-asgi-go/wsx/broker"
	"github.com/genropy/genro-asgi-go/wsx/wsxclient"
	"github.com/genropy/genro-asgi-go/wsx/wsxtest"
)

// oddNames are what users call themselves.
func oddNames() []string {
	return []string{
		"ada", "*", ">", "", "a.b", "ada@example.com", "ada smith", "ädä", "a:b", ":",
		"::", "a\nb", "\xff", "tenant/7", strings.Repeat("x", 300), strings.Repeat("*", 100),
	}
}

// untoken is the string that a token was made of, by the rule in Token's documentation.
func untoken(t *testing.T, token string) string {
	if token == ":" {
		return ""
	}
	return regexp.MustCompile(`:[0-9A-F]{2}`).ReplaceAllStringFunc(token, func(s string) string {
		b, err := hex.DecodeString(s[1:])
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	})
}

func FuzzToken(f *testing.F) {
	for _, s := range oddNames() {
		f.Add(s)
	}
	one := regexp.MustCompile(`^[A-Za-z0-9_:@-]{1,128}\z`)
	hub := wsx.NewHub(nil)
	hub.Configure("*", nil)
	f.Fuzz(func(t *testing.T, s string) {
		token := wsx.Token(s)
		if !one.MatchString(token) {
			t.Errorf("Token(%q) = %q", s, token)
		}
		if !strings.HasPrefix(token, "::") && untoken(t, token) != s {
			t.Errorf("Token(%q) = %q, which is that of %q", s, token, untoken(t, token))
		}
		if regexp.MustCompile(`^[A-Za-z0-9_@-]{1,128}\z`).MatchString(s) && token != s {
			t.Errorf("Token(%q) = %q", s, token)
		}
		if _, err := hub.Publish(t.Context(), token, nil); err != nil {
			t.Error(err)
		}
	})
}

func TestToken_OfDifferentStringsDiffer(t *testing.T) {
	seen := make(map[string]string)
	for _, s := range append(oddNames(), wsx.Token("*"), wsx.Token(""),
		wsx.Token(strings.Repeat("x", 300)), strings.Repeat("x", 301), ":2A", "2A") {
		if other, ok := seen[wsx.Token(s)]; ok && other != s {
			t.Errorf("%q and %q are %q", s, other, wsx.Token(s))
		}
		seen[wsx.Token(s)] = s
	}
}

// TestHub_EachUserReadsOneInbox whatever the users call themselves, by WebSocket and as server-sent
// events.
func TestHub_EachUserReadsOneInbox(t *testing.T) {
	hub := wsx.NewHub(nil)
	inbox := func(user string) string { return "inbox." + wsx.Token(user) }
	published := func(wsx.Subscription) {
		for _, user := range oddNames() {
			if _, err := hub.Publish(context.Background(), inbox(user),
				hex.EncodeToString([]byte(user))); err != nil {
				t.Error(err)
			}
		}
	}
	hub.Configure("inbox.>",
		&wsx.ChannelOptions{
			OnSubscribe: published,
			Authorize: func(_ context.Context, s wsx.Subscription) error {
				if s.Channel != inbox(s.Subject) {
					return errors.New("somebody else's")
				}
				return nil
			},
		})
	named := func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			next.ServeHTTP(w,
				r.WithContext(wsx.WithIdentity(r.Context(),
					wsx.Identity{Subject: oddNames()[len(r.Header.Get("User"))]})))
		})
	}
	mux := http.NewServeMux()
	server := wsx.NewServer(wsx.NewDispatcher(), &wsx.ServerOptions{Hub: hub})
	t.Cleanup(func() {
		_ = errors.Join(server.Stop(context.Background()), hub.Stop(context.Background()))
	})
	mux.Handle("/ws", named(server))
	mux.Handle("/sse",
		named(hub.SSE(func(r *http.Request) (string, error) {
			return inbox(wsx.IdentityFrom(r.Context()).Subject), nil
		})))
	client := wsxtest.Serve(t, mux)
	for i, user := range oddNames() {
		header := http.Header{"User": {strings.Repeat("x", i)}}
		c, err := wsxclient.Dial(t.Context(), "ws://wsx.test/ws",
			&wsxclient.Options{HTTPClient: client, Header: header})
		if err != nil {
			t.Fatal(err)
		}
		for e, err := range wsxclient.Subscribe[string](t.Context(), c, inbox(user), nil) {
			if err != nil || e.Channel != inbox(user) ||
				e.Payload != hex.EncodeToString([]byte(user)) {
				t.Errorf("%q reads %q: %q, %v", user, e.Channel, e.Payload, err)
			}
			break
		}
		for _, foreign := range []string{
			"inbox." + user, "inbox.*", "inbox.>", inbox("bob"),
			"inbox." + user + ".*",
		} {
			for e, err := range wsxclient.Subscribe[string](t.Context(), c, foreign, nil) {
				if err == nil && foreign != inbox(user) {
					t.Errorf("%q reads %q by %q", user, e.Channel, foreign)
				}
				break
			}
		}
		if err := c.Close(); err != nil {
			t.Error(err)
		}
		req, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://wsx.test/sse",
			nil)
		req.Header = header
		resp, err := client.Do(req)
		if err != nil || resp.StatusCode != 200 {
			t.Fatal(resp.StatusCode, err)
		}
		line := make([]byte, 1024)
		n, _ := resp.Body.Read(line)
		_ = resp.Body.Close()
		if want := "data: \"" + hex.EncodeToString([]byte(user)) +
			"\"\n\n"; string(line[:n]) != want {
			t.Errorf("%q reads %q", user, line[:n])
		}
	}
}

// TestHub_AnAuthorizerOfNamesIsNotAskedOfPatterns: it would compare what a user wrote with what the
// user is called.
func TestHub_AnAuthorizerOfNamesIsNotAskedOfPatterns(t *testing.T) {
	var asked []string
	authorize := func(_ context.Context, s wsx.Subscription) error {
		asked = append(asked, s.Channel)
		if s.Pattern != strings.ContainsAny(s.Channel, "*>") {
			t.Errorf("%+v", s)
		}
		return nil
	}
	inRig(t,
		map[string]wsx.ChannelOptions{
			"names.>": {Authorize: authorize},
			"both.>":  {Authorize: authorize, AllowPatterns: true}, "open.>": {},
		}, nil,
		func(t *testing.T, r *hubRig) {
			c := r.tap()
			for _, pattern := range []string{"names.*", "names.>", "names.*.x", "names.x.>"} {
				c.send(subscribeTo("1", pattern, ""))
				c.wants(fault("1", "SUBSCRIPTION_DENIED",
					"the channel has to be named: no patterns"))
			}
			for i, channel := range []string{"names.x", "both.*", "open.>"} {
				c.send(subscribeTo("1", channel, ""))
				c.wants(subscribedTo("1", channel, string(rune('1'+i)), ""))
			}
		})
	if got := strings.Join(asked, " "); got != "names.x both.*" {
		t.Errorf("asked of %q", got)
	}
}

// TestHub_SaysWhatIsWrongToTheProgram and not to a client that may have had no part in it.
func TestHub_SaysWhatIsWrongToTheProgram(t *testing.T) {
	hub := wsx.NewHub(&wsx.HubOptions{MaxEvent: 10})
	hub.Configure("a.>", nil)
	publish := func(channel string, payload any) func(context.Context) error {
		return func(ctx context.Context) error {
			_, err := hub.Publish(ctx, channel, payload)
			return err
		}
	}
	listen := func(channel string) func(context.Context) error {
		return func(ctx context.Context) error {
			for _, err := range hub.Listen(ctx, channel, broker.Position{}) {
				return err
			}
			return nil
		}
	}
	d := wsx.NewDispatcher()
	var call func(context.Context) error
	wsx.Handle(d, "call",
		func(ctx context.Context, _ struct{}) (struct{}, error) { return struct{}{}, call(ctx) })
	c := wsxtest.New(t, d, &wsx.ServerOptions{Hub: hub, Logger: slog.New(slog.DiscardHandler)}, nil)
	for name, tc := range map[string]struct {
		call func(context.Context) error
		want error
	}{
		"a bad name": {publish("a. b", 1), wsx.ErrChannelName},
		"a long name": {
			publish("a."+strings.Repeat("x", 1<<20), 1),
			wsx.ErrChannelName,
		},
		"too many tokens":          {publish(strings.Repeat("a.", 16)+"a", 1), wsx.ErrChannelName},
		"a pattern":                {publish("a.*", 1), wsx.ErrChannelName},
		"nobody could subscribe":   {publish("b.c", 1), wsx.ErrNotConfigured},
		"too large":                {publish("a.b", "123456789"), wsx.ErrEventTooLarge},
		"listening to no name":     {listen("a."), wsx.ErrChannelName},
		"listening to a pattern":   {listen("a.*"), wsx.ErrChannelName},
		"listening to what is not": {listen("b"), wsx.ErrNotConfigured},
	} {
		err := tc.call(t.Context())
		if !errors.Is(err, tc.want) || len(err.Error()) > 600 {
			t.Errorf("%s: %v", name, err)
		}
		call = tc.call
		_, err = wsxclient.Call[struct{}](t.Context(), c, "call", nil)
		if !errors.Is(err, wsx.NewError(wsx.CodeInternalError, "")) {
			t.Errorf("%s: the client is told %v", name, err)
		}
	}
	if err := publish("a.b", "12345678")(t.Context()); err != nil {
		t.Errorf("as large as may be: %v", err)
	}
}

func TestConn_NotifyRefusesTheProtocolsEvents(t *testing.T) {
	d := wsx.NewDispatcher()
	wsx.Handle(d, "notify", func(ctx context.Context, event string) (bool, error) {
		return wsx.ConnFrom(ctx).Notify(ctx, event, nil) != nil, nil
	})
	c := wsxtest.New(t, d, nil, nil)
	for event, refused := range map[string]bool{
		"wsx.unsubscribed": true, "wsx.leave": true,
		"rpc.event": true, "rpcs": false, "my.wsx.event": false,
	} {
		was, err := wsxclient.Call[bool](t.Context(), c, "notify", event)
		if err != nil || was != refused {
			t.Errorf("%s: %v, %v", event, was, err)
		}
	}
}
