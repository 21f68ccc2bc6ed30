package wsx_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"

	"github.com/genropy/genro-asgi-go/wsx"
	"github.com/genropy/genro-asgi-go/wsx/wsxclient"
)

func ExampleHub() {
	type price struct {
		Cents int `json:"cents"`
	}
	hub := wsx.NewHub(nil)
	hub.Configure("prices.*", &wsx.ChannelOptions{History: 10, Slow: wsx.SlowLatest})
	ctx := context.Background()
	server := wsx.NewServer(wsx.NewDispatcher(), &wsx.ServerOptions{Hub: hub})
	srv := httptest.NewServer(server)
	defer func() {
		if err := errors.Join(server.Stop(ctx), hub.Stop(ctx)); err != nil {
			fmt.Println(err)
		}
		srv.Close()
	}()

	first, err := hub.Publish(ctx, "prices.tea", price{250})
	if err != nil {
		fmt.Println(err)
	}
	if _, err := hub.Publish(ctx, "prices.tea", price{260}); err != nil {
		fmt.Println(err)
	}

	client, err := wsxclient.Dial(ctx, srv.URL, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = client.Close() }()
	for event, err := range wsxclient.Subscribe[price](ctx, client, "prices.tea",
		&wsxclient.SubscribeOptions{Recover: first}) {
		if err != nil {
			fmt.Println(err)
			break
		}
		fmt.Println(event.Channel, event.Payload.Cents, event.Position.Offset)
		break
	}
	_, err = hub.Publish(ctx, "prices.*", price{0})
	fmt.Println(errors.Is(err, wsx.ErrChannelName))
	// Output:
	// prices.tea 260 2
	// true
}

// A loop in this process gets what it missed, and then what is published.
func ExampleHub_Listen() {
	ctx := context.Background()
	hub := wsx.NewHub(nil)
	hub.Configure("orders.>", &wsx.ChannelOptions{History: 100})
	seen, err := hub.Publish(ctx, "orders.eu", "tea")
	if err != nil {
		fmt.Println(err)
	}
	if _, err := hub.Publish(ctx, "orders.eu", "milk"); err != nil {
		fmt.Println(err)
	}
	for event, err := range hub.Listen(ctx, "orders.eu", seen) {
		if err != nil {
			fmt.Println(err)
			break
		}
		fmt.Println(event.Position.Offset, event.Payload)
		break
	}
	fmt.Println(hub.Stop(ctx))
	// Output:
	// 2 "milk"
	// <nil>
}

// Everybody reads the inbox that is named for them, whatever they call themselves.
func ExampleHub_Configure() {
	inbox := func(user string) string { return "inbox." + wsx.Token(user) }
	hub := wsx.NewHub(nil)
	hub.Configure("inbox.*", &wsx.ChannelOptions{
		Authorize: func(_ context.Context, s wsx.Subscription) error {
			if s.Channel != inbox(s.Subject) {
				return errors.New("the inbox of somebody else")
			}
			return nil
		},
	})
	ctx := context.Background()
	_, err := hub.Publish(ctx, inbox("*"), "for the user who goes by *")
	fmt.Println(inbox("*"), err)
	_, err = hub.Publish(ctx, "outbox.ada", "nobody could subscribe to it")
	fmt.Println(err)
	fmt.Println(hub.Stop(ctx))
	// Output:
	// inbox.:2A <nil>
	// wsx: the channel is not configured: "outbox.ada"
	// <nil>
}

// A channel as server-sent events, for clients without WebSockets.
func ExampleHub_SSE() {
	hub := wsx.NewHub(nil)
	hub.Configure("rooms.*", &wsx.ChannelOptions{
		History:     10,
		OnSubscribe: func(s wsx.Subscription) { fmt.Println("subscribed to", s.Channel) },
	})
	mux := http.NewServeMux()
	mux.Handle("GET /rooms/{room}/events", hub.SSE(func(r *http.Request) (string, error) {
		return "rooms." + wsx.Token(r.PathValue("room")), nil
	}))
	srv := httptest.NewServer(mux)
	defer srv.Close()
	response, err := http.Get(srv.URL + "/rooms/tea/events")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = response.Body.Close() }()
	if _, err := hub.Publish(context.Background(), "rooms.tea", "hello"); err != nil {
		fmt.Println(err)
	}
	lines := bufio.NewScanner(response.Body)
	for lines.Scan() {
		if strings.HasPrefix(lines.Text(), "data:") {
			fmt.Println(lines.Text())
			break
		}
	}
	fmt.Println(hub.Stop(context.Background()))
	// Output:
	// subscribed to rooms.tea
	// data: "hello"
	// <nil>
}

func ExampleToken() {
	fmt.Println(wsx.Token("ada"), wsx.Token("ada@example.com"), wsx.Token("*"), wsx.Token(""))
	// Output: ada ada@example:2Ecom :2A :
}
