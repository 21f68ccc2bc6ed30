package main

import (
	"errors"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/genropy/genro-asgi-go/wsx"
	"github.com/genropy/genro-asgi-go/wsx/wsxclient"
)

// Our client speaks JSON-RPC to go-ethereum's server: results, errors of the specification and of
// its own, retries that are not, notifications.
func TestClient_SpeaksToGoEthereum(t *testing.T) {
	h, err := gethHandler()
	if err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewServer(h)
	defer srv.Close()
	c, err := wsxclient.Dial(t.Context(), srv.URL,
		&wsxclient.Options{JSONRPC: true, Reconnect: true, RetryMin: time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	retry := &wsxclient.CallOptions{Retry: true}
	sum, err := wsxclient.CallWith[addResult](t.Context(), c, "bench_add",
		[]addParams{{A: 2, B: 40}}, retry)
	if err != nil || sum.Sum != 42 {
		t.Error(sum, err)
	}
	_, err = wsxclient.CallWith[int](t.Context(), c, "bench_none", nil, retry)
	if original, ok := errors.AsType[*wsxclient.JSONRPCError](err); !ok ||
		original.Code != -32601 || !errors.Is(err, wsx.NewError(wsx.CodeMethodNotFound, "")) {
		t.Error(err)
	}
	if _, err = wsxclient.CallWith[int](t.Context(), c, "bench_add", []string{"x"},
		retry); !errors.Is(err, wsx.NewError(wsx.CodeInvalidParams, "")) {
		t.Error(err)
	}
	if err := c.Notify(t.Context(), "bench_publish", []string{"x"}); err != nil {
		t.Error(err)
	}
	if sum, err := wsxclient.Call[addResult](t.Context(), c, "bench_add",
		[]addParams{{A: 1, B: 1}}); err != nil || sum.Sum != 2 {
		t.Error(sum, err)
	}
}
