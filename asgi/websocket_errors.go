package asgi

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"
)

// Close codes (RFC 6455 section 7.4.1) that this package sends, or reports and never sends.
const (
	closeNormal      = 1000
	closeGoingAway   = 1001
	closeUnsupported = 1003
	closeNoStatus    = 1005 // the peer's close frame had no code
	closeAbnormal    = 1006 // there was no close frame
	closeInvalid     = 1007
	closeInternal    = 1011
	closeExpired     = 4401
)

const (
	goingAway     = "server going away"
	internalError = "internal error"
)

// maxCloseReason is what a control frame holds beside the code, in bytes (RFC 6455 section 5.5).
const maxCloseReason = 123

// WebSocketError is an error that says how the connection is closed. A handler returns one, and
// gets one where the peer broke a rule: a limit (1008, 1009), the protocol (1002), UTF-8 (1007),
// each of which has closed the connection; or a message of the wrong kind (1003) or shape (1007),
// which has not.
type WebSocketError struct {
	// 1000 to 1014 without 1004 to 1006, or 3000 to 4999; anything else closes with 1011
	Code   int
	Reason string // for the peer: UTF-8, cut off after 123 bytes; may be empty
	Err    error  // the cause, for logs and errors.Is; never sent; may be nil
}

// Error is for logs.
func (e *WebSocketError) Error() string {
	return closeText("asgi: WebSocket error", e.Code, e.Reason, e.Err)
}

// Unwrap is the cause.
func (e *WebSocketError) Unwrap() error { return e.Err }

// WebSocketDisconnect is the end of a connection by its peer or by the network.
type WebSocketDisconnect struct { //nolint:errname // the name that users of Starlette know
	// as the peer sent it; 1005 when it sent none, 1006 when it did not say good-bye, 4408 when it
	// did not answer a keepalive, 4420 when it broke a rule about time
	Code   int
	Reason string // as the peer sent it
	Err    error  // what went wrong with the connection; may be nil
}

// Error is for logs. Beware that the reason is the peer's.
func (e *WebSocketDisconnect) Error() string {
	return closeText("asgi: WebSocket disconnected", e.Code, e.Reason, e.Err)
}

// Unwrap is what went wrong with the connection.
func (e *WebSocketDisconnect) Unwrap() error { return e.Err }

func closeText(what string, code int, reason string, cause error) string {
	text := fmt.Sprintf("%s: %d", what, code)
	if reason != "" {
		text += fmt.Sprintf(" %q", reason)
	}
	if cause != nil {
		text += ": " + cause.Error()
	}
	return text
}

// ErrWebSocketState is what all errors match by errors.Is that tell of a call at the wrong time:
// sending before Accept, accepting twice, receiving after Close. Such a call changes nothing.
var ErrWebSocketState = errors.New("asgi: the WebSocket is in another state")

type stateError struct {
	op    string
	state WebSocketState
}

func (e *stateError) Error() string {
	return fmt.Sprintf("asgi: WebSocket.%s: the connection is %v", e.op, e.state)
}

func (e *stateError) Is(target error) bool { return target == ErrWebSocketState }

// handlerPanicError carries a panic of the handler's goroutine to that of net/http with the stack
// where it happened.
type handlerPanicError struct {
	value any
	stack []byte
}

func (e *handlerPanicError) Error() string { return fmt.Sprintf("%v\n\n%s", e.value, e.stack) }

func (e *handlerPanicError) Unwrap() error {
	err, _ := e.value.(error)
	return err
}

// errHandlerGoexit is a handler that called runtime.Goexit, as t.FailNow does.
var errHandlerGoexit = errors.New(
	"asgi: the WebSocket's handler ended its goroutine (runtime.Goexit)")

// maySend tells whether a close frame may have this code.
func maySend(code int) bool {
	return code >= 1000 && code <= 1014 && (code < 1004 || code > 1006) || code >= 3000 &&
		code <= 4999
}

// fitReason makes any text a reason.
func fitReason(reason string) string {
	reason = strings.ToValidUTF8(reason, "\uFFFD")
	if len(reason) <= maxCloseReason {
		return reason
	}
	end := maxCloseReason
	for !utf8.RuneStart(reason[end]) {
		end--
	}
	return reason[:end]
}
