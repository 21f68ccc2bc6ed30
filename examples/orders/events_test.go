package main

import (
	"bufio"
	"context"
	"errors"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/genropy/genro-asgi-go/wsx"
	"github.com/genropy/genro-asgi-go/wsx/wsxclient"
)

// The functions of the routes, over the WebSocket.
func TestSocket_Calls(t *testing.T) {
	s := serve(t)
	ada, staff := s.dial(token(t, "ada", "")), s.dial(token(t, "sam", "staff"))
	in := map[string]any{"items": []Item{{SKU: "tea", Quantity: 2, Cents: 150}}}
	o, err := wsxclient.Call[Order](t.Context(), ada, "orders.create", in)
	if err != nil || o.Cents != 300 || o.Customer != "ada" {
		t.Fatalf("%+v, %v", o, err)
	}
	in["id"], in["version"], in["note"] = o.ID, o.Version, "soon"
	if o, err = wsxclient.Call[Order](t.Context(), ada, "orders.update", in); err != nil ||
		o.Note != "soon" {
		t.Errorf("%+v, %v", o, err)
	}
	if page, err := wsxclient.Call[Page](t.Context(), ada, "orders.list",
		map[string]any{"limit": 1}); err != nil || len(page.Orders) != 1 {
		t.Errorf("%+v, %v", page, err)
	}
	if _, err := wsxclient.Call[Order](t.Context(), staff, "orders.send",
		map[string]any{"id": o.ID}); err != nil {
		t.Error(err)
	}
	if o, err = wsxclient.Call[Order](t.Context(), ada, "orders.get",
		map[string]any{"id": o.ID}); err != nil || o.State != Sent {
		t.Errorf("%+v, %v", o, err)
	}
}

// The errors of the routes are those of the methods too.
func TestSocket_Errors(t *testing.T) {
	s := serve(t)
	ada := s.dial(token(t, "ada", ""))
	o := s.order(token(t, "ada", ""))
	s.send(token(t, "sam", "staff"), "POST", orderPath(o.ID)+"/send", "")
	for name, c := range map[string]struct {
		method  string
		params  any
		code    string
		details string
	}{
		"no such order": {"orders.get", map[string]any{"id": 999}, wsx.CodeNotFound, ""},
		"sent":          {"orders.cancel", map[string]any{"id": o.ID}, "ORDER_SENT", ""},
		"not staff": {
			"orders.send",
			map[string]any{"id": o.ID},
			wsx.CodePermissionDenied,
			"",
		},
		"a bad item": {
			"orders.create",
			map[string]any{"items": []Item{{SKU: "tea"}}},
			wsx.CodeInvalidParams, `"pointer":"/items/0/quantity","detail":"must satisfy min=1"`,
		},
		"a bad limit": {
			"orders.list",
			map[string]any{"limit": 101},
			wsx.CodeInvalidParams,
			`"in":"body","pointer":"/limit","detail":"must satisfy max=100"`,
		},
		"a bad state": {
			"orders.list",
			map[string]any{"state": "lost"},
			wsx.CodeInvalidParams,
			`"pointer":"/state","detail":"must be one of`,
		},
		"an unknown member": {
			"orders.create",
			map[string]any{"itmes": nil},
			wsx.CodeInvalidParams,
			`/itmes`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := wsxclient.Call[jsontext.Value](t.Context(), ada, c.method, c.params)
			var refused *wsx.Error
			if !errors.As(err, &refused) || refused.Code != c.code {
				t.Fatal(err)
			}
			details, _ := refused.Details.(jsontext.Value)
			if !strings.Contains(string(details), c.details) {
				t.Errorf("details %s", details)
			}
		})
	}
}

