package filestore_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/genropy/genro-asgi-go/tasks"
	"github.com/genropy/genro-asgi-go/tasks/filestore"
)

// temporary is a directory for an example.
func temporary() (dir string, remove func()) {
	dir, err := os.MkdirTemp("", "tasks")
	if err != nil {
		panic(err)
	}
	return dir, func() { _ = os.RemoveAll(dir) }
}

// A process takes a task on and stops before it has run it. The next one runs it.
func Example() {
	dir, remove := temporary()
	defer remove()
	for _, process := range []func(ctx context.Context, m *tasks.Manager,
		double *tasks.Kind[int, int]) error{
		func(ctx context.Context, _ *tasks.Manager, double *tasks.Kind[int, int]) error {
			_, err := double.Submit(ctx, 21, &tasks.SubmitOptions{ID: "the-answer"})
			return err // it is on the disk
		},
		func(ctx context.Context, m *tasks.Manager, double *tasks.Kind[int, int]) error {
			if err := m.Start(ctx); err != nil {
				return err
			}
			result, err := double.Result(ctx, "the-answer") // waits
			fmt.Println(result)
			return err
		},
	} {
		if err := inProcess(dir, process); err != nil {
			panic(err)
		}
	}
	// Output: 42
}

func inProcess(dir string,
	run func(ctx context.Context, m *tasks.Manager, double *tasks.Kind[int, int]) error,
) error {
	store, err := filestore.Open(dir, nil)
	if err != nil {
		return err
	}
	ctx := context.Background()
	jobs := tasks.New(store, nil)
	double := tasks.Register(jobs, "double", 1,
		func(_ context.Context, n int) (int, error) { return 2 * n, nil }, nil)
	return errors.Join(run(ctx, jobs, double), jobs.Stop(ctx), store.Stop(ctx))
}

// One store at a time has a directory.
func ExampleOpen() {
	dir, remove := temporary()
	defer remove()
	store, err := filestore.Open(dir, &filestore.Options{MaxSize: 1 << 30})
	if err != nil {
		panic(err)
	}
	_, err = filestore.Open(dir, nil)
	fmt.Println(errors.Is(err, filestore.ErrLocked))
	if err := store.Stop(context.Background()); err != nil {
		panic(err)
	}
	fmt.Println(store.Start(context.Background())) // whether it is open
	// Output:
	// true
	// tasks: not running
}

// A backup opens as a store of its own.
func ExampleStore_Backup() {
	dir, remove := temporary()
	defer remove()
	ctx := context.Background()
	store, err := filestore.Open(filepath.Join(dir, "tasks"), nil)
	if err != nil {
		panic(err)
	}
	jobs := tasks.New(store, nil)
	double := tasks.Register(jobs, "double", 1,
		func(_ context.Context, n int) (int, error) { return 2 * n, nil }, nil)
	if _, err := double.Submit(ctx, 21, nil); err != nil {
		panic(err)
	}
	if err := store.Backup(ctx, filepath.Join(dir, "backup")); err != nil {
		panic(err)
	}
	restored, err := filestore.Open(filepath.Join(dir, "backup"), nil)
	if err != nil {
		panic(err)
	}
	counts, err := restored.Counts(ctx)
	fmt.Println(counts, err)
	if err := errors.Join(jobs.Stop(ctx), store.Stop(ctx), restored.Stop(ctx)); err != nil {
		panic(err)
	}
	// Output: map[default:map[queued:1]] <nil>
}
