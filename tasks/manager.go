package tasks

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"reflect"
	"sync"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"github.com/genropy/genro-asgi-go/internal/lockorder"
	"github.com/genropy/genro-asgi-go/tasks/internal/faults"
)

// Manager submits tasks to a store and runs those that are due. It is made by New and is a
// component: it has Start and Stop.
type Manager struct {
	opts  Options
	store Store
	clock Clock
	log   *slog.Logger
	owner string

	kinds     kindSet
	queues    queueSet
	watch     storeWatch
	listeners listeners
	planner   planner
	leases    leases
	reaper    reaper
	faults    *faults.Log
	processes processes
	outcomes  outcomes
	suspects  suspects

	ctx       context.Context    // ends when nothing of the manager is to go on
	cancel    context.CancelFunc // ends ctx
	loops     sync.WaitGroup     // of the goroutines that serve no task
	workers   sync.WaitGroup     // of those that do
	interrupt chan struct{}      // closed when running tasks are to end
	stopped   chan struct{}      // closed when Stop has done its work

	running  atomic.Bool // between Start and Stop: tasks are claimed
	stopping atomic.Bool // Stop has begun

	mu      lockorder.Mutex // held where running, stopping and started change together
	started bool
}

// New makes a Manager of the tasks in a store. Nil options are the defaults. Tasks may be submitted
// at once; they run from Start. Whoever made the store closes it, after Stop. A store that is nil,
// a clock that is a nil pointer, and a name of a queue, or an owner, that cannot be, are mistakes
// in the program and panic.
func New(store Store, opts *Options) *Manager {
	if store == nil {
		panic("tasks: New: a Store is needed: memstore.New() keeps the tasks in memory")
	}
	o := opts.withDefaults()
	for name, v := range map[string]any{"the Store": store, "Options.Clock": o.Clock} {
		if of := reflect.ValueOf(v); of.Kind() == reflect.Pointer && of.IsNil() {
			// as the result of a constructor whose error nobody looked at
			panic(fmt.Sprintf("tasks: New: %s is a nil %T", name, v))
		}
	}
	if !utf8.ValidString(o.Owner) {
		panic(fmt.Sprintf("tasks: New: Options.Owner %q is not UTF-8", o.Owner))
	}
	for name := range o.Queues {
		if !validName(name) {
			panic(
				fmt.Sprintf(
					"tasks: New: Options.Queues: %q: a name is 1 to %d bytes of A-Z, a-z, "+
						"0-9 and _.:@-", name, maxName))
		}
	}
	for _, around := range o.SubmitMiddleware {
		if around == nil {
			panic("tasks: New: Options.SubmitMiddleware has one that is nil")
		}
	}
	m := &Manager{
		faults: faults.New(o.Logger, "tasks: "),
		opts:   o, store: store, clock: o.Clock, log: o.Logger, owner: o.Owner,
		interrupt: make(chan struct{}), stopped: make(chan struct{}),
	}
	if m.owner == "" {
		m.owner = newOwner()
	}
	m.ctx, m.cancel = context.WithCancel(context.Background())
	m.kinds.init()
	m.queues.init(m)
	m.watch.init(m)
	m.listeners.init(m)
	m.planner.init(m)
	m.reaper.init(m)
	m.leases.m, m.processes.m, m.outcomes = m, m, outcomes{m.log, o.OnFinish}
	m.suspects.m, m.suspects.drained = m, make(chan struct{}, 1)
	m.queues.add(defaultQueue, o.Queues[defaultQueue])
	for name, q := range o.Queues {
		m.queues.add(name, q)
	}
	return m
}

// Options are those that m was made with, and the defaults of what they left open. They must not be
// changed.
func (m *Manager) Options() Options { return m.opts }

// now is the time as tasks have it.
func (m *Manager) now() time.Time { return m.clock.Now().UTC().Round(0) }

