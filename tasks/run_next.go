package tasks

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
)

// RunNext runs one task that is due, the first of its queue, in the caller's goroutine and returns what became of it; ErrNotFound says that none is due. It is for tests (see
// taskstest.RunNow) and for programs that run tasks when they are asked to, and only for a Manager that was not started: else the error is ErrConflict, or ErrNotRunning after Stop. Schedules
// are brought up to now before. Of several queues the one whose name is less goes first. When ctx ends, so does the function's, and the task is put back as
// by Stop. Several may call RunNext at once.
func (m *Manager) RunNext(ctx context.Context) (*Task, error) {
	m.mu.Lock()
	switch {
	case m.stopped.Load():
		m.mu.Unlock()
		return nil, ErrNotRunning
	case m.started:
		m.mu.Unlock()
		return nil, fmt.Errorf("%w: the manager is started and runs tasks itself", ErrConflict)
	}
	if err := m.watchLocked(); err != nil {
		m.mu.Unlock()
		return nil, err
	}
	m.workers.Add(1) // Stop waits
	m.mu.Unlock()
	defer m.workers.Done()

	m.planner.round(ctx)
	queues := *m.queues.Load()
	for _, name := range slices.Sorted(maps.Keys(queues)) {
		a, t, err := queues[name].claimOne(ctx)
		if err != nil {
			return nil, err
		}
		if a != nil {
			return m.runOne(ctx, a, t)
		}
	}
	return nil, fmt.Errorf("%w: no task is due", ErrNotFound)
}

// claimOne claims a task for RunNext; nil when there is none that may run.
func (q *queue) claimOne(ctx context.Context) (a *attempt, task *Task, err error) {
	now := q.m.now()
	q.mu.Lock()
	if q.paused || q.stopped || q.free == 0 {
		q.mu.Unlock()
		return nil, nil, nil
	}
	n, _ := q.bucket.take(1, now)
	q.free -= n
	q.mu.Unlock()
	if n == 0 {
		return nil, nil, nil
	}
	claim := Claim{
		Queue: q.name, Max: 1, Owner: q.m.owner, Now: now, Lease: q.m.opts.Lease, Kinds: *q.m.versions.Load(), Full: q.claim.Full,
		Claimed: func(t *Task) {
			kept := *t
			a, task = newAttempt(q), &kept
			q.hold(a, t)
		},
	}
	if _, err = q.m.store.Claim(ctx, &claim); a != nil {
		return a, task, nil
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	q.free++
	q.bucket.giveBack(1)
	return nil, nil, err
}

// runOne runs what claimOne claimed, with the heartbeat that a started manager has.
func (m *Manager) runOne(ctx context.Context, a *attempt, claimed *Task) (*Task, error) {
	beating, end := context.WithCancel(m.ctx)
	var beat sync.WaitGroup
	beat.Go(func() {
		for third := m.beatEvery(); pause(m.clock, third, beating.Done()); {
			m.beat(a, third)
		}
	})
	defer beat.Wait()
	defer end()
	defer context.AfterFunc(ctx, func() { a.ctx.end(ErrNotRunning) })()
	a.execute()
	t, err := m.store.Get(context.WithoutCancel(ctx), a.task.ID)
	if errors.Is(err, ErrNotFound) {
		return claimed, nil // somebody has cleared it meanwhile
	}
	return t, err
}
