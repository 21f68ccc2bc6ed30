package occurrence

import (
	"context"
	"maps"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// TestNext_Latest compares it with a walk, and counts what it asks.
func TestNext_Latest(t *testing.T) {
	rome, err := time.LoadLocation("Europe/Rome")
	if err != nil {
		t.Fatal(err)
	}
	base := time.Date(2026, 3, 28, 22, 0, 0, 0, time.UTC) // the clocks of Rome change soon
	cron := func(expr string, zone *time.Location) Next {
		next, err := Cron(expr, zone)
		if err != nil {
			t.Fatal(err)
		}
		return next
	}
	schedules := map[string]Next{
		"every minute":       cron("* * * * *", time.UTC),
		"at noon":            cron("0 12 * * *", rome),
		"in office hours":    cron("*/7 9-17 * * 1-5", rome),
		"on one day":         cron("* * 1 4 *", time.UTC),
		"in the gap":         cron("30 2 * * *", rome),
		"every second":       Interval(time.Second, time.Time{}),
		"every 100 minutes":  Interval(100*time.Minute, time.Time{}),
		"every hour from on": Interval(time.Hour, base.Add(time.Hour)),
		"once":               Once(base.Add(time.Hour)),
	}
	rapid.Check(t, func(t *rapid.T) {
		name := rapid.SampledFrom(slices.Sorted(maps.Keys(schedules))).Draw(t, "schedule")
		next := schedules[name]
		after := base.Add(time.Duration(rapid.Int64Range(0, int64(2*time.Hour)).Draw(t, "after")))
		until := after.Add(time.Duration(rapid.Int64Range(-1, int64(time.Hour)).Draw(t, "span")))
		if name != "every second" {
			until = after.Add(200 * until.Sub(after))
		}
		n := rapid.IntRange(0, 5).Draw(t, "n")
		var want []time.Time
		for at := next(after); !at.IsZero() && !at.After(until); at = next(at) {
			if want = append(want, at); len(want) > n {
				want = want[1:]
			}
		}
		asked := 0
		counted := Next(func(after time.Time) time.Time { asked++; return next(after) })
		if got := counted.Latest(context.Background(), after, until, n); !slices.Equal(got, want) {
			t.Errorf("latest %d after %v until %v: %v, want %v", n, after, until, got, want)
		}
		if asked > 200*(n+1) {
			t.Errorf("asked %d times for %d", asked, n)
		}
	})
}

// TestNext_CostOfALongTime: sixty years of seconds are as cheap as a minute.
func TestNext_CostOfALongTime(t *testing.T) {
	asked := 0
	next := Next(func(after time.Time) time.Time {
		asked++
		return interval(time.Second, time.Time{})(after)
	})
	until := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	got := next.Latest(context.Background(), time.Unix(0, 0), until, 100)
	if len(got) != 100 || !got[99].Equal(until) || !got[0].Equal(until.Add(-99*time.Second)) ||
		asked > 1000 {
		t.Errorf("asked %d times for %d, from %v", asked, len(got), got[0])
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if got := next.Latest(ctx, time.Unix(0, 0), until, 100); len(got) != 0 {
		t.Errorf("when the context has ended: %d", len(got))
	}
}

// TestNext_Interval: from times that are further away than a Duration can be.
func TestNext_Interval(t *testing.T) {
	from := time.Date(1, 1, 1, 0, 0, 0, 7, time.UTC)
	for _, c := range []struct {
		every       time.Duration
		after, want time.Time
	}{
		{
			time.Hour, time.Date(2026, 1, 1, 0, 30, 0, 0, time.UTC),
			time.Date(2026, 1, 1, 1, 0, 0, 7, time.UTC),
		},
		{
			time.Hour, time.Date(2026, 1, 1, 1, 0, 0, 7, time.UTC),
			time.Date(2026, 1, 1, 2, 0, 0, 7, time.UTC),
		},
		{
			time.Hour, time.Date(2026, 1, 1, 1, 0, 0, 6, time.UTC),
			time.Date(2026, 1, 1, 1, 0, 0, 7, time.UTC),
		},
		{
			1500 * time.Millisecond, time.Date(9000, 1, 1, 0, 0, 2, 0, time.UTC),
			time.Date(9000, 1, 1, 0, 0, 3, 7, time.UTC),
		},
		{time.Hour, from.Add(-time.Hour), from},
	} {
		if got := interval(c.every, from)(c.after); !got.Equal(c.want) {
			t.Errorf("every %v after %v: %v, want %v", c.every, c.after, got, c.want)
		}
	}
	next := Interval(time.Hour, time.Time{})
	if got := next(time.Date(9999, 12, 31, 23, 30, 0, 0, time.UTC)); !got.IsZero() {
		t.Errorf("an occurrence that no ID can name: %v", got)
	}
}
