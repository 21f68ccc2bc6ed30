package tasks

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/genropy/genro-asgi-go/executor"
	"github.com/genropy/genro-asgi-go/internal/lockorder"
	"github.com/genropy/genro-asgi-go/tasks/internal/throttle"
)

// Isolated is a function that runs in worker processes of an executor. It is made by NewIsolated in
// a package variable.
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
	Queue      string            `json:"queue"`
	Created    time.Time         `json:"created,omitzero"`
	Waited     int64             `json:"waited,omitzero"` // nanoseconds
	Metadata   map[string]string `json:"metadata,omitzero"`
	Checkpoint jsontext.Value    `json:"checkpoint,omitzero"`
	Payload    jsontext.Value    `json:"payload,omitzero"`
	MaxResult  int               `json:"max_result"` // bytes
}

// reply is what comes back: a result, or what an error of the executor would lose.
type reply struct {
	Result  jsontext.Value `json:"result,omitzero"`
	Failure *failure       `json:"failure,omitzero"`
}

// note is what a running function says, in a progress frame of the executor.
type note struct {
	Progress   *Progress      `json:"p,omitzero"`
	Checkpoint jsontext.Value `json:"c,omitzero"`
}

// NewIsolated makes fn one that runs in worker processes, under a name that is unique in the
// program, the kind's name as well. It is for package variables, so that both processes know it,
// and panics as executor.NewFunc does; the program's main begins with executor.Main().
//
//	var crunch = tasks.NewIsolated("crunch",
//		func(ctx context.Context, in Numbers) (Sum, error) { ... })
//
// In the worker RunFrom gives the run. Progress and checkpoints cross the pipe.
func NewIsolated[In, Out any](name string,
	fn func(ctx context.Context, in In) (Out, error),
) *Isolated[In, Out] {
	if fn == nil {
		panic(fmt.Sprintf("tasks: NewIsolated(%q): nil function", name))
	}
	input := newInput[In](name)
	return &Isolated[In, Out]{
		name: name,
		fn: executor.NewFunc("tasks:"+name, func(ctx context.Context, e envelope) (reply, error) {
			to := &workerReporter{ctx: ctx, queue: e.Queue}
			defer to.close()
			run := &Run{
				task: &claimed{
					ID: e.ID, Kind: e.Kind, Attempt: e.Attempt, Fence: e.Fence,
					Metadata: e.Metadata, Checkpoint: e.Checkpoint,
					Waited: time.Duration(e.Waited), created: instantOf(e.Created),
				}, to: to,
			}
			result, err := call(context.WithValue(ctx, runKey{}, run), input, fn, e.Payload)
			if err == nil && len(result) > e.MaxResult {
				err = &resultError{tooLarge("result", len(result), e.MaxResult)}
			}
			if err != nil {
				return reply{Failure: describe(err)}, nil
			}
			return reply{Result: result}, nil
		}),
	}
}

// RegisterIsolated is Register for a function that runs in the worker processes of
// Options.Executor: cancel and timeout kill the process, and a process that dies is a death of the
// task, not an error. It panics where there is no executor. A queue of isolated tasks best has the
// executor's concurrency: a task that waits for a process is running, and its timeout runs too.
func RegisterIsolated[In, Out any](m *Manager, version int, f *Isolated[In, Out],
	opts *KindOptions,
) *Kind[In, Out] {
	if m == nil || f == nil {
		panic("tasks: RegisterIsolated: a Manager and an Isolated are needed")
	}
	ex := m.opts.Executor
	if ex == nil {
		panic(fmt.Sprintf("tasks: RegisterIsolated(%q): Options.Executor is needed", f.name))
	}
	k := newKind[In, Out](f.name, version, opts)
	k.Isolated = true
	k.run = func(ctx context.Context, a *attempt, payload jsontext.Value) (jsontext.Value, error) {
		r, err := f.fn.RunWith(ctx, ex, envelope{
			ID: a.task.ID, Kind: a.task.Kind, Attempt: a.task.Attempt, Fence: a.task.Fence,
			Queue: a.q.name, Created: a.run.Created(), Waited: int64(a.task.Waited),
			Metadata:   maps.Clone(a.task.Metadata),
			Checkpoint: a.task.Checkpoint, Payload: payload, MaxResult: m.opts.MaxPayload,
		}, &executor.CallOptions{Wait: true, Progress: a.receiveNote})
		if err == nil {
			m.faults.Over(faultProcesses)
		}
		switch {
		case err != nil:
			return nil, &isolation{err}
		case r.Failure != nil:
			return nil, r.Failure
		}
		return r.Result, nil
	}
	m.register(k)
	return &Kind[In, Out]{m: m, kind: k}
}

// isolation is an error of the executor.
type isolation struct{ error }

func (e *isolation) Unwrap() error { return e.error }

