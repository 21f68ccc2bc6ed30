package wsxtasks_test

import (
	"context"
	"errors"
	"fmt"
	"log"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/genropy/genro-asgi-go/chiadapter/wsxtasks"
	"github.com/genropy/genro-asgi-go/tasks"
	"github.com/genropy/genro-asgi-go/tasks/memstore"
	"github.com/genropy/genro-asgi-go/wsx"
)

// Everybody sees their own tasks: Submit notes whose a task is, and Authorize is asked before
// anything is done with it or told of it.
func ExampleOptions() {
	jobs := tasks.New(memstore.New(), nil)
	tasks.Register(jobs, "report", 1,
		func(_ context.Context, year int) (int, error) { return year, nil }, nil)
	bridge := wsxtasks.New(jobs, nil, &wsxtasks.Options{
		Kinds: []string{"report"},
		Submit: func(ctx context.Context, _ string) (*tasks.SubmitOptions, error) {
			return &tasks.SubmitOptions{
				Metadata: map[string]string{"owner": wsx.IdentityFrom(ctx).Subject},
			}, nil
		},
		Authorize: func(ctx context.Context, c tasks.Call) error {
			if c.Task != nil && c.Task.Metadata["owner"] != wsx.IdentityFrom(ctx).Subject {
				return tasks.ErrNotFound
			}
			return nil
		},
	})
	methods := wsx.NewDispatcher() // of a wsx.Server with ServerOptions.Authenticate
	bridge.Register(methods)

	as := func(who string) context.Context {
		return wsx.WithIdentity(context.Background(), wsx.Identity{Subject: who})
	}
	if _, err := methods.Call(as("ada"), "tasks.submit",
		jsontext.Value(`{"kind": "report", "payload": 2026, "id": "r1"}`)); err != nil {
		log.Fatal(err)
	}
	for _, who := range []string{"ada", "bob"} {
		_, err := methods.Call(as(who), "tasks.get", jsontext.Value(`{"id": "r1"}`))
		fmt.Println(who, "is told that it is not there:",
			errors.Is(err, wsx.NewError(wsx.CodeNotFound, "")))
	}
	// Output:
	// ada is told that it is not there: false
	// bob is told that it is not there: true
}
