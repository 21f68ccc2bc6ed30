package asgi

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"
	"sync"
	"time"

	"github.com/genropy/genro-asgi-go/internal/histogram"
)

// BackgroundOptions bound a Background. Nil and the zero value are the defaults.
type BackgroundOptions struct {
	// Workers is how many functions run at a time. Default 8 (0).
	Workers int

	// Queue is how many functions may be accepted and not yet done, those that run included.
	// Default 1024 (0).
	Queue int

	// Timeout is how long one function may run before its context ends. Default 1 minute (0);
	// negative means no limit.
	Timeout time.Duration

	// Logger gets the functions' errors and panics. Nil means slog.Default().
	Logger *slog.Logger
}

// Background runs functions that no one waits for, such as sending a mail after the answer. It is
// bounded, it holds no goroutine while there is nothing to do, and a function that fails or panics
// is logged and stops no other. What is accepted lives in memory only: work that must survive a
// crash belongs in a task queue.
//
// It is a Component that needs no Start; Stop drains it. All methods are safe for concurrent use.
type Background struct {
	opts BackgroundOptions
	life context.Context         // what runs ends with it: Stop has given up waiting
	kill context.CancelCauseFunc // of life
	idle chan struct{}           // closed when stopped and nothing is accepted any more

	mu       sync.Mutex // guards what follows; not held while a function runs
	accepted int        // functions that have a place: reserved, queued and running
	running  int        // goroutines that run functions, at most Workers
	busy     int        // functions that run now
	queue    []work     // accepted and not yet begun
	stopped  bool       // nothing more is accepted
	refused  uint64     // functions that were not accepted
	done     uint64     // functions that have returned
	failed   uint64     // of done: with an error or a panic
	panics   uint64     // of failed: with a panic

	waits, runs histogram.Recorder
}

type work struct {
	ctx    context.Context
	run    func(context.Context) error
	queued time.Time // set by submit
}

// What Background cannot take is refused with one of these; the status is 503.
var (
	ErrBackgroundFull    error = backgroundError("asgi: the background queue is full")
	ErrBackgroundStopped error = backgroundError("asgi: background work has stopped")
)

type backgroundError string

func (e backgroundError) Error() string { return string(e) }
func (backgroundError) StatusCode() int { return http.StatusServiceUnavailable }

// NewBackground makes a Background.
func NewBackground(opts *BackgroundOptions) *Background {
	b := &Background{idle: make(chan struct{})}
	if opts != nil {
		b.opts = *opts
	}
	if b.opts.Workers <= 0 {
		b.opts.Workers = 8
	}
	if b.opts.Queue <= 0 {
		b.opts.Queue = 1024
	}
	if b.opts.Timeout == 0 {
		b.opts.Timeout = time.Minute
	}
	if b.opts.Logger == nil {
		b.opts.Logger = slog.Default()
	}
	b.life, b.kill = context.WithCancelCause(context.Background())
	return b
}

// Go runs a function soon. The function's context has the values of ctx but not its end: it ends
// after Timeout, or when Stop gives up waiting. Of a request's values the state stays and
// RequestFrom finds none; those that are reused after it, such as chi's RouteContext, must be read
// before. The error is ErrBackgroundFull or ErrBackgroundStopped.
func (b *Background) Go(ctx context.Context, fn func(context.Context) error) error {
	if fn == nil {
		return errors.New("asgi: Background.Go: the function is nil")
	}
	if err := b.reserve(); err != nil {
		return err
	}
	b.submit(work{ctx: detach(ctx), run: fn})
	return nil
}

// detach is ctx without its end and without the request, which must not be used once its handler
// has returned. The request's state stays.
func detach(ctx context.Context) context.Context {
	ctx = context.WithoutCancel(ctx)
	if r, ok := RequestFrom(ctx); ok {
		ctx = ContextWithState(context.WithValue(ctx, requestKey{}, nil), r.State())
	}
	return ctx
}

// reserve accepts one function; submit or release must follow.
func (b *Background) reserve() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case b.stopped:
		b.refused++
		return ErrBackgroundStopped
	case b.accepted >= b.opts.Queue:
		b.refused++
		return ErrBackgroundFull
	}
	b.accepted++
	return nil
}

func (b *Background) release() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.releaseLocked()
}

func (b *Background) releaseLocked() {
	b.accepted--
	if b.stopped && b.accepted == 0 {
		close(b.idle)
	}
}

