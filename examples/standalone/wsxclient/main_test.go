package main

import (
	"context"
	"fmt"
	"net/http/httptest"
	"os"
	"testing"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/genropy/genro-asgi-go/internal/leakcheck"
	"github.com/genropy/genro-asgi-go/wsx"
)

func TestMain(m *testing.M) { leakcheck.Main(m) }

func Example() {
	ctx := context.Background()
	methods := wsx.NewDispatcher()
	wsx.Handle(methods, "echo",
		func(ctx context.Context, in jsontext.Value) (jsontext.Value, error) {
			return in, wsx.ConnFrom(ctx).Notify(ctx, "heard", 1)
		})
	sockets := wsx.NewServer(methods, nil)
	defer func() { _ = sockets.Stop(ctx) }()
	server := httptest.NewServer(sockets)
	defer server.Close()

	for _, args := range [][]string{{"echo", `{"x":[1,2.50]}`}, {"echo"}, {"nope"}, {}} {
		if err := run(ctx, append([]string{"-url", server.URL}, args...), os.Stdout,
			os.Stdout); err != nil {
			fmt.Println(err)
		}
	}
	// Output:
	// heard 1
	// {"x":[1,2.50]}
	// heard 1
	// null
	// METHOD_NOT_FOUND: method not found
	// usage: wsxclient [-url URL] [-timeout DURATION] METHOD [PARAMS]
}
