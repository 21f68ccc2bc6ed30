package executor

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/go-json-experiment/json"

	"github.com/genropy/genro-asgi-go/executor/internal/frame"
	"github.com/genropy/genro-asgi-go/problem"
)

// failure is an error of a function on its way to the caller.
type failure struct {
	Message  string         `json:"message"`
	Status   int            `json:"status,omitempty"`
	Canceled bool           `json:"canceled,omitempty"`
	Deadline bool           `json:"deadline,omitempty"`
	Input    bool           `json:"input,omitempty"`   // the function was not called: an InputError
	Result   bool           `json:"result,omitempty"`  // the function returned a value: ErrResult
	Problem  *problem.Error `json:"problem,omitempty"` // what the caller's own caller may know
	Header   http.Header    `json:"header,omitempty"`  // of Problem, whose JSON is without
}

// stageError is an error of the way to a function or back, not of the function.
type stageError struct {
	error
	after bool // the function had returned
}

// describe makes err ready to travel.
func describe(err error) *failure {
	f := &failure{
		Message: clip(err.Error()), Canceled: errors.Is(err, context.Canceled),
		Deadline: errors.Is(err, context.DeadlineExceeded),
	}
	if s, ok := errors.AsType[*stageError](err); ok {
		if f.Result = s.after; !f.Result {
			f.Input, f.Problem = true, problem.OfValidation(s.error)
		}
		return f
	}
	f.Problem, f.Status = problem.Of(err), problem.From(err).StatusCode()
	if f.Problem != nil {
		f.Header = f.Problem.Header
	}
	return f
}

// encode is f as JSON that fits a frame. It matters more than what its problem has beyond a status
// and texts.
func (f *failure) encode() []byte {
	body, err := json.Marshal(f, allowInvalid)
	if err != nil { // an extension that JSON cannot hold
		var sound problem.Error
		if err = json.Unmarshal(f.Problem.Encode(), &sound); err == nil {
			f.Problem = &sound
			body, err = json.Marshal(f, allowInvalid)
		}
	}
	if p := f.Problem; p != nil && (err != nil || len(body) > frame.MaxValue) {
		f.Problem, f.Header = &problem.Error{
			Status: p.Status,
			Code:   p.Code[:min(len(p.Code), nameMax)], Detail: clip(p.Detail),
		}, nil
		body, _ = json.Marshal(f, allowInvalid) // short strings and integers
	}
	return body
}

// error is what the caller gets.
func (f *failure) error(name string) error {
	if f.Problem != nil {
		f.Problem.Header = f.Header
	}
	switch {
	case f.Input:
		return &InputError{Func: name, Message: f.Message, problem: f.Problem}
	case f.Result:
		return fmt.Errorf("%w: function %q: %s", ErrResult, name, f.Message)
	}
	e := &RemoteError{
		Func: name, Message: f.Message,
		Status: cmp.Or(f.Status, http.StatusInternalServerError), problem: f.Problem,
	}
	switch {
	case f.Deadline:
		e.ctx = context.DeadlineExceeded
	case f.Canceled:
		e.ctx = context.Canceled
	}
	if e.problem != nil {
		e.problem.Err = e.ctx
	}
	return e
}
