package wsx_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/coder/websocket"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/genropy/genro-asgi-go/wsx"
)

func hubServer(t testing.TB) (*wsx.Hub, string) {
	hub := wsx.NewHub(nil)
	hub.Configure("room.>", wsx.ChannelOptions{History: 100, Presence: true})
	hub.Configure("plain.>", wsx.ChannelOptions{})
	hub.Configure("no.>", wsx.ChannelOptions{Authorize: func(context.Context, wsx.Subscription) error { return fmt.Errorf("canary") }})
	_, url := newTestServer(t, &wsx.ServerOptions{Hub: hub})
	t.Cleanup(func() {
		if err := hub.Stop(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return hub, url
}

func rawDial(t testing.TB, url string) *websocket.Conn {
	c, _, err := websocket.Dial(t.Context(), url, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.CloseNow() })
	return c
}

func rawSend(t testing.TB, c *websocket.Conn, text string) {
	t.Helper()
	if err := c.Write(t.Context(), websocket.MessageText, []byte(text)); err != nil {
		t.Fatal(err)
	}
}

func rawRead(t testing.TB, c *websocket.Conn) string {
	t.Helper()
	_, b, err := c.Read(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestHub_SubscribesPublishesAndRecovers(t *testing.T) {
	hub, url := hubServer(t)
	c := rawDial(t, url)
	rawSend(t, c, `{"type":"rpc.subscribe","id":1,"channel":"room.a"}`)
	got := rawRead(t, c)
	if !strings.Contains(got, `"status":"subscribed","channel":"room.a","subscription":"1","epoch":"`) || !strings.Contains(got, `"offset":0}`) {
		t.Fatal(got)
	}
	var last wsx.Position
	for i := range 5 {
		p, err := hub.Publish(t.Context(), "room.a", i)
		if err != nil {
			t.Fatal(err)
		}
		last = p
		want := fmt.Sprintf(`{"type":"rpc.event","channel":"room.a","payload":%d,"meta":{"sub_id":"1","epoch":"%s","offset":%d}}`, i, p.Epoch, i+1)
		if got := rawRead(t, c); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
	d := rawDial(t, url)
	rawSend(t, d, fmt.Sprintf(`{"type":"rpc.subscribe","id":"x","channel":"room.a","recover":{"epoch":"%s","offset":3}}`, last.Epoch))
	if got := rawRead(t, d); !strings.HasSuffix(got, `"offset":5,"recovered":true}}`) {
		t.Error(got)
	}
	for _, i := range []int{4, 5} {
		if got := rawRead(t, d); !strings.Contains(got, fmt.Sprintf(`"offset":%d}`, i)) {
			t.Error(got)
		}
	}
	if got := rawRead(t, c); !strings.Contains(got, `"event":"wsx.join","payload":{"channel":"room.a","member":`) {
		t.Error(got)
	}
	for send, want := range map[string]string{
		`{"type":"rpc.subscribe","id":2,"channel":"no.a"}`:    `"SUBSCRIPTION_DENIED"`,
		`{"type":"rpc.subscribe","id":2,"channel":">"}`:       `"SUBSCRIPTION_DENIED"`,
		`{"type":"rpc.subscribe","id":2,"channel":"a b"}`:     `"INVALID_REQUEST"`,
		`{"type":"rpc.unsubscribe","id":2,"channel":"plain"}`: `"NOT_FOUND"`,
	} {
		rawSend(t, c, send)
		if got := rawRead(t, c); !strings.Contains(got, want) || strings.Contains(got, "canary") {
			t.Errorf("%s: %s", send, got)
		}
	}
	rawSend(t, c, `{"type":"rpc.unsubscribe","id":"1"}`)
	if got := rawRead(t, c); got != `{"type":"rpc.response","id":"1","result":{"status":"unsubscribed"}}` {
		t.Error(got)
	}
	if _, err := hub.Publish(t.Context(), "room.a", jsontext.Value(`{`)); err == nil {
		t.Error("published what is not JSON")
	}
}
