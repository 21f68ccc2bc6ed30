package wsx

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"runtime/debug"
	"slices"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/genropy/genro-asgi-go/internal/typed"
	"github.com/genropy/genro-asgi-go/problem"
	"github.com/genropy/genro-asgi-go/wsx/internal/codes"
	"github.com/genropy/genro-asgi-go/wsx/internal/wire"
)

// The protocol's own error codes (section 3). Handlers may use codes of their own, in
// UPPER_SNAKE_CASE.
const (
	CodeParseError     = "PARSE_ERROR"      // the message is not JSON
	CodeInvalidRequest = "INVALID_REQUEST"  // JSON of another shape, a duplicate id, a limit
	CodeMethodNotFound = "METHOD_NOT_FOUND" // no such method; details.method
	// params do not fit the method's type; details.path
	CodeInvalidParams      = "INVALID_PARAMS"
	CodeInternalError      = "INTERNAL_ERROR"      // any error that is not coded, and panics
	CodeUnsupportedType    = "UNSUPPORTED_TYPE"    // an unknown rpc. type
	CodeUnauthenticated    = "UNAUTHENTICATED"     // no or expired credentials
	CodePermissionDenied   = "PERMISSION_DENIED"   // known caller, not allowed
	CodeSubscriptionDenied = "SUBSCRIPTION_DENIED" // the channel's authorizer said no
	CodeNotFound           = "NOT_FOUND"           // the thing asked for does not exist
	CodeConflict           = "CONFLICT"            // the state forbids it
	// a limit or rate was hit; details.retry_after_ms where known
	CodeResourceExhausted = "RESOURCE_EXHAUSTED"
	CodeCancelled         = "CANCELLED"         // by rpc.cancel or by the connection's end
	CodeDeadlineExceeded  = "DEADLINE_EXCEEDED" // the server's or the request's deadline passed
	CodeUnavailable       = "UNAVAILABLE"       // shutting down or overloaded; safe to retry
)

