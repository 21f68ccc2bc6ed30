package asgi

import (
	"net/http"
)

// FieldError says which part of a request is wrong, in words for the client. A Validate method returns one, or several joined
// by errors.Join. It is one element of a problem's member "errors".
type FieldError struct {
	In      string `json:"in"`      // "body", "path", "query", "header", "cookie" or "form"; empty means "body"
	Pointer string `json:"pointer"` // an RFC 6901 JSON Pointer to the value in there, such as "/items/0/price"
	Detail  string `json:"detail"`  // such as "must be an integer"
}

// Error is for logs.
func (e FieldError) Error() string { return e.In + " " + e.Pointer + ": " + e.Detail }

// StatusCode is 422.
func (e FieldError) StatusCode() int { return http.StatusUnprocessableEntity }

func (e FieldError) problem(cause error) *HTTPError {
	return invalidFields(http.StatusUnprocessableEntity, cause, e)
}

// invalidFields is the problem of a request that was understood and is wrong in some fields.
func invalidFields(status int, cause error, fields ...FieldError) *HTTPError {
	for i := range fields {
		if fields[i].In == "" {
			fields[i].In = "body"
		}
	}
	return &HTTPError{
		Status:     status,
		Detail:     "The request has invalid fields.",
		Extensions: map[string]any{"errors": fields},
		Err:        cause,
	}
}

// validationError turns what a Validate method returned into an answer. Only what is meant for the client is sent:
// an *HTTPError and FieldErrors.
func validationError(err error) *HTTPError {
	var fields []FieldError
	var other *HTTPError
	var walk func(error)
	walk = func(err error) {
		switch e := err.(type) { //nolint:errorlint // it unwraps by itself, to reach all of several
		case *HTTPError:
			other = e
		case FieldError:
			fields = append(fields, e)
		case *FieldError:
			fields = append(fields, *e)
		case interface{ Unwrap() []error }:
			for _, inner := range e.Unwrap() {
				walk(inner)
			}
		case interface{ Unwrap() error }:
			if inner := e.Unwrap(); inner != nil {
				walk(inner)
			}
		}
	}
	walk(err)
	switch {
	case other != nil:
		return other
	case len(fields) > 0:
		return invalidFields(http.StatusUnprocessableEntity, err, fields...)
	}
	return &HTTPError{Status: http.StatusUnprocessableEntity, Detail: "The request is not valid.", Err: err}
}
