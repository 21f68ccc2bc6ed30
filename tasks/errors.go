package tasks

import (
	"errors"
	"net/http"
	"strconv"
)

// Conditions to test for with errors.Is. Their StatusCode method gives the HTTP status that fits.
var (
	// ErrNotFound: there is no such task, kind, queue or schedule (404).
	ErrNotFound error = &condition{"tasks: not found", http.StatusNotFound}
	// ErrConflict: the ID or the unique key is another task's, or the task's state forbids it (409).
	ErrConflict error = &condition{"tasks: conflict", http.StatusConflict}
	// ErrStale: who writes does not hold the task any more (409).
	ErrStale error = &condition{"tasks: stale holder", http.StatusConflict}
	// ErrInvalid: what was asked for cannot be (422). The error around it says what.
	ErrInvalid error = &condition{"tasks: invalid", http.StatusUnprocessableEntity}
	// ErrTooLarge: a payload, result, checkpoint, progress or metadata is over its limit (413).
	ErrTooLarge error = &condition{"tasks: too large", http.StatusRequestEntityTooLarge}
	// ErrOverloaded: the queue holds as many waiting tasks as it may (503).
	ErrOverloaded error = &condition{"tasks: overloaded", http.StatusServiceUnavailable}
	// ErrStoreFull: the store has no space left for what was asked; what it acknowledged before is safe (507).
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
	ErrorInput    ErrorKind = "input"   // the payload does not fit the function, or its upgrade failed
)

// TaskError is how an attempt of a task failed, as the store keeps it. It is the program's own: it may hold what clients must not see.
type TaskError struct {
	Kind    ErrorKind `json:"kind"`
	Message string    `json:"message"`          // the error's text, at most 4 KiB
	Detail  string    `json:"detail,omitzero"`  // a panic's stack, or the end of a dead worker's standard error; at most 64 KiB
	Status  int       `json:"status,omitzero"`  // the StatusCode of the function's error, when it had one from 400 to 599
	Attempt int       `json:"attempt,omitzero"` // which attempt it was
	Fence   uint64    `json:"fence,omitzero"`   // and which claim
}

// Error is kind and message.
func (e *TaskError) Error() string {
	return "tasks: attempt " + strconv.Itoa(e.Attempt) + ": " + string(e.Kind) + ": " + e.Message
}

// StatusCode is Status, or 500 where it is none of an error.
func (e *TaskError) StatusCode() int {
	if e.Status >= 400 && e.Status <= 599 {
		return e.Status
	}
	return http.StatusInternalServerError
}