// Error is an error with a code of the protocol or of the application. It is the only error whose
// text and details reach the peer: a handler returns one, alone or wrapped, for what the caller may
// know. A client returns the errors that a server sent as *Error as well, with Details as a
// jsontext.Value or nil.
//
// An Error is not changed after it was returned, so that one value may serve many calls.
type Error struct {
	// Code is in UPPER_SNAKE_CASE. An Error with an empty code counts as a plain error: the peer
	// learns nothing of it.
	Code string
	// Message is for people. Empty means a fixed text for the protocol's codes, and the code itself
	// for others.
	Message string
	// Details is encoded as JSON; nil means none. When it cannot be encoded, the error is sent
	// without and the server logs why.
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

// Is reports whether target is an *Error with the same code and, unless target's is empty, the same
// message, so that errors.Is(err, wsx.NewError(wsx.CodeNotFound, "")) asks for the code.
func (e *Error) Is(target error) bool {
	t, ok := target.(*Error)
	return ok && t.Code == e.Code && (t.Message == "" || t.Message == e.Message)
}

// JSONRPCCode is the error's number in JSON-RPC 2.0: that of the protocol's code, else -32050.
func (e *Error) JSONRPCCode() int {
	if c := codes.Of(e.Code); c != nil {
		return c.JSONRPC
	}
	return codes.CustomJSONRPC
}

// StatusCode is the error's HTTP status: that of the protocol's code; else that of the cause, when
// it has a StatusCode from 400 to 599; else 500. It makes an *Error what packages that know only
// HTTP understand.
func (e *Error) StatusCode() int {
	if c := codes.Of(e.Code); c != nil {
		return c.Status
	}
	if status, ok := statusOf(e.Err); ok {
		return status
	}
	return http.StatusInternalServerError
}

// Problem is what doors other than this package's tell a caller of e: its code, its message and, as
// the extension "details", its details. It is nil where the peer learns nothing of it.
func (e *Error) Problem() *problem.Error {
	if e == nil || e.Code == "" {
		return nil
	}
	p := &problem.Error{Status: e.StatusCode(), Code: e.Code, Detail: e.text(), Err: e}
	if e.Details != nil {
		p.Extensions = map[string]any{"details": e.Details}
	}
	return p
}

// ofProblem is the Error that tells a peer what it may know of a cause: the problem's own code or
// that of its status, and its field errors, the time to wait and its extensions as details.
func ofProblem(p *problem.Error, cause error) *Error {
	e := &Error{Code: p.Code, Message: p.Detail, Err: cause}
	if e.Code == "" {
		e.Code = codes.FromStatus(p.StatusCode())
	}
	if len(p.Extensions) == 1 && len(p.Fields) == 0 && p.RetryAfter <= 0 {
		if e.Details = p.Extensions["details"]; e.Details != nil {
			// as Problem has them: an Error that comes back
			return e
		}
	}
	details := maps.Clone(p.Extensions)
	if details == nil {
		details = make(map[string]any, 2)
	}
	if len(p.Fields) > 0 {
		fields := slices.Clone(p.Fields)
		for i := range fields {
			fields[i].In = cmp.Or(fields[i].In, "body")
		}
		details["errors"] = fields
	}
	if p.RetryAfter > 0 {
		details["retry_after_ms"] = (p.RetryAfter + time.Millisecond - 1).Milliseconds()
	}
	if len(details) > 0 {
		e.Details = details
	}
	return e
}

// MarshalJSON is the error object of the protocol: {"code", "message", "details"?}, what a peer
// learns of it. The error says why Details cannot be encoded.
func (e *Error) MarshalJSON() ([]byte, error) {
	details, err := e.details()
	if err != nil {
		return nil, err
	}
	return wire.AppendErrorObject(nil, e.Code, e.text(), details), nil
}

// PeerError is what a peer is told of an error that a method returned: the *Error that it is or
// wraps, else one with a code by the rules of the package's documentation and a fixed text. err
// stays reachable as its cause. It is for those who answer in another protocol.
func PeerError(err error) *Error { return peerError(err, false) }

// text is the message that the peer reads.
func (e *Error) text() string {
	if e.Message != "" {
		return e.Message
	}
	if c := codes.Of(e.Code); c != nil {
		return c.Text
	}
	return e.Code
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

// peerError is the one place where it is decided what a peer learns of an error that a handler
// returned. The error itself stays reachable as the cause, for the log. With open, the text of an
// internal error is sent too.
func peerError(err error, open bool) (coded *Error) {
	defer func() {
		if v := recover(); v != nil { // a method of err's, as one that is called on a nil pointer
			coded = &Error{Code: CodeInternalError, Err: caught(v)}
		}
	}()
	if e, ok := errors.AsType[*Error](err); ok && e.Code != "" {
		return e
	}
	if p := problem.Of(err); p != nil {
		return ofProblem(p, err)
	}
	e := &Error{Code: CodeInternalError, Err: err}
	status, hasStatus := statusOf(err)
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		e.Code = CodeDeadlineExceeded
	case errors.Is(err, context.Canceled):
		e.Code = CodeCancelled
	case hasStatus:
		e.Code = codes.FromStatus(status)
	}
	if open && e.Code == CodeInternalError {
		e.Message = err.Error()
	}
	return e
}

// answerable is err as problem.Write is to get it: where a method of err's panics, that panic, and
// with open, an internal error with its text.
func answerable(err error, open bool) error {
	coded := peerError(err, open)
	if panicked, ok := coded.Err.(*panicError); ok { //nolint:errorlint // of peerError
		return panicked
	}
	if open && coded.Code == CodeInternalError {
		return coded
	}
	return err
}

// panicError is a handler's panic. It unwraps to nothing: a panic is a bug, whatever it was raised
// with, and the peer learns of it as of any internal error. The stack is for the log only.
type panicError struct {
	value any
	stack []byte
}

// caught is the error of a panic with that value. It is called where that was recovered.
func caught(value any) *panicError { return &panicError{value: value, stack: debug.Stack()} }

func (p *panicError) Error() string { return fmt.Sprintf("panic: %v", p.value) }

// StatusCode is 500, also when the client has gone.
func (p *panicError) StatusCode() int { return http.StatusInternalServerError }

// LogValue has the stack too.
func (p *panicError) LogValue() slog.Value {
	return slog.GroupValue(slog.String("message", p.Error()), slog.String("stack", string(p.stack)))
}

// errText is the text of an error whose Error method may panic.
func errText(err error) (text string) {
	defer func() {
		if v := recover(); v != nil {
			text = fmt.Sprintf("%T, whose Error panics: %v", err, v)
		}
	}()
	return err.Error()
}

// details is Details as JSON, nil when there are none or they cannot be encoded. Of a map, the
// members that can be are left.
func (e *Error) details() (encoded []byte, err error) {
	if e.Details == nil {
		return nil, nil
	}
	defer func() {
		if v := recover(); v != nil {
			encoded, err = nil, fmt.Errorf("wsx: encode the error's details: panic: %v", v)
		}
	}()
	if encoded, err = typed.Marshal(e.Details, detailOptions); err == nil {
		return encoded, nil
	}
	err = fmt.Errorf("wsx: encode the error's details: %w", err)
	members, ok := e.Details.(map[string]any)
	if !ok {
		return nil, err
	}
	members = maps.Clone(members)
	maps.DeleteFunc(members, func(_ string, value any) bool {
		_, err := typed.Marshal(value, detailOptions)
		return err != nil
	})
	encoded, _ = typed.Marshal(members, detailOptions)
	return encoded, err
}

var detailOptions = json.JoinOptions(json.Deterministic(true), jsontext.AllowInvalidUTF8(true))

// levelQuiet is for what a busy server sees all day.
const levelQuiet = slog.LevelDebug

func errAttr(err error) slog.Attr { return slog.String("error", errText(err)) }

// levelOf tells errors that the peer learns nothing of from others.
func levelOf(coded *Error) slog.Level {
	if coded.Code == CodeInternalError {
		return slog.LevelError
	}
	return levelQuiet
}

// logCall logs what a handler returned, with the stack of a panic.
func logCall(log *slog.Logger, level slog.Level, method string, err error, coded *Error,
	attrs ...slog.Attr,
) {
	attrs = append(attrs, slog.String("method", method), slog.String("code", coded.Code),
		errAttr(err))
	if p, ok := errors.AsType[*panicError](err); ok {
		attrs = append(attrs, slog.String("stack", string(p.stack)))
	}
	log.LogAttrs(context.Background(), level, "wsx: call failed", attrs...)
}

// refusedAs is what a subscriber is told of the error of an authorizer or a filter: a *[Error] as
// it is, UNAVAILABLE where asking again may help, and else that code. nil stays nil.
func refusedAs(err error, code string) error {
	if _, ok := errors.AsType[*Error](err); ok || err == nil {
		return err
	}
	if passing(err) {
		code = CodeUnavailable
	}
	return &Error{Code: code, Err: err}
}

// passing reports whether an error says nothing of who asks, but that somebody who was asked could
// not answer: a time-out, the network, or a StatusCode that says so.
func passing(err error) bool {
	if _, ok := errors.AsType[net.Error](err); ok { // context.DeadlineExceeded is one
		return true
	}
	status, _ := statusOf(err)
	switch status {
	case http.StatusRequestTimeout, http.StatusTooEarly, http.StatusTooManyRequests:
		return true
	}
	return status >= 500 || errors.Is(err, context.Canceled)
}

// forNow reports whether the error is no answer to what was asked: the same may be asked again
// later.
func (e *Error) forNow() bool {
	return e.Code == CodeUnavailable || e.Code == CodeResourceExhausted ||
		e.Code == CodeDeadlineExceeded
}
