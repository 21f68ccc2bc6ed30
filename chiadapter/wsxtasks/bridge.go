package wsxtasks

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/genropy/genro-asgi-go/tasks"
	"github.com/genropy/genro-asgi-go/wsx"
)

// prefix is that of methods and channels.
const prefix = "tasks."

// Options configures a Bridge. The zero value of every field means its default; with neither Kinds
// nor Authorize nothing is served.
type Options struct {
	// Kinds are those whose tasks are served. Those of others are not there: NOT_FOUND, and left
	// out of lists and channels. Default, nil: with Authorize every kind, and what Authorize says;
	// without it none.
	Kinds []string
	// Authorize is asked before every call; for each task that a list would show; for each
	// subscription (tasks.OpEvents) and then for each change that it would tell of; before a submit
	// is answered with a task that was there already (tasks.OpGet) or cancels one to take its
	// unique key (tasks.OpCancel); and once more when a wait is over. What it refuses of a list or
	// a channel is left out. c.Request is nil: ctx has who asks (wsx.IdentityFrom, wsx.ConnFrom).
	// For a change c.Task has what a View has, and in the process whose Bridge is started the rest
	// too; Authorize is then on the way of every change to every subscriber, and must not wait for
	// anything. An error refuses: a *wsx.Error or a problem as it is, else by its StatusCode from
	// 400 to 499, else as PERMISSION_DENIED, and its text goes nowhere. Default: everybody may do
	// everything with tasks of Kinds.
	Authorize func(ctx context.Context, c tasks.Call) error
	// Submit gives the options of a task that a client submits, such as its Key or Metadata;
	// default none. Clients choose none of them by themselves but the id, which counts where this
	// leaves ID empty. An error is answered as Authorize's.
	Submit func(ctx context.Context, kind string) (*tasks.SubmitOptions, error)
	// MaxWait bounds wait_ms; default 30 s, below 0 not at all.
	MaxWait time.Duration
	// Logger gets what goes wrong with the channel; default slog.Default().
	Logger *slog.Logger
}

// Bridge serves a manager's tasks over WSX. It is made by New and is a component: it has Start and
// Stop.
type Bridge struct {
	m    *tasks.Manager
	hub  *wsx.Hub
	opts Options

	recent recent // tasks whose changes are on their way to subscribers

	mu         sync.Mutex
	subscribed map[string]int // subscriptions by channel or pattern
	stop       context.CancelFunc
	done       chan struct{} // closed when the publisher has ended; nil before Start
	stopped    bool
}

// New makes a Bridge. Where there is a hub, it opens the channels tasks.> there; nil leaves clients
// without. Nil options are the defaults, which serve nothing. It panics when m is nil.
func New(m *tasks.Manager, hub *wsx.Hub, opts *Options) *Bridge {
	if m == nil {
		panic("wsxtasks: New: a Manager is needed")
	}
	b := &Bridge{m: m, hub: hub, subscribed: make(map[string]int)}
	if opts != nil {
		b.opts = *opts
	}
	b.opts.MaxWait = max(0, cmp.Or(b.opts.MaxWait, 30*time.Second))
	if b.opts.Logger == nil {
		b.opts.Logger = slog.Default()
	}
	if b.opts.Kinds == nil && b.opts.Authorize == nil {
		b.opts.Logger.Warn(
			"wsxtasks: the Bridge serves nothing: name the kinds in Options.Kinds, or " +
				"set Authorize")
	}
	if hub != nil {
		hub.Configure(prefix+">", &wsx.ChannelOptions{
			Authorize:     b.maySubscribe,
			Filter:        b.filter,
			AllowPatterns: true,
			OnSubscribe:   func(s wsx.Subscription) { b.count(s.Channel, 1) },
			OnUnsubscribe: func(s wsx.Subscription) { b.count(s.Channel, -1) },
		})
	}
	return b
}

// Start begins to publish changes. Without a hub there are none to publish. It may come before the
// manager's Start, and best does. The error is that the manager cannot tell of changes, or that the
// Bridge was started or stopped before.
func (b *Bridge) Start(ctx context.Context) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.stopped || b.done != nil {
		return errors.New("wsxtasks: a Bridge starts once")
	}
	b.done = make(chan struct{})
	if b.hub == nil {
		close(b.done)
		return nil
	}
	ctx, stop := context.WithCancel(context.WithoutCancel(ctx)) // its values go into the log
	b.stop = stop
	changes, err := b.m.Events(ctx, nil) // from here on, not from when the goroutine gets to run
	if err != nil {
		close(b.done)
		return fmt.Errorf("wsxtasks: listen to the tasks: %w", err)
	}
	go b.publish(ctx, changes)
	return nil
}

// Stop ends publishing and waits for that until ctx ends. It may be called often, and without
// Start.
func (b *Bridge) Stop(ctx context.Context) error {
	b.mu.Lock()
	b.stopped = true
	stop, done := b.stop, b.done
	b.mu.Unlock()
	if stop != nil {
		stop()
	}
	if done == nil {
		return nil
	}
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// publish tells the hub of every change until ctx ends or the manager has stopped.
func (b *Bridge) publish(ctx context.Context, changes iter.Seq2[*tasks.Task, error]) {
	defer close(b.done)
	for t, err := range changes {
		switch {
		case errors.Is(err, tasks.ErrBehind):
			b.resubscribe()
			continue
		case ctx.Err() != nil || errors.Is(err, tasks.ErrNotRunning):
			return
		case err == nil:
			b.recent.add(t)
			_, err = b.hub.Publish(ctx, prefix+t.ID, t.View())
		}
		if errors.Is(err, wsx.ErrChannelName) {
			// an ID may have empty tokens, or more than a channel: nobody is subscribed to that
			continue
		}
		if err != nil && ctx.Err() == nil {
			// a broker that is away, or the store: what was to be told is lost
			b.opts.Logger.LogAttrs(ctx, slog.LevelError,
				"wsxtasks: changes of tasks could not be published", slog.Any("error", err))
			b.resubscribe()
		}
	}
}

// resubscribe ends all subscriptions, so that clients that have missed something learn of it.
func (b *Bridge) resubscribe() {
	b.mu.Lock()
	names := slices.Collect(maps.Keys(b.subscribed))
	b.mu.Unlock()
	for _, name := range names {
		b.hub.Unsubscribe(name, wsx.CodeResourceExhausted)
	}
}

// count keeps who is subscribed to what.
func (b *Bridge) count(name string, n int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.subscribed[name] += n; b.subscribed[name] == 0 {
		delete(b.subscribed, name)
	}
}

// maySubscribe asks for one task's channel, or for all of a pattern, of whose changes each is asked
// for then.
func (b *Bridge) maySubscribe(ctx context.Context, s wsx.Subscription) error {
	if s.Pattern {
		return b.allow(ctx, tasks.Call{Operation: tasks.OpEvents})
	}
	_, err := b.find(ctx, tasks.OpEvents, strings.TrimPrefix(s.Channel, prefix))
	return err
}
