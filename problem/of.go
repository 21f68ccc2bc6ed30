package problem

import (
	"context"
	"errors"
	"fmt"
	"net/http"
)

// Of is what the caller may know of err, nil where that is nothing. The first of these that err is
// or wraps decides:
//
//  1. an *[Error], as it is
//  2. an error with a method Problem() *problem.Error that gives one
//  3. [Field]s, all that are wrapped and joined: [Invalid]
//
// What the caller must not know stays reachable as the cause of 3.
func Of(err error) *Error {
	if err == nil {
		return nil
	}
	var f finder
	f.walk(err)
	switch {
	case f.found != nil:
		return f.found
	case len(f.fields) > 0:
		e := Invalid(f.fields...)
		e.Err = err
		return e
	}
	return nil
}

type finder struct {
	found  *Error
	fields []Field
}

func (f *finder) walk(err error) {
	if f.found != nil {
		return
	}
	switch e := err.(type) { //nolint:errorlint // it unwraps by itself, to reach all of several
	case *Error:
		f.found = e // a nil one is none
		return
	case Field:
		f.add(e)
		return
	case *Field:
		if e != nil {
			f.add(*e)
		}
		return
	case interface{ Problem() *Error }:
		if f.found = e.Problem(); f.found != nil {
			return
		}
	}
	switch e := err.(type) { //nolint:errorlint // the same
	case interface{ Unwrap() []error }:
		for _, inner := range e.Unwrap() {
			f.walk(inner)
		}
	case interface{ Unwrap() error }:
		if inner := e.Unwrap(); inner != nil {
			f.walk(inner)
		}
	}
}

func (f *finder) add(field Field) {
	if field.In == "" {
		field.In = "body"
	}
	f.fields = append(f.fields, field)
}

// From is [Of] for those who must answer. An *http.MaxBytesError is 413 with the limit. Of another
// error of which the caller may know nothing it tells the status alone: that of its StatusCode
// method where it has one from 400 to 599, 504 of context.DeadlineExceeded, else 500. Nil is 500.
// The error is the cause.
func From(err error) *Error {
	if e := Of(err); e != nil {
		return e
	}
	if large, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return &Error{
			Status: http.StatusRequestEntityTooLarge,
			Detail: fmt.Sprintf("The body is limited to %d bytes.", large.Limit), Err: err,
		}
	}
	status := statusOf(err)
	switch {
	case status != 0:
	case errors.Is(err, context.DeadlineExceeded):
		status = http.StatusGatewayTimeout
	default:
		status = http.StatusInternalServerError
	}
	return &Error{Status: status, Err: err}
}

// statusOf is the first StatusCode of err, and of what it wraps, that is one of an error: from 400
// to 599. It is 0 where there is none.
func statusOf(err error) int {
	coded, ok := errors.AsType[interface {
		error
		StatusCode() int
	}](err)
	if !ok || !isStatus(coded.StatusCode()) {
		return 0
	}
	return coded.StatusCode()
}

// OfValidation is what the caller may know of an error that a Validate method returned: [Of], with
// the fields in it as [Invalid], or else a bare 422. The error is the cause.
func OfValidation(err error) *Error {
	if e := Of(err); e != nil {
		return e
	}
	return &Error{Status: http.StatusUnprocessableEntity, Detail: detailInput, Err: err}
}
