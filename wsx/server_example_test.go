package wsx_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"

	"github.com/genropy/genro-asgi-go/wsx"
	"github.com/genropy/genro-asgi-go/wsx/wsxclient"
)

func ExampleServer() {
	d := wsx.NewDispatcher()
	wsx.Handle(d, "whoami", func(ctx context.Context, _ struct{}) (string, error) {
		return wsx.ConnFrom(ctx).Request().URL.Query().Get("name"), nil
	})
	server := wsx.NewServer(d, nil)
	mux := http.NewServeMux()
	mux.Handle("/ws", server)
	srv := httptest.NewServer(mux)
	defer srv.Close()

	ctx := context.Background()
	c, err := wsxclient.Dial(ctx, srv.URL+"/ws?name=Ada", nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(wsxclient.Call[string](ctx, c, "whoami", nil))
	fmt.Println(server.Stop(ctx))
	<-c.Done()
	var ended *wsxclient.ClosedError
	fmt.Println(errors.As(c.Err(), &ended), ended.Code, c.Close())
	// Output:
	// Ada <nil>
	// <nil>
	// true 1001 <nil>
}
