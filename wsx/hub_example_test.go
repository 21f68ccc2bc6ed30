package wsx_test

import (
	"context"
	"errors"
	"fmt"
	"net/http/httptest"

	"github.com/genropy/genro-asgi-go/wsx"
	"github.com/genropy/genro-asgi-go/wsx/wsxclient"
)

func ExampleHub() {
	type price struct {
		Cents int `json:"cents"`
	}
	hub := wsx.NewHub(nil)
	hub.Configure("prices.*", wsx.ChannelOptions{History: 10, Slow: wsx.SlowLatest})
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
	for event, err := range wsxclient.Subscribe[price](ctx, client, "prices.tea", &wsxclient.SubscribeOptions{Recover: first}) {
		if err != nil {
			fmt.Println(err)
			break
		}
		fmt.Println(event.Channel, event.Payload.Cents, event.Position.Offset)
		break
	}
	_, err = hub.Publish(ctx, "prices.*", price{0})
	fmt.Println(err)
	// Output:
	// prices.tea 260 2
	// INVALID_REQUEST: a channel name is letters, digits and _:@- in tokens joined by dots
}
