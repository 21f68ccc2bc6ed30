package tasks_test

import (
	"context"
	"errors"
	"fmt"
	"log"

	"github.com/genropy/genro-asgi-go/tasks"
	"github.com/genropy/genro-asgi-go/tasks/memstore"
)

type order struct {
	Number int `json:"number"`
}

// ship is the function of the kind of most examples.
func ship(_ context.Context, in order) (string, error) {
	return fmt.Sprintf("order %d is on its way", in.Number), nil
}

// A handler submits and answers at once; somebody else asks what became of the task.
func ExampleManager_Wait() {
	ctx := context.Background()
	jobs := tasks.New(memstore.New(), nil)
	shipping := tasks.Register(jobs, "ship", 1, ship, nil)
	if err := jobs.Start(ctx); err != nil {
		log.Fatal(err)
	}
	defer func() { _ = jobs.Stop(ctx) }()

	submitted, err := shipping.Submit(ctx, order{Number: 7}, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("submitted as", submitted.State)

	done, err := jobs.Wait(ctx, submitted.ID)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(done.State, string(done.Result))
	// Output:
	// submitted as queued
	// succeeded "order 7 is on its way"
}

// Who submits with an ID may repeat it, after a time-out or a crash: the second submit answers with
// the task that is there. With another payload the ID is taken.
func ExampleSubmitOptions() {
	ctx := context.Background()
	jobs := tasks.New(memstore.New(), nil)
	shipping := tasks.Register(jobs, "ship", 1, ship, nil)

	opts := &tasks.SubmitOptions{ID: "ship-7", Metadata: map[string]string{"customer": "ada"}}
	for _, number := range []int{7, 7, 8} {
		task, err := shipping.Submit(ctx, order{Number: number}, opts)
		if errors.Is(err, tasks.ErrConflict) {
			fmt.Println("the ID is taken")
			continue
		}
		fmt.Println(task.ID, task.Metadata["customer"], err)
	}
	page, _, err := jobs.List(ctx, &tasks.Filter{Metadata: map[string]string{"customer": "ada"}})
	fmt.Println(len(page), "task", err)
	// Output:
	// ship-7 ada <nil>
	// ship-7 ada <nil>
	// the ID is taken
	// 1 task <nil>
}

// A search index is built again when something has changed, and once is enough while that waits.
func ExampleUniqueOptions() {
	ctx := context.Background()
	jobs := tasks.New(memstore.New(), nil)
	reindex := tasks.Register(jobs, "reindex", 1,
		func(context.Context, struct{}) (struct{}, error) { return struct{}{}, nil },
		&tasks.KindOptions{Unique: &tasks.UniqueOptions{
			While: tasks.UniqueWaiting, Taken: tasks.UniqueExisting,
		}})

	first, err := reindex.Submit(ctx, struct{}{}, nil)
	if err != nil {
		log.Fatal(err)
	}
	second, err := reindex.Submit(ctx, struct{}{}, nil)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("the same task:", second.ID == first.ID)

	if _, err := jobs.RunNext(ctx); err != nil { // a started manager does so by itself
		log.Fatal(err)
	}
	third, err := reindex.Submit(ctx, struct{}{}, nil)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("the same task:", third.ID == first.ID)
	// Output:
	// the same task: true
	// the same task: false
}

// All or none of a batch are submitted, in one write of the store.
func ExampleKind_SubmitMany() {
	jobs := tasks.New(memstore.New(), nil)
	mails := tasks.Register(jobs, "mail", 1,
		func(context.Context, string) (struct{}, error) { return struct{}{}, nil }, nil)
	sent, err := mails.SubmitMany(context.Background(),
		[]string{"ada@example.org", "bob@example.org"}, nil)
	fmt.Println(len(sent), err)
	// Output: 2 <nil>
}

// The trace of the request that submits a task goes with it, and its run finds it again: after a
// restart, and in another process too.
func ExampleOptions_submitMiddleware() {
	type trace struct{} // of a context, as a tracing library keeps it
	jobs := tasks.New(memstore.New(), &tasks.Options{
		SubmitMiddleware: []func(context.Context, *tasks.Submission,
			func(context.Context) error) error{
			func(ctx context.Context, s *tasks.Submission, next func(context.Context) error) error {
				s.Options.Metadata["traceparent"], _ = ctx.Value(trace{}).(string)
				return next(ctx)
			},
		},
		Middleware: []tasks.Middleware{
			func(ctx context.Context, run *tasks.Run, next func(context.Context) error) error {
				fmt.Println(run.Kind(), "belongs to", run.Metadata()["traceparent"])
				return next(ctx)
			},
		},
	})
	shipping := tasks.Register(jobs, "ship", 1, ship, nil)

	ctx := context.WithValue(context.Background(), trace{},
		"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")
	if _, err := shipping.Submit(ctx, order{Number: 7}, nil); err != nil {
		log.Fatal(err)
	}
	if _, err := jobs.RunNext(context.Background()); err != nil {
		log.Fatal(err)
	}
	// Output:
	// ship belongs to 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01
}
