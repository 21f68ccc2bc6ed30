package tasks_test

import (
	"slices"
	"testing"
	"time"

	"github.com/genropy/genro-asgi-go/tasks"
	"github.com/genropy/genro-asgi-go/tasks/taskstest"
)

// nextOf are the first n occurrences after a time, as the clocks of the zone show them.
func nextOf(t *testing.T, cron string, zone *time.Location, after time.Time, n int) (all []string) {
	t.Helper()
	clock := taskstest.NewClock(after)
	m := taskstest.NewManager(t, &tasks.Options{Clock: clock})
	k := tasks.Register(m, "job", 1, nothing, nil)
	if err := k.Schedule(struct{}{}, tasks.Schedule{Name: "job", Cron: cron, Zone: zone}); err != nil {
		t.Fatal(err)
	}
	for range n {
		taskstest.RunNow(t, m)
		next := m.Schedules()[0].Next
		clock.Advance(next.Sub(clock.Now()))
		all = append(all, next.In(zone).Format("01-02 15:04 MST"))
	}
	return all
}

func TestSchedule_CronTimes(t *testing.T) {
	spring, autumn := time.Date(2026, 3, 29, 0, 20, 0, 0, time.UTC), time.Date(2026, 10, 25, 0, 20, 0, 0, time.UTC)
	lordHowe, err := time.LoadLocation("Australia/Lord_Howe") // whose clocks change by half an hour
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name, cron string
		zone       *time.Location
		after      time.Time
		want       []string
	}{
		{
			"either day, as cron(8) has it", "0 3 13 * 5", time.UTC, time.Date(2026, 1, 8, 12, 0, 0, 0, time.UTC),
			[]string{"01-09 03:00 UTC", "01-13 03:00 UTC", "01-16 03:00 UTC"},
		},
		{"every hour, spring", "30 * * * *", rome(t), spring, []string{"03-29 01:30 CET", "03-29 03:30 CEST", "03-29 04:30 CEST"}},
		{"every hour, autumn", "30 * * * *", rome(t), autumn, []string{"10-25 02:30 CEST", "10-25 02:30 CET", "10-25 03:30 CET"}},
		{"every hour, at its change", "@hourly", rome(t), autumn, []string{"10-25 02:00 CET", "10-25 03:00 CET"}},
		{"every hour, spring, at its change", "@hourly", rome(t), spring, []string{"03-29 03:00 CEST", "03-29 04:00 CEST"}},
		{
			"every 20 minutes, autumn", "*/20 * * * *", rome(t), autumn,
			[]string{"10-25 02:40 CEST", "10-25 02:00 CET", "10-25 02:20 CET", "10-25 02:40 CET", "10-25 03:00 CET"},
		},
		{"named hours, autumn", "0 1-3 * * *", rome(t), autumn, []string{"10-25 03:00 CET", "10-26 01:00 CET"}},
		{"half an hour twice", "*/15 * * * *", lordHowe, time.Date(2026, 4, 4, 14, 40, 0, 0, time.UTC), []string{
			"04-05 01:45 +11", "04-05 01:30 +1030", "04-05 01:45 +1030", "04-05 02:00 +1030",
		}},
		{"every hour of a rare day", "0 * 29 2 *", rome(t), autumn, []string{"02-29 00:00 CET", "02-29 01:00 CET"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := nextOf(t, c.cron, c.zone, c.after, len(c.want)); !slices.Equal(got, c.want) {
				t.Errorf("%v, want %v", got, c.want)
			}
		})
	}
}
