package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"testing"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/genropy/genro-asgi-go/internal/leakcheck"
	"github.com/genropy/genro-asgi-go/wsx/wsxclient"
)

func TestMain(m *testing.M) { leakcheck.Main(m) }

func Example() {
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		fmt.Println(err)
		return
	}
	served := make(chan error)
	go func() { served <- serve(ctx, l) }()

	ticks := make(chan string, 10)
	c, err := wsxclient.Dial(ctx, "ws://"+l.Addr().String(), &wsxclient.Options{
		OnNotify: func(_ context.Context, event string, payload jsontext.Value) {
			ticks <- event + " " + string(payload)
		},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(wsxclient.Call[addOut](ctx, c, "add", addIn{A: 2, B: 40}))
	fmt.Println(wsxclient.Call[string](ctx, c, "countdown", 2))
	fmt.Println(<-ticks)
	fmt.Println(<-ticks)
	_, err = wsxclient.Call[addOut](ctx, c, "add", map[string]any{"A": 2})
	fmt.Println(err)

	stop()
	fmt.Println(<-served)
	<-c.Done()
	var closed *wsxclient.ClosedError
	fmt.Println(errors.As(c.Err(), &closed) && closed.Code == 1001)
	_ = c.Close()
	// Output:
	// {42} <nil>
	// lift-off <nil>
	// tick 2
	// tick 1
	// INVALID_PARAMS: The request has invalid fields.
	// <nil>
	// true
}
