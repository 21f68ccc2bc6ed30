package wsxclient

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"

	"github.com/coder/websocket"
)

// ClosedError says that the connection has ended and how.
type ClosedError struct {
	// Code is the close code: the peer's, this side's, or 1006 when the connection broke without
	// one (RFC 6455 section 7.1.5).
	Code int
	// Err is the cause. It may be nil.
	Err error
	// MayHaveRun says of a call that it had been sent, so that the server may have run it. When it
	// is false, the server has not.
	MayHaveRun bool

	unreadable bool // this side refused a message of the server
	// the server refused a message, and it was this call's unless it was one that is not sent again
	blamed bool
}

func (e *ClosedError) Error() string {
	s := fmt.Sprintf("wsx: connection closed (%d)", e.Code)
	if e.MayHaveRun {
		s += ", the call may have run"
	}
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	return s
}

// Unwrap returns the cause.
func (e *ClosedError) Unwrap() error { return e.Err }

// ErrTooBig is in the error of a call or loop whose answer, item or event was over
// Options.MaxMessage. The connection goes on, and so does a loop of Subscribe, to which it is an
// [ErrMissed] too.
var ErrTooBig = errors.New("wsx: the server's message is over MaxMessage")

// ErrPoison is in the *[ClosedError] of a call with Retry, or of a Subscribe, that is given up:
// twice a connection ended as the server refused a message, and both times its own was the largest
// under way.
var ErrPoison = errors.New(
	"wsx: given up: the server refused its message twice, and with it all that the " +
		"connection carried")

// Close codes of WSX (protocol section 5) that are the client's to know, and one of IANA's
// register.
const (
	closeUnauthenticated = 4401
	closeForbidden       = 4403
	closeTiming          = 4420
	closeTooMany         = 4429
	closeSlow            = 4430
	closeTryAgainLater   = 1013
)

// Final is what Options.Final is unless set. It reports whether err is the server's word that
// coming back is of no use: the close codes 1000, 4401 and 4403, and handshakes refused with 401,
// 403 or 410. All else passes, as far as a client can know: the same handshake was taken before,
// and 404, 408, 421, 425, 429, redirects and pages with 200 are what is met during a deploy.
func Final(err error) bool {
	if refused, ok := errors.AsType[*HandshakeError](err); ok {
		switch refused.Status {
		case http.StatusUnauthorized, http.StatusForbidden, http.StatusGone:
			return true
		}
		return false
	}
	switch websocket.CloseStatus(err) {
	case websocket.StatusNormalClosure, closeUnauthenticated, closeForbidden:
		return true
	}
	return false
}

// blames reports whether the peer closed the connection for a message: it may be one that is sent
// again and again.
func blames(err error) bool {
	switch websocket.CloseStatus(err) {
	case websocket.StatusUnsupportedData, websocket.StatusInvalidFramePayloadData,
		websocket.StatusPolicyViolation, websocket.StatusMessageTooBig, closeTiming:
		return true
	}
	return false
}

// HandshakeError says that the server answered the handshake and did not upgrade.
type HandshakeError struct {
	Status int    // the HTTP status
	Body   []byte // the first KiB of the answer, a problem (RFC 9457) from a server of this package
	// RetryAfter is what the header field of that name asks for (RFC 9110 section 10.2.3), zero
	// when there is none. A client that reconnects waits as long, and a random time more, but 5 min
	// at most.
	RetryAfter time.Duration
	Err        error
}

func (e *HandshakeError) Error() string {
	return fmt.Sprintf("wsx: the server answered the handshake with %d %s", e.Status,
		http.StatusText(e.Status))
}

// Unwrap returns what the handshake made of it.
func (e *HandshakeError) Unwrap() error { return e.Err }

// StatusCode is the HTTP status.
func (e *HandshakeError) StatusCode() int { return e.Status }

func dialError(resp *http.Response, err error, token string) error {
	if resp == nil || resp.StatusCode == http.StatusSwitchingProtocols {
		return fmt.Errorf("wsx: dial: %w", err)
	}
	body, _ := io.ReadAll(resp.Body) // what could be read of it
	if token != "" {
		body = bytes.ReplaceAll(body, []byte(token), []byte("[token]"))
	}
	return &HandshakeError{
		Status: resp.StatusCode, Body: body,
		RetryAfter: retryAfter(resp.Header.Get("Retry-After")), Err: err,
	}
}

// retryAfter reads a Retry-After: seconds, or a date.
func retryAfter(value string) time.Duration {
	if seconds, err := strconv.ParseUint(value, 10, 32); err == nil {
		return time.Duration(seconds) * time.Second
	}
	if at, err := http.ParseTime(value); err == nil {
		return max(0, time.Until(at))
	}
	return 0
}
