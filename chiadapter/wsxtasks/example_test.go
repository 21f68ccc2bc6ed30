package wsxtasks_test

import (
	"context"
	"errors"
	"fmt"
	"net/http/httptest"

	"github.com/genropy/genro-asgi-go/chiadapter/wsxtasks"
	"github.com/genropy/genro-asgi-go/tasks"
	"github.com/genropy/genro-asgi-go/tasks/memstore"
	"github.com/genropy/genro-asgi-go/wsx"
	"github.com/genropy/genro-asgi-go/wsx/wsxclient"
)

func Example() {
	ctx := context.Background()
	jobs := tasks.New(memstore.New(), nil)
	double := tasks.Register(jobs, "double", 1,
		func(_ context.Context, n int) (int, error) { return 2 * n, nil }, nil)
	hub := wsx.NewHub(nil)
	methods := wsx.NewDispatcher()
	bridge := wsxtasks.New(jobs, hub, &wsxtasks.Options{Kinds: []string{"double"}})
	bridge.Register(methods)
	if err := errors.Join(hub.Start(ctx), bridge.Start(ctx)); err != nil { // an asgi.App does this
		fmt.Println(err)
		return
	}
	server := wsx.NewServer(methods, &wsx.ServerOptions{Hub: hub})
	srv := httptest.NewServer(server)
	defer srv.Close()

	client, err := wsxclient.Dial(ctx, srv.URL, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	task, err := double.Submit(ctx, 21, nil) // or tasks.submit, by the client
	if err != nil {
		fmt.Println(err)
		return
	}
	started := false
	for change, err := range wsxclient.Subscribe[tasks.View](ctx, client, "tasks.>",
		&wsxclient.SubscribeOptions{
			OnSubscribed: func(bool) { started = jobs.Start(ctx) == nil },
		}) {
		if err != nil {
			fmt.Println(err)
			break
		}
		if change.Payload.Revision <= task.Revision {
			continue // it was on its way when the subscription began
		}
		if fmt.Println(change.Payload.State); change.Payload.State.Done() {
			break
		}
	}
	result, err := wsxclient.Call[tasks.View](ctx, client, "tasks.result",
		map[string]any{"id": task.ID})
	fmt.Println(started, string(result.Result), err)
	fmt.Println(errors.Join(client.Close(), server.Stop(ctx), jobs.Stop(ctx), bridge.Stop(ctx),
		hub.Stop(ctx)))
	// Output:
	// running
	// succeeded
	// true 42 <nil>
	// <nil>
}
