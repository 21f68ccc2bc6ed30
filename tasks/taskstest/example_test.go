package taskstest_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/genropy/genro-asgi-go/tasks"
	"github.com/genropy/genro-asgi-go/tasks/taskstest"
)

type welcome struct{ To string }

// signUp is the code under test: it sends a mail an hour later.
func signUp(ctx context.Context, jobs *tasks.Manager, address string) error {
	_, err := tasks.Submit(ctx, jobs, "welcome", welcome{To: address},
		&tasks.SubmitOptions{Delay: time.Hour})
	return err
}

func Example() {
	t := new(testing.T) // a test has its own

	clock := taskstest.NewClock(time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC))
	jobs := taskstest.NewManager(t, nil, &tasks.Options{Clock: clock})
	tasks.Register(jobs, "welcome", 1, func(_ context.Context, in welcome) (string, error) {
		return "sent to " + in.To, nil
	}, nil)

	if err := signUp(context.Background(), jobs, "ada@example.org"); err != nil {
		t.Fatal(err)
	}
	mail := taskstest.RequireSubmitted[welcome](t, jobs, "welcome")
	fmt.Println(mail.In.To, mail.State)

	fmt.Println(len(taskstest.RunNow(t, jobs)), "tasks are due")
	clock.Advance(time.Hour)
	fmt.Println(len(taskstest.RunNow(t, jobs)), "task is due an hour later")
	fmt.Println(taskstest.RequireResult[string](t, jobs, mail.ID))
	// Output:
	// ada@example.org scheduled
	// 0 tasks are due
	// 1 task is due an hour later
	// sent to ada@example.org
}
