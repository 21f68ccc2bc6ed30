package filestore_test

import (
	"context"
	"fmt"
	"log"
	"os"

	"github.com/genropy/genro-asgi-go/tasks"
	"github.com/genropy/genro-asgi-go/tasks/filestore"
)

func Example() {
	dir, err := os.MkdirTemp("", "tasks")
	if err != nil {
		log.Fatal(err)
	}
	defer func() { _ = os.RemoveAll(dir) }()

	// A process takes a task on and ends before it has run it.
	if err := inProcess(dir, func(ctx context.Context, jobs *tasks.Manager, double *tasks.Kind[int, int]) error {
		_, err := double.Submit(ctx, 21, &tasks.SubmitOptions{ID: "the-answer"})
		return err
	}); err != nil {
		fmt.Println(err)
	}
	// The next one runs it.
	if err := inProcess(dir, func(ctx context.Context, jobs *tasks.Manager, double *tasks.Kind[int, int]) error {
		if err := jobs.Start(ctx); err != nil {
			return err
		}
		result, err := double.Result(ctx, "the-answer") // waits
		fmt.Println(result, err)
		return nil
	}); err != nil {
		fmt.Println(err)
	}
	// Output: 42 <nil>
}

func inProcess(dir string, run func(ctx context.Context, jobs *tasks.Manager, double *tasks.Kind[int, int]) error) error {
	store, err := filestore.Open(dir, nil)
	if err != nil {
		return err
	}
	defer func() { _ = store.Close() }()
	ctx := context.Background()
	jobs := tasks.New(&tasks.Options{Store: store})
	defer func() { _ = jobs.Stop(ctx) }()
	double := tasks.Register(jobs, "double", 1, func(_ context.Context, n int) (int, error) { return 2 * n, nil }, nil)
	return run(ctx, jobs, double)
}
