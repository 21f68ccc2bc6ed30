package problem

import (
	"fmt"
	"net/http"
	"time"
)

// Error is an error whose caller may know it. All of its fields but Err reach the caller.
type Error struct {
	Status   int     // an HTTP status from 400 to 599; anything else counts as 500
	Code     string  // for programs, in UPPER_SNAKE_CASE such as "SOLD_OUT"; may be empty
	Type     string  // a URI reference (RFC 9457 section 3.1.1); empty means "about:blank"
	Title    string  // the same for all errors of a Type; empty means http.StatusText(Status)
	Detail   string  // for people: what is wrong, and what they can do about it; may be empty
	Instance string  // a URI reference of this one occurrence; may be empty
	Fields   []Field // which parts of the input are wrong; may be nil
	// Extensions are further members of the problem; may be nil. One that bears the name of another
	// member is left out.
	Extensions map[string]any
	// RetryAfter is when another try may succeed, over HTTP rounded up to seconds; 0 and below
	// means that nobody knows.
	RetryAfter time.Duration
	Header     http.Header // of an answer over HTTP, such as WWW-Authenticate; may be nil
	Err        error       // the cause, for logs and errors.Is; never sent; may be nil
}

// New makes an error with a status from 400 to 599 and a detail that the caller may read.
func New(status int, detail string) *Error { return &Error{Status: status, Detail: detail} }

// BadRequest is 400: what was sent cannot be understood.
func BadRequest(detail string) *Error { return New(http.StatusBadRequest, detail) }

// Unauthorized is 401: the caller has to say who it is.
func Unauthorized(detail string) *Error { return New(http.StatusUnauthorized, detail) }

// Forbidden is 403: the caller is known and may not.
func Forbidden(detail string) *Error { return New(http.StatusForbidden, detail) }

// NotFound is 404.
func NotFound(detail string) *Error { return New(http.StatusNotFound, detail) }

// Conflict is 409: the state of the thing forbids it.
func Conflict(detail string) *Error { return New(http.StatusConflict, detail) }

// Invalid is 422: the input was understood, and these fields of it are wrong.
func Invalid(fields ...Field) *Error {
	return &Error{Status: http.StatusUnprocessableEntity, Detail: detailFields, Fields: fields}
}

// TooManyRequests is 429; after is when the next may come, 0 where nobody knows.
func TooManyRequests(after time.Duration, detail string) *Error {
	return &Error{Status: http.StatusTooManyRequests, Detail: detail, RetryAfter: after}
}

// Unavailable is 503; after is when to try again, 0 where nobody knows.
func Unavailable(after time.Duration, detail string) *Error {
	return &Error{Status: http.StatusServiceUnavailable, Detail: detail, RetryAfter: after}
}

// What a caller is told of an input in general.
const (
	detailFields = "The request has invalid fields."
	detailInput  = "The request is not valid."
)

// Error is for logs: the status, the title, the code, the detail, the fields and the cause.
func (e *Error) Error() string {
	text := e.Title
	if text == "" {
		text = http.StatusText(e.StatusCode())
	}
	text = fmt.Sprintf("%d %s", e.StatusCode(), text)
	if e.Code != "" {
		text += " " + e.Code
	}
	if e.Detail != "" {
		text += ": " + e.Detail
	}
	for i, f := range e.Fields {
		if i == 8 {
			text += fmt.Sprintf("; and %d more", len(e.Fields)-i)
			break
		}
		text += "; " + f.Error()
	}
	if e.Err != nil {
		text += ": " + e.Err.Error()
	}
	return text
}

// Unwrap is the cause.
func (e *Error) Unwrap() error { return e.Err }

// StatusCode is the status of the answer, 500 where Status is none of an error.
func (e *Error) StatusCode() int {
	if !isStatus(e.Status) {
		return http.StatusInternalServerError
	}
	return e.Status
}

func isStatus(status int) bool { return status >= 400 && status <= 599 }

// Field says which part of an input is wrong, in words for who sent it. It is one element of a
// problem's member "errors", and an error by itself: a Validate method returns one, or several
// joined by errors.Join.
type Field struct { //nolint:errname // a field of a problem first, and an error where that helps
	// "body", "path", "query", "header", "cookie", "form"; "" is "body"
	In string `json:"in"`
	// a JSON Pointer (RFC 6901) in there: "/items/0/price"; "" is all
	Pointer string `json:"pointer"`
	Detail  string `json:"detail"` // such as "must be an integer"
}

// Error is for logs.
func (f Field) Error() string {
	if f.In == "" {
		f.In = "body"
	}
	return f.In + " " + f.Pointer + ": " + f.Detail
}

// StatusCode is 422.
func (f Field) StatusCode() int { return http.StatusUnprocessableEntity }
