package tasks

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/genropy/genro-asgi-go/internal/lockorder"
)

// planner puts the next occurrence of each schedule into the store.
type planner struct {
	m     *Manager
	woken chan struct{} // capacity 1
	// capacity 1: full while somebody works on plans. It is never waited for with mu held
	working    chan struct{}
	anyDelayed atomic.Bool // an occurrence waits for an earlier one

	mu    lockorder.Mutex // never held while the store is asked
	plans map[string]*plan
}

func (p *planner) init(m *Manager) {
	p.m, p.woken, p.working, p.plans = m, make(chan struct{}, 1), make(chan struct{},
		1), make(map[string]*plan)
}

func (p *planner) add(s *plan) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.plans[s.Name] != nil {
		return fmt.Errorf("%w: schedule %q is there already", ErrConflict, s.Name)
	}
	p.plans[s.Name] = s
	p.wake()
	return nil
}

func (p *planner) wake() {
	select {
	case p.woken <- struct{}{}:
	default:
	}
}

// changed is told of every change of every task: one that has started or is done may have been what
// another occurrence waits for.
func (p *planner) changed(t *Task) {
	if t.Unique != nil && p.anyDelayed.Load() && strings.HasPrefix(t.Unique.Key, overlapKey) {
		p.wake()
	}
}

// acquire waits until nobody works on plans, or ctx has ended.
func (p *planner) acquire(ctx context.Context) error {
	select {
	case p.working <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (p *planner) release() { <-p.working }

// run serves the plans until ctx ends.
func (p *planner) run(ctx context.Context) {
	for {
		ring := make(chan struct{})
		stop := p.m.clock.AfterFunc(p.advanceAll(ctx), func() { close(ring) })
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

// advanceAll brings all plans up to now, as far as ctx lets it, and returns how long there is
// nothing to do.
func (p *planner) advanceAll(ctx context.Context) time.Duration {
	if p.acquire(ctx) != nil {
		return maxSleep
	}
	defer p.release()
	p.mu.Lock()
	plans := slices.Collect(maps.Values(p.plans))
	p.mu.Unlock()
	now := p.m.now()
	sleep, waiting := maxSleep, false
	p.anyDelayed.Store(true) // what one waits for may be done before all are advanced
	for _, s := range plans {
		if ctx.Err() != nil {
			break
		}
		err := p.advance(ctx, s, now)
		next := s.last
		if s.delayed.After(next) {
			next, waiting = s.delayed, true
		}
		p.mu.Lock()
		s.next = next
		p.mu.Unlock()
		if err == nil {
			p.m.faults.Over(faultSchedule + s.Name)
		}
		switch {
		case err != nil:
			if ctx.Err() == nil {
				sleep = min(sleep, p.m.faults.Met(faultSchedule+s.Name, err, "kind", s.name))
			}
		case next.After(now):
			sleep = min(sleep, max(next.Sub(now), minSleep))
		}
	}
	p.anyDelayed.Store(waiting)
	return sleep
}
