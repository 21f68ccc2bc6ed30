package tasks

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/go-json-experiment/json/jsontext"
)

// Schedule says when tasks are submitted: one of Cron, Every and At is given, or Every with At. The zero value of every other field means its default.
type Schedule struct {
	// Name names the schedule in the store: 1 to 64 bytes of A-Z, a-z, 0-9 and _.:@-.
	Name string
	// Cron is an expression of five fields (minute, hour, day of month, month, day of week; as cron(8) has it: where both days are given either is enough), or @hourly, @daily, @weekly,
	// @monthly or @yearly.
	Cron string
	// Zone is the time zone of Cron; default UTC.
	Zone *time.Location
	// Every is a fixed interval of 1 s at least, whatever the clocks of the zone do. It counts from At, and from the zero time where there is none, so that all managers mean the same times.
	Every time.Duration
	// At is the one time; with Every the first. One that passed longer ago than the retention of the manager is not run, whatever Missed says.
	At time.Time
	// Missed says what becomes of occurrences that passed while no manager that has the schedule was running; default MissedSkip.
	Missed Missed
	// MaxMissed is how many of them, the latest, MissedAll runs beside the one that was in the store already; default 100.
	MaxMissed int
	// Options are those of its tasks. ID, Delay, RunAt and Unique are not to be set, and the kind's Unique does not count: occurrences are in the store ahead of
	// their time. A Key in a queue with a KeyLimit of 1 keeps them from overlapping. Metadata gets an entry "schedule" with the name.
	Options SubmitOptions
}

// Missed says what becomes of missed occurrences.
type Missed string

// What may become of them. An occurrence that is in the store and was not started within a minute of its time, when a manager starts that has the schedule by then, is missed too.
const (
	MissedSkip Missed = "skip" // none is run
	MissedOnce Missed = "once" // one is run, for all of them
	MissedAll  Missed = "all"  // each is run, MaxMissed at most
)

// ScheduleInfo describes a schedule of this manager.
type ScheduleInfo struct {
	Schedule
	Kind string
	Next time.Time // the occurrence that is in the store; zero before Start, and when there is none any more
}

const (
	scheduleKey   = "schedule"  // of metadata
	overdue       = time.Minute // after which an occurrence that has not started is missed
	maxSchedule   = 64          // bytes of a name
	defaultMissed = 100
)

// Schedule submits a task of the kind at every occurrence of s, as long as the manager runs; each of several managers of one store may have the same schedule, and one task comes of an
// occurrence. The next occurrence is in the store ahead of its time. Schedules are not: a program declares them each time it starts, before or after Start. One that
// was changed meanwhile, its payload and options too, replaces the occurrence that is waiting; one that is declared no more leaves it, and it runs (see Unschedule). The error is ErrInvalid for a bad schedule, ErrConflict for a name that this manager has, or one of Submit's.
func (m *Manager) Schedule(kind string, payload jsontext.Value, s Schedule) error {
	k := (*m.kinds.Load())[kind]
	switch {
	case k == nil && !m.opts.AnyKind:
		return fmt.Errorf("%w: kind %q", ErrNotFound, clip(kind, maxName))
	case k == nil && len(payload) > 0 && !payload.IsValid():
		return &InputError{Message: "not valid JSON"}
	}
	if k != nil {
		if err := k.check(payload); err != nil {
			return err
		}
	}
	return m.schedule(kind, k, payload.Clone(), s)
}

// Schedule is Manager.Schedule with in as payload.
func (k *Kind[In, Out]) Schedule(in In, s Schedule) error {
	payload, err := encodeInput(&in)
	if err != nil {
		return err
	}
	return k.m.schedule(k.kind.Name, k.kind, payload, s)
}

