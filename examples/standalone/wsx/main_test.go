package main

import (
	"context"
	"fmt"
	"net/http/httptest"
	"testing"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/genropy/genro-asgi-go/internal/leakcheck"
	"github.com/genropy/genro-asgi-go/wsx"
	"github.com/genropy/genro-asgi-go/wsx/wsxclient"
)

func TestMain(m *testing.M) { leakcheck.Main(m) }

func Example() {
	ctx := context.Background()
	sockets := wsx.NewServer(methods(), nil)
	defer func() { _ = sockets.Stop(ctx) }()
	server := httptest.NewServer(sockets)
	defer server.Close()

	ticks := make(chan string, 10)
	c, err := wsxclient.Dial(ctx, server.URL, &wsxclient.Options{
		OnNotify: func(event string, payload jsontext.Value) { ticks <- event + " " + string(payload) },
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer c.Close()
	fmt.Println(wsxclient.Call[addOut](ctx, c, "add", addIn{A: 2, B: 40}))
	fmt.Println(wsxclient.Call[string](ctx, c, "countdown", 2))
	fmt.Println(<-ticks)
	fmt.Println(<-ticks)
	_, err = wsxclient.Call[addOut](ctx, c, "add", map[string]any{"A": 2})
	fmt.Println(err)
	// Output:
	// {42} <nil>
	// lift-off <nil>
	// tick 2
	// tick 1
	// INVALID_PARAMS: the params have no such member
}
