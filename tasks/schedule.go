package tasks

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/genropy/genro-asgi-go/tasks/internal/occurrence"
)

// Schedule says when tasks are submitted: one of Cron, Every and At is given, or Every with At. The
// zero value of every other field means its default.
type Schedule struct {
	// Name names the schedule in the store: 1 to 64 bytes of A-Z, a-z, 0-9 and _.:@-.
	Name string
	// Cron is an expression of five fields (minute, hour, day of month, month, day of week; as
	// cron(8) has it: where both days are given either is enough), or @hourly, @daily, @weekly,
	// @monthly or @yearly.
	Cron string
	// Zone is the time zone of Cron; default UTC.
	Zone *time.Location
	// Every is a fixed interval of 1 s at least, whatever the clocks of the zone do. It counts from
	// At, and from the zero time where there is none, so that all managers mean the same times.
	Every time.Duration
	// At is the one time; with Every the first. One that passed longer ago than the retention of
	// the manager is not run, whatever Missed says.
	At time.Time
	// Missed says what becomes of occurrences that passed while no manager that has the schedule
	// was running; default MissedSkip.
	Missed Missed
	// MaxMissed is how many of them, the latest, MissedAll runs beside the one that was in the
	// store already; default 100.
	MaxMissed int
	// Options are those of its tasks. ID, Delay, RunAt, Unique and Authorize are not to be set, and
	// the kind's Unique does not count: occurrences are in the store ahead of their time. Metadata
	// gets an entry "schedule" with the name.
	Options SubmitOptions
	// Overlap says what becomes of an occurrence whose time comes while an earlier one is not done;
	// default OverlapAllow.
	Overlap Overlap
}

// Overlap says what becomes of an occurrence whose time comes while an earlier one is not done.
type Overlap string

// What may become of it. The first in a row that is left out is logged, and how many when one comes
// again. With MissedAll all run, whatever waits, and OverlapSkip is refused.
const (
	// OverlapAllow runs it beside the earlier one, where there is a place. It is left out while the
	// earlier one still waits for one: no more than one waits.
	OverlapAllow Overlap = "allow"
	// OverlapSkip leaves it out.
	OverlapSkip Overlap = "skip"
)

// Missed says what becomes of missed occurrences.
type Missed string

// What may become of them. An occurrence that is in the store and was not started within a minute
// of its time, when a manager starts that has the schedule by then, is missed too.
const (
	MissedSkip Missed = "skip" // none is run
	MissedOnce Missed = "once" // one is run, for all of them
	MissedAll  Missed = "all"  // each is run, MaxMissed at most
)

// ScheduleInfo describes a schedule of this manager.
type ScheduleInfo struct {
	Schedule
	Kind string
	Next time.Time // the occurrence that comes; zero before Start, and when there is none any more
}

const (
	scheduleKey   = "schedule" // of metadata
	maxSchedule   = 64         // bytes of a name
	defaultMissed = 100
)

// Schedule submits a task of the kind at every occurrence of s, as long as the manager runs; each
// of several managers of one store may have the same schedule, and one task comes of an occurrence.
// The next occurrence is in the store ahead of its time. Schedules are not: a program declares them
// each time it starts, before or after Start. One that was changed meanwhile, its payload and
// options too, replaces the occurrence that is waiting; one that is declared no more leaves it, and
// it runs (see Unschedule). The error is ErrInvalid for a bad schedule, ErrConflict for a name that
// this manager has, or one of Submit's.
func (m *Manager) Schedule(kind string, payload jsontext.Value, s Schedule) error {
	k := m.kinds.get(kind)
	switch {
	case k == nil && !m.opts.AnyKind:
		return unknownKind(kind)
	case k == nil && len(payload) > 0 && !payload.IsValid():
		return &InputError{Message: "not valid JSON"}
	}
	payload = payload.Clone()
	if k != nil {
		var err error
		if payload, err = k.receive(context.Background(), m, payload); err != nil {
			return err
		}
	}
	return m.schedule(kind, k, payload, s)
}

// Schedule is Manager.Schedule with in as payload.
func (k *Kind[In, Out]) Schedule(in In, s Schedule) error {
	payload, err := k.m.encodeInput(context.Background(), &in)
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
	case o.ID != "" || o.Delay != 0 || !o.RunAt.IsZero() || o.Unique != nil || o.Authorize != nil:
		return invalid("ID, Delay, RunAt, Unique and Authorize are not for a schedule's tasks")
	case s.Missed != "" && s.Missed != MissedSkip && s.Missed != MissedOnce &&
		s.Missed != MissedAll:
		return invalid("no such policy for missed occurrences: %q", clip(string(s.Missed), 32))
	case s.Overlap != "" && s.Overlap != OverlapAllow && s.Overlap != OverlapSkip:
		return invalid("no such policy for overlapping occurrences: %q",
			clip(string(s.Overlap), 32))
	case s.Overlap == OverlapSkip && s.Missed == MissedAll:
		return invalid("OverlapSkip leaves out what MissedAll is to run")
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
	if err := o.applyTo(&Task{}, m.now()); err != nil {
		return err
	}
	return m.planner.add(&plan{Schedule: s, name: name, kind: k, payload: payload, occurs: occurs})
}

// Unschedule ends a schedule of this manager, and cancels and deletes its task that waits in the
// store. Other managers that have it go on with the occurrences after that one. The error is
// ErrNotFound, or the store's.
func (m *Manager) Unschedule(ctx context.Context, name string) error {
	p := &m.planner
	if err := p.acquire(ctx); err != nil {
		return err
	}
	defer p.release()
	p.mu.Lock()
	known := p.plans[name] != nil
	delete(p.plans, name)
	p.mu.Unlock()
	if !known {
		return fmt.Errorf("%w: schedule %q", ErrNotFound, clip(name, maxName))
	}
	for t, err := range m.All(ctx, waitingOf(name)) {
		if err == nil {
			err = p.withdraw(ctx, t.ID)
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
		if plan.next.After(m.now()) {
			info.Next = plan.next
		}
		all = append(all, info)
	}
	slices.SortFunc(all, func(a, b ScheduleInfo) int { return cmp.Compare(a.Name, b.Name) })
	return all
}

// occurrences returns the times that s is for.
func (s *Schedule) occurrences() (occurrence.Next, error) {
	at := s.At.UTC().Round(0)
	switch {
	case s.Cron != "" && s.Every == 0 && s.At.IsZero():
		zone := s.Zone
		if zone == nil {
			zone = time.UTC
		}
		next, err := occurrence.Cron(s.Cron, zone)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrInvalid, err)
		}
		return next, nil
	case s.Cron != "" || s.Every == 0 && s.At.IsZero():
		return nil, invalid("schedule %s: Cron, Every and At: one is needed, or Every with At",
			s.Name)
	case at.Year() > occurrence.LastYear:
		return nil, invalid("schedule %s: a time that RFC 3339 cannot write", s.Name)
	case s.Every == 0:
		return occurrence.Once(at), nil
	case s.Every < time.Second:
		return nil, invalid("schedule %s: an interval of less than 1 s", s.Name)
	}
	return occurrence.Interval(s.Every, at), nil
}
