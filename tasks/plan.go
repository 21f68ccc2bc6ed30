package tasks

import (
	"context"
	"errors"
	"maps"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/genropy/genro-asgi-go/internal/canonical"
	"github.com/genropy/genro-asgi-go/tasks/internal/occurrence"
)

// plan is a schedule under way. What is not said to be guarded is of whoever has acquired the
// planner.
type plan struct {
	Schedule
	name    string // of the kind
	kind    *kind  // nil when it is not known here
	payload jsontext.Value
	occurs  occurrence.Next

	next time.Time // the occurrence that comes; guarded by planner.mu

	located bool
	last    time.Time // the latest occurrence that was submitted or passed over
	// the one after it, which is not in the store because an earlier one is not over; zero when
	// there is none
	delayed time.Time
	leftOut int       // how many were left out in a row, as an earlier one was not over
	seen    time.Time // the latest time of day that this plan knows of

	// While the clock shows times again that it has shown before: by how much it was set back, and
	// up to which occurrence they may have run.
	setBack      time.Duration
	repeatsUntil time.Time
}

const (
	overdue    = time.Minute // after which an occurrence that has not started is missed
	overlapKey = "schedule@" // begins the unique key by which occurrences of a schedule keep apart
	maxAgain   = 100         // how often the clock may show one occurrence
)

// advance deals with the occurrences up to now, and submits the first after it.
func (p *planner) advance(ctx context.Context, s *plan, now time.Time) error {
	ran := false // an occurrence that was missed will be run already
	if !s.located {
		var err error
		if ran, err = p.locate(ctx, s, now); err != nil {
			return err
		}
		s.located = true
	}
	if err := p.rewind(ctx, s, now); err != nil {
		return err
	}
	if s.last.After(now) {
		return nil // the next occurrence is in the store
	}
	switch late := now.Sub(s.delayed); {
	case s.delayed.IsZero():
	case late <= overdue: // it comes, or its time is now
		in, err := p.submit(ctx, s, s.delayed, now)
		if err != nil || !in && late < 0 {
			return err
		}
		p.tellOverlap(s, in)
		s.last, s.delayed = s.delayed, time.Time{}
		if late < 0 {
			return nil
		}
	default: // it was missed
		s.delayed = time.Time{}
	}
	if err := p.catchUp(ctx, s, now, ran); err != nil {
		return err
	}
	next := s.occurs(now)
	if next.IsZero() {
		return nil
	}
	in, err := p.submit(ctx, s, next, now)
	if err != nil {
		return err
	}
	if in {
		p.tellOverlap(s, true)
		s.last = next
	} else {
		s.delayed = next
	}
	return nil
}

// tellOverlap logs the first occurrence in a row that is left out, which held is, and how many
// there were when one comes again.
func (p *planner) tellOverlap(s *plan, in bool) {
	switch {
	case !in:
		if s.leftOut++; s.leftOut == 1 {
			p.m.log.Info("tasks: an occurrence is left out, as an earlier one is not over",
				"schedule", s.Name, "occurrence", s.delayed)
		}
		return
	case s.leftOut > 1:
		p.m.log.Info("tasks: occurrences were left out", "schedule", s.Name, "times", s.leftOut)
	}
	s.leftOut = 0
}

