package wsxclient

import (
	"bytes"
	"fmt"
	"io"
	"net/http"

	"github.com/coder/websocket"
)

// ClosedError says that the connection has ended and how.
type ClosedError struct {
	// Code is the close code: the peer's, this side's, or 1006 when the connection broke without one (RFC 6455 section 7.1.5).
	Code int
	// Err is the cause. It may be nil.
	Err error
	// MayHaveRun says of a call that it had been sent, so that the server may have run it. When it is false, the server has not.
	MayHaveRun bool
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

// final reports whether connecting again would be no use, or unwanted; 4401 aside.
func (e *ClosedError) final() bool {
	switch websocket.StatusCode(e.Code) {
	case websocket.StatusNormalClosure, websocket.StatusPolicyViolation, 4403:
		return true
	}
	return false
}

// final reports whether dialling again would be no use, 401 aside.
func (e *HandshakeError) final() bool {
	return e.Status < 500 && e.Status != http.StatusTooManyRequests && e.Status != http.StatusUnauthorized
}

// HandshakeError says that the server answered the handshake and did not upgrade.
type HandshakeError struct {
	Status int    // the HTTP status
	Body   []byte // the first KiB of the answer, a problem (RFC 9457) from a server of this package
	Err    error
}

func (e *HandshakeError) Error() string {
	return fmt.Sprintf("wsx: the server answered the handshake with %d %s", e.Status, http.StatusText(e.Status))
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
	return &HandshakeError{Status: resp.StatusCode, Body: body, Err: err}
}
