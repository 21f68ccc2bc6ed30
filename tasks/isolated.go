package tasks

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"sync"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/genropy/genro-asgi-go/executor"
)

// Isolated is a function that runs in worker processes of an executor. It is made by NewIsolated in a package variable.
type Isolated[In, Out any] struct {
	name string
	fn   *executor.Func[envelope, reply]
}

// envelope is a run on its way to a worker process.
type envelope struct {
	ID         string            `json:"id"`
	Kind       string            `json:"kind"`
	Attempt    int               `json:"attempt"`
	Fence      uint64            `json:"fence"`
	Metadata   map[string]string `json:"metadata,omitzero"`
	Checkpoint jsontext.Value    `json:"checkpoint,omitzero"`
	Payload    jsontext.Value    `json:"payload,omitzero"`
}

// reply is what comes back: a result, or an error with its hints, which an error of the executor would lose.
type reply struct {
	Result    jsontext.Value `json:"result,omitzero"`
	Error     string         `json:"error,omitzero"`
	Failed    bool           `json:"failed,omitzero"`
	Input     bool           `json:"input,omitzero"` // the payload does not fit
	Status    int            `json:"status,omitzero"`
	Permanent bool           `json:"permanent,omitzero"`
	After     int64          `json:"after,omitzero"` // nanoseconds
}

// note is what a running function says, in a progress frame of the executor.
type note struct {
	Progress   *Progress      `json:"p,omitzero"`
	Checkpoint jsontext.Value `json:"c,omitzero"`
}

// NewIsolated makes fn one that runs in worker processes, under a name that is unique in the program, the kind's name as well. It is for package variables, so that both processes
// know it, and panics as executor.NewFunc does; the program's main begins with executor.Main().
//
//	var crunch = tasks.NewIsolated("crunch", func(ctx context.Context, in Numbers) (Sum, error) { ... })
//
// In the worker RunFrom gives the run. Progress and checkpoints cross the pipe.
func NewIsolated[In, Out any](name string, fn func(ctx context.Context, in In) (Out, error)) *Isolated[In, Out] {
	if fn == nil {
		panic(fmt.Sprintf("tasks: NewIsolated(%q): nil function", name))
	}
	return &Isolated[In, Out]{name: name, fn: executor.NewFunc("tasks:"+name, func(ctx context.Context, e envelope) (reply, error) {
		to := &remote{ctx: ctx}
		defer to.end()
		run := &Run{task: &claimed{ID: e.ID, Kind: e.Kind, Attempt: e.Attempt, Fence: e.Fence, Metadata: e.Metadata, Checkpoint: e.Checkpoint}, to: to}
		result, err := call(context.WithValue(ctx, runKey{}, run), fn, e.Payload)
		if err == nil {
			return reply{Result: result}, nil
		}
		hint := hintOf(err)
		_, input := errors.AsType[*unfitError](err)
		return reply{
			Failed: true, Error: text(err.Error(), maxMessage), Input: input, Status: statusOf(err), Permanent: hint.permanent, After: int64(hint.after),
		}, nil
	})}
}

// RegisterIsolated is Register for a function that runs in the worker processes of Options.Executor: cancel and timeout kill the process, and a process that dies is a death of the
// task, not an error. It panics where there is no executor. A queue of isolated tasks best has the executor's concurrency: a task that waits for a process is
// running, and its timeout runs too.
func RegisterIsolated[In, Out any](m *Manager, version int, f *Isolated[In, Out], opts *KindOptions) *Kind[In, Out] {
	ex := m.opts.Executor
	if ex == nil {
		panic(fmt.Sprintf("tasks: RegisterIsolated(%q): Options.Executor is needed", f.name))
	}
	k := newKind[In, Out](f.name, version, opts)
	k.Isolated = true
	k.run = func(ctx context.Context, a *attempt, payload jsontext.Value) (jsontext.Value, error) {
		r, err := f.fn.RunWith(ctx, ex, envelope{
			ID: a.task.ID, Kind: a.task.Kind, Attempt: a.task.Attempt, Fence: a.task.Fence, Metadata: maps.Clone(a.task.Metadata),
			Checkpoint: a.task.Checkpoint, Payload: payload,
		}, &executor.CallOptions{Wait: true, Progress: a.heard})
		if err != nil {
			return nil, &isolation{err}
		}
		return r.unwrap()
	}
	m.register(k)
	return &Kind[In, Out]{m: m, kind: k}
}

