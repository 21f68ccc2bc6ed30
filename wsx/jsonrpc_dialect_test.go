package wsx_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"testing"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/genropy/genro-asgi-go/wsx"
)

// The table: a typed method gives the same result, and the corresponding error, however it
// is called.
func TestDialects_AgreeOnResultsAndErrors(t *testing.T) {
	type in struct {
		Fail string `json:"fail"`
		N    int    `json:"n"`
	}
	type out struct {
		Twice int `json:"twice"`
	}
	d := wsx.NewDispatcher()
	wsx.Handle(d, "double", func(_ context.Context, in in) (out, error) {
		switch in.Fail {
		case "":
			return out{2 * in.N}, nil
		case "plain":
			return out{}, errors.New("canary-7f3a")
		case "panic":
			panic("canary-7f3a")
		}
		return out{}, fmt.Errorf("wrapped: %w",
			&wsx.Error{
				Code: in.Fail, Message: "said so", Details: map[string]int{"n": in.N},
				Err: errors.New("canary-7f3a"),
			})
	})
	s := dial(t, d, &wsx.ServerOptions{HTTP: overHTTP(d)})
	rpc := wsx.JSONRPC(d, &wsx.JSONRPCOptions{Logger: slog.New(slog.DiscardHandler)})

	for _, tc := range []struct {
		fail    string // what the method is asked to fail with
		method  string // "double" when empty
		code    string // what comes of it; none is a result
		message string
		number  int
		status  int
		details string
	}{
		{},
		{fail: "PARSE_ERROR", number: -32700, status: 400},
		{fail: "INVALID_REQUEST", number: -32600, status: 400},
		{fail: "METHOD_NOT_FOUND", number: -32601, status: 404},
		{fail: "INVALID_PARAMS", number: -32602, status: 422},
		{fail: "INTERNAL_ERROR", number: -32603, status: 500},
		{fail: "UNSUPPORTED_TYPE", number: -32600, status: 400},
		{fail: "UNAUTHENTICATED", number: -32001, status: 401},
		{fail: "PERMISSION_DENIED", number: -32003, status: 403},
		{fail: "SUBSCRIPTION_DENIED", number: -32003, status: 403},
		{fail: "NOT_FOUND", number: -32004, status: 404},
		{fail: "CONFLICT", number: -32009, status: 409},
		{fail: "RESOURCE_EXHAUSTED", number: -32029, status: 429},
		{fail: "CANCELLED", number: -32800, status: 499},
		{fail: "DEADLINE_EXCEEDED", number: -32008, status: 504},
		{fail: "UNAVAILABLE", number: -32000, status: 503},
		{fail: "OUT_OF_STOCK", number: -32050, status: 500},
		{
			fail: "plain", code: "INTERNAL_ERROR", message: "internal error", number: -32603,
			status: 500,
		},
		{
			fail: "panic", code: "INTERNAL_ERROR", message: "internal error", number: -32603,
			status: 500,
		},
		{
			method: "triple", code: "METHOD_NOT_FOUND", message: "method not found", number: -32601,
			status: 404, details: `{"method":"triple"}`,
		},
		{
			method: "double", fail: "7", code: "INVALID_PARAMS",
			message: "The request has invalid fields.", number: -32602, status: 422,
			details: unfit("/fail", "must be a string"),
		},
	} {
		t.Run(tc.method+" "+tc.fail, func(t *testing.T) {
			params := fmt.Sprintf(`{"fail":%q,"n":21}`, tc.fail)
			if tc.fail == "7" {
				params = `{"fail":7,"n":21}`
			}
			tc.method = cmp.Or(tc.method, "double")
			want := answer{Code: tc.code, Message: tc.message, Details: tc.details}
			switch {
			case tc.code != "":
			case tc.fail != "": // what it was asked for
				want = answer{Code: tc.fail, Message: "said so", Details: `{"n":21}`}
			default:
				want, tc.status = answer{Result: `{"twice":42}`}, http.StatusOK
			}
			call := `"jsonrpc":"2.0","id":1,"method":"` + tc.method + `","params":` + params

			s.send(request("1", tc.method, params))
			if got := readWSX(t, s.read()); got != want {
				t.Errorf("WSX: %+v, want %+v", got, want)
			}
			s.send(tunnelled("1", "POST", "/"+tc.method, `,"data":`+params))
			a := readTunnelAnswer(t, s.read())
			if got := readHTTP(t, a.Status, a.Data); got != want || a.Status != tc.status {
				t.Errorf("tunnel: %d %+v, want %d %+v", a.Status, got, tc.status, want)
			}

			switch want.Message { // which JSON-RPC has a text of its own for
			case "internal error":
				want.Message = "Internal error"
			case "method not found":
				want.Message = "Method not found"
			}
			s.send("{" + call + "}")
			if got, number := readJSONRPC(t, s.read()); got != want || number != tc.number {
				t.Errorf("JSON-RPC on the socket: %d %+v, want %d %+v", number, got, tc.number,
					want)
			}
			_, _, body := post(t, rpc, "{"+call+"}")
			if got, number := readJSONRPC(t, body); got != want || number != tc.number {
				t.Errorf("JSON-RPC over HTTP: %d %+v, want %d %+v", number, got, tc.number, want)
			}
			s.send("[{" + call + "}]")
			if got, number := readJSONRPC(t, unwrap(t, s.read())); got != want ||
				number != tc.number {
				t.Errorf("JSON-RPC in a batch: %d %+v, want %d %+v", number, got, tc.number, want)
			}
		})
	}
}

