package wsx_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/genropy/genro-asgi-go/wsx"
)

// Who sends a batch waits for the answer to each of its requests, also when there are too many.
func TestJSONRPC_ABatchOverTheLimitIsRefusedToEachOfItsRequests(t *testing.T) {
	opts := &wsx.ServerOptions{MaxBatch: 3}
	s := dial(t, callDispatcher(), opts)
	h := wsx.JSONRPC(callDispatcher(), &wsx.JSONRPCOptions{MaxBatch: 3})
	over := func(id string) string {
		return jsonrpcFault(id, -32600, "a batch may have 3 elements", "INVALID_REQUEST", "")
	}
	for send, want := range map[string]string{
		array(jsonrpc("1", "echo", ""), `7`, jsonrpc(`"b"`, "nothing", ""),
			`{"jsonrpc":"2.0","method":"echo"}`,
			`{"jsonrpc":"2.0","id":8,"result":1}`): array(over("1"), over(`"b"`)),
		array("1", "2", "3", "4"): over("null"),
	} {
		s.send(send)
		if got := s.read(); !sameJSONRPC(t, got, want) {
			t.Errorf("%s\nanswered %s", send, got)
		}
		if _, _, got := post(t, h, send); !sameJSONRPC(t, got, want) {
			t.Errorf("%s\nanswered %s over HTTP", send, got)
		}
	}
}

// A few bytes must not be worth thousands.
func TestJSONRPC_FaultsAreNotToldAtAnyLength(t *testing.T) {
	h := wsx.JSONRPC(callDispatcher(), nil)
	for _, send := range []string{
		"[" + strings.Repeat("1,", 99) + "1]", "[" + strings.Repeat("{},", 99) + "1]",
		"[" + strings.Repeat(`"",`, 50) + jsonrpc("1", "echo", "") + "]",
	} {
		s := dial(t, callDispatcher(), nil)
		s.send(send)
		_, _, posted := post(t, h, send)
		for _, got := range []string{s.read(), posted} {
			if len(got) > 10*len(send) {
				t.Errorf("%d bytes are answered with %d: %.200s", len(send), len(got), got)
			}
		}
	}
	for _, junk := range []string{"[]", "[1]", "WSX://{}", "[1,2,3,4,5,6,7,8,9]"} {
		// nor may it go on
		s := dial(t, callDispatcher(), &wsx.ServerOptions{HTTP: http.NotFoundHandler()})
		for range 10 {
			s.send(junk)
		}
		s.expectClosed(1008)
	}
}

// An answer is the end of a conversation, whatever is wrong with it.
func TestServer_NeverAnswersAnAnswer(t *testing.T) {
	s := dial(t, callDispatcher(), nil)
	s.send(`{"type":"rpc.response","id":1}`, `{"type":"rpc.response"}`,
		`{"type":"rpc.error","id":1}`, `{"type":"rpc.error","id":1,"error":"no"}`,
		`{"type":"rpc.stream","id":1,"seq":-1}`, `{"type":"rpc.response","id":1,"id":1,"result":1}`,
		`{"type":"rpc.pong","id":[]}`,
		`{"type":"rpc.response","id":1,"result":`+strings.Repeat("[", 40)+strings.Repeat("]", 40)+
			`}`,
		`{"jsonrpc":"2.0","id":1,"result":7,"error":null}`, `{"jsonrpc":"2.0","id":1.0,"result":7}`,
		`{"jsonrpc":"2.0","id":[],"error":{}}`,
		`[{"jsonrpc":"2.0","id":1,"result":7},{"jsonrpc":"2.0","id":2,"error":"no"}]`, ping)
	s.expect(pong)
}

