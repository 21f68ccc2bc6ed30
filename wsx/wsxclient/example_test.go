package wsxclient_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/genropy/genro-asgi-go/wsx"
	"github.com/genropy/genro-asgi-go/wsx/wsxclient"
)

func ExampleDial() {
	d := wsx.NewDispatcher()
	wsx.Handle(d, "greet", func(_ context.Context, name string) (string, error) {
		if name == "" {
			return "", wsx.NewError("NOBODY", "there is nobody to greet")
		}
		return "Hello, " + name, nil
	})
	server := wsx.NewServer(d, nil)
	srv := httptest.NewServer(server)
	defer srv.Close()

	ctx := context.Background()
	c, err := wsxclient.Dial(ctx, srv.URL, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(wsxclient.Call[string](ctx, c, "greet", "Ada"))
	_, err = wsxclient.Call[string](ctx, c, "greet", "")
	fmt.Println(errors.Is(err, wsx.NewError("NOBODY", "")))
	fmt.Println(c.Close(), server.Stop(ctx))
	// Output:
	// Hello, Ada <nil>
	// true
	// <nil> <nil>
}

// A call that does no harm when it runs twice is asked again until there is an answer.
func ExampleCallWith() {
	d, runs := wsx.NewDispatcher(), 0
	wsx.Handle(d, "stock", func(context.Context, struct{}) (int, error) {
		if runs++; runs < 3 {
			return 0, wsx.NewError(wsx.CodeUnavailable, "the warehouse does not answer")
		}
		return 7, nil
	})
	server := wsx.NewServer(d, nil)
	srv := httptest.NewServer(server)
	defer srv.Close()
	ctx := context.Background()
	defer func() { _ = server.Stop(ctx) }()

	c, err := wsxclient.Dial(ctx, srv.URL, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = c.Close() }()
	fmt.Println(wsxclient.CallWith[int](ctx, c, "stock", nil, &wsxclient.CallOptions{Retry: true}))
	fmt.Println(runs, "runs")
	// Output:
	// 7 <nil>
	// 3 runs
}

// A loop over a channel's events begins once the server has taken the subscription.
func ExampleSubscribe() {
	hub := wsx.NewHub(nil)
	hub.Configure("orders.>", &wsx.ChannelOptions{History: 100})
	server := wsx.NewServer(wsx.NewDispatcher(), &wsx.ServerOptions{Hub: hub})
	srv := httptest.NewServer(server)
	defer srv.Close()
	ctx := context.Background()
	defer func() { _ = server.Stop(ctx) }()

	c, err := wsxclient.Dial(ctx, srv.URL, &wsxclient.Options{Reconnect: true})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = c.Close() }()
	opts := &wsxclient.SubscribeOptions{OnSubscribed: func(bool) {
		for _, order := range []string{"tea", "milk"} {
			if _, err := hub.Publish(ctx, "orders.eu", order); err != nil {
				fmt.Println(err)
			}
		}
	}}
	for event, err := range wsxclient.Subscribe[string](ctx, c, "orders.eu", opts) {
		if errors.Is(err, wsxclient.ErrMissed) {
			continue // load the present state: the events go on from here
		}
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(event.Channel, event.Position.Offset, event.Payload)
		if event.Payload == "milk" {
			break
		}
	}
	// Output:
	// orders.eu 1 tea
	// orders.eu 2 milk
}

// Notifications go both ways, and nobody answers them.
func ExampleClient_Notify() {
	d := wsx.NewDispatcher()
	wsx.HandleNotify(d, "typing", func(ctx context.Context, who string) error {
		return wsx.ConnFrom(ctx).Notify(ctx, "seen", who)
	})
	server := wsx.NewServer(d, nil)
	srv := httptest.NewServer(server)
	defer srv.Close()
	ctx := context.Background()
	defer func() { _ = server.Stop(ctx) }()

	seen := make(chan string, 1)
	c, err := wsxclient.Dial(ctx, srv.URL, &wsxclient.Options{
		OnNotify: func(_ context.Context, event string, payload jsontext.Value) {
			seen <- event + " " + string(payload)
		},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = c.Close() }()
	fmt.Println(c.Notify(ctx, "typing", "Ada"))
	fmt.Println(<-seen)
	// Output:
	// <nil>
	// seen "Ada"
}

// A client that connects again gives up where the server says that this is of no use.
// A call carries its trace, and the handler finds it in the request's meta.
func ExampleOptions_callMiddleware() {
	d := wsx.NewDispatcher()
	wsx.Handle(d, "trace", func(ctx context.Context, _ struct{}) (jsontext.Value, error) {
		return wsx.RequestFrom(ctx).Meta, nil
	})
	server := wsx.NewServer(d, nil)
	srv := httptest.NewServer(server)
	defer srv.Close()
	ctx := context.Background()
	defer func() { _ = server.Stop(ctx) }()

	c, err := wsxclient.Dial(ctx, srv.URL, &wsxclient.Options{
		CallMiddleware: []wsxclient.CallMiddleware{
			func(ctx context.Context, call *wsxclient.CallInfo,
				next func(ctx context.Context) error,
			) error {
				call.Meta["traceparent"] = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
				err := next(ctx)
				fmt.Println(call.Method, "ended with", err)
				return err
			},
		},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = c.Close() }()
	meta, err := wsxclient.Call[jsontext.Value](ctx, c, "trace", nil)
	fmt.Println(string(meta), err)
	// Output:
	// trace ended with <nil>
	// {"traceparent":"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"} <nil>
}

func ExampleFinal() {
	for _, err := range []error{
		&wsxclient.HandshakeError{Status: http.StatusForbidden},
		&wsxclient.HandshakeError{Status: http.StatusServiceUnavailable},
		&wsxclient.ClosedError{Code: 1006}, // the network, not the server
	} {
		fmt.Println(wsxclient.Final(err))
	}
	// Output:
	// true
	// false
	// false
}
