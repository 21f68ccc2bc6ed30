package codes_test

import (
	"net/http"
	"testing"

	"github.com/genropy/genro-asgi-go/internal/leakcheck"
	"github.com/genropy/genro-asgi-go/wsx/internal/codes"
)

func TestMain(m *testing.M) { leakcheck.Main(m) }

func TestFromStatus_InvertsTheTable(t *testing.T) {
	for status, want := range map[int]string{
		400: "INVALID_REQUEST", 401: "UNAUTHENTICATED", 403: "PERMISSION_DENIED",
		404: "NOT_FOUND",
		408: "DEADLINE_EXCEEDED", 409: "CONFLICT", 413: "RESOURCE_EXHAUSTED",
		418: "INVALID_REQUEST",
		422: "INVALID_PARAMS", 429: "RESOURCE_EXHAUSTED", 499: "CANCELLED",
		500: "INTERNAL_ERROR",
		502: "INTERNAL_ERROR", 503: "UNAVAILABLE", 504: "DEADLINE_EXCEEDED",
		200: "INTERNAL_ERROR",
	} {
		if got := codes.FromStatus(status); got != want {
			t.Errorf("%d %s: %s, want %s", status, http.StatusText(status), got, want)
		}
	}
}

func TestFromJSONRPC_InvertsTheTable(t *testing.T) {
	for number, want := range map[int]string{
		-32700: "PARSE_ERROR", -32600: "INVALID_REQUEST", -32601: "METHOD_NOT_FOUND",
		-32602: "INVALID_PARAMS",
		-32603: "INTERNAL_ERROR", -32003: "PERMISSION_DENIED", -32800: "CANCELLED",
		-32050: "INTERNAL_ERROR", 7: "INTERNAL_ERROR",
	} {
		if got := codes.FromJSONRPC(number); got != want {
			t.Errorf("%d: %s, want %s", number, got, want)
		}
	}
}

// Each code of the protocol is in the table once, with a text, and no other is.
func TestOf_HasTheProtocolsCodes(t *testing.T) {
	for _, code := range []string{
		"PARSE_ERROR", "INVALID_REQUEST", "METHOD_NOT_FOUND", "INVALID_PARAMS", "INTERNAL_ERROR",
		"UNSUPPORTED_TYPE", "UNAUTHENTICATED", "PERMISSION_DENIED", "SUBSCRIPTION_DENIED",
		"NOT_FOUND", "CONFLICT", "RESOURCE_EXHAUSTED", "CANCELLED", "DEADLINE_EXCEEDED",
		"UNAVAILABLE",
	} {
		m := codes.Of(code)
		if m == nil || m.Code != code || m.Text == "" || m.Status < 400 || m.JSONRPC > -32000 {
			t.Errorf("%s: %+v", code, m)
		}
	}
	for _, code := range []string{"", "OUT_OF_STOCK", "not_found"} {
		if m := codes.Of(code); m != nil {
			t.Errorf("%q: %+v", code, m)
		}
	}
}
