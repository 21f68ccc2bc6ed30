package clientcall_test

import (
	"testing"

	"github.com/genropy/genro-asgi-go/wsx/internal/clientcall"
)

func TestJSONRPCRequest_HasParamsThatJSONRPCHas(t *testing.T) {
	for params, want := range map[string]string{
		"":          `{"jsonrpc":"2.0","id":7,"method":"m"}`,
		"null":      `{"jsonrpc":"2.0","id":7,"method":"m"}`,
		"[1]":       `{"jsonrpc":"2.0","id":7,"method":"m","params":[1]}`,
		` {"a":1}`:  `{"jsonrpc":"2.0","id":7,"method":"m","params": {"a":1}}`,
		`5`:         "",
		`"text"`:    "",
		`true`:      "",
		"\t[2] \n ": "{\"jsonrpc\":\"2.0\",\"id\":7,\"method\":\"m\",\"params\":\t[2] \n }",
	} {
		encode, err := clientcall.JSONRPCRequest("m", []byte(params), nil)
		if want == "" {
			if err == nil {
				t.Errorf("%s are no params", params)
			}
			continue
		}
		if got := string(encode([]byte("7"))); got != want || err != nil {
			t.Errorf("%s, want %s; %v", got, want, err)
		}
	}
	encode, err := clientcall.JSONRPCRequest("m", nil, map[string]string{"traceparent": "00-1"})
	if err != nil {
		t.Fatal(err)
	}
	if got := string(encode([]byte("7"))); got !=
		`{"jsonrpc":"2.0","id":7,"method":"m","meta":{"traceparent":"00-1"}}` {
		t.Error(got)
	}
	if got := string(clientcall.JSONRPCCancel([]byte("7"))); got !=
		`{"jsonrpc":"2.0","method":"rpc.cancel","params":{"id":7}}` {
		t.Error(got)
	}
}

func TestJSONRPCID_ComparesNumbers(t *testing.T) {
	for id, want := range map[string]string{
		"7": "7", "7.0": "7", "70e-1": "7", `"7"`: "7", `"7.0"`: "7", "0": "0",
		"9007199254740991": "9007199254740991", // 2^53-1, and what follows is no exact float64
		"9007199254740993": "9007199254740993", "9007199254740992.0": "9007199254740992.0",
		"-7": "-7", "7.5": "7.5", `"x"`: "x", `""`: `""`, "null": "null", `"`: `"`, "": "",
		"1e400": "1e400",
	} {
		if got := string(clientcall.JSONRPCID([]byte(id))); got != want {
			t.Errorf("%s became %s, want %s", id, got, want)
		}
	}
}
