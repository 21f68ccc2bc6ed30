package wsx_test

import (
	"errors"
	"fmt"
	"net/http"
	"testing"

	"github.com/genropy/genro-asgi-go/wsx"
)

// httpError stands for the error of a package that knows only HTTP.
type httpError struct{ status int }

func (e httpError) Error() string   { return fmt.Sprintf("canary-7f3a %d", e.status) }
func (e httpError) StatusCode() int { return e.status }

func TestError_HasTheImagesOfTheProtocolPage(t *testing.T) {
	for _, tc := range []struct {
		code            string
		jsonrpc, status int
	}{
		{wsx.CodeParseError, -32700, 400},
		{wsx.CodeInvalidRequest, -32600, 400},
		{wsx.CodeMethodNotFound, -32601, 404},
		{wsx.CodeInvalidParams, -32602, 422},
		{wsx.CodeInternalError, -32603, 500},
		{wsx.CodeUnsupportedType, -32600, 400},
		{wsx.CodeUnauthenticated, -32001, 401},
		{wsx.CodePermissionDenied, -32003, 403},
		{wsx.CodeSubscriptionDenied, -32003, 403},
		{wsx.CodeNotFound, -32004, 404},
		{wsx.CodeConflict, -32009, 409},
		{wsx.CodeResourceExhausted, -32029, 429},
		{wsx.CodeCancelled, -32800, 499},
		{wsx.CodeDeadlineExceeded, -32008, 504},
		{wsx.CodeUnavailable, -32000, 503},
		{"OUT_OF_STOCK", -32050, 500},
	} {
		e := wsx.NewError(tc.code, "")
		if e.JSONRPCCode() != tc.jsonrpc || e.StatusCode() != tc.status {
			t.Errorf("%s: %d, %d; want %d, %d", tc.code, e.JSONRPCCode(), e.StatusCode(), tc.jsonrpc, tc.status)
		}
	}
}

func TestError_WithACodeOfTheApplicationHasTheStatusOfItsCause(t *testing.T) {
	for cause, want := range map[error]int{httpError{418}: 418, httpError{200}: 500, errors.New("x"): 500} {
		e := &wsx.Error{Code: "TEAPOT", Err: fmt.Errorf("wrapped: %w", cause)}
		if got := e.StatusCode(); got != want {
			t.Errorf("%v: %d, want %d", cause, got, want)
		}
	}
}

func TestCodeFromStatus_InvertsTheTable(t *testing.T) {
	for status, want := range map[int]string{
		400: wsx.CodeInvalidRequest, 401: wsx.CodeUnauthenticated, 403: wsx.CodePermissionDenied, 404: wsx.CodeNotFound,
		408: wsx.CodeDeadlineExceeded, 409: wsx.CodeConflict, 413: wsx.CodeResourceExhausted, 418: wsx.CodeInvalidRequest,
		422: wsx.CodeInvalidParams, 429: wsx.CodeResourceExhausted, 499: wsx.CodeCancelled, 500: wsx.CodeInternalError,
		502: wsx.CodeInternalError, 503: wsx.CodeUnavailable, 504: wsx.CodeDeadlineExceeded, 200: wsx.CodeInternalError,
	} {
		if got := wsx.CodeFromStatus(status); got != want {
			t.Errorf("%d %s: %s, want %s", status, http.StatusText(status), got, want)
		}
	}
}

func TestCodeFromJSONRPC_InvertsTheTable(t *testing.T) {
	for number, want := range map[int]string{
		-32700: wsx.CodeParseError, -32600: wsx.CodeInvalidRequest, -32601: wsx.CodeMethodNotFound, -32602: wsx.CodeInvalidParams,
		-32603: wsx.CodeInternalError, -32003: wsx.CodePermissionDenied, -32800: wsx.CodeCancelled, -32050: wsx.CodeInternalError, 7: wsx.CodeInternalError,
	} {
		if got := wsx.CodeFromJSONRPC(number); got != want {
			t.Errorf("%d: %s, want %s", number, got, want)
		}
	}
}

func TestError_IsAskedForByCode(t *testing.T) {
	cause := errors.New("row 7")
	err := fmt.Errorf("get: %w", &wsx.Error{Code: wsx.CodeNotFound, Message: "no such order", Err: cause})
	for _, tc := range []struct {
		target error
		want   bool
	}{
		{wsx.NewError(wsx.CodeNotFound, ""), true},
		{wsx.NewError(wsx.CodeNotFound, "no such order"), true},
		{wsx.NewError(wsx.CodeNotFound, "another text"), false},
		{wsx.NewError(wsx.CodeConflict, ""), false},
		{cause, true},
	} {
		if got := errors.Is(err, tc.target); got != tc.want {
			t.Errorf("errors.Is(err, %v) = %v", tc.target, got)
		}
	}
	if got := err.Error(); got != "get: NOT_FOUND: no such order: row 7" {
		t.Error(got)
	}
	if got := wsx.NewError(wsx.CodeNotFound, "").Error(); got != "NOT_FOUND: not found" {
		t.Error(got)
	}
	if got := wsx.NewError("OUT_OF_STOCK", "").Error(); got != "OUT_OF_STOCK: OUT_OF_STOCK" {
		t.Error(got)
	}
}
