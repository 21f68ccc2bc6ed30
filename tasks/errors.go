package tasks

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/genropy/genro-asgi-go/problem"
)

// Conditions to test for with errors.Is. Their StatusCode method gives the HTTP status that fits.
var (
	// ErrNotFound: there is no such task, kind, queue or schedule (404).
	ErrNotFound error = &condition{"tasks: not found", http.StatusNotFound}
	// ErrConflict: the ID or the unique key is another task's, or the task's state forbids it
	// (409).
	ErrConflict error = &condition{"tasks: conflict", http.StatusConflict}
	// ErrStale: who writes does not hold the task any more (409).
	ErrStale error = &condition{"tasks: stale holder", http.StatusConflict}
	// ErrInvalid: what was asked for cannot be (422). The error around it says what.
	ErrInvalid error = &condition{"tasks: invalid", http.StatusUnprocessableEntity}
	// ErrTooLarge: a payload, result, checkpoint, progress or metadata is over its limit (413).
	ErrTooLarge error = &condition{"tasks: too large", http.StatusRequestEntityTooLarge}
	// ErrOverloaded: the queue holds as many waiting tasks as it may (503).
	ErrOverloaded error = &condition{"tasks: overloaded", http.StatusServiceUnavailable}
	// ErrStoreFull: the store has no space left for what was asked; what it acknowledged before is
	// safe (507).
	ErrStoreFull error = &condition{"tasks: store full", http.StatusInsufficientStorage}
	// ErrCancelled: the task was cancelled and has no result (409).
	ErrCancelled error = &condition{"tasks: cancelled", http.StatusConflict}
	// ErrBehind: a consumer of events was too slow, and missed some.
	ErrBehind = errors.New("tasks: too slow: events were missed")
	// ErrNotRunning: the manager or the store has been stopped (503).
	ErrNotRunning error = &condition{"tasks: not running", http.StatusServiceUnavailable}
)

type condition struct {
	text   string
	status int
}

func (c *condition) Error() string   { return c.text }
func (c *condition) StatusCode() int { return c.status }

// ErrorKind says what ended an attempt.
type ErrorKind string

// The kinds of a TaskError.
const (
	ErrorReturned ErrorKind = "error"   // the function returned it
	ErrorPanic    ErrorKind = "panic"   // the function panicked
	ErrorTimeout  ErrorKind = "timeout" // the attempt took longer than its timeout
	ErrorCrash    ErrorKind = "crash"   // the worker process died
	ErrorLost     ErrorKind = "lost"    // the holder vanished: its lease ended
	// the payload does not fit the function, or its upgrade failed
	ErrorInput ErrorKind = "input"
	// the function has succeeded, and its result cannot be kept: it is no JSON, or too large
	ErrorResult ErrorKind = "result"
)

// Enum are the kinds.
func (ErrorKind) Enum() []ErrorKind {
	return []ErrorKind{
		ErrorReturned, ErrorPanic, ErrorTimeout, ErrorCrash, ErrorLost, ErrorInput,
		ErrorResult,
	}
}

// TaskError is how an attempt of a task failed, as the store keeps it. It is the program's own: it
// may hold what clients must not see. What they may see is Problem, to which it unwraps: errors.As
// finds it, and every door of this module tells it.
type TaskError struct {
	Kind    ErrorKind `json:"kind"`
	Message string    `json:"message"` // the error's text, at most 4 KiB
	// a panic's stack, or the end of a dead worker's standard error; at most 64 KiB
	Detail string `json:"detail,omitzero"`
	// of the function's error, from 400 to 599, by the rules of problem.From; 0 where that is a
	// mere 500
	Status  int       `json:"status,omitzero"`
	Attempt int       `json:"attempt,omitzero"` // which attempt it was
	Fence   uint64    `json:"fence,omitzero"`   // and which claim
	Started time.Time `json:"started,omitzero"` // when the attempt began
	// when it ended; of a holder that vanished its last sign of life, or, where the store does not
	// know that, when it was missed
	At time.Time `json:"at,omitzero"`
	// Problem is what the function said to its caller by a problem.Error, as JSON brings it back,
	// without Header and Err; at most 16 KiB as JSON. Nil is nothing.
	Problem *problem.Error `json:"problem,omitzero"`
}

// Error is kind and message.
func (e *TaskError) Error() string {
	return "tasks: attempt " + strconv.Itoa(e.Attempt) + ": " + string(e.Kind) + ": " +
		strings.TrimPrefix(e.Message, "tasks: ")
}

// Unwrap is Problem.
func (e *TaskError) Unwrap() error {
	if e.Problem == nil {
		return nil
	}
	return e.Problem
}

// StatusCode is Status or, where it is none of an error, 504 for a timeout and else 500.
func (e *TaskError) StatusCode() int {
	switch {
	case e.Status >= 400 && e.Status <= 599:
		return e.Status
	case e.Kind == ErrorTimeout:
		return http.StatusGatewayTimeout
	}
	return http.StatusInternalServerError
}

// validName reports whether s may be the name of a task, a kind or a queue.
func validName(s string) bool {
	if s == "" || len(s) > maxName {
		return false
	}
	for i := range len(s) {
		switch c := s[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '_', c == '.',
			c == ':', c == '@', c == '-':
		default:
			return false
		}
	}
	return true
}

func invalid(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrInvalid, fmt.Sprintf(format, args...))
}