// unwrap is what the function returned.
func (r *reply) unwrap() (jsontext.Value, error) {
	if !r.Failed {
		return r.Result, nil
	}
	var err error = &remoteError{r.Error, r.Status}
	switch {
	case r.Input:
		return nil, &unfitError{err}
	case r.Permanent || r.After > 0:
		return nil, &hint{error: err, permanent: r.Permanent, after: time.Duration(r.After)}
	}
	return nil, err
}

// remoteError is an error that a function returned in a worker process.
type remoteError struct {
	message string
	status  int // 0 when it has none
}

func (e *remoteError) Error() string   { return e.message }
func (e *remoteError) StatusCode() int { return e.status }

// isolation is an error of the executor.
type isolation struct{ error }

func (e *isolation) Unwrap() error { return e.error }

// isolatedOutcome judges an error of the executor: ok is that it is one.
func (a *attempt) isolatedOutcome(err error) (o outcome, ok bool) {
	if _, ok := errors.AsType[*isolation](err); !ok {
		return outcome{}, false
	}
	if p, ok := errors.AsType[*executor.PanicError](err); ok {
		return a.failed(&TaskError{Kind: ErrorPanic, Message: p.Value, Detail: p.Stack}, err), true
	}
	if c, ok := errors.AsType[*executor.CrashError](err); ok && c.Kind != executor.CrashKilled {
		return outcome{death: true, err: &TaskError{Kind: ErrorCrash, Message: text(c.Error(), maxMessage), Detail: text(c.Stderr, maxDetail)}}, true
	}
	if _, ok := errors.AsType[*executor.RemoteError](err); ok || errors.Is(err, executor.ErrTooLarge) {
		return a.failed(&TaskError{Kind: ErrorReturned, Message: err.Error()}, err), true
	}
	// The process was killed for another call, or the executor cannot give one now: not the task's fault.
	if a.ctx.cause() != nil {
		return outcome{}, true // nor this manager's, whose task it is not any more
	}
	a.q.m.log.Warn("tasks: no worker process for a task", "task", a.task.ID, "kind", a.task.Kind, "error", err)
	return outcome{interrupted: true, retry: a.q.m.now().Add(sulk)}, true
}

// heard takes a note of the worker process.
func (a *attempt) heard(value jsontext.Value) {
	var n note
	err := json.Unmarshal(value, &n)
	switch {
	case err != nil:
	case n.Progress != nil:
		err = a.report(n.Progress)
	case n.Checkpoint != nil:
		err = a.save(n.Checkpoint)
	}
	if err != nil && !errors.Is(err, ErrStale) {
		a.q.m.log.Error("tasks: a note of a worker process", "task", a.task.ID, "error", err)
	}
}

// remote is the reporter in a worker process. It throttles progress there, so that the pipe holds few notes and none of them has to be dropped.
type remote struct {
	ctx context.Context

	mu    sync.Mutex
	next  *Progress
	timer *time.Timer // runs during the rest after a note of progress; nil otherwise
	ended bool
}

func (r *remote) report(p *Progress) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case r.ended:
		return ErrStale
	case r.timer != nil:
		r.next = p
		return nil
	}
	return r.sendLocked(p)
}

func (r *remote) sendLocked(p *Progress) error {
	r.next = nil
	r.timer = time.AfterFunc(progressEvery, func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.timer = nil
		if r.next != nil && !r.ended {
			_ = r.sendLocked(r.next) // it was checked when it was said
		}
	})
	return executor.Progress(r.ctx, note{Progress: p})
}

func (r *remote) save(checkpoint jsontext.Value) error {
	return executor.Progress(r.ctx, note{Checkpoint: checkpoint})
}

// end sends what waits.
func (r *remote) end() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ended = true
	if r.timer != nil {
		r.timer.Stop()
	}
	if r.next != nil {
		_ = executor.Progress(r.ctx, note{Progress: r.next}) // it was checked when it was said
	}
}
