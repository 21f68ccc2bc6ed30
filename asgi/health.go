package asgi

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/genropy/genro-asgi-go/internal/describe"
)

const (
	readyTimeout = 2 * time.Second // of one component's check
	readyMaxAge  = time.Second     // for how long an outcome answers further requests
)

var errCheckRunning = errors.New("asgi: the check before this one has not returned yet")

// Live answers 200 {"status":"live"} for as long as the process can answer at all; it asks nobody.
// For an orchestrator's liveness probe, whose failure means a restart.
//
//go:noinline
func (a *App) Live() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if p, ok := w.(*describe.Probe); ok {
			p.Add(healthOperation("live", "Whether the process is alive", http.StatusOK))
			return
		}
		writeHealth(w, r, http.StatusOK, health{Status: "live"})
	})
}

// Ready answers 200 {"status":"ready"} while the App is started, not shutting down, and every
// component that has a method Ready(ctx) error returns nil from it; 503 with the status "starting",
// "stopping" or "failing" otherwise. For a readiness probe, whose failure means that no more
// traffic is sent.
//
// The checks run side by side, 2 s each at most; one outcome answers all requests of the next
// second, so a flood of probes is no flood of checks. A check still running from before counts as
// failed and is not called again. Failures are logged; their text is in the answer (member
// "checks") only with App.Debug.
//
//go:noinline
func (a *App) Ready() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if p, ok := w.(*describe.Probe); ok {
			p.Add(healthOperation("ready", "Whether the app takes requests", http.StatusOK,
				http.StatusServiceUnavailable))
			return
		}
		status, h := http.StatusServiceUnavailable, health{}
		switch {
		case !a.isStarted.Load():
			h.Status = "starting"
		case a.shutdown.unready.Load():
			h.Status = "stopping"
		default:
			failed := a.readiness.outcome(r.Context(), a)
			if len(failed) == 0 {
				status, h.Status = http.StatusOK, "ready"
				break
			}
			h.Status = "failing"
			if a.Debug {
				h.Checks = make(map[string]string, len(failed))
				for _, err := range failed {
					h.Checks[err.Component] = err.Err.Error()
				}
			}
		}
		writeHealth(w, r, status, h)
	})
}

type health struct {
	Status string            `json:"status"`
	Checks map[string]string `json:"checks,omitempty"`
}

func writeHealth(w http.ResponseWriter, r *http.Request, status int, h health) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	if r.Method != http.MethodHead {
		// the prober is gone: nobody is left to tell
		_ = json.MarshalWrite(w, h, json.Deterministic(true))
	}
}

// check is one component's readiness check.
type check struct {
	name  string
	ready func(context.Context) error
	busy  *atomic.Bool
}

func (c check) run(ctx context.Context) error {
	if !c.busy.CompareAndSwap(false, true) {
		return errCheckRunning
	}
	return runBounded(ctx, readyTimeout, 0, func(ctx context.Context) error {
		defer c.busy.Store(false)
		return c.ready(ctx)
	})
}

// checks lists what the components can be asked, those of nested lifespans too.
func (l *Lifespan) checks() []check {
	var list []check
	for _, c := range l.components {
		switch c := c.(type) {
		case lifespan:
			list = append(list, c.checks()...)
		case interface {
			Component
			Ready(ctx context.Context) error
		}:
			list = append(list, check{componentName(c), c.Ready, new(atomic.Bool)})
		}
	}
	return list
}

// readiness remembers the outcome of the checks for readyMaxAge.
type readiness struct {
	checks []check

	// mu guards what follows. It is held while the checks run, 2 s at most, on purpose: a request
	// that waits for it is answered by their outcome and runs none of its own.
	mu     sync.Mutex
	at     time.Time         // when the checks have run
	failed []*ComponentError // of the checks that failed then
}

// outcome runs the checks, or returns what they gave a moment ago. They do not end with the request
// that caused them, as others wait for them too.
func (s *readiness) outcome(ctx context.Context, a *App) []*ComponentError {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.at.IsZero() && time.Since(s.at) < readyMaxAge {
		return s.failed
	}
	ctx = context.WithoutCancel(ctx)
	errs := make([]error, len(s.checks))
	var wg sync.WaitGroup
	for i, c := range s.checks {
		wg.Go(func() { errs[i] = c.run(ctx) })
	}
	wg.Wait()
	s.failed = nil
	for i, err := range errs {
		if err != nil {
			failure := &ComponentError{Component: s.checks[i].name, Op: "ready", Err: err}
			s.failed = append(s.failed, failure)
			a.logger().WarnContext(ctx, "asgi: not ready", "component", failure.Component, "error",
				err)
		}
	}
	s.at = time.Now()
	return s.failed
}