// answer is what came of a call, whatever dialect it came in.
type answer struct{ Result, Code, Message, Details string }

func decodeAnswer(t *testing.T, text string, into any) {
	t.Helper()
	if err := json.Unmarshal([]byte(text), into); err != nil {
		t.Fatal(text, err)
	}
}

func readWSX(t *testing.T, text string) answer {
	var m struct {
		Result jsontext.Value
		Error  struct {
			Code, Message string
			Details       jsontext.Value
		}
	}
	if err := json.Unmarshal([]byte(text), &m, json.MatchCaseInsensitiveNames(true)); err != nil {
		t.Fatal(text, err)
	}
	return answer{string(m.Result), m.Error.Code, m.Error.Message, string(m.Error.Details)}
}

func readJSONRPC(t *testing.T, text string) (answer, int) {
	t.Helper()
	var m struct {
		Result jsontext.Value `json:"result"`
		Error  struct {
			Code    int    `json:"code"`
			Message string `json:"message"`
			Data    struct {
				Code    string         `json:"code"`
				Details jsontext.Value `json:"details"`
			} `json:"data"`
		} `json:"error"`
	}
	decodeAnswer(t, text, &m)
	return answer{
		string(m.Result), m.Error.Data.Code, m.Error.Message,
		string(m.Error.Data.Details),
	}, m.Error.Code
}

func unwrap(t *testing.T, text string) string {
	t.Helper()
	var elements []jsontext.Value
	decodeAnswer(t, text, &elements)
	if len(elements) != 1 {
		t.Fatal(text)
	}
	return string(elements[0])
}

func readHTTP(t *testing.T, status int, body jsontext.Value) answer {
	t.Helper()
	if status == http.StatusOK {
		return answer{Result: string(body)}
	}
	var m struct {
		Code    string         `json:"code"`
		Message string         `json:"message"`
		Details jsontext.Value `json:"details"`
	}
	decodeAnswer(t, string(body), &m)
	return answer{"", m.Code, m.Message, string(m.Details)}
}

// overHTTP serves the methods as a program without WebSockets would: POST /method, and the status
// that the error says.
func overHTTP(d *wsx.Dispatcher) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		var result jsontext.Value
		if err == nil {
			result, err = d.Call(r.Context(), r.URL.Path[1:], body)
		}
		w.Header().Set("Content-Type", "application/json")
		if err == nil {
			_, _ = w.Write(result)
			return
		}
		var coded *wsx.Error
		if !errors.As(err, &coded) {
			coded = wsx.NewError(wsx.CodeInternalError, "internal error")
		}
		if coded.Message == "" {
			coded = &wsx.Error{
				Code: coded.Code, Message: "method not found",
				Details: coded.Details,
			}
		}
		w.WriteHeader(coded.StatusCode())
		text, _ := json.Marshal(map[string]any{
			"code": coded.Code, "message": coded.Message,
			"details": coded.Details,
		})
		if coded.Details == nil {
			text, _ = json.Marshal(map[string]any{"code": coded.Code, "message": coded.Message})
		}
		_, _ = w.Write(text)
	})
}
