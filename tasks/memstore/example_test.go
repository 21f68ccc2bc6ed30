package memstore_test

import (
	"context"
	"errors"
	"fmt"
	"log"

	"github.com/genropy/genro-asgi-go/tasks"
	"github.com/genropy/genro-asgi-go/tasks/memstore"
)

// Several managers of one process may share a store: one submits here, and another runs.
func ExampleNew() {
	ctx := context.Background()
	store := memstore.New()
	web := tasks.New(store, &tasks.Options{AnyKind: true})
	worker := tasks.New(store, nil)
	tasks.Register(worker, "double", 1,
		func(_ context.Context, n int) (int, error) { return 2 * n, nil }, nil)

	submitted, err := tasks.Submit(ctx, web, "double", 21, nil)
	if err != nil {
		log.Fatal(err)
	}
	if _, err := worker.RunNext(ctx); err != nil { // one that is started does so by itself
		log.Fatal(err)
	}
	fmt.Println(tasks.Result[int](ctx, web, submitted.ID))
	// Output: 42 <nil>
}

// A durable store is a memory store whose journal writes each change down before it takes effect.
// This one writes to the screen, and its disk is full in the end.
func ExampleNewJournaled() {
	ctx := context.Background()
	store := memstore.NewJournaled(func(changes []memstore.Change) error {
		for _, c := range changes {
			if c.Old == nil && c.New.ID == "c" {
				return errors.New("the disk is full")
			}
			fmt.Println("write", c.New.ID, c.New.State)
		}
		return nil
	})
	jobs := tasks.New(store, nil)
	tasks.Register(jobs, "double", 1,
		func(_ context.Context, n int) (int, error) { return 2 * n, nil }, nil)
	for _, id := range []string{"a", "b", "c"} {
		if _, err := tasks.Submit(ctx, jobs, "double", 21,
			&tasks.SubmitOptions{ID: id}); err != nil {
			fmt.Println(id, "is not submitted:", err)
		}
	}
	if _, err := jobs.RunNext(ctx); err != nil {
		log.Fatal(err)
	}
	// Output:
	// write a queued
	// write b queued
	// c is not submitted: the disk is full
	// write a running
	// write a succeeded
}
