// Package occurrence gives the times of schedules: of cron expressions in a time zone, of fixed
// intervals, and of a single time. A schedule is a [Next], a function that only goes ahead; what
// looks back ([Next.Latest]) costs what it returns, however many occurrences there were.
//
// Everything is a pure function of its arguments: there is no clock here, and nothing to be locked.
// Errors are about the expression, for the program that wrote it.
package occurrence

import (
	"context"
	"math/bits"
	"slices"
	"time"
)

// Next gives the first occurrence of a schedule after a time, in UTC, and the zero time when there
// is none. A later time never gives an earlier one.
type Next func(after time.Time) time.Time

// LastYear is the last that RFC 3339 can write, and so the last that an ID can name: there are no
// occurrences after it.
const LastYear = 9999

// nameable leaves out what comes after LastYear.
func (next Next) nameable() Next {
	return func(after time.Time) time.Time {
		if at := next(after); at.Year() <= LastYear {
			return at
		}
		return time.Time{}
	}
}

// Once is the schedule of a single time.
func Once(at time.Time) Next {
	return func(after time.Time) time.Time {
		if at.After(after) {
			return at
		}
		return time.Time{}
	}
}

// Latest are the latest n occurrences after one time and not after another, in order; fewer where
// ctx ends. What it costs depends on n, and hardly on how many there are.
func (next Next) Latest(ctx context.Context, after, until time.Time,
	n int,
) (all []time.Time) {
	for len(all) < n && ctx.Err() == nil {
		at := next.last(after, until)
		if at.IsZero() {
			break
		}
		all = append(all, at)
		until = at.Add(-1)
	}
	slices.Reverse(all)
	return all
}

// last is the last occurrence after one time and not after another, zero when there is none. It
// looks further and further back for one, and then halves the time from that to the end, as next
// only goes ahead.
func (next Next) last(after, until time.Time) time.Time {
	is := func(from time.Time) (at time.Time, ok bool) {
		at = next(from)
		return at, !at.IsZero() && !at.After(until)
	}
	at, found := time.Time{}, false
	for back := time.Second; !found; back *= 2 {
		from := until.Add(-back)
		most := !from.After(after) || back > 1<<61
		if most {
			from = after
		}
		if at, found = is(from); most && !found {
			return time.Time{}
		}
	}
	for end := until; ; { // at is one, and none is after end
		later, ok := is(at)
		if !ok {
			return at
		}
		if at = later; !at.Before(end) {
			return at
		}
		middle := at.Add(end.Sub(at) / 2)
		if later, ok = is(middle); ok {
			at = later
		} else {
			end = middle
		}
	}
}

// Interval is the schedule of a fixed interval, above 0, that counts from a time, which is the
// first occurrence; where that is zero there is no first, and it counts from the zero time.
func Interval(every time.Duration, from time.Time) Next { return interval(every, from).nameable() }

func interval(every time.Duration, from time.Time) Next {
	if from.IsZero() {
		return func(after time.Time) time.Time { return after.UTC().Truncate(every).Add(every) }
	}
	return func(after time.Time) time.Time {
		if from.After(after) {
			return from
		}
		// How much of an interval has passed; the time since from may be more than a Duration
		// holds.
		seconds, ns := uint64(after.Unix()-from.Unix()),
			int64(after.Nanosecond()-from.Nanosecond())
		high, low := bits.Mul64(seconds, uint64(time.Second))
		low, carry := bits.Add64(low, uint64(max(ns, 0)), 0)
		low, borrow := bits.Sub64(low, uint64(max(-ns, 0)), 0)
		passed := bits.Rem64(high+carry-borrow, low, uint64(every))
		return after.UTC().Add(every -
			time.Duration(passed))
	}
}
