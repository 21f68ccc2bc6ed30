package tasks_test

import (
	"context"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/genropy/genro-asgi-go/tasks"
	"github.com/genropy/genro-asgi-go/tasks/memstore"
)

// host is a program that is started again whenever it dies. A process is a manager whose connection
// to the store is cut when it dies: nobody hears of its runs again.
type host struct {
	store   *memstore.Store
	options tasks.Options
	kinds   func(m *tasks.Manager, die func())

	mu      sync.Mutex
	m       *tasks.Manager // of the process that lives
	crashes int
	running map[string]int // by kind, in the process that lives
	kill    func()         // kills it
}

func (h *host) boot(t *testing.T) {
	conn := &cut{Store: h.store}
	o := h.options
	o.Logger = quiet
	m := tasks.New(conn, &o)
	h.mu.Lock()
	die := func() {
		if conn.off.CompareAndSwap(false, true) {
			h.mu.Lock()
			h.crashes++
			h.mu.Unlock()
			go h.boot(t)
		}
	}
	h.m, h.running, h.kill = m, map[string]int{}, die
	h.mu.Unlock()
	h.kinds(m, die)
	if err := m.Start(context.Background()); err != nil {
		t.Error(err)
	}
	t.Cleanup(func() { stop(t, m) })
}

// counts has fn counted while it runs.
func (h *host) counts(m *tasks.Manager, kind string,
	fn func(context.Context, int) (int, error),
) func(context.Context, int) (int, error) {
	return func(ctx context.Context, n int) (int, error) {
		h.mu.Lock()
		if h.m == m {
			h.running[kind]++
		}
		h.mu.Unlock()
		defer func() {
			h.mu.Lock()
			if h.m == m {
				h.running[kind]--
			}
			h.mu.Unlock()
		}()
		return fn(ctx, n)
	}
}

func newHost(o tasks.Options) *host {
	return &host{store: memstore.New(), options: o}
}

// crash kills the process that lives.
func (h *host) crash() {
	h.mu.Lock()
	kill := h.kill
	h.mu.Unlock()
	kill()
}

// runs is how many of a kind run in the process that lives.
func (h *host) runs(kind string) int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.running[kind]
}

// died is how often a process died.
func (h *host) died() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.crashes
}

// submit puts a task into the store, as a process that only submits does.
func (h *host) submit(t *testing.T, kind, id string) {
	t.Helper()
	m := tasks.New(h.store, &tasks.Options{AnyKind: true, Logger: quiet})
	if _, err := m.Submit(t.Context(), kind, []byte("1"), &tasks.SubmitOptions{ID: id}); err !=
		nil {
		t.Fatal(err)
	}
}

// ends waits until all tasks are done, and returns how, by state.
func (h *host) ends(t *testing.T) map[tasks.State][]string {
	t.Helper()
	for deadline := time.Now().Add(24 * 7 * time.Hour); ; {
		<-time.After(10 * time.Second)
		states, open := map[tasks.State][]string{}, 0
		for task, err := range must2(h.store.List(t.Context(), &tasks.Filter{Limit: 1000})) {
			if err != nil {
				t.Fatal(err)
			}
			states[task.State] = append(states[task.State], task.ID)
			if !task.State.Done() {
				open++
			}
		}
		if open == 0 || time.Now().After(deadline) {
			for _, ids := range states {
				slices.Sort(ids)
			}
			return states
		}
	}
}

// sleeps works for a time, and ends with its context.
func sleeps(ctx context.Context, d time.Duration) (int, error) {
	select {
	case <-time.After(d):
		return 1, nil
	case <-ctx.Done():
		return 0, context.Cause(ctx)
	}
}

func nothing1(context.Context, int) (int, error) { return 0, nil }

func (h *host) all(t *testing.T) map[string]*tasks.Task {
	all := map[string]*tasks.Task{}
	for task, err := range must2(h.store.List(t.Context(), nil)) {
		if err != nil {
			t.Fatal(err)
		}
		all[task.ID] = task
	}
	return all
}
