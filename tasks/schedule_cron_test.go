package tasks_test

import (
	"errors"
	"testing"
	"time"

	"github.com/genropy/genro-asgi-go/tasks"
	"github.com/genropy/genro-asgi-go/tasks/taskstest"
)

// TestSchedule_RareDays: the year 2100 has no 29th of February, and between two that are a Monday
// there may be 40 years.
func TestSchedule_RareDays(t *testing.T) {
	clock := taskstest.NewClock(time.Date(2096, 3, 1, 0, 0, 0, 0, time.UTC))
	m := taskstest.NewManager(t, nil, &tasks.Options{Clock: clock})
	k := tasks.Register(m, "job", 1, nothing, nil)
	if err := k.Schedule(struct{}{}, tasks.Schedule{Name: "job", Cron: "0 0 29 2 *"}); err != nil {
		t.Fatal(err)
	}
	taskstest.RunNow(t, m)
	if next, want := m.Schedules()[0].Next, time.Date(2104, 2, 29, 0, 0, 0, 0,
		time.UTC); !next.Equal(want) {
		t.Errorf("next %v, want %v", next, want)
	}
	if err := k.Schedule(struct{}{},
		tasks.Schedule{Name: "never", Cron: "0 0 30 2 *"}); !errors.Is(err, tasks.ErrInvalid) {
		t.Errorf("the 30th of February: %v", err)
	}
}
