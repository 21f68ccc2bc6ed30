// Package codes maps the error codes of the WSX protocol (section 3) to the numbers that JSON-RPC
// and HTTP have for them, and back.
//
// # Contract
//
// The table has each of the protocol's codes once. A code of a program's own is in none of it.
//
// # Concurrency
//
// All functions are safe for concurrent use; the table does not change.
package codes

import "net/http"

// CustomJSONRPC is the JSON-RPC number of a code that is not the protocol's own.
const CustomJSONRPC = -32050

// StatusClientClosed is the status for a request that its caller gave up; net/http has no name for
// it.
const StatusClientClosed = 499

// Mapping is the numbers of one code elsewhere, and the text that stands for it when there is no
// better.
type Mapping struct {
	Code    string
	JSONRPC int
	Status  int
	Text    string
}

// The codes that are given where no other fits.
const (
	invalidRequest    = "INVALID_REQUEST"
	internalError     = "INTERNAL_ERROR"
	deadlineExceeded  = "DEADLINE_EXCEEDED"
	resourceExhausted = "RESOURCE_EXHAUSTED"
)

// mappings lists the protocol's codes; where several have the same number, the first is the one
// that stands for it.
var mappings = [...]Mapping{
	{"PARSE_ERROR", -32700, http.StatusBadRequest, "the message is not JSON"},
	{invalidRequest, -32600, http.StatusBadRequest, "invalid request"},
	{"NOT_FOUND", -32004, http.StatusNotFound, "not found"},
	{"METHOD_NOT_FOUND", -32601, http.StatusNotFound, "method not found"},
	{"INVALID_PARAMS", -32602, http.StatusUnprocessableEntity, "invalid params"},
	{internalError, -32603, http.StatusInternalServerError, "internal error"},
	{"UNSUPPORTED_TYPE", -32600, http.StatusBadRequest, "unsupported message type"},
	{"UNAUTHENTICATED", -32001, http.StatusUnauthorized, "unauthenticated"},
	{"PERMISSION_DENIED", -32003, http.StatusForbidden, "permission denied"},
	{"SUBSCRIPTION_DENIED", -32003, http.StatusForbidden, "subscription denied"},
	{"CONFLICT", -32009, http.StatusConflict, "conflict"},
	{resourceExhausted, -32029, http.StatusTooManyRequests, "resource exhausted"},
	{"CANCELLED", -32800, StatusClientClosed, "cancelled"},
	{deadlineExceeded, -32008, http.StatusGatewayTimeout, "deadline exceeded"},
	{"UNAVAILABLE", -32000, http.StatusServiceUnavailable, "unavailable"},
}

// Of returns the mapping of a code of the protocol, nil for any other.
func Of(code string) *Mapping {
	for i := range mappings {
		if mappings[i].Code == code {
			return &mappings[i]
		}
	}
	return nil
}

// FromStatus is the protocol's code for an HTTP status, for errors that come with one. A status
// that is no code's is INVALID_REQUEST from 400 to 499 and INTERNAL_ERROR otherwise.
func FromStatus(status int) string {
	switch status {
	case http.StatusBadRequest:
		return invalidRequest
	case http.StatusRequestTimeout:
		return deadlineExceeded
	case http.StatusRequestEntityTooLarge:
		return resourceExhausted
	}
	for _, m := range mappings {
		if m.Status == status {
			return m.Code
		}
	}
	if status >= 400 && status < 500 {
		return invalidRequest
	}
	return internalError
}

// FromJSONRPC is the protocol's code for the number of a JSON-RPC error that came without one in
// its data. A number that is no code's is INTERNAL_ERROR.
func FromJSONRPC(number int) string {
	for _, m := range mappings {
		if m.JSONRPC == number {
			return m.Code
		}
	}
	return internalError
}