func (b *Background) submit(w work) {
	w.queued = time.Now()
	b.mu.Lock()
	defer b.mu.Unlock()
	b.queue = append(b.queue, w)
	if b.running < b.opts.Workers {
		b.running++
		go b.drain() // Stop waits for it: it holds what it runs as accepted
	}
}

// drain runs what is queued until there is no more.
func (b *Background) drain() {
	b.mu.Lock()
	defer b.mu.Unlock()
	for len(b.queue) > 0 {
		next := b.queue[0]
		b.queue[0] = work{}
		b.queue = b.queue[1:]
		b.busy++
		b.mu.Unlock()
		panicked, err := b.run(next)
		b.mu.Lock()
		b.busy--
		b.countLocked(panicked, err)
		b.releaseLocked()
	}
	b.queue = nil
	b.running--
}

func (b *Background) run(w work) (panicked bool, err error) {
	ctx, cancel := context.WithCancelCause(w.ctx)
	defer cancel(nil)
	defer context.AfterFunc(b.life, func() { cancel(context.Cause(b.life)) })()
	if b.opts.Timeout > 0 {
		var stop context.CancelFunc
		ctx, stop = context.WithTimeout(ctx, b.opts.Timeout)
		defer stop()
	}
	began := time.Now()
	b.waits.Observe(began.Sub(w.queued))
	panicked, err = protect(ctx, w.run)
	b.runs.Observe(time.Since(began))
	if err != nil {
		// with the values of the request, and without the end of the time that it had
		b.opts.Logger.LogAttrs(w.ctx, slog.LevelError, "background work failed",
			slog.Any("error", err))
	}
	return panicked, err
}

// protect turns a panic into an error.
func protect(ctx context.Context, fn func(context.Context) error) (panicked bool, err error) {
	defer func() {
		if p := recover(); p != nil {
			panicked = true
			err = fmt.Errorf("asgi: panic in background work: %v\n%s", p, debug.Stack())
		}
	}()
	return false, fn(ctx)
}

// Start does nothing: a Background is ready once it is made.
func (b *Background) Start(context.Context) error { return nil }

// Stop accepts nothing more and waits until all that was accepted is done. When ctx ends before,
// the contexts of what runs are cancelled, what is queued runs with a context that has ended, and
// the error says how much was left. Stop is idempotent.
func (b *Background) Stop(ctx context.Context) error {
	b.mu.Lock()
	if !b.stopped {
		b.stopped = true
		if b.accepted == 0 {
			close(b.idle)
		}
	}
	b.mu.Unlock()
	select {
	case <-b.idle:
		b.kill(nil)
		return nil
	case <-ctx.Done():
	}
	b.kill(ErrShutdown)
	b.mu.Lock()
	left := b.accepted
	b.mu.Unlock()
	if left == 0 {
		return nil
	}
	return fmt.Errorf("asgi: %d background functions left: %w", left, context.Cause(ctx))
}

type backgroundKey struct{}

// ContextWithBackground makes After use b for requests with this context.
func ContextWithBackground(ctx context.Context, b *Background) context.Context {
	return context.WithValue(ctx, backgroundKey{}, b)
}

var errNoBackground = errors.New(
	"asgi: After: the context has no Background: give asgi.New one among its components " +
		"(asgi.NewBackground(nil)), or put one there by asgi.ContextWithBackground")

// After runs a function once the answer of the request of ctx is written, by the context's
// Background. The place in its queue is taken at once: ErrBackgroundFull and ErrBackgroundStopped
// are told while they can still be answered. The function does not run when the request ends in an
// error. Where ctx belongs to no request of this package, the function runs soon, as by
// Background.Go. For the function's context see there.
func After(ctx context.Context, fn func(context.Context) error) error {
	b, _ := ctx.Value(backgroundKey{}).(*Background)
	switch {
	case b == nil:
		return errNoBackground
	case fn == nil:
		return errors.New("asgi: After: the function is nil")
	}
	r, ok := RequestFrom(ctx)
	if !ok {
		return b.Go(ctx, fn)
	}
	if err := b.reserve(); err != nil {
		return err
	}
	r.after = append(r.after, heldWork{b, work{ctx: detach(ctx), run: fn}})
	return nil
}

// afterResponse is what waits for the end of one request.
type afterResponse []heldWork

// heldWork has a place in its Background's queue.
type heldWork struct {
	background *Background
	work       work
}

func (a *afterResponse) start() {
	for _, held := range *a {
		held.background.submit(held.work)
	}
	*a = nil
}

func (a *afterResponse) drop() {
	for _, held := range *a {
		held.background.release()
	}
	*a = nil
}