func (m *Manager) schedule(name string, k *kind, payload jsontext.Value, s Schedule) error {
	o := &s.Options
	switch {
	case !validName(s.Name) || len(s.Name) > maxSchedule:
		return invalid("a schedule's name is 1 to %d bytes of A-Z, a-z, 0-9 and _.:@-", maxSchedule)
	case o.ID != "" || o.Delay != 0 || !o.RunAt.IsZero() || o.Unique != nil:
		return invalid("ID, Delay, RunAt and Unique are not for a schedule's tasks")
	case s.Missed != "" && s.Missed != MissedSkip && s.Missed != MissedOnce && s.Missed != MissedAll:
		return invalid("no such policy for missed occurrences: %q", clip(string(s.Missed), 32))
	case s.MaxMissed < 0:
		return invalid("MaxMissed below 0")
	}
	s.MaxMissed = orDefault(s.MaxMissed, defaultMissed)
	occurs, err := s.occurrences()
	if err != nil {
		return err
	}
	o.Metadata = maps.Clone(o.Metadata)
	if o.Metadata == nil {
		o.Metadata = make(map[string]string)
	}
	o.Metadata[scheduleKey] = s.Name
	if err := o.apply(&Task{}, m.now()); err != nil {
		return err
	}
	return m.planner.add(&plan{Schedule: s, name: name, kind: k, payload: payload, occurs: occurs})
}

// Unschedule ends a schedule of this manager, and cancels and deletes its task that waits in the store. Other managers that have it go on with the occurrences after that one. The error is ErrNotFound, or the
// store's.
func (m *Manager) Unschedule(ctx context.Context, name string) error {
	p := &m.planner
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.plans[name] == nil {
		return fmt.Errorf("%w: schedule %q", ErrNotFound, clip(name, maxName))
	}
	delete(p.plans, name)
	for t, err := range m.All(ctx, waitingOf(name)) {
		if err == nil {
			err = m.withdraw(ctx, t.ID)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// Schedules describes the schedules of this manager, sorted by name.
func (m *Manager) Schedules() []ScheduleInfo {
	p := &m.planner
	p.mu.Lock()
	defer p.mu.Unlock()
	var all []ScheduleInfo
	for _, plan := range p.plans {
		info := ScheduleInfo{Schedule: plan.Schedule, Kind: plan.name}
		if plan.last.After(m.now()) {
			info.Next = plan.last
		}
		all = append(all, info)
	}
	slices.SortFunc(all, func(a, b ScheduleInfo) int { return cmp.Compare(a.Name, b.Name) })
	return all
}

// occurrences returns the function that gives the first occurrence after a time, zero when there is none.
func (s *Schedule) occurrences() (func(after time.Time) time.Time, error) {
	at := s.At.UTC().Round(0)
	switch {
	case s.Cron != "" && s.Every == 0 && s.At.IsZero():
		zone := s.Zone
		if zone == nil {
			zone = time.UTC
		}
		return parseCron(s.Cron, zone)
	case s.Cron != "" || s.Every == 0 && s.At.IsZero():
		return nil, invalid("schedule %s: Cron, Every and At: one is needed, or Every with At", s.Name)
	case s.Every == 0:
		return func(after time.Time) time.Time {
			if at.After(after) {
				return at
			}
			return time.Time{}
		}, nil
	case s.Every < time.Second:
		return nil, invalid("schedule %s: an interval of less than 1 s", s.Name)
	case s.At.IsZero():
		return func(after time.Time) time.Time { return after.UTC().Truncate(s.Every).Add(s.Every) }, nil
	}
	return func(after time.Time) time.Time {
		if at.After(after) {
			return at
		}
		return at.Add(after.Sub(at).Truncate(s.Every) + s.Every)
	}, nil
}

// occurrenceID is the ID of the task of an occurrence.
func occurrenceID(name string, at time.Time) string {
	return name + "@" + at.UTC().Format(time.RFC3339Nano)
}

// occurrenceOf is the time in an ID that occurrenceID made.
func occurrenceOf(name, id string) (time.Time, bool) {
	text, ok := strings.CutPrefix(id, name+"@")
	if !ok {
		return time.Time{}, false
	}
	at, err := time.Parse(time.RFC3339Nano, text)
	return at, err == nil
}
