package executor

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"
	"strconv"

	"github.com/genropy/genro-asgi-go/problem"
)

// Conditions a caller may test for with errors.Is. Those with a StatusCode method bear the HTTP
// status that fits them.
var (
	// ErrOverloaded: the queue was full (status 503). The call had no effect.
	ErrOverloaded error = &condition{"executor: overloaded", http.StatusServiceUnavailable}
	// ErrNotRunning: the executor has not been started, or is stopped or stopping (status 503). The
	// call had no effect, unless it was running when Stop's deadline passed.
	ErrNotRunning error = &condition{"executor: not running", http.StatusServiceUnavailable}
	// ErrTooLarge: a value or stream given to a call exceeds Options.MaxPayload, or CallInfo.Meta
	// its limit (status 413). The call had no effect.
	ErrTooLarge error = &condition{"executor: payload too large", http.StatusRequestEntityTooLarge}
	// ErrResult: the function returned a value, but it could not be brought back: it cannot be
	// JSON, it exceeds Options.MaxPayload, or this machine lacked memory or descriptors for it
	// (status 500). The call had its effects, and a repetition would have them again.
	ErrResult error = &condition{"executor: result lost", http.StatusInternalServerError}
	// ErrWorkerCrashed is what every CrashError is. The call may have had effects.
	ErrWorkerCrashed = errors.New("executor: worker crashed")
)

// errNil is what a call without an Executor or a function ends with.
var errNil = errors.New("executor: the Executor or the function is nil")

type condition struct {
	text   string
	status int
}

// overload is an ErrOverloaded that says what the load is.
type overload struct {
	options         string
	running, queued int
}

func (e *overload) Error() string {
	return fmt.Sprintf("%v: %d calls run and %d queue (%s)", ErrOverloaded, e.running, e.queued,
		e.options)
}
func (e *overload) Unwrap() error { return ErrOverloaded }

func (c *condition) Error() string   { return c.text }
func (c *condition) StatusCode() int { return c.status }

// CrashKind says how a worker process ended.
type CrashKind string

// The kinds of crash.
const (
	// a panic no one recovered, or a fatal error of the Go runtime
	CrashPanic       CrashKind = "panic"
	CrashOutOfMemory CrashKind = "out_of_memory" // the memory limit, or the machine's end
	// a signal, from outside or from a faulty memory access
	CrashSignal CrashKind = "signal"
	CrashExit   CrashKind = "exit" // an exit code: the function called os.Exit
	// killed by this executor, for a call that shared the worker or because of Stop
	CrashKilled CrashKind = "killed"
)

// CrashError is the end of a call whose worker process died. It is ErrWorkerCrashed, and its status
// is 500. It is for logs: Stderr may hold anything.
type CrashError struct {
	Func     string    // name of the function called
	PID      int       // process id the worker had
	Kind     CrashKind // how it ended
	Signal   string    // such as "SIGKILL" or "SIGSEGV", for CrashSignal
	ExitCode int       // exit code, -1 where a signal ended the process
	// first line of the runtime's report ("panic: …", "fatal error: …"), if there was one
	Reason string
	Stderr string // the last 64 KiB of standard output and error
}

// Error does not include Stderr.
func (e *CrashError) Error() string {
	text := fmt.Sprintf("executor: function %q: worker %d ", e.Func, e.PID)
	if e.Func == "" {
		text = fmt.Sprintf("executor: worker %d, without a call, ", e.PID)
	}
	switch e.Kind {
	case CrashPanic:
		text += "panicked"
	case CrashOutOfMemory:
		text += "ran out of memory, of which Options.MemoryLimit or the machine has no more"
	case CrashSignal:
		text += "died of " + e.Signal
	case CrashKilled:
		text += "was killed for another call in it (Options.CallsPerWorker) or by Stop"
	default:
		text += "exited with code " + strconv.Itoa(e.ExitCode)
	}
	if e.Reason != "" {
		text += " (" + e.Reason + ")"
	}
	return text
}

// LogValue has all of it, Stderr too.
func (e *CrashError) LogValue() slog.Value {
	return slog.GroupValue(append([]slog.Attr{slog.String("message", e.Error())},
		append(e.attrs(), slog.String("stderr", e.Stderr))...)...)
}

// attrs are for the log of the pool; without Stderr, which Options.Stderr has got.
func (e *CrashError) attrs() []slog.Attr {
	return []slog.Attr{
		slog.Int("pid", e.PID), slog.String("func", e.Func), slog.String("kind", string(e.Kind)),
		slog.String("signal", e.Signal),
		slog.Int("exit_code", e.ExitCode), slog.String("reason", e.Reason),
	}
}

// Unwrap makes it ErrWorkerCrashed.
func (e *CrashError) Unwrap() error { return ErrWorkerCrashed }

// StatusCode is 500.
func (e *CrashError) StatusCode() int { return http.StatusInternalServerError }

