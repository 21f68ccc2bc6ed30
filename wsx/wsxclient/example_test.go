package wsxclient_test

import (
	"context"
	"errors"
	"fmt"
	"net/http/httptest"

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
