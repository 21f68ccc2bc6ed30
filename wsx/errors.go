package wsx

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/genropy/genro-asgi-go/wsx/internal/wire"
)

// The protocol's own error codes (section 3). Handlers may use codes of their own, in UPPER_SNAKE_CASE.
const (
	CodeParseError         = "PARSE_ERROR"         // the message is not JSON
	CodeInvalidRequest     = "INVALID_REQUEST"     // JSON of another shape, a duplicate id, a limit
	CodeMethodNotFound     = "METHOD_NOT_FOUND"    // no such method; details.method
	CodeInvalidParams      = "INVALID_PARAMS"      // params do not fit the method's type; details.path
	CodeInternalError      = "INTERNAL_ERROR"      // any error that is not coded, and panics
	CodeUnsupportedType    = "UNSUPPORTED_TYPE"    // an unknown rpc. type
	CodeUnauthenticated    = "UNAUTHENTICATED"     // no or expired credentials
	CodePermissionDenied   = "PERMISSION_DENIED"   // known caller, not allowed
	CodeSubscriptionDenied = "SUBSCRIPTION_DENIED" // the channel's authorizer said no
	CodeNotFound           = "NOT_FOUND"           // the thing asked for does not exist
	CodeConflict           = "CONFLICT"            // the state forbids it
	CodeResourceExhausted  = "RESOURCE_EXHAUSTED"  // a limit or rate was hit; details.retry_after_ms where known
	CodeCancelled          = "CANCELLED"           // by rpc.cancel or by the connection's end
	CodeDeadlineExceeded   = "DEADLINE_EXCEEDED"   // the server's or the request's deadline passed
	CodeUnavailable        = "UNAVAILABLE"         // shutting down or overloaded; safe to retry
)

// customJSONRPC is the JSON-RPC image of a code that is not the protocol's own.
const customJSONRPC = -32050

// images are the numbers of one code elsewhere, and the text that stands for it when there is no better.
type images struct {
	code    string
	jsonrpc int
	status  int
	text    string
}

// codes lists the protocol's codes; where several have the same image, the first is the one that stands for it.
var codes = [...]images{
	{CodeParseError, -32700, http.StatusBadRequest, "the message is not JSON"},
	{CodeInvalidRequest, -32600, http.StatusBadRequest, "invalid request"},
	{CodeNotFound, -32004, http.StatusNotFound, "not found"},
	{CodeMethodNotFound, -32601, http.StatusNotFound, "method not found"},
	{CodeInvalidParams, -32602, http.StatusUnprocessableEntity, "invalid params"},
	{CodeInternalError, -32603, http.StatusInternalServerError, "internal error"},
	{CodeUnsupportedType, -32600, http.StatusBadRequest, "unsupported message type"},
	{CodeUnauthenticated, -32001, http.StatusUnauthorized, "unauthenticated"},
	{CodePermissionDenied, -32003, http.StatusForbidden, "permission denied"},
	{CodeSubscriptionDenied, -32003, http.StatusForbidden, "subscription denied"},
	{CodeConflict, -32009, http.StatusConflict, "conflict"},
	{CodeResourceExhausted, -32029, http.StatusTooManyRequests, "resource exhausted"},
	{CodeCancelled, -32800, statusClientClosed, "cancelled"},
	{CodeDeadlineExceeded, -32008, http.StatusGatewayTimeout, "deadline exceeded"},
	{CodeUnavailable, -32000, http.StatusServiceUnavailable, "unavailable"},
}

// statusClientClosed is the status for a request that its caller gave up; net/http has no name for it.
const statusClientClosed = 499

// Error is an error with a code of the protocol or of the application. It is the only error whose text and details
// reach the peer: a handler returns one, alone or wrapped, for what the caller may know. A client returns the errors
// that a server sent as *Error as well, with Details as a jsontext.Value or nil.
//
// An Error is not changed after it was returned, so that one value may serve many calls.
type Error struct {
	// Code is in UPPER_SNAKE_CASE. An Error with an empty code counts as a plain error: the peer learns nothing of it.
	Code string
	// Message is for people. Empty means a fixed text for the protocol's codes, and the code itself for others.
	Message string
	// Details is encoded as JSON; nil means none. When it cannot be encoded, the error is sent without and the
	// server logs why.
	Details any
	// Err is the cause, for errors.Is, errors.As and the log. The peer never sees it. May be nil.
	Err error
}

// NewError returns an error with that code and message; set Details and Err on it as needed.
func NewError(code, message string) *Error { return &Error{Code: code, Message: message} }