// judgeIsolation says what becomes of the task after an error of the executor. What the function
// returned is none: it comes in the reply.
func (a *attempt) judgeIsolation(err error) outcome {
	if p, ok := errors.AsType[*executor.PanicError](err); ok {
		return a.failed(&TaskError{Kind: ErrorPanic, Message: p.Value, Detail: p.Stack}, hint{})
	}
	if c, ok := errors.AsType[*executor.CrashError](err); ok {
		if c.Kind == executor.CrashKilled { // for another call that it shared the process with
			return outcome{interrupted: true}
		}
		message := c.Error()
		if c.Kind == executor.CrashOutOfMemory {
			message += "; MemoryLimit of the executor's Options bounds it"
		}
		return outcome{
			death: true,
			err: &TaskError{
				Kind: ErrorCrash, Message: text(message, maxMessage),
				Detail: text(c.Stderr, maxDetail),
			},
		}
	}
	if a.ctx.cause() != nil {
		return outcome{} // nor this manager's, whose task it is not any more
	}
	_, unstarted := errors.AsType[*executor.StartError](err)
	if unstarted || errors.Is(err, executor.ErrNotRunning) ||
		errors.Is(err, executor.ErrOverloaded) {
		a.makeTrouble().noProcess = err
		a.q.m.processes.reportMissing(err)
		return outcome{interrupted: true}
	}
	_, unfit := errors.AsType[*executor.InputError](err)
	switch {
	case errors.Is(err, executor.ErrResult):
		err = &resultError{err}
	case unfit || errors.Is(err, executor.ErrTooLarge):
		err = &unfitError{err}
	}
	f := describe(err)
	return a.failed(&TaskError{Kind: f.Kind, Message: f.Message}, hint{permanent: f.Permanent})
}

// receiveNote takes a note of the worker process.
func (a *attempt) receiveNote(value jsontext.Value) {
	var n note
	err := json.Unmarshal(value, &n)
	switch {
	case err != nil:
	case n.Progress != nil:
		err = a.report(n.Progress)
	case n.Checkpoint != nil:
		switch err = a.save(n.Checkpoint); {
		case err != nil && !errors.Is(err, ErrStale):
			a.makeTrouble().unsavedCheckpoint = n.Checkpoint // it is written with the run's end
		case a.trouble != nil:
			a.trouble.unsavedCheckpoint = nil
		}
	}
	switch {
	case err == nil:
		a.q.m.faults.Over(faultNotes)
	case !errors.Is(err, ErrStale):
		a.q.m.faults.Met(faultNotes, err, "task", a.task.ID, "kind", a.task.Kind)
	}
}

// workerReporter is the reporter in a worker process. It throttles progress there, so that the pipe
// holds few notes and none of them has to be dropped.
type workerReporter struct {
	ctx   context.Context
	queue string // of the task
	said  throttle.Throttle[Progress]
}

func (r *workerReporter) queueName() string { return r.queue }

func (r *workerReporter) report(p *Progress) error { return sayOf(&r.said, r, p) }

// Tell implements throttle.Receiver.
func (r *workerReporter) Tell(p *Progress) error {
	return executor.Progress(r.ctx, note{Progress: p})
}

// After implements throttle.Receiver.
func (*workerReporter) After(d time.Duration, f func()) (stop func() bool) {
	return time.AfterFunc(d, f).Stop
}

// Start implements throttle.Receiver. The goroutine may end after the call, when nobody reads the
// note that it writes.
func (*workerReporter) Start(f func() error) { go func() { _ = f() }() }

func (r *workerReporter) save(checkpoint jsontext.Value) error {
	if r.said.Ended() {
		return ErrStale
	}
	return executor.Progress(r.ctx, note{Checkpoint: checkpoint})
}

// close tells what was not told.
func (r *workerReporter) close() {
	if p := r.said.End(); p != nil {
		_ = r.Tell(p) // it was checked when it was said
	}
}

// processes says whether worker processes are to be had. While none is, tasks of isolated kinds are
// not claimed: they wait in their queue, as they are, and not one by one.
type processes struct {
	m *Manager

	mu      lockorder.Mutex
	missing bool
	stop    func() bool // takes back the next look; nil when there is none
}

const lookEvery = 5 * time.Second // for worker processes, at most

// reportMissing is told that a run found no worker process, before its task is put back.
func (p *processes) reportMissing(err error) {
	p.mu.Lock()
	already := p.missing
	p.missing = true
	p.mu.Unlock()
	if already {
		return
	}
	p.m.kinds.claimIsolated(false)
	p.lookLater(err)
}

// lookLater looks again later. A manager that is not started tries with each RunNext.
func (p *processes) lookLater(err error) {
	wait := p.m.faults.Met(faultProcesses, err,
		"hint",
		"tasks of isolated kinds wait; start the executor of Options.Executor before the "+
			"manager, and stop it after it")
	if !p.m.running.Load() {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.stop = p.m.clock.AfterFunc(min(wait, lookEvery), func() { p.look(err) })
}

func (p *processes) look(err error) {
	switch {
	case p.m.stopping.Load():
	case p.m.opts.Executor.Stats().Process.Workers == 0:
		p.lookLater(err)
	default:
		p.retry()
	}
}

// retry lets isolated kinds be claimed. Whether there are processes the next run shows.
func (p *processes) retry() {
	p.mu.Lock()
	lacking := p.missing
	p.missing = false
	p.mu.Unlock()
	if lacking {
		p.m.kinds.claimIsolated(true)
		p.m.queues.wakeAll()
	}
}

// close takes back the next look.
func (p *processes) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.stop != nil {
		p.stop()
	}
}
