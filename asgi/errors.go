package asgi

import (
	"context"
	"net/http"

	"github.com/genropy/genro-asgi-go/problem"
)

// StatusClientClosedRequest is problem.StatusClientClosedRequest.
const StatusClientClosedRequest = problem.StatusClientClosedRequest

// HTTPError is an error that says how it is answered: problem.Error, which every other door of this
// module understands as well.
type HTTPError = problem.Error

// FieldError says which part of a request is wrong: problem.Field.
type FieldError = problem.Field

// ErrorOptions says how errors become answers: problem.Options.
type ErrorOptions = problem.Options

// NewHTTPError makes an error with a status from 400 to 599 and a detail that the client may read:
// problem.New.
func NewHTTPError(status int, detail string) *HTTPError { return problem.New(status, detail) }

// ContextWithErrors makes WriteError follow o for requests with this context: problem.WithOptions.
func ContextWithErrors(ctx context.Context, o *ErrorOptions) context.Context {
	return problem.WithOptions(ctx, o)
}

// WriteError answers a request with err as an RFC 9457 problem: problem.Write, which says by which
// rules.
func WriteError(w http.ResponseWriter, r *http.Request, err error) { problem.Write(w, r, err) }
