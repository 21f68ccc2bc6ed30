package wsx_test

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/genropy/genro-asgi-go/wsx"
	"github.com/genropy/genro-asgi-go/wsx/wsxtest"
)

func TestJSONRPC_OverHTTPRefusesWhatItDoesNotSpeak(t *testing.T) {
	client := wsxtest.Serve(t, wsx.JSONRPC(callDispatcher(), &wsx.JSONRPCOptions{MaxBody: 100}))
	call := jsonrpc("1", "echo", "[1]")
	for _, tc := range []struct {
		contentType, body string
		want              int
	}{
		{"application/json", call, 200},
		{"Application/JSON; charset=UTF-8", call, 200},
		{"application/json;charset=latin1", call, 415},
		{"text/plain", call, 415},
		{"", call, 415},
		{"application/x-www-form-urlencoded", call, 415},
		{"application/json", strings.Repeat(" ", 101), 413},
		{"application/json", "", 200},
		{"application/json", jsonrpc("", "echo", ""), 204},
		{"application/json", jsonrpc("", "none", ""), 204},
	} {
		status, header, body := postTo(t, client, tc.contentType, tc.body)
		if status != tc.want || status >= 400 &&
			header.Get("Content-Type") != "application/problem+json" {
			t.Errorf("%+v: %d %s", tc, status, body)
		}
	}
	for method, want := range map[string]int{"GET": 405, "PUT": 405} {
		r, _ := http.NewRequestWithContext(t.Context(), method, "http://wsx.test/", nil)
		resp, err := client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		if resp.StatusCode != want || resp.Header.Get("Allow") != "POST" {
			t.Error(resp.Status, resp.Header)
		}
	}
	r, _ := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://wsx.test/",
		strings.NewReader(call))
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Content-Encoding", "gzip")
	resp, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if resp.StatusCode != 415 {
		t.Error(resp.Status)
	}
}

func TestJSONRPC_OverHTTPHasNoConnection(t *testing.T) {
	d := callDispatcher()
	wsx.Handle(d, "hang", func(ctx context.Context, _ struct{}) (bool, error) {
		<-ctx.Done()
		return wsx.ConnFrom(ctx) == nil && wsx.RequestFrom(ctx).Method == "hang", ctx.Err()
	})
	h := wsx.JSONRPC(d, &wsx.JSONRPCOptions{Timeout: time.Millisecond, MaxBatch: -1})
	for _, method := range []string{"rpc.subscribe", "rpc.unsubscribe"} {
		if _, _, got := post(t, h, jsonrpc("1", method, `{"channel":"a"}`)); !strings.Contains(got,
			`"code":-32009`) {
			t.Error(got)
		}
	}
	late := jsonrpcFault("1", -32008, "deadline exceeded", "DEADLINE_EXCEEDED", "")
	if _, _, got := post(t, h, jsonrpc("1", "hang", "")); got != late {
		t.Error(got)
	}
	if _, _, got := post(t, h, array(echoes(21)...)); strings.Count(got, `"result"`) != 21 {
		t.Error(got)
	}
	// The client gives up: the handler ends, and the test with it.
	gone := make(chan struct{})
	wsx.Handle(d, "gone",
		func(ctx context.Context, _ struct{}) (bool, error) {
			close(gone)
			<-ctx.Done()
			return true, ctx.Err()
		})
	ctx, cancel := context.WithCancel(t.Context())
	go func() { <-gone; cancel() }()
	r, _ := http.NewRequestWithContext(ctx, http.MethodPost, "http://wsx.test/",
		strings.NewReader(array(jsonrpc("1", "gone", ""))))
	r.Header.Set("Content-Type", "application/json")
	if _, err := wsxtest.Serve(t, wsx.JSONRPC(d, nil)).Do(r); err == nil {
		t.Error("answered")
	}
}

func TestRequest_JSONRPC(t *testing.T) {
	d := wsx.NewDispatcher()
	wsx.Handle(d, "spoken", func(ctx context.Context, _ struct{}) (bool, error) {
		return wsx.RequestFrom(ctx).JSONRPC(), nil
	})
	client := wsxtest.Serve(t, wsx.JSONRPC(d, nil))
	_, _, body := postTo(t, client, "application/json", jsonrpc("1", "spoken", ""))
	if !strings.Contains(body, `"result":true`) {
		t.Error(body)
	}
	if spoken, err := d.Call(t.Context(), "spoken", nil); string(spoken) != "false" || err != nil {
		t.Error(string(spoken), err)
	}
}
