package tasks_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"log/slog"
	"time"

	"github.com/genropy/genro-asgi-go/tasks"
	"github.com/genropy/genro-asgi-go/tasks/memstore"
	"github.com/genropy/genro-asgi-go/tasks/taskstest"
)

// A function says how far it is, and whoever listens hears of that as of every change.
func ExampleRun_Progress() {
	ctx := context.Background()
	jobs := tasks.New(memstore.New(), nil)
	report := tasks.Register(jobs, "report", 1, func(ctx context.Context, year int) (int, error) {
		err := tasks.RunFrom(ctx).Progress(tasks.Progress{
			Done: 3, Total: 12, Message: "March is done",
		})
		return year, err
	}, nil)
	changes, err := jobs.Events(ctx, nil) // nil is all tasks
	if err != nil {
		log.Fatal(err)
	}
	if err := jobs.Start(ctx); err != nil {
		log.Fatal(err)
	}
	defer func() { _ = jobs.Stop(ctx) }()
	if _, err := report.Submit(ctx, 2026, nil); err != nil {
		fmt.Println(err)
		return
	}
	for task, err := range changes {
		if err != nil {
			fmt.Println(err)
			return
		}
		if p := task.Progress; p != nil && !task.State.Done() {
			fmt.Printf("%v of %v: %s\n", p.Done, p.Total, p.Message)
		} else {
			fmt.Println(task.State)
		}
		if task.State.Done() {
			break
		}
	}
	// Output:
	// queued
	// running
	// 3 of 12: March is done
	// succeeded
}

// A long task goes on where it was when it is tried again, in this process or in another.
func ExampleRun_Checkpoint() {
	ctx := context.Background()
	clock := taskstest.NewClock(time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC))
	jobs := tasks.New(memstore.New(),
		&tasks.Options{Clock: clock, Logger: slog.New(slog.DiscardHandler)})
	copying := tasks.Register(jobs, "copy", 1,
		func(ctx context.Context, pages int) (string, error) {
			run, page := tasks.RunFrom(ctx), 0
			if _, err := run.Restore(&page); err != nil {
				return "", err
			}
			for begin := page; page < pages; {
				page++ // copy it
				if err := run.Checkpoint(page); err != nil {
					return "", err
				}
				if page == begin+3 && page < pages {
					return "", errors.New("the printer is out of paper")
				}
			}
			return fmt.Sprintf("%d pages in %d attempts", page, run.Attempt()), nil
		},
		&tasks.KindOptions{Retry: tasks.RetryPolicy{Attempts: 5, Max: time.Minute}})

	task, err := copying.Submit(ctx, 8, nil)
	if err != nil {
		log.Fatal(err)
	}
	for !task.State.Done() {
		if task, err = jobs.RunNext(ctx); err != nil {
			log.Fatal(err)
		}
		clock.Advance(time.Minute) // a retry waits that long at most
		if task.State == tasks.Retrying {
			fmt.Println("to be tried again, from page", string(task.Checkpoint))
		}
	}
	fmt.Println(string(task.Result))
	// Output:
	// to be tried again, from page 3
	// to be tried again, from page 6
	// "8 pages in 3 attempts"
}

// An error of Permanent fails the task at once, whatever attempts are left.
func ExamplePermanent() {
	ctx := context.Background()
	jobs := tasks.New(memstore.New(), &tasks.Options{Logger: slog.New(slog.DiscardHandler)})
	mails := tasks.Register(jobs, "mail", 1, func(_ context.Context, to string) (string, error) {
		return "", tasks.Permanent(fmt.Errorf("there is no mailbox %s", to))
	},
		&tasks.KindOptions{Retry: tasks.RetryPolicy{Attempts: 10}})
	if _, err := mails.Submit(ctx, "nobody@example.org", nil); err != nil {
		log.Fatal(err)
	}
	task, err := jobs.RunNext(ctx)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(task.State, "after attempt", task.Attempt)
	fmt.Println(task.Error.Message)
	// Output:
	// failed after attempt 1
	// there is no mailbox nobody@example.org
}

// Cancel is final at once. The function hears of it by its context.
func ExampleManager_Cancel() {
	ctx := context.Background()
	jobs := tasks.New(memstore.New(), &tasks.Options{Logger: slog.New(slog.DiscardHandler)})
	begun, heard := make(chan struct{}), make(chan struct{})
	endless := tasks.Register(jobs, "endless", 1,
		func(ctx context.Context, _ struct{}) (struct{}, error) {
			close(begun)
			<-ctx.Done()
			close(heard)
			return struct{}{}, ctx.Err()
		}, nil)
	if err := jobs.Start(ctx); err != nil {
		log.Fatal(err)
	}
	defer func() { _ = jobs.Stop(ctx) }()
	task, err := endless.Submit(ctx, struct{}{}, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	<-begun
	task, err = jobs.Cancel(ctx, task.ID)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(task.State)
	<-heard
	_, err = endless.Result(ctx, task.ID)
	fmt.Println(errors.Is(err, tasks.ErrCancelled))
	// Output:
	// cancelled
	// true
}

// Middleware is called around every run, and OnFinish after every end.
func ExampleMiddleware() {
	ctx := context.Background()
	traced := func(ctx context.Context, run *tasks.Run, next func(context.Context) error) error {
		fmt.Println("begin", run.Kind(), run.ID())
		err := next(ctx)
		fmt.Println("end", run.Kind(), err)
		return err
	}
	jobs := tasks.New(memstore.New(), &tasks.Options{
		Middleware: []tasks.Middleware{traced},
		OnFinish:   func(t *tasks.Task) { fmt.Println("finished:", t.ID, "has", t.State) },
	})
	shipping := tasks.Register(jobs, "ship", 1, ship, nil)
	if _, err := shipping.Submit(ctx, order{Number: 7},
		&tasks.SubmitOptions{ID: "ship-7"}); err != nil {
		log.Fatal(err)
	}
	if _, err := jobs.RunNext(ctx); err != nil {
		log.Fatal(err)
	}
	// Output:
	// begin ship ship-7
	// end ship <nil>
	// finished: ship-7 has succeeded
}
