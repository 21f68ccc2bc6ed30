package occurrence

import (
	"slices"
	"strings"
	"testing"
	"time"
)

func TestCron_Times(t *testing.T) {
	spring, autumn := time.Date(2026, 3, 29, 0, 20, 0, 0, time.UTC), time.Date(2026, 10, 25, 0, 20,
		0, 0, time.UTC)
	rome, err := time.LoadLocation("Europe/Rome")
	if err != nil {
		t.Fatal(err)
	}
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
			"either day, as cron(8) has it", "0 3 13 * 5", time.UTC,
			time.Date(2026, 1, 8, 12, 0, 0, 0, time.UTC),
			[]string{"01-09 03:00 UTC", "01-13 03:00 UTC", "01-16 03:00 UTC"},
		},
		{
			"every hour, spring", "30 * * * *", rome, spring,
			[]string{"03-29 01:30 CET", "03-29 03:30 CEST", "03-29 04:30 CEST"},
		},
		{
			"every hour, autumn", "30 * * * *", rome, autumn,
			[]string{"10-25 02:30 CEST", "10-25 02:30 CET", "10-25 03:30 CET"},
		},
		{
			"every hour, at its change", "@hourly", rome, autumn,
			[]string{"10-25 02:00 CET", "10-25 03:00 CET"},
		},
		{
			"every hour, spring, at its change", "@hourly", rome, spring,
			[]string{"03-29 03:00 CEST", "03-29 04:00 CEST"},
		},
		{
			"every 20 minutes, autumn", "*/20 * * * *", rome, autumn,
			[]string{
				"10-25 02:40 CEST", "10-25 02:00 CET", "10-25 02:20 CET", "10-25 02:40 CET",
				"10-25 03:00 CET",
			},
		},
		{
			"named hours, autumn", "0 1-3 * * *", rome, autumn,
			[]string{"10-25 03:00 CET", "10-26 01:00 CET"},
		},
		{
			"half an hour twice", "*/15 * * * *", lordHowe,
			time.Date(2026, 4, 4, 14, 40, 0, 0, time.UTC),
			[]string{
				"04-05 01:45 +11", "04-05 01:30 +1030", "04-05 01:45 +1030", "04-05 02:00 +1030",
			},
		},
		{
			"every hour of a rare day", "0 * 29 2 *", rome, autumn,
			[]string{"02-29 00:00 CET", "02-29 01:00 CET"},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			next, err := Cron(c.cron, c.zone)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for at := next(c.after); len(got) < len(c.want); at = next(at) {
				got = append(got, at.In(c.zone).Format("01-02 15:04 MST"))
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("%v, want %v", got, c.want)
			}
		})
	}
}

func TestCron_Refuses(t *testing.T) {
	for expr, want := range map[string]string{
		"TZ=Europe/Rome 0 0 * * *":  "Schedule.Zone",
		"@every 1h":                 "Schedule.Every",
		"0 0 30 2 *":                "never",
		"61 * * * *":                "61",
		strings.Repeat("x", 10_000): "cron expression",
	} {
		next, err := Cron(expr, time.UTC)
		if err == nil || next != nil || !strings.Contains(err.Error(), want) ||
			len(err.Error()) > 1000 {
			t.Errorf("%.20s: %.1000v", expr, err)
		}
	}
}
