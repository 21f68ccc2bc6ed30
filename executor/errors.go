package executor

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
)

// Conditions a caller may test for with errors.Is. Those with a StatusCode method bear the HTTP status that fits them.
var (
	// ErrOverloaded: the queue was full (status 503). The call had no effect.
	ErrOverloaded error = &condition{"executor: overloaded", http.StatusServiceUnavailable}
	// ErrNotRunning: the executor has not been started, or is stopped or stopping (status 503). The call had no effect,
	// unless it was running when Stop's deadline passed.
	ErrNotRunning error = &condition{"executor: not running", http.StatusServiceUnavailable}
	// ErrTooLarge: a value or stream given to a call exceeds Options.MaxPayload (status 413). The call had no effect.
	ErrTooLarge error = &condition{"executor: payload too large", http.StatusRequestEntityTooLarge}
	// ErrWorkerCrashed is what every CrashError is. The call may have had effects.
	ErrWorkerCrashed = errors.New("executor: worker crashed")
)

type condition struct {
	text   string
	status int
}

func (c *condition) Error() string   { return c.text }
func (c *condition) StatusCode() int { return c.status }

// CrashKind says how a worker process ended.
type CrashKind string

// The kinds of crash.
const (
	CrashPanic       CrashKind = "panic"         // a panic no one recovered, or a fatal error of the Go runtime
	CrashOutOfMemory CrashKind = "out_of_memory" // the memory limit, or the machine's end
	CrashSignal      CrashKind = "signal"        // a signal, from outside or from a faulty memory access
	CrashExit        CrashKind = "exit"          // an exit code: the function called os.Exit
	CrashKilled      CrashKind = "killed"        // killed by this executor, for a call that shared the worker or because of Stop
)

// CrashError is the end of a call whose worker process died. It is ErrWorkerCrashed, and its status is 500. It is for logs: Stderr may hold anything.
type CrashError struct {
	Func     string    // name of the function called
	PID      int       // process id the worker had
	Kind     CrashKind // how it ended
	Signal   string    // such as "SIGKILL" or "SIGSEGV", for CrashSignal
	ExitCode int       // exit code, -1 where a signal ended the process
	Reason   string    // first line of the runtime's report ("panic: …", "fatal error: …"), if there was one
	Stderr   string    // the last 64 KiB of standard output and error
}

// Error does not include Stderr.
func (e *CrashError) Error() string {
	text := fmt.Sprintf("executor: function %q: worker %d ", e.Func, e.PID)
	switch e.Kind {
	case CrashPanic:
		text += "panicked"
	case CrashOutOfMemory:
		text += "ran out of memory"
	case CrashSignal:
		text += "died of " + e.Signal
	case CrashKilled:
		text += "was killed for another call or by Stop"
	default:
		text += "exited with code " + strconv.Itoa(e.ExitCode)
	}
	if e.Reason != "" {
		text += " (" + e.Reason + ")"
	}
	return text
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

// StatusCode is 500.
func (e *PanicError) StatusCode() int { return http.StatusInternalServerError }

// RemoteError is an error that a function returned in a worker process.
type RemoteError struct {
	Func    string // name of the function called
	Message string // text of its error, at most 64 KiB
	Status  int    // its StatusCode() where it had one from 400 to 599, else 500
	ctx     error  // context.Canceled or context.DeadlineExceeded where it was that
}

// Error is the text of the function's error.
func (e *RemoteError) Error() string { return e.Message }

// Unwrap is context.Canceled or context.DeadlineExceeded where the function's error was that, else nil.
func (e *RemoteError) Unwrap() error { return e.ctx }

// StatusCode is Status.
func (e *RemoteError) StatusCode() int { return e.Status }

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

// StatusCode is 503.
func (e *StartError) StatusCode() int { return http.StatusServiceUnavailable }

// ended is the error of a call whose context ended: what happened, and both the context's error and its cause.
func ended(ctx context.Context, what string) error {
	err, cause := ctx.Err(), context.Cause(ctx)
	if cause == nil || errors.Is(cause, err) {
		return fmt.Errorf("executor: %s: %w", what, err)
	}
	return fmt.Errorf("executor: %s: %w: %w", what, err, cause)
}