// PanicError is a panic in the function's own goroutine. Its status is 500.
type PanicError struct {
	Value string // the panic's value as text
	Stack string // the goroutine's stack, at most 64 KiB
}

// Error does not include Stack.
func (e *PanicError) Error() string { return "executor: panic: " + e.Value }

// LogValue has all of it, Stack too.
func (e *PanicError) LogValue() slog.Value {
	return slog.GroupValue(slog.String("message", e.Error()), slog.String("stack", e.Stack))
}

// StatusCode is 500.
func (e *PanicError) StatusCode() int { return http.StatusInternalServerError }

// InputError is an input that its function was not called with: its type's Validate method refused
// it, or it cannot be JSON that the worker reads. Its status is 422, or that of the problem that
// Validate returned. The call had no effect.
type InputError struct {
	Func    string // name of the function called, "" for one of the blocking pool
	Message string // what is wrong, at most 64 KiB; for the log and for who wrote the call
	// the cause, such as what Validate returned; nil where it was found in the worker
	Err     error
	problem *problem.Error
}

// Error is for logs.
func (e *InputError) Error() string {
	if e.Func == "" {
		return "executor: input: " + e.Message
	}
	return fmt.Sprintf("executor: function %q: input: %s", e.Func, e.Message)
}

// Unwrap is the cause.
func (e *InputError) Unwrap() error { return e.Err }

// Problem is what of it who sent the input may know: the problem or the problem.Fields that
// Validate returned, else a bare 422.
func (e *InputError) Problem() *problem.Error {
	if e.problem == nil {
		return problem.OfValidation(e.Err)
	}
	return e.problem
}

// StatusCode is that of Problem.
func (e *InputError) StatusCode() int { return e.Problem().StatusCode() }

// inputError makes an InputError of what is wrong.
func inputError(name string, err error) *InputError {
	return &InputError{Func: name, Message: clip(err.Error()), Err: err}
}

// RemoteError is an error that a function returned in a worker process. It unwraps to the
// *problem.Error that the function's error was or wrapped, as problem.Of finds it, so that every
// door tells of it what it would tell of the function's own error; the Err of that is not the
// original.
type RemoteError struct {
	Func    string // name of the function called
	Message string // text of its error, at most 64 KiB; not for clients
	Status  int    // from 400 to 599, by the rules of problem.From
	problem *problem.Error
	ctx     error // context.Canceled or context.DeadlineExceeded where it was that
}

// Error is the text of the function's error.
func (e *RemoteError) Error() string { return e.Message }

// Unwrap is the function's problem, if it has one, which unwraps to context.Canceled or
// context.DeadlineExceeded where the function's error was that. Without a problem it is that error,
// or nil.
func (e *RemoteError) Unwrap() error {
	if e.problem != nil {
		return e.problem
	}
	return e.ctx
}

// StatusCode is Status.
func (e *RemoteError) StatusCode() int { return e.Status }

// LogValue has all of it.
func (e *RemoteError) LogValue() slog.Value {
	return slog.GroupValue(slog.String("message", e.Error()), slog.String("func", e.Func))
}

// StartError says why no worker process could be started. Its status is 503.
type StartError struct {
	Reason string // what went wrong and, where it is known, what to do
	Stderr string // the last 64 KiB the process wrote
	Err    error  // the cause, or nil
}

// Error does not include Stderr.
func (e *StartError) Error() string {
	if e.Err != nil {
		return "executor: start a worker: " + e.Reason + ": " + e.Err.Error()
	}
	return "executor: start a worker: " + e.Reason
}

// Unwrap is the cause.
func (e *StartError) Unwrap() error { return e.Err }

// LogValue has all of it, Stderr too.
func (e *StartError) LogValue() slog.Value {
	return slog.GroupValue(slog.String("message", e.Error()), slog.String("stderr", e.Stderr))
}

// StatusCode is 503.
func (e *StartError) StatusCode() int { return http.StatusServiceUnavailable }

// contextError is the error of a call whose context ended: what happened, and both the context's
// error and its cause.
func contextError(ctx context.Context, what string) error {
	err, cause := ctx.Err(), context.Cause(ctx)
	if cause == nil || errors.Is(cause, err) {
		return fmt.Errorf("executor: %s: %w", what, err)
	}
	return fmt.Errorf("executor: %s: %w: %w", what, err, cause)
}

// panicked is the error of a function that did not return: it panicked with v, or v is nil and it
// ended its goroutine.
func panicked(v any) *PanicError {
	if v == nil {
		return &PanicError{Value: "the function called runtime.Goexit", Stack: ""}
	}
	stack := debug.Stack()
	return &PanicError{Value: clip(fmt.Sprint(v)), Stack: string(stack[:min(len(stack), noteMax)])}
}

// clip bounds a text that is sent or kept.
func clip(s string) string { return s[:min(len(s), noteMax)] }