// catchUp submits those of the missed occurrences that are to run. ran is that one does already.
// However many were missed, it looks at no more than these.
func (p *planner) catchUp(ctx context.Context, s *plan, now time.Time, ran bool) error {
	n := map[Missed]int{MissedOnce: 1, MissedAll: s.MaxMissed}[s.Missed]
	if ran && s.Missed == MissedOnce {
		n = 0
	}
	for _, at := range s.occurs.Latest(ctx, s.last, now, n) {
		if _, err := p.submit(ctx, s, at, now); err != nil {
			return err
		}
		s.last = at
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	s.last = now
	return nil
}

// rewind begins anew where the clock was set back: the occurrences between now and the one that
// would be next come again.
func (p *planner) rewind(ctx context.Context, s *plan, now time.Time) error {
	by, seen := s.seen.Sub(now), s.seen
	s.seen = now
	if by <= skew {
		return nil
	}
	ahead := s.last
	if s.delayed.After(ahead) {
		ahead = s.delayed
	}
	next := s.occurs(now)
	if next.IsZero() || !next.Before(ahead) {
		return nil
	}
	for t, err := range p.m.All(ctx, waitingOf(s.Name)) {
		// what was to come waits for a time that is far, and may hold up what comes before
		if err == nil {
			if at, ok := occurrenceOf(s.Name, t.ID); ok && at.After(next) {
				err = p.withdraw(ctx, t.ID)
			}
		}
		if err != nil {
			s.seen = seen // once more
			return err
		}
	}
	s.last, s.delayed, s.setBack, s.repeatsUntil = now, time.Time{}, by, ahead
	return nil
}

// locate finds out where the schedule stands in the store, and reports whether an occurrence waits
// there that was missed and is to run.
func (p *planner) locate(ctx context.Context, s *plan, now time.Time) (ran bool, err error) {
	s.last = now
	if keep := p.m.opts.Retention; s.Every == 0 && !s.At.IsZero() && s.At.Before(now) &&
		(keep < 0 || now.Sub(s.At) < keep) {
		// a single time, and if it had run, its task would be there
		s.last = s.At.UTC().Round(0).Add(-1)
	}
	for t, err := range p.m.All(ctx, waitingOf(s.Name)) {
		// one, unless programs that do not agree have the schedule
		if err != nil {
			return false, err
		}
		if at, ok := occurrenceOf(s.Name, t.ID); ok && at.After(now) &&
			!s.submits(t, at, now, len(p.m.opts.SubmitMiddleware) > 0) {
			if err := p.withdraw(ctx, t.ID); err != nil { // of a schedule that has been changed
				return false, err
			}
		}
	}
	page, _, err := p.m.store.List(ctx,
		&Filter{Metadata: map[string]string{scheduleKey: s.Name}, Limit: 1})
	if err != nil || len(page) == 0 {
		return false, err
	}
	t := page[0]
	at, ok := occurrenceOf(s.Name, t.ID)
	if !ok { // somebody else's use of the metadata
		return false, nil
	}
	if s.seen = t.Created; t.Started.After(s.seen) {
		s.seen = t.Started
	}
	switch {
	// cancelled before the schedule was changed
	case at.After(now) && !s.occurs(at.Add(-1)).Equal(at):
		return false, nil
	case at.After(now) || !t.State.Waiting() || now.Sub(at) <= overdue:
		s.last = at
		return false, nil
	}
	s.last = at
	if s.Missed == MissedOnce || s.Missed == MissedAll {
		return true, nil
	}
	if t, err = p.cancelWaiting(ctx, t.ID); t != nil {
		p.m.outcomes.report(*t)
	}
	return false, err
}

// waitingOf selects the tasks of a schedule that wait.
func waitingOf(name string) *Filter {
	return &Filter{
		States:   []State{Scheduled, Queued, Retrying},
		Metadata: map[string]string{scheduleKey: name},
	}
}

// options are those of the task of an occurrence.
func (s *plan) options(id string, at time.Time) *SubmitOptions {
	o := s.Options
	o.ID, o.RunAt, o.occurrence = id, at, true
	switch {
	case s.Overlap == OverlapSkip:
		o.Unique = &UniqueOptions{Key: overlapKey + s.Name, While: UniqueUndone}
	case s.Missed != MissedAll:
		o.Unique = &UniqueOptions{Key: overlapKey + s.Name, While: UniqueWaiting}
	}
	return &o
}

// submits reports whether t, which waits for the occurrence at a time, is as this schedule submits
// it. What SubmitMiddleware adds to its metadata is another each time.
func (s *plan) submits(t *Task, at, now time.Time, middleware bool) bool {
	o := s.options(t.ID, at)
	want, _, err := newTask(s.name, s.kind, s.payload, o, now)
	return err == nil && s.occurs(at.Add(-1)).Equal(at) &&
		t.Kind == want.Kind && t.Version == want.Version && t.Queue == want.Queue &&
		t.Priority == want.Priority && t.Key == want.Key &&
		t.Retry == want.Retry && t.Timeout == want.Timeout &&
		(maps.Equal(t.Metadata, want.Metadata) ||
			middleware && (&Filter{Metadata: want.Metadata}).Matches(t)) &&
		canonical.Equal(t.Payload, want.Payload) &&
		(t.Unique == nil && o.Unique == nil || t.Unique != nil && o.Unique != nil &&
			t.Unique.While == o.Unique.While)
}

// submit submits an occurrence, which may be in the store already. It reports whether it is there:
// it is not while an earlier one that it must not overlap is not over.
func (p *planner) submit(ctx context.Context, s *plan, at, now time.Time) (in bool, err error) {
	id := occurrenceID(s.Name, at)
	for n := 2; ; n++ {
		t, err := p.m.submit(ctx, s.name, s.kind, s.payload.Clone(), s.options(id, at))
		other, exists := errors.AsType[*ExistsError](err)
		switch {
		case exists && !other.ID:
			return false, nil
		case exists: // another payload's, from before or of another build: one occurrence, one task
			t = other.Task
		case err != nil:
			return false, err
		}
		if t.Fence == 0 || n > maxAgain || !s.comesAgain(at, now) {
			return true, nil
		}
		id = againID(s.Name, at, n)
	}
}

// comesAgain reports whether an occurrence that is to come and has run already is to run again,
// because the clock was set back: by so much that without it more than an interval of the schedule
// would pass with none.
func (s *plan) comesAgain(at, now time.Time) bool {
	if !at.After(now) || at.After(s.repeatsUntil) {
		return false
	}
	following := s.occurs(at)
	return !following.IsZero() && s.setBack >= following.Sub(at)
}

// occurrenceID is the ID of the task of an occurrence.
func occurrenceID(name string, at time.Time) string {
	return name + "@" + at.UTC().Format(time.RFC3339Nano)
}

// againID is the ID of the nth task of one occurrence, which the clock has shown as often.
func againID(name string, at time.Time, n int) string {
	return occurrenceID(name, at) + "@" + strconv.Itoa(n)
}

// occurrenceOf is the time in an ID that occurrenceID or againID made.
func occurrenceOf(name, id string) (time.Time, bool) {
	text, ok := strings.CutPrefix(id, name+"@")
	if !ok {
		return time.Time{}, false
	}
	text, _, _ = strings.Cut(text, "@")
	at, err := time.Parse(time.RFC3339Nano, text)
	return at, err == nil
}

// cancelWaiting cancels a task if it waits, and returns it then.
func (p *planner) cancelWaiting(ctx context.Context, id string) (*Task, error) {
	m := p.m
	now := m.now()
	t, err := snapshot(m.store.Update(ctx, id, now, func(t *Task) error {
		if !t.State.Waiting() {
			return ErrConflict
		}
		t.cancel(now)
		return nil
	}))
	if errors.Is(err, ErrConflict) || errors.Is(err, ErrNotFound) {
		return nil, nil
	}
	return t, err
}

// withdraw cancels the task of an occurrence if it waits, and deletes it: else nothing could be
// submitted for the same time again.
func (p *planner) withdraw(ctx context.Context, id string) error {
	m := p.m
	t, err := p.cancelWaiting(ctx, id)
	if err != nil || t == nil {
		return err
	}
	if err = m.store.Delete(ctx, id, t.Revision, m.now()); errors.Is(err, ErrConflict) ||
		errors.Is(err, ErrNotFound) {
		return nil // somebody was quicker
	}
	return err
}