// Start begins to run tasks. ctx governs what it asks of the store meanwhile, which Stop ends too.
// A Manager starts once.
func (m *Manager) Start(ctx context.Context) error {
	m.mu.Lock()
	if m.started || m.stopping.Load() {
		m.mu.Unlock()
		return errors.New("tasks: started or stopped before")
	}
	m.started = true
	m.mu.Unlock()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(m.ctx, cancel)()
	err := m.watch.begin(ctx)
	if err == nil && m.opts.Owner != "" {
		err = m.reaper.takeOverPredecessor(ctx)
	}
	if err == nil {
		// before anything is claimed: occurrences that were missed may be cancelled
		m.planner.advanceAll(ctx)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	switch {
	case m.stopping.Load():
		return fmt.Errorf("%w: stopped while it started", ErrNotRunning)
	case err != nil:
		m.started = false
		return err
	}
	m.running.Store(true)
	third := m.leases.every()
	m.repeat(func() time.Duration { m.leases.renewAll(third); return third })
	m.repeat(func() time.Duration { return m.reaper.look(third) })
	m.loops.Go(func() { m.reaper.run(m.ctx) })
	m.loops.Go(func() { newTimekeeper(m).run(m.ctx) })
	m.loops.Go(func() { m.planner.run(m.ctx) })
	m.queues.wakeAll()
	return nil
}

// repeat calls f again and again, each time after what it returned, until Stop. The first time is
// at once.
func (m *Manager) repeat(f func() time.Duration) {
	m.loops.Go(func() {
		for pause(m.clock, f(), m.ctx.Done()) {
		}
	})
}

// stopGrace is how long functions may take to return after their context has ended because Stop's
// had.
const stopGrace = 5 * time.Second

// Stop claims no more tasks and waits until those that run have ended; those that wait for another
// task's end are interrupted at once. When ctx ends before, their contexts end too, with
// ErrNotRunning as cause; those that then return an error go back to their queue without having
// used an attempt, and so do those that have not returned 5 s later, and those whose end a store
// that is full has not taken, which the error names, each with its reason: a goroutine cannot be
// stopped. A store that hangs then is given up after another 5 s. Nothing else of the Manager is
// left when Stop returns. It may be called often, and without Start.
func (m *Manager) Stop(ctx context.Context) error {
	m.mu.Lock()
	first := !m.stopping.Swap(true)
	m.running.Store(false)
	m.mu.Unlock()
	if !first {
		select {
		case <-m.stopped:
			return nil
		case <-ctx.Done():
			return fmt.Errorf("tasks: stop: %w", ctx.Err())
		}
	}
	defer close(m.stopped)
	for _, q := range m.queues.byName() {
		q.stop()
	}
	m.listeners.interrupt() // what they wait for may begin no more
	ended := make(chan struct{})
	go func() {
		m.workers.Wait()
		close(ended)
	}()
	var err error
	select {
	case <-ended:
	case <-ctx.Done():
		err = m.interruptAll(ended)
	}
	m.cancel()
	m.loops.Wait()
	m.watch.end()
	m.listeners.close()
	m.reaper.close()
	m.processes.close()
	return err
}

// interruptAll ends the running tasks, and puts those back whose functions do not return.
func (m *Manager) interruptAll(ended <-chan struct{}) error {
	close(m.interrupt)
	for _, q := range m.queues.byName() {
		q.interrupt()
	}
	if !pause(machineClock{}, stopGrace, ended) {
		return nil
	}
	defer time.AfterFunc(stopGrace, m.cancel).Stop() // a store that hangs must not keep Stop
	var left []error
	for _, q := range m.queues.byName() {
		left = append(left, q.abandon()...)
	}
	return errors.Join(left...)
}

// changed is called by the store after every change of every task.
func (m *Manager) changed(t *Task) {
	if t.State != Running || t.Owner != m.owner {
		// else it is this manager's claim, or what its run says: nobody has to be woken
		if q := m.queues.get(t.Queue); q != nil {
			q.changed(t)
		}
	}
	m.reaper.changed(t)
	m.planner.changed(t)
	m.listeners.publish(t)
}

// What is being done when a fault is met; a queue's name or a schedule's may follow.
const (
	faultClaim        = "claim tasks of queue "
	faultLease        = "renew leases"
	faultLook         = "look for ended leases"
	faultTakeover     = "take over tasks"
	faultSchedule     = "submit a task of schedule "
	faultShortenWaits = "look for tasks that a clock put off"
	faultEnd          = "write the ends of runs"
	faultSweep        = "delete old tasks"
	faultNotes        = "keep what a worker process says"
	faultProcesses    = "get a worker process"
)