// What is said in place of answers counts towards the answer's size too, the ids in it as well.
func TestJSONRPC_RefusalsCountInTheAnswerToABatch(t *testing.T) {
	d := wsx.NewDispatcher()
	wsx.Handle(d, "long",
		func(_ context.Context, n int) (string, error) { return strings.Repeat("x", n), nil })
	var elements []string
	for i := range 100 {
		elements = append(elements, jsonrpc(fmt.Sprintf(`"%0400d"`, i), "long", "[12000]"))
	}
	s := dial(t, d, nil)
	s.send(array(elements...))
	_, _, over := post(t, wsx.JSONRPC(d, nil), array(elements...))
	for name, got := range map[string]string{"socket": s.read(), "HTTP": over} {
		var answers []jsontext.Value
		decodeAnswer(t, got, &answers)
		if refused := strings.Count(got, `"RESOURCE_EXHAUSTED"`); len(got) > 1<<20 ||
			len(answers) != 100 || refused == 0 || refused == 100 {
			t.Errorf("%s: %d answers, %d refused, %d bytes", name, len(answers), refused, len(got))
		}
	}
}

// A client may answer calls of the server in a batch, and leave a result of null out.
func TestCall_TakesAnAnswerThatComesInABatch(t *testing.T) {
	d := callDispatcher()
	wsx.Handle(d, "ask", func(ctx context.Context, _ struct{}) (jsontext.Value, error) {
		return wsx.Call[jsontext.Value](ctx, wsx.ConnFrom(ctx), "where", nil)
	})
	s := dial(t, d, nil)
	s.send(jsonrpc("1", "ask", ""))
	call := s.read()
	if !strings.Contains(call, `"id":1`) {
		t.Fatal(call)
	}
	s.send(`[{"jsonrpc":"2.0","id":1}]`)
	s.expect(jsonrpcResult("1", "null"))
	s.send(jsonrpc("2", "ask", "")) // and beside a request, whose answer comes alone
	if call := s.read(); !strings.Contains(call, `"id":2`) {
		t.Fatal(call)
	}
	s.send(array(`{"jsonrpc":"2.0","id":2}`, jsonrpc("3", "echo", "[4]")))
	first, second := s.read(), s.read()
	if got := first + second; got != array(jsonrpcResult("3", "[4]"))+jsonrpcResult("2", "null") &&
		got != jsonrpcResult("2", "null")+array(jsonrpcResult("3", "[4]")) {
		t.Error(got)
	}
	s.send(`[{"jsonrpc":"2.0","id":99}]`) // of no call: that is no request, and no answer either
	if got := s.read(); !strings.Contains(got, "Invalid Request") {
		t.Error(got)
	}
}

// More ids than one in a cancellation count as the messages that they save.
func TestServer_ManyCancellationsInOneCountForTheRate(t *testing.T) {
	s := dial(t, callDispatcher(), &wsx.ServerOptions{MessageRate: 0.001, MessageBurst: 20})
	s.send(
		`{"jsonrpc":"2.0","method":"rpc.cancel","params":[1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,`+
			`16,17,18]}`, jsonrpc("1", "echo", ""), jsonrpc("2", "echo", ""))
	s.expect(jsonrpcResult("1", "null"), jsonrpcResult("2", "null"))
	s.send(jsonrpc("3", "echo", ""))
	if got := s.read(); !strings.Contains(got, "RESOURCE_EXHAUSTED") {
		t.Error(got)
	}
}

// slowBody ends as that of a client whose network is slow.
type slowBody struct{}

func (slowBody) Read([]byte) (int, error) {
	return 0, &net.OpError{Op: "read", Err: os.ErrDeadlineExceeded}
}

func TestJSONRPC_ABodyThatTakesTooLongIs408(t *testing.T) {
	w := httptest.NewRecorder()
	r := httptest.NewRequest(http.MethodPost, "/",
		io.MultiReader(strings.NewReader(`{"jsonrpc"`), slowBody{}))
	r.Header.Set("Content-Type", "application/json")
	wsx.JSONRPC(callDispatcher(), nil).ServeHTTP(w, r)
	if w.Code != http.StatusRequestTimeout {
		t.Error(w.Code, fmt.Sprint(w.Body))
	}
}
