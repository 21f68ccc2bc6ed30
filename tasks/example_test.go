package tasks_test

import (
	"context"
	"fmt"
	"log"

	"github.com/genropy/genro-asgi-go/tasks"
	"github.com/genropy/genro-asgi-go/tasks/memstore"
)

func Example() {
	ctx := context.Background()
	jobs := tasks.New(memstore.New(), nil) // in memory
	double := tasks.Register(jobs, "double", 1, func(ctx context.Context, n int) (int, error) {
		err := tasks.RunFrom(ctx).Progress(tasks.Progress{Done: 1, Message: "nearly there"})
		return 2 * n, err
	}, nil)
	if err := jobs.Start(ctx); err != nil {
		log.Fatal(err)
	}
	defer func() { _ = jobs.Stop(ctx) }()

	task, err := double.Submit(ctx, 21, &tasks.SubmitOptions{ID: "the-answer"})
	if err != nil {
		fmt.Println(err)
		return
	}
	result, err := double.Result(ctx, task.ID) // waits
	fmt.Println(task.ID, result, err)
	// Output: the-answer 42 <nil>
}
