package asgi

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"sync"
	"time"
)

// LifespanOptions configure a Lifespan. The zero value is valid.
type LifespanOptions struct {
	Name         string        // in errors, for a nested Lifespan; "lifespan" if empty
	StartTimeout time.Duration // the deadline of each Start; 0 means 30 s, negative none
	StopTimeout  time.Duration // the deadline of each Stop; 0 means 10 s, negative none
}

const (
	defaultStartTimeout = 30 * time.Second
	defaultStopTimeout  = 10 * time.Second
)

var (
	// ErrStarted is returned by Start of a Lifespan or App that was started or stopped before: each
	// lives once.
	ErrStarted = errors.New("asgi: started or stopped before")

	// ErrHookAbandoned is the error of a hook that ignored the end of its context for 1 s. Its
	// goroutine was left behind.
	ErrHookAbandoned = errors.New("asgi: hook ignored the end of its context and was left behind")
)

// Lifespan starts components in order and stops them in reverse. It is a Component itself, so
// lifespans nest; a nested one has the deadlines of its own options and not the outer's, as it is
// not one hook but many.
//
// What a component leaves running must not depend on the context of its Start, which ends with it.
// Stop is called only after Start returned nil, so a Start that fails cleans up after itself; one
// that was left behind is not stopped even if it succeeds later. A component may have further
// methods: String() string names it in errors and logs (its type does otherwise), and Ready(ctx)
// error is asked by App.Ready.
//
// A Lifespan lives once: it is started once and stopped once. All methods may be called
// concurrently.
type Lifespan struct {
	opts       LifespanOptions
	components []Component

	stopped chan struct{} // closed at phaseStopped
	stopErr error         // what Stop returns; valid when stopped is closed

	mu        sync.Mutex // guards what follows; not held while a hook runs
	phase     phase
	interrupt context.CancelCauseFunc // ends the context of a Start under way
}

type phase int

const (
	phaseNew phase = iota
	phaseStarting
	phaseStarted
	phaseStopping
	phaseStopped
)

// NewLifespan makes a lifespan of components in the order in which they are to be started. opts may
// be nil; it panics where a component is, or is a nil pointer.
func NewLifespan(opts *LifespanOptions, components ...Component) *Lifespan {
	return newLifespan("NewLifespan", opts, components)
}

func newLifespan(name string, opts *LifespanOptions, components []Component) *Lifespan {
	for i, c := range components {
		if v := reflect.ValueOf(c); !v.IsValid() || v.Kind() == reflect.Pointer && v.IsNil() {
			panic(fmt.Sprintf("asgi: %s: component %d is nil (%T)", name, i+1, c))
		}
	}
	l := &Lifespan{components: components, stopped: make(chan struct{})}
	if opts != nil {
		l.opts = *opts
	}
	return l
}

// String is the name.
func (l *Lifespan) String() string {
	if l.opts.Name == "" {
		return "lifespan"
	}
	return l.opts.Name
}

// Start starts the components one after the other. When one fails or ctx ends, those already
// started are stopped in reverse, each with its stop deadline whatever became of ctx, and the
// errors of all are returned joined; the Lifespan is then stopped. ErrStarted when it is not new.
func (l *Lifespan) Start(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	l.mu.Lock()
	if l.phase != phaseNew {
		l.mu.Unlock()
		return ErrStarted
	}
	l.phase, l.interrupt = phaseStarting, cancel
	l.mu.Unlock()

	var err error
	n := 0 // components started
	for _, c := range l.components {
		if err = context.Cause(ctx); err != nil {
			break
		}
		if err = l.hook(ctx, c, "start"); err != nil {
			break
		}
		n++
	}

	l.mu.Lock()
	if cause := context.Cause(ctx); errors.Is(cause, ErrShutdown) && !errors.Is(err, cause) {
		err = errors.Join(err, cause) // Stop was called, perhaps during the last hook
	}
	if err == nil {
		l.phase = phaseStarted
		l.mu.Unlock()
		return nil
	}
	l.phase = phaseStopping
	l.mu.Unlock()
	// The rollback's errors are the caller's of Start, who hears of them here; Stop has nothing of
	// its own to report.
	err = errors.Join(err, l.stop(context.WithoutCancel(ctx), n))
	l.setStopped(nil)
	return err
}

// Stop stops the components in reverse order. One that fails, panics or is left behind does not
// keep the others from being stopped; all errors are returned joined. When ctx ends, the remaining
// hooks are still called, with the ended context.
//
// A Stop while Start is under way ends Start's context with the cause ErrShutdown and waits for it
// to roll back; Start returns the errors. A Stop before Start makes Start impossible. Further calls
// wait for the first and return what it returned, or the end of their ctx.
func (l *Lifespan) Stop(ctx context.Context) error {
	l.mu.Lock()
	switch l.phase {
	case phaseNew:
		l.phase = phaseStopping
		l.mu.Unlock()
		l.setStopped(nil)
		return nil
	case phaseStarted:
		l.phase = phaseStopping
		l.mu.Unlock()
		err := l.stop(ctx, len(l.components))
		l.setStopped(err)
		return err
	case phaseStarting:
		l.interrupt(ErrShutdown)
	}
	l.mu.Unlock()
	select {
	case <-l.stopped:
		return l.stopErr
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (l *Lifespan) setStopped(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.phase, l.stopErr = phaseStopped, err
	close(l.stopped)
}

// stop stops the first n components in reverse.
func (l *Lifespan) stop(ctx context.Context, n int) error {
	var errs []error
	for i := n - 1; i >= 0; i-- {
		errs = append(errs, l.hook(ctx, l.components[i], "stop"))
	}
	return errors.Join(errs...)
}

// hook runs one hook of c with its deadline.
func (l *Lifespan) hook(ctx context.Context, c Component, op string) error {
	limit, run := orDefault(l.opts.StartTimeout, defaultStartTimeout), Component.Start
	if op == "stop" {
		limit, run = orDefault(l.opts.StopTimeout, defaultStopTimeout), Component.Stop
	}
	var err error
	if _, ok := c.(lifespan); ok {
		err = run(c, ctx)
	} else {
		err = runBounded(ctx, limit, hookGrace,
			func(ctx context.Context) error { return run(c, ctx) })
	}
	if err != nil {
		return &ComponentError{Component: componentName(c), Op: op, Err: err}
	}
	return nil
}

// lifespan is a component made of others, whose hooks have deadlines of their own.
type lifespan interface{ checks() []check }

func orDefault(d, otherwise time.Duration) time.Duration {
	if d == 0 {
		return otherwise
	}
	return d
}
