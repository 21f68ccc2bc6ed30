package wsx_test

import (
	"context"
	"io"
	"maps"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/genropy/genro-asgi-go/wsx"
	"github.com/genropy/genro-asgi-go/wsx/wsxtest"
)

// jsonrpcExamples are those of the JSON-RPC 2.0 specification, section 7, as they stand there.
const jsonrpcExamples = `
rpc call with positional parameters:

--> {"jsonrpc": "2.0", "method": "subtract", "params": [42, 23], "id": 1}
<-- {"jsonrpc": "2.0", "result": 19, "id": 1}

--> {"jsonrpc": "2.0", "method": "subtract", "params": [23, 42], "id": 2}
<-- {"jsonrpc": "2.0", "result": -19, "id": 2}

rpc call with named parameters:

--> {"jsonrpc": "2.0", "method": "subtract", "params": {"subtrahend": 23, "minuend": 42}, "id": 3}
<-- {"jsonrpc": "2.0", "result": 19, "id": 3}

--> {"jsonrpc": "2.0", "method": "subtract", "params": {"minuend": 42, "subtrahend": 23}, "id": 4}
<-- {"jsonrpc": "2.0", "result": 19, "id": 4}

a Notification:

--> {"jsonrpc": "2.0", "method": "update", "params": [1,2,3,4,5]}

--> {"jsonrpc": "2.0", "method": "foobar"}

rpc call of non-existent method:

--> {"jsonrpc": "2.0", "method": "foobar", "id": "1"}
<-- {"jsonrpc": "2.0", "error": {"code": -32601, "message": "Method not found"}, "id": "1"}

rpc call with invalid JSON:

--> {"jsonrpc": "2.0", "method": "foobar, "params": "bar", "baz]
<-- {"jsonrpc": "2.0", "error": {"code": -32700, "message": "Parse error"}, "id": null}

rpc call with invalid Request object:

--> {"jsonrpc": "2.0", "method": 1, "params": "bar"}
<-- {"jsonrpc": "2.0", "error": {"code": -32600, "message": "Invalid Request"}, "id": null}

rpc call Batch, invalid JSON:

--> [
  {"jsonrpc": "2.0", "method": "sum", "params": [1,2,4], "id": "1"},
  {"jsonrpc": "2.0", "method"
]
<-- {"jsonrpc": "2.0", "error": {"code": -32700, "message": "Parse error"}, "id": null}

rpc call with an empty Array:

--> []
<-- {"jsonrpc": "2.0", "error": {"code": -32600, "message": "Invalid Request"}, "id": null}

rpc call with an invalid Batch (but not empty):

--> [1]
<-- [
  {"jsonrpc": "2.0", "error": {"code": -32600, "message": "Invalid Request"}, "id": null}
]

rpc call with invalid Batch:

--> [1,2,3]
<-- [
  {"jsonrpc": "2.0", "error": {"code": -32600, "message": "Invalid Request"}, "id": null},
  {"jsonrpc": "2.0", "error": {"code": -32600, "message": "Invalid Request"}, "id": null},
  {"jsonrpc": "2.0", "error": {"code": -32600, "message": "Invalid Request"}, "id": null}
]

rpc call Batch:

--> [
        {"jsonrpc": "2.0", "method": "sum", "params": [1,2,4], "id": "1"},
        {"jsonrpc": "2.0", "method": "notify_hello", "params": [7]},
        {"jsonrpc": "2.0", "method": "subtract", "params": [42,23], "id": "2"},
        {"foo": "boo"},
        {"jsonrpc": "2.0", "method": "foo.get", "params": {"name": "myself"}, "id": "5"},
        {"jsonrpc": "2.0", "method": "get_data", "id": "9"}
    ]
<-- [
        {"jsonrpc": "2.0", "result": 7, "id": "1"},
        {"jsonrpc": "2.0", "result": 19, "id": "2"},
        {"jsonrpc": "2.0", "error": {"code": -32600, "message": "Invalid Request"}, "id": null},
        {"jsonrpc": "2.0", "error": {"code": -32601, "message": "Method not found"}, "id": "5"},
        {"jsonrpc": "2.0", "result": ["hello", 5], "id": "9"}
    ]

rpc call Batch (all notifications):

--> [
        {"jsonrpc": "2.0", "method": "notify_sum", "params": [1,2,4]},
        {"jsonrpc": "2.0", "method": "notify_hello", "params": [7]}
    ]
<-- //Nothing is returned for all notification batches
`

type jsonrpcExample struct{ send, expect string } // nothing is expected where expect is empty

