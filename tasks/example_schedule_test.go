package tasks_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"time"

	"github.com/genropy/genro-asgi-go/tasks"
	"github.com/genropy/genro-asgi-go/tasks/memstore"
	"github.com/genropy/genro-asgi-go/tasks/taskstest"
)

// A backup each night at three. The next one is in the store ahead of its time, so that any number
// of managers may declare the schedule.
func ExampleKind_Schedule() {
	ctx := context.Background()
	clock := taskstest.NewClock(time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)) // for the example
	jobs := tasks.New(memstore.New(), &tasks.Options{Clock: clock})
	backup := tasks.Register(jobs, "backup", 1, func(ctx context.Context, disk string) (string,
		error,
	) {
		return disk + " is saved, by " + tasks.RunFrom(ctx).ID(), nil
	}, nil)
	if err := backup.Schedule("disk 1", tasks.Schedule{
		Name: "nightly", Cron: "0 3 * * *", Overlap: tasks.OverlapSkip,
	}); err != nil {
		log.Fatal(err)
	}
	for range 2 {
		_, err := jobs.RunNext(ctx) // a manager that was started runs it by itself
		fmt.Println("due by day:", !errors.Is(err, tasks.ErrNotFound))
		clock.Advance(15 * time.Hour)
		task, err := jobs.RunNext(ctx)
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(string(task.Result))
		clock.Advance(9 * time.Hour)
	}
	fmt.Println("next", jobs.Schedules()[0].Next)
	// Output:
	// due by day: false
	// "disk 1 is saved, by nightly@2026-05-02T03:00:00Z"
	// due by day: false
	// "disk 1 is saved, by nightly@2026-05-03T03:00:00Z"
	// next 2026-05-04 03:00:00 +0000 UTC
}