// A page has no token in its handshake: until it has called wsx.auth it can do nothing.
func TestSocket_LogsIn(t *testing.T) {
	s := serve(t)
	c, err := wsxclient.Dial(t.Context(), s.url+"/ws", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := wsxclient.Call[Page](t.Context(), c, "orders.list", nil); !errors.Is(err,
		wsx.NewError(wsx.CodeUnauthenticated, "")) {
		t.Error(err)
	}
	for _, err := range wsxclient.Subscribe[Order](t.Context(), c, channelOf(""), nil) {
		if !errors.Is(err, wsx.NewError(wsx.CodeSubscriptionDenied, "")) {
			t.Error(err)
		}
		break
	}
	if _, err := wsxclient.Call[jsontext.Value](t.Context(), c, "wsx.auth",
		map[string]string{"token": token(t, "ada", "")}); err != nil {
		t.Fatal(err)
	}
	if _, err := wsxclient.Call[Page](t.Context(), c, "orders.list", nil); err != nil {
		t.Error(err)
	}
	var refused *wsxclient.HandshakeError
	_, err = wsxclient.Dial(t.Context(), s.url+"/ws",
		&wsxclient.Options{Header: http.Header{"Authorization": {"Bearer x"}}})
	if !errors.As(err, &refused) || refused.StatusCode() != 401 {
		t.Errorf("a bad token: %v", err)
	}
}

// A page that is cut off sees, when it is back, each change that it missed: in order, and once.
func TestSocket_RecoversWhatAPageMissed(t *testing.T) {
	s := serve(t)
	ada := token(t, "ada", "")
	conns, gate := make(chan net.Conn, 10), make(chan struct{}, 10)
	dial := func(ctx context.Context, network, addr string) (net.Conn, error) {
		select {
		case <-gate: // no connection before the test lets it
		case <-ctx.Done():
			return nil, ctx.Err()
		}
		conn, err := new(net.Dialer).DialContext(ctx, network, addr)
		if err == nil {
			conns <- conn
		}
		return conn, err
	}
	gate <- struct{}{}
	page, err := wsxclient.Dial(t.Context(), s.url+"/ws", &wsxclient.Options{
		HTTPClient: &http.Client{
			Transport: &http.Transport{DialContext: dial, DisableKeepAlives: true},
		},
		Token:     func(context.Context) (string, error) { return ada, nil },
		Reconnect: true, RetryMin: time.Millisecond,
	})
	if err != nil {
		t.Fatal(err)
	}
	ready, events := make(chan bool, 10), make(chan Order, 10)
	var watching sync.WaitGroup
	watching.Go(func() {
		opts := &wsxclient.SubscribeOptions{OnSubscribed: func(recovered bool) {
			ready <- recovered
		}}
		for event, err := range wsxclient.Subscribe[Order](t.Context(), page, channelOf("ada"),
			opts) {
			if err != nil {
				if !errors.As(err, new(*wsxclient.ClosedError)) { // by the end of the test
					t.Error(err)
				}
				close(events)
				return
			}
			events <- event.Payload
		}
	})
	defer watching.Wait()
	defer page.Close()
	<-ready
	first := s.order(ada)
	if got := <-events; got.ID != first.ID || got.Version != 1 {
		t.Fatalf("%+v", got)
	}
	_ = (<-conns).Close() // the train is in the tunnel
	second := s.order(ada)
	s.order(token(t, "bob", "")) // which is none of ada's business
	s.send(ada, "POST", orderPath(first.ID)+"/cancel", "")
	gate <- struct{}{}
	if got := <-events; got.ID != second.ID || got.State != Open {
		t.Errorf("%+v", got)
	}
	if got := <-events; got.ID != first.ID || got.State != Cancelled || got.Version != 2 {
		t.Errorf("%+v", got)
	}
	if recovered := <-ready; !recovered {
		t.Error("something was missed")
	}
	third := s.order(ada)
	if got := <-events; got.ID != third.ID {
		t.Errorf("%+v", got)
	}
}

func TestSocket_WhoMayWatch(t *testing.T) {
	s := serve(t)
	for name, c := range map[string]struct {
		bearer, channel string
		allowed         bool
	}{
		"one's own": {
			token(t, "ada@example.com", ""), channelOf("ada@example.com"),
			true,
		},
		"another's":            {token(t, "ada", ""), channelOf("bob"), false},
		"all":                  {token(t, "ada", ""), "orders.*", false},
		"all, by a user named": {token(t, "*", ""), "orders.*", false},
		"all, by staff":        {token(t, "sam", "staff"), "orders.*", true},
		"another's, by staff":  {token(t, "sam", "staff"), channelOf("ada"), true},
	} {
		t.Run(name, func(t *testing.T) {
			client := s.dial(c.bearer)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			subscribed := false
			opts := &wsxclient.SubscribeOptions{OnSubscribed: func(bool) {
				subscribed = true
				cancel()
			}}
			for _, err := range wsxclient.Subscribe[Order](ctx, client, c.channel, opts) {
				if !c.allowed && !errors.Is(err, wsx.NewError(wsx.CodeSubscriptionDenied, "")) {
					t.Error(err)
				}
				break
			}
			if subscribed != c.allowed {
				t.Errorf("subscribed: %v", subscribed)
			}
		})
	}
}

// The same channel for pages without a WebSocket.
func TestEvents_AsServerSentEvents(t *testing.T) {
	s := serve(t)
	ada := token(t, "ada", "")
	o := s.order(ada)
	r, err := http.NewRequestWithContext(t.Context(), "GET", s.url+"/events", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+ada)
	resp, err := s.client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	s.send(ada, "POST", orderPath(o.ID)+"/cancel", "")
	for lines := bufio.NewScanner(resp.Body); lines.Scan(); {
		if data, ok := strings.CutPrefix(lines.Text(), "data: "); ok {
			var got Order
			if err := json.Unmarshal([]byte(data), &got); err != nil || got.ID != o.ID ||
				got.State != Cancelled {
				t.Errorf("%s, %v", data, err)
			}
			return
		}
	}
	t.Error("the stream has ended")
}

func TestJSONRPC(t *testing.T) {
	s := serve(t)
	o := s.order(token(t, "ada", ""))
	body := `{"jsonrpc":"2.0","id":1,"method":"orders.get","params":[` +
		strconv.FormatInt(o.ID, 10) + `]}`
	if a := s.send(token(t, "ada", ""), "POST", "/rpc", body); a.status != 200 ||
		!strings.Contains(a.body, `"customer":"ada"`) {
		t.Errorf("%d %s", a.status, a.body)
	}
	if a := s.send(token(t, "bob", ""), "POST", "/rpc", body); a.status != 200 ||
		!strings.Contains(a.body, `"NOT_FOUND"`) {
		t.Errorf("%d %s", a.status, a.body)
	}
}