// InputError says what is wrong with a payload. It is ErrInvalid. Its text is for who wrote the
// program, and Problem for who sent the payload: what a Validate method returns that is no problem,
// no problem.Field and no InputError is told to nobody else.
type InputError struct {
	Path    jsontext.Pointer // where, as a JSON Pointer (RFC 6901); "" is the whole, or not known
	Message string
	Err     error          // the cause, for the log; or nil
	problem *problem.Error // what the decoder or a Validate method says; nil else
}

func (e *InputError) Error() string {
	if e.Path == "" {
		return "tasks: payload: " + e.Message
	}
	return "tasks: payload: " + string(e.Path) + ": " + e.Message
}

// Unwrap is ErrInvalid and the cause.
func (e *InputError) Unwrap() []error { return []error{ErrInvalid, e.Err} }

// Problem is what who sent the payload may know: what Validate said, by the rules of
// problem.OfValidation, or else Message and where, as a field of a 422.
func (e *InputError) Problem() *problem.Error {
	if e.problem != nil {
		return e.problem
	}
	p := problem.Invalid(problem.Field{In: "body", Pointer: string(e.Path), Detail: e.Message})
	p.Err = e.Err
	return p
}

// StatusCode is that of Problem.
func (e *InputError) StatusCode() int { return e.Problem().StatusCode() }

// unfitError is a payload that a function cannot take, found when it was to run.
type unfitError struct{ error }

func (e *unfitError) Unwrap() error { return e.error }

// resultError is a result that cannot be kept, of a function that has succeeded.
type resultError struct{ error }

func (e *resultError) Unwrap() error { return e.error }

func tooLarge(what string, size, limit int) error {
	return fmt.Errorf("%w: %s of %d bytes, limit %d (Options.MaxPayload)", ErrTooLarge, what, size,
		limit)
}

func unknownKind(name string) error {
	return fmt.Errorf("%w: kind %q is not registered here, and Options.AnyKind is not set",
		ErrNotFound, clip(name, maxName))
}

// Permanent makes err one that is not tried again: a function that returns it fails its task. Nil
// stays nil.
func Permanent(err error) error {
	if err == nil {
		return nil
	}
	return &hint{error: err, permanent: true}
}

// RetryAfter makes err one after which the next attempt waits for d at least, if there is one. Nil
// stays nil.
func RetryAfter(err error, d time.Duration) error {
	if err == nil {
		return nil
	}
	return &hint{error: err, after: max(d, 0)}
}

// hint is an error with word on what to do after it.
type hint struct {
	error
	permanent bool
	after     time.Duration
}

func (h *hint) Unwrap() error { return h.error }

// hintOf finds it, anywhere in err.
func hintOf(err error) hint {
	if h, ok := errors.AsType[*hint](err); ok {
		return *h
	}
	return hint{}
}

// failure is what there is to know of an error that ended a run, in this process or on its way from
// a worker process.
type failure struct {
	Kind      ErrorKind      `json:"kind"`
	Message   string         `json:"message"`
	Status    int            `json:"status,omitzero"`
	Permanent bool           `json:"permanent,omitzero"`
	After     int64          `json:"after,omitzero"` // nanoseconds
	Problem   *problem.Error `json:"problem,omitzero"`
}

// describe asks an error what it is. It calls methods of the program's, which may panic.
func describe(err error) *failure {
	h := hintOf(err)
	f := &failure{
		Kind: ErrorReturned, Message: text(err.Error(), maxMessage),
		Permanent: h.permanent, After: int64(h.after),
	}
	if _, ok := errors.AsType[*resultError](err); ok {
		// of which a client has no part, whatever the cause says
		f.Kind, f.Permanent = ErrorResult, true
		f.Message = text("the function has succeeded, and its result cannot be kept: "+
			strings.TrimPrefix(f.Message, "tasks: "), maxMessage)
		return f
	}
	f.Problem = kept(problem.Of(err))
	if status := problem.From(err).StatusCode(); status != http.StatusInternalServerError {
		f.Status = status
	}
	if _, ok := errors.AsType[*unfitError](err); ok {
		f.Kind, f.Permanent = ErrorInput, true
	}
	if inner, ok := errors.AsType[*failure](err); ok {
		// of a worker process, perhaps with more around it
		f.Kind, f.Permanent, f.After = inner.Kind, f.Permanent ||
			inner.Permanent, max(f.After, inner.After)
	}
	return f
}

// kept is what of a problem is kept with a task: what JSON brings back of it, so that it is the
// same from every store. Of one that is too large, the status, the code and the detail are.
func kept(p *problem.Error) *problem.Error {
	if p == nil {
		return nil
	}
	bare := &problem.Error{
		Status: p.StatusCode(), Code: text(p.Code, maxName),
		Detail: text(p.Detail, maxMessage),
	}
	raw := p.Encode()
	if len(raw) > maxProblem {
		return bare
	}
	k := new(problem.Error)
	if json.Unmarshal(raw, k) != nil { // what this package's own encoder wrote
		return bare
	}
	return k
}

func (f *failure) Error() string { return f.Message }

// Unwrap is for middleware, which gets the error of a function in a worker process as this.
func (f *failure) Unwrap() error {
	if f.Problem == nil {
		return nil
	}
	return f.Problem
}

// StatusCode is for middleware too.
func (f *failure) StatusCode() int { return f.Status }