// readJSONRPCExamples takes the specification's text apart.
func readJSONRPCExamples(t *testing.T) (examples []jsonrpcExample) {
	t.Helper()
	for _, part := range strings.Split(jsonrpcExamples, "-->")[1:] {
		send, expect, _ := strings.Cut(part, "<--")
		send, _, _ = strings.Cut(send, "\n\n") // what follows is the next heading
		expect, _, _ = strings.Cut(expect, "\n\n")
		if strings.HasPrefix(strings.TrimSpace(expect), "//") {
			expect = ""
		}
		examples = append(examples,
			jsonrpcExample{strings.TrimSpace(send), strings.TrimSpace(expect)})
	}
	if len(examples) != 15 {
		t.Fatalf("%d examples", len(examples))
	}
	return examples
}

// specDispatcher has the methods that the specification's examples call.
func specDispatcher() *wsx.Dispatcher {
	d := wsx.NewDispatcher()
	type operands struct {
		Minuend    int `json:"minuend"`
		Subtrahend int `json:"subtrahend"`
	}
	wsx.Handle(d, "subtract",
		func(_ context.Context, in operands) (int, error) {
			return in.Minuend - in.Subtrahend, nil
		})
	wsx.Handle(d, "sum", func(_ context.Context, in []int) (sum int, _ error) {
		for _, n := range in {
			sum += n
		}
		return sum, nil
	})
	wsx.Handle(d, "get_data",
		func(context.Context, struct{}) ([]any, error) { return []any{"hello", 5}, nil })
	for _, name := range []string{"update", "notify_hello", "notify_sum"} {
		wsx.HandleNotify(d, name, func(context.Context, []int) error { return nil })
	}
	return d
}

// sameJSONRPC compares an answer with one of the specification, which knows no data in errors and
// leaves the order of a batch open.
func sameJSONRPC(t *testing.T, got, want string) bool {
	t.Helper()
	read := func(text string) (all []string) {
		raw := jsontext.Value(text)
		elements := []jsontext.Value{raw}
		if raw.Kind() == '[' {
			if err := json.Unmarshal(raw, &elements); err != nil {
				t.Fatal(text, err)
			}
		}
		for _, element := range elements {
			var members map[string]any
			if err := json.Unmarshal(element, &members); err != nil {
				t.Fatal(text, err)
			}
			if failure, ok := members["error"].(map[string]any); ok {
				delete(failure, "data")
			}
			canonical, err := json.Marshal(members, json.Deterministic(true))
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, string(canonical))
		}
		slices.Sort(all)
		return append(all, raw.Kind().String())
	}
	return reflect.DeepEqual(read(got), read(want))
}

func TestJSONRPC_AnswersTheSpecificationsExamplesOnTheSocket(t *testing.T) {
	s := dial(t, specDispatcher(), nil)
	for _, e := range readJSONRPCExamples(t) {
		s.send(e.send)
		switch {
		case e.expect == "":
			s.send(ping) // else nothing would show that there is no answer
			s.expect(pong)
		case strings.Contains(e.expect, "-32700"): // no dialect yet (protocol section 6)
			s.expect(fault("null", "PARSE_ERROR", "the message is not JSON"))
		default:
			if got := s.read(); !sameJSONRPC(t, got, e.expect) {
				t.Errorf("%s\nanswered %s\nwant     %s", e.send, got, e.expect)
			}
		}
	}
}

func TestJSONRPC_AnswersTheSpecificationsExamplesOverHTTP(t *testing.T) {
	h := wsx.JSONRPC(specDispatcher(), nil)
	for _, e := range readJSONRPCExamples(t) {
		status, header, got := post(t, h, e.send)
		switch {
		case e.expect == "":
			if status != http.StatusNoContent || got != "" {
				t.Errorf("%s answered %d %q", e.send, status, got)
			}
		case status != http.StatusOK || header.Get("Content-Type") != "application/json" ||
			!sameJSONRPC(t, got, e.expect):
			t.Errorf("%s\nanswered %d %s\nwant     %s", e.send, status, got, e.expect)
		}
	}
}

// A call with a wrong answer must not pass for the specification's.
func TestJSONRPC_ExamplesAreCompared(t *testing.T) {
	for got, want := range maps.All(map[string]string{
		`{"jsonrpc":"2.0","id":1,"result":18}`:  `{"jsonrpc":"2.0","id":1,"result":19}`,
		`[{"jsonrpc":"2.0","id":1,"result":1}]`: `{"jsonrpc":"2.0","id":1,"result":1}`,
		`{"jsonrpc":"2.0","id":"1","result":1}`: `{"jsonrpc":"2.0","id":1,"result":1}`,
	}) {
		if sameJSONRPC(t, got, want) {
			t.Errorf("%s passes for %s", got, want)
		}
	}
}

// post sends a body over real HTTP in memory.
func post(t *testing.T, h http.Handler, body string) (status int, header http.Header,
	answer string,
) {
	t.Helper()
	return postTo(t, wsxtest.Serve(t, h), "application/json", body)
}

func postTo(t *testing.T, client *http.Client, contentType, body string) (status int,
	header http.Header, answer string,
) {
	t.Helper()
	resp, err := client.Post("http://wsx.test/rpc", contentType, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, resp.Header, string(b)
}
