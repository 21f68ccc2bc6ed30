//go:build unix

package tasks_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"log/slog"
	"os"

	"github.com/genropy/genro-asgi-go/executor"
	"github.com/genropy/genro-asgi-go/tasks"
	"github.com/genropy/genro-asgi-go/tasks/memstore"
)

// convert is made when the package is, so that worker processes, which are the same program, know
// it.
var convert = tasks.NewIsolated("convert", func(_ context.Context, file string) (string, error) {
	if file == "broken.png" {
		os.Exit(1) // as the crash of a C library would end the process
	}
	return file + " is converted", nil
})

// The functions of isolated kinds run in processes of their own, whose end is not the server's. The
// program's main function begins with executor.Main(), which in a worker process does not return.
func ExampleRegisterIsolated() {
	ctx := context.Background()
	quiet := slog.New(slog.DiscardHandler) // for the example
	processes := executor.New(&executor.Options{Workers: 1, Logger: quiet})
	if err := processes.Start(ctx); err != nil {
		log.Fatal(err)
	}
	defer func() { _ = processes.Stop(ctx) }()
	jobs := tasks.New(memstore.New(), &tasks.Options{
		Executor: processes, MaxDeaths: 1, Logger: quiet,
	})
	converting := tasks.RegisterIsolated(jobs, 1, convert, nil)
	if err := jobs.Start(ctx); err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = jobs.Stop(ctx) }()

	for _, file := range []string{"broken.png", "cat.png"} {
		task, err := converting.Submit(ctx, file, nil)
		if err != nil {
			fmt.Println(err)
			return
		}
		result, err := converting.Result(ctx, task.ID)
		if failure, ok := errors.AsType[*tasks.TaskError](err); ok {
			fmt.Println(file, "ended by a", failure.Kind)
			continue
		}
		fmt.Println(result, err)
	}
	// Output:
	// broken.png ended by a crash
	// cat.png is converted <nil>
}
