package tasks

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"sync"
	"sync/atomic"
	"time"
)

// Manager submits tasks to a store and runs those that are due. It is made by New and is a component: it has Start and Stop.
type Manager struct {
	opts  Options
	store Store
	clock Clock
	log   *slog.Logger
	owner string
	ids   ids

	kinds     atomic.Pointer[map[string]*kind] // copied to be changed, under mu
	versions  atomic.Pointer[map[string]int]   // of kinds, for claims
	queues    atomic.Pointer[map[string]*queue]
	byDefault *queue // of queues, the one that is asked for most
	listeners listeners
	planner   planner
	reaper    reaper

	running atomic.Bool // between Start and Stop: tasks are claimed
	stopped atomic.Bool // Stop has begun

	mu        sync.Mutex
	started   bool
	unwatch   func()             // ends the store's watch, nil when there is none
	ctx       context.Context    // ends when nothing of the manager is to go on
	end       context.CancelFunc // ends ctx
	loops     sync.WaitGroup     // of the goroutines that serve no task
	workers   sync.WaitGroup     // of those that do
	interrupt chan struct{}      // closed when running tasks are to end
	done      chan struct{}      // closed when Stop has done its work
}

// New makes a Manager. Nil options are the defaults. Tasks may be submitted at once; they run from Start.
func New(opts *Options) *Manager {
	o := opts.withDefaults()
	m := &Manager{
		opts: o, store: o.Store, clock: o.Clock, log: o.Logger, owner: o.Owner,
		interrupt: make(chan struct{}), done: make(chan struct{}),
	}
	if m.owner == "" {
		m.owner = newOwner()
	}
	m.ctx, m.end = context.WithCancel(context.Background())
	m.kinds.Store(&map[string]*kind{})
	m.versions.Store(&map[string]int{})
	m.queues.Store(&map[string]*queue{})
	m.listeners.init()
	m.planner.init(m)
	m.reaper.init(m)
	m.mu.Lock()
	defer m.mu.Unlock()
	m.addQueueLocked(defaultQueue, o.Queues[defaultQueue])
	m.byDefault = (*m.queues.Load())[defaultQueue]
	for name, q := range o.Queues {
		m.addQueueLocked(name, q)
	}
	return m
}

// addQueueLocked adds a queue unless it is there. New calls it before anyone else knows m.
func (m *Manager) addQueueLocked(name string, opts QueueOptions) {
	old := *m.queues.Load()
	if old[name] != nil {
		return
	}
	queues := maps.Clone(old)
	queues[name] = newQueue(m, name, opts.withDefaults())
	m.queues.Store(&queues)
}

func (m *Manager) queue(name string) *queue {
	if name == defaultQueue {
		return m.byDefault
	}
	return (*m.queues.Load())[name]
}

// now is the time as tasks have it.
func (m *Manager) now() time.Time { return m.clock.Now().UTC().Round(0) }

// Start begins to run tasks. ctx governs what it asks of the store meanwhile. A Manager starts once.
func (m *Manager) Start(ctx context.Context) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.started || m.stopped.Load() {
		return errors.New("tasks: started or stopped before")
	}
	if err := m.watchLocked(); err != nil {
		return err
	}
	if m.opts.Owner != "" {
		if err := m.inherit(ctx); err != nil {
			return err
		}
	}
	m.started = true
	m.planner.round(ctx) // before anything is claimed: occurrences that were missed may be cancelled
	m.running.Store(true)
	third := m.beatEvery()
	m.loop(func() time.Duration { m.heartbeat(third); return third })
	m.loop(func() time.Duration { return m.reaper.look(third) })
	m.loops.Go(func() { m.reaper.run(m.ctx) })
	if m.opts.Retention > 0 {
		m.loop(m.sweep)
	}
	m.loops.Go(func() { m.planner.run(m.ctx) })
	m.wakeAll()
	return nil
}

// watchLocked begins to watch the store, once.
func (m *Manager) watchLocked() error {
	if m.unwatch != nil {
		return nil
	}
	stop, err := m.store.Watch(m.changed)
	if err != nil {
		return fmt.Errorf("tasks: watch the store: %w", err)
	}
	m.unwatch = stop
	return nil
}

// watch begins to watch the store for those who wait, also without Start.
func (m *Manager) watch() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.stopped.Load() {
		return ErrNotRunning
	}
	return m.watchLocked()
}

// loop calls f again and again, each time after what it returned, until Stop. The first time is at once.
func (m *Manager) loop(f func() time.Duration) {
	m.loops.Go(func() {
		for pause(m.clock, f(), m.ctx.Done()) {
		}
	})
}

// stopGrace is how long functions may take to return after their context has ended because Stop's had.
const stopGrace = 5 * time.Second

// Stop claims no more tasks and waits until those that run have ended. When ctx ends before, their contexts end too, with ErrNotRunning as cause; those that
// then return an error go back to their queue without having used an attempt, and so do those that have not returned 5 s later, which the error
// names: a goroutine cannot be stopped. A store that hangs then is given up after another 5 s. Nothing else of the Manager is left when Stop returns. It may be called often, and without Start.
func (m *Manager) Stop(ctx context.Context) error {
	m.mu.Lock()
	first := !m.stopped.Swap(true)
	m.running.Store(false)
	m.mu.Unlock()
	if !first {
		select {
		case <-m.done:
			return nil
		case <-ctx.Done():
			return fmt.Errorf("tasks: stop: %w", ctx.Err())
		}
	}
	defer close(m.done)
	for _, q := range *m.queues.Load() {
		q.stop()
	}
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
	m.end()
	m.loops.Wait()
	m.mu.Lock()
	if m.unwatch != nil {
		m.unwatch()
	}
	m.mu.Unlock()
	m.listeners.close()
	m.reaper.close()
	return err
}

// interruptAll ends the running tasks, and puts those back whose functions do not return.
func (m *Manager) interruptAll(ended <-chan struct{}) error {
	close(m.interrupt)
	for _, q := range *m.queues.Load() {
		q.interrupt()
	}
	if !pause(machineClock{}, stopGrace, ended) {
		return nil
	}
	defer time.AfterFunc(stopGrace, m.end).Stop() // a store that hangs must not keep Stop
	var left []error
	for _, q := range *m.queues.Load() {
		left = append(left, q.abandon()...)
	}
	return errors.Join(left...)
}

// wakeAll lets every queue look for tasks.
func (m *Manager) wakeAll() {
	for _, q := range *m.queues.Load() {
		q.wake()
	}
}
