package wsxclient_test

import (
	"context"
	"fmt"
	"iter"
	"net/http/httptest"

	"github.com/genropy/genro-asgi-go/wsx"
	"github.com/genropy/genro-asgi-go/wsx/wsxclient"
)

func ExampleStream() {
	d := wsx.NewDispatcher()
	wsx.HandleStream(d, "count", func(_ context.Context, n int, total *int) iter.Seq2[int, error] {
		return func(yield func(int, error) bool) {
			for ; *total < n; *total++ {
				if !yield(*total, nil) {
					return // the caller has left
				}
			}
		}
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
	var total int
	for n, err := range wsxclient.Stream[int](ctx, c, "count", 3,
		&wsx.StreamOptions{Result: &total}) {
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(n)
	}
	fmt.Println("total", total)
	// Output:
	// 0
	// 1
	// 2
	// total 3
}

// A method of the server asks its client before it goes on.
func ExampleOptions_methods() {
	d := wsx.NewDispatcher()
	wsx.Handle(d, "delete", func(ctx context.Context, name string) (string, error) {
		sure, err := wsx.Call[bool](ctx, wsx.ConnFrom(ctx), "confirm", "delete "+name+"?")
		if err != nil || !sure {
			return "kept", err
		}
		return "deleted", nil
	})
	server := wsx.NewServer(d, nil)
	srv := httptest.NewServer(server)
	defer srv.Close()
	ctx := context.Background()
	defer func() { _ = server.Stop(ctx) }()

	mine := wsx.NewDispatcher()
	wsx.Handle(mine, "confirm", func(_ context.Context, question string) (bool, error) {
		fmt.Println(question)
		return true, nil
	})
	c, err := wsxclient.Dial(ctx, srv.URL, &wsxclient.Options{Methods: mine})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = c.Close() }()
	fmt.Println(wsxclient.Call[string](ctx, c, "delete", "notes.txt"))
	// Output:
	// delete notes.txt?
	// deleted <nil>
}
