package occurrence

import (
	"fmt"
	"strings"
	"time"

	"github.com/netresearch/go-cron"
)

// cronParser reads five fields and descriptors, as cron(8) does: a day that both fields limit comes
// when either has it.
var cronParser = cron.MustNewParser(cron.Minute | cron.Hour | cron.Dom | cron.Month | cron.Dow |
	cron.Descriptor | cron.DowOrDom).
	WithMaxSearchYears(searchYears)

// maxShown is how many bytes of an expression an error has.
const maxShown = 128

// searchYears is how far ahead the parser looks for an occurrence: a 29th of February on a given
// day of the week may be 40 years away.
const searchYears = 40

// Cron is the schedule of a cron expression in a time zone. An occurrence in an hour that the
// clocks skip is at the first moment after the gap, one in an hour that comes twice is the first of
// the two, and an expression for every hour has one in each hour that passes. The error is that the
// expression cannot be read, names a zone or an interval of its own, or never comes.
//
// The parser only ever sees wall-clock times, as if there were no time zones: which moment such a
// time is, is decided here, and not by the parser's rules.
func Cron(expr string, zone *time.Location) (Next, error) {
	shown := expr[:min(len(expr), maxShown)]
	switch {
	case strings.Contains(expr, "TZ="):
		return nil, fmt.Errorf("cron expression %q: the time zone is Schedule.Zone",
			shown)
	case strings.HasPrefix(expr, "@every"):
		return nil, fmt.Errorf("cron expression %q: intervals are Schedule.Every", shown)
	}
	parsed, err := cronParser.Parse(expr)
	if err != nil {
		return nil, fmt.Errorf("cron expression %q: %w", shown, err)
	}
	next := func(after time.Time) time.Time {
		if hourly(parsed) {
			return nextHourly(parsed, zone, after)
		}
		wall := after.In(zone)
		wall = time.Date(wall.Year(), wall.Month(), wall.Day(), wall.Hour(), wall.Minute(),
			wall.Second(), wall.Nanosecond(), time.UTC)
		for {
			if wall = parsed.Next(wall); wall.IsZero() {
				return time.Time{}
			}
			if at := moment(wall, zone); at.After(after) {
				// else it was the first of an hour that comes twice, or in the same gap
				return at.UTC()
			}
		}
	}
	if next(time.Unix(0, 0)).IsZero() {
		return nil, fmt.Errorf("cron expression %q: it never comes", shown)
	}
	return Next(next).nameable(), nil
}

// hourly reports whether a schedule runs in every hour of its days.
func hourly(s cron.Schedule) bool {
	const all = 1<<24 - 1
	spec, ok := s.(*cron.SpecSchedule)
	return ok && spec.Hour&all == all
}

// nextHourly is the next occurrence of such a schedule: it is for every hour that passes, and a
// change of the clocks neither adds nor leaves out any.
func nextHourly(parsed cron.Schedule, zone *time.Location, after time.Time) time.Time {
	for in := after.In(zone); ; {
		_, offset := in.Zone()
		shift := time.Duration(offset) * time.Second
		wall := parsed.Next(after.UTC().Add(shift))
		if wall.IsZero() {
			return wall
		}
		at := wall.Add(-shift)
		_, end := in.ZoneBounds()
		if end.IsZero() || at.Before(end) {
			return at
		}
		after, in = end.Add(-1), end // the clocks change before
	}
}

// moment is when the clocks of a zone show a wall-clock time: the first time when they show it
// twice, and the first moment after the gap when they skip it. wall is in UTC.
func moment(wall time.Time, zone *time.Location) time.Time {
	t := time.Date(wall.Year(), wall.Month(), wall.Day(), wall.Hour(), wall.Minute(), wall.Second(),
		0, zone)
	start, end := t.ZoneBounds()
	_, offset := t.Zone()
	shown := t.Unix() + int64(offset)
	switch {
	case shown > wall.Unix(): // a gap, and t is after it
		return start
	case shown < wall.Unix(): // a gap, and t is before it
		return end
	case start.IsZero():
		return t
	}
	_, before := start.Add(-1).Zone()
	if first := time.Unix(wall.Unix()-int64(before), 0); first.Before(start) {
		return first.In(zone)
	}
	return t
}
