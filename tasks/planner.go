package tasks

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"sync"
	"time"

	"github.com/go-json-experiment/json/jsontext"
)

// planner puts the next occurrence of each schedule into the store.
type planner struct {
	m     *Manager
	woken chan struct{} // capacity 1

	mu    sync.Mutex // held while the store is asked
	plans map[string]*plan
}

// plan is a schedule under way.
type plan struct {
	Schedule
	name    string // of the kind
	kind    *kind  // nil when it is not known here
	payload jsontext.Value
	occurs  func(after time.Time) time.Time

	begun bool
	last  time.Time // the latest occurrence that was submitted or passed over
	over  bool      // there are no more
}

func (p *planner) init(m *Manager) {
	p.m, p.woken, p.plans = m, make(chan struct{}, 1), make(map[string]*plan)
}

func (p *planner) add(s *plan) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.plans[s.Name] != nil {
		return fmt.Errorf("%w: schedule %q is there already", ErrConflict, s.Name)
	}
	p.plans[s.Name] = s
	select {
	case p.woken <- struct{}{}:
	default:
	}
	return nil
}

// run serves the plans until ctx ends.
func (p *planner) run(ctx context.Context) {
	for {
		ring := make(chan struct{})
		stop := p.m.clock.AfterFunc(p.round(ctx), func() { close(ring) })
		select {
		case <-ring:
		case <-p.woken:
			stop()
		case <-ctx.Done():
			stop()
			return
		}
	}
}

// round brings all plans up to now, and returns how long there is nothing to do.
func (p *planner) round(ctx context.Context) time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := p.m.now()
	sleep := maxSleep
	for _, s := range p.plans {
		if s.over || s.begun && s.last.After(now) {
			// nothing yet
		} else if err := p.advance(ctx, s, now); err != nil {
			if ctx.Err() == nil {
				p.m.log.Error("tasks: schedule", "schedule", s.Name, "error", err)
			}
			sleep = min(sleep, sulk)
			continue
		}
		if !s.over {
			sleep = min(sleep, max(s.last.Sub(now), minSleep))
		}
	}
	return sleep
}

// advance deals with the occurrences up to now, and submits the first after it.
func (p *planner) advance(ctx context.Context, s *plan, now time.Time) error {
	ran := false // an occurrence that was missed will be run already
	if !s.begun {
		var err error
		if ran, err = p.begin(ctx, s, now); err != nil {
			return err
		}
		s.begun = true
	}
	if s.last.After(now) {
		return nil // the next occurrence is in the store
	}
	var missed []time.Time // the latest of them
	limit := map[Missed]int{MissedOnce: 1, MissedAll: s.MaxMissed}[s.Missed]
	last := s.last
	next := s.occurs(last)
	for ; !next.IsZero() && !next.After(now); next = s.occurs(last) {
		last = next
		if limit > 0 && len(missed) == limit {
			missed = missed[1:]
		}
		if limit > 0 {
			missed = append(missed, next)
		}
	}
	if ran && s.Missed == MissedOnce {
		missed = nil
	}
	for _, at := range missed {
		if err := p.submit(ctx, s, at); err != nil {
			return err
		}
		s.last = at
	}
	s.last = last
	if next.IsZero() {
		s.over = true
		return nil
	}
	if err := p.submit(ctx, s, next); err != nil {
		return err
	}
	s.last = next
	return nil
}

// begin finds out where the schedule stands in the store, and reports whether an occurrence waits there that was missed and is to run.
func (p *planner) begin(ctx context.Context, s *plan, now time.Time) (ran bool, err error) {
	s.last = now
	if keep := p.m.opts.Retention; s.Every == 0 && !s.At.IsZero() && s.At.Before(now) && (keep < 0 || now.Sub(s.At) < keep) {
		s.last = s.At.UTC().Round(0).Add(-1) // a single time, and if it had run, its task would be there
	}
	for t, err := range p.m.All(ctx, waitingOf(s.Name)) { // one, unless programs that do not agree have the schedule
		if err != nil {
			return false, err
		}
		if at, ok := occurrenceOf(s.Name, t.ID); ok && at.After(now) && !s.submits(t, at, now) {
			if err := p.m.withdraw(ctx, t.ID); err != nil { // of a schedule that has been changed
				return false, err
			}
		}
	}
	page, _, err := p.m.store.List(ctx, &Filter{Metadata: map[string]string{scheduleKey: s.Name}, Limit: 1})
	if err != nil || len(page) == 0 {
		return false, err
	}
	t := page[0]
	at, ok := occurrenceOf(s.Name, t.ID)
	switch {
	case !ok: // somebody else's use of the metadata
		return false, nil
	case at.After(now) && !s.occurs(at.Add(-1)).Equal(at): // cancelled before the schedule was changed
		return false, nil
	case at.After(now) || !t.State.Waiting() || now.Sub(at) <= overdue:
		s.last = at
		return false, nil
	}
	s.last = at
	if s.Missed == MissedOnce || s.Missed == MissedAll {
		return true, nil
	}
	_, err = p.m.cancelWaiting(ctx, t.ID)
	return false, err
}

// waitingOf selects the tasks of a schedule that wait.
func waitingOf(name string) *Filter {
	return &Filter{States: []State{Scheduled, Queued, Retrying}, Metadata: map[string]string{scheduleKey: name}}
}

// options are those of the task of an occurrence.
func (s *plan) options(at time.Time) *SubmitOptions {
	o := s.Options
	o.ID, o.RunAt, o.occurrence = occurrenceID(s.Name, at), at, true
	return &o
}

// submits reports whether t, which waits for the occurrence at a time, is as this schedule submits it.
func (s *plan) submits(t *Task, at, now time.Time) bool {
	want, _, err := newTask(s.name, s.kind, s.payload, s.options(at), now)
	return err == nil && s.occurs(at.Add(-1)).Equal(at) &&
		t.Kind == want.Kind && t.Version == want.Version && t.Queue == want.Queue && t.Priority == want.Priority && t.Key == want.Key &&
		t.Retry == want.Retry && t.Timeout == want.Timeout && maps.Equal(t.Metadata, want.Metadata) && sameJSON(t.Payload, want.Payload)
}

// submit submits an occurrence, which may be in the store already.
func (p *planner) submit(ctx context.Context, s *plan, at time.Time) error {
	_, err := p.m.submit(ctx, s.name, s.kind, s.payload.Clone(), s.options(at))
	if errors.Is(err, ErrConflict) {
		return nil // another payload's, from before or of another build: one occurrence, one task
	}
	return err
}

// cancelWaiting cancels a task if it waits, and returns it then.
func (m *Manager) cancelWaiting(ctx context.Context, id string) (*Task, error) {
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

// withdraw cancels the task of an occurrence if it waits, and deletes it: else nothing could be submitted for the same time again.
func (m *Manager) withdraw(ctx context.Context, id string) error {
	t, err := m.cancelWaiting(ctx, id)
	if err != nil || t == nil {
		return err
	}
	if err = m.store.Delete(ctx, id, t.Revision, m.now()); errors.Is(err, ErrConflict) || errors.Is(err, ErrNotFound) {
		return nil // somebody was quicker
	}
	return err
}