// Error is the code, the message and the cause, as a log wants them.
func (e *Error) Error() string {
	s := e.Code + ": " + e.text()
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	return s
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// Is reports whether target is an *Error with the same code and, unless target's is empty, the same message, so that
// errors.Is(err, wsx.NewError(wsx.CodeNotFound, "")) asks for the code.
func (e *Error) Is(target error) bool {
	t, ok := target.(*Error)
	return ok && t.Code == e.Code && (t.Message == "" || t.Message == e.Message)
}

// JSONRPCCode is the error's number in JSON-RPC 2.0: that of the protocol's code, else -32050.
func (e *Error) JSONRPCCode() int {
	if c := imagesOf(e.Code); c != nil {
		return c.jsonrpc
	}
	return customJSONRPC
}

// StatusCode is the error's HTTP status: that of the protocol's code; else that of the cause, when it has a
// StatusCode from 400 to 599; else 500. It makes an *Error what packages that know only HTTP understand.
func (e *Error) StatusCode() int {
	if c := imagesOf(e.Code); c != nil {
		return c.status
	}
	if status, ok := statusOf(e.Err); ok {
		return status
	}
	return http.StatusInternalServerError
}

// MarshalJSON is the error object of the protocol: {"code", "message", "details"?}, what a peer learns of it. The error says why Details
// cannot be encoded.
func (e *Error) MarshalJSON() ([]byte, error) {
	details, err := e.details()
	if err != nil {
		return nil, err
	}
	return wire.AppendErrorObject(nil, e.Code, e.text(), details), nil
}

// PeerError is what a peer is told of an error that a method returned: the *Error that it is or wraps, else one with a code by the rules of the
// package's documentation and a fixed text. err stays reachable as its cause. It is for those who answer in another protocol.
func PeerError(err error) *Error { return peerError(err, false) }

// text is the message that the peer reads.
func (e *Error) text() string {
	if e.Message != "" {
		return e.Message
	}
	if c := imagesOf(e.Code); c != nil {
		return c.text
	}
	return e.Code
}

// CodeFromStatus is the protocol's code for an HTTP status, for errors that come with one. A status that is no
// code's image is INVALID_REQUEST from 400 to 499 and INTERNAL_ERROR otherwise.
func CodeFromStatus(status int) string {
	switch status {
	case http.StatusBadRequest:
		return CodeInvalidRequest
	case http.StatusRequestTimeout:
		return CodeDeadlineExceeded
	case http.StatusRequestEntityTooLarge:
		return CodeResourceExhausted
	}
	for _, c := range codes {
		if c.status == status {
			return c.code
		}
	}
	if status >= 400 && status < 500 {
		return CodeInvalidRequest
	}
	return CodeInternalError
}

// CodeFromJSONRPC is the protocol's code for the number of a JSON-RPC error that came without one in its data.
// A number that is no code's image is INTERNAL_ERROR.
func CodeFromJSONRPC(number int) string {
	for _, c := range codes {
		if c.jsonrpc == number {
			return c.code
		}
	}
	return CodeInternalError
}

func imagesOf(code string) *images {
	for i := range codes {
		if codes[i].code == code {
			return &codes[i]
		}
	}
	return nil
}

// statusOf is the status that err or a cause of it carries, when it is one of an error.
func statusOf(err error) (int, bool) {
	var s interface{ StatusCode() int }
	if !errors.As(err, &s) {
		return 0, false
	}
	status := s.StatusCode()
	return status, status >= 400 && status <= 599
}

// peerError is the one place where it is decided what a peer learns of an error that a handler returned. The error
// itself stays reachable as the cause, for the log. With debug, the text of an internal error is sent too.
func peerError(err error, debug bool) *Error {
	if e, ok := errors.AsType[*Error](err); ok && e.Code != "" {
		return e
	}
	e := &Error{Code: CodeInternalError, Err: err}
	status, hasStatus := statusOf(err)
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		e.Code = CodeDeadlineExceeded
	case errors.Is(err, context.Canceled):
		e.Code = CodeCancelled
	case hasStatus:
		e.Code = CodeFromStatus(status)
	}
	if debug && e.Code == CodeInternalError {
		e.Message = err.Error()
	}
	return e
}

// panicError is a handler's panic. It unwraps to nothing: a panic is a bug, whatever it was raised with, and the peer
// learns of it as of any internal error. The stack is for the log only.
type panicError struct {
	value any
	stack []byte
}

func (p *panicError) Error() string { return fmt.Sprintf("panic: %v", p.value) }
