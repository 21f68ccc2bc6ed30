package tasks

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
)

// RunNext runs one task that is due, the first of its queue, in the caller's goroutine and returns
// what became of it; ErrNotFound says that none is due. It is for tests (see taskstest.RunNow) and
// for programs that run tasks when they are asked to, and only for a Manager that was not started:
// else the error is ErrConflict, or ErrNotRunning after Stop. Schedules are brought up to now
// before. Of several queues the one whose name is less goes first. An isolated task for which there
// is no worker process is put back, and the error says why. When ctx ends, so does the function's,
// and the task is put back as by Stop. Several may call RunNext at once.
func (m *Manager) RunNext(ctx context.Context) (*Task, error) {
	if err := m.watch.begin(ctx); err != nil {
		return nil, err
	}
	m.mu.Lock()
	switch {
	case m.stopping.Load():
		m.mu.Unlock()
		return nil, ErrNotRunning
	case m.started:
		m.mu.Unlock()
		return nil, fmt.Errorf("%w: the manager is started and runs tasks itself", ErrConflict)
	}
	m.workers.Add(1) // Stop waits
	m.mu.Unlock()
	defer m.workers.Done()

	m.planner.advanceAll(ctx)
	m.processes.retry()
	queues := m.queues.byName()
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
	n, _ := q.bucket.Take(1, now)
	q.free -= n
	q.mu.Unlock()
	if n == 0 {
		return nil, nil, nil
	}
	claim := Claim{
		Queue: q.name, Max: 1, Owner: q.m.owner, Now: now, Lease: q.m.opts.Lease,
		Kinds: q.m.kinds.claimed(), Full: q.claim.Full, SkipDied: q.claim.SkipDied,
		Claimed: func(t *Task) {
			kept := *t
			a, task = newAttempt(q), &kept
			q.bind(a, t)
		},
	}
	if _, err = q.m.store.Claim(ctx, &claim); a != nil {
		return a, task, nil
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	q.free++
	q.bucket.GiveBack(1)
	return nil, nil, err
}

// runOne runs what claimOne claimed, with the heartbeat that a started manager has.
func (m *Manager) runOne(ctx context.Context, a *attempt, claimed *Task) (*Task, error) {
	beating, end := context.WithCancel(m.ctx)
	var beat sync.WaitGroup
	beat.Go(func() {
		for third := m.leases.every(); pause(m.clock, third, beating.Done()); {
			if err := m.leases.renew(a, third); err != nil {
				m.leases.note(1, err)
			} else {
				m.leases.note(0, nil)
			}
		}
	})
	defer beat.Wait()
	defer end()
	defer context.AfterFunc(ctx, func() { a.ctx.cancelWith(ErrNotRunning) })()
	a.execute()
	if a.trouble != nil && a.trouble.noProcess != nil {
		return nil,
			fmt.Errorf(
				"tasks: task %s, kind %q, needs a worker process: start the executor of "+
					"Options.Executor: %w", a.task.ID, a.task.Kind, a.trouble.noProcess)
	}
	t, err := m.store.Get(context.WithoutCancel(ctx), a.task.ID)
	if errors.Is(err, ErrNotFound) {
		return claimed, nil // somebody has cleared it meanwhile
	}
	return t, err
}
