package wsx_test

import (
	"context"
	"fmt"
	"iter"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/genropy/genro-asgi-go/wsx"
	"github.com/genropy/genro-asgi-go/wsx/wsxtest"
)

// jsonrpc is a JSON-RPC message; an id of "" makes a notification.
func jsonrpc(id, method, params string) string {
	if id != "" {
		id = `,"id":` + id
	}
	if params != "" {
		params = `,"params":` + params
	}
	return `{"jsonrpc":"2.0"` + id + `,"method":"` + method + `"` + params + `}`
}

func jsonrpcResult(id, result string) string {
	return `{"jsonrpc":"2.0","id":` + id + `,"result":` + result + `}`
}

func jsonrpcFault(id string, number int, message, code, details string) string {
	if details != "" {
		details = `,"details":` + details
	}
	return fmt.Sprintf(`{"jsonrpc":"2.0","id":%s,"error":{"code":%d,"message":"%s","data":{"code":"%s"%s}}}`, id, number, message, code, details)
}

func array(elements ...string) string { return "[" + strings.Join(elements, ",") + "]" }

type (
	base  struct{ B int }
	point struct {
		X int `json:"x"`
		base
		Ignored int `json:"-"`
		hidden  int
		Y       *int           `json:"y,omitempty"`
		Odd     string         `json:"a b"`
		Rest    map[string]int `json:",embed"`
	}
)

func TestJSONRPC_MapsParamsByPosition(t *testing.T) {
	d := wsx.NewDispatcher()
	_ = point{hidden: 0}.hidden
	wsx.Handle(d, "struct", func(_ context.Context, in point) (point, error) { return in, nil })
	wsx.Handle(d, "pointer", func(_ context.Context, in *point) (*point, error) { return in, nil })
	wsx.Handle(d, "scalar", func(_ context.Context, in int) (int, error) { return in, nil })
	wsx.Handle(d, "text", func(_ context.Context, in *string) (*string, error) { return in, nil })
	wsx.Handle(d, "slice", func(_ context.Context, in []int) ([]int, error) { return in, nil })
	wsx.Handle(d, "pair", func(_ context.Context, in [2]int) ([2]int, error) { return in, nil })
	wsx.Handle(d, "any", func(_ context.Context, in any) (any, error) { return in, nil })
	wsx.Handle(d, "raw", func(_ context.Context, in jsontext.Value) (jsontext.Value, error) { return in, nil })
	wsx.Handle(d, "map", func(_ context.Context, in map[string]int) (map[string]int, error) { return in, nil })
	wsx.Handle(d, "none", func(context.Context, struct{}) (string, error) { return "ok", nil })
	s := dial(t, d, nil)
	h := wsx.JSONRPC(d, nil)
	bad := func(path string) string {
		return jsonrpcFault("1", -32602, "the value does not fit the method's params", "INVALID_PARAMS", `{"path":"`+path+`"}`)
	}
	for _, tc := range []struct{ method, params, want string }{
		{"struct", `[1,2,3,"four"]`, `{"x":1,"B":2,"y":3,"a b":"four"}`},
		{"struct", ` [ 1 , 2 ] `, `{"x":1,"B":2,"a b":""}`},
		{"struct", `[]`, `{"x":0,"B":0,"a b":""}`},
		{"struct", `{"y":3}`, `{"x":0,"B":0,"y":3,"a b":""}`},
		{"struct", `null`, `{"x":0,"B":0,"a b":""}`},
		{"struct", "", `{"x":0,"B":0,"a b":""}`},
		{"struct", `[1,2,3,"four",5]`, jsonrpcFault("1", -32602, "there are more params than the method has", "INVALID_PARAMS", `{"path":"/4"}`)},
		{"struct", `[1,2,"three"]`, bad("/2")},
		{"struct", `[1,2,3,[{"deep":1}]]`, bad("/3")},
		{"struct", `{"x":"one"}`, bad("/x")},
		{"pointer", `[1]`, `{"x":1,"B":0,"a b":""}`},
		{"pointer", "", `null`},
		{"scalar", `[7]`, `7`},
		{"scalar", `[]`, `0`},
		{"scalar", `["7"]`, bad("/0")},
		{"scalar", `[7,8]`, jsonrpcFault("1", -32602, "there are more params than the method has", "INVALID_PARAMS", `{"path":"/1"}`)},
		{"text", `["x"]`, `"x"`},
		{"slice", `[1,2]`, `[1,2]`},
		{"slice", `[1,"2"]`, bad("/1")},
		{"pair", `[1,2]`, `[1,2]`},
		{"any", `[1,{"a":2}]`, `[1,{"a":2}]`},
		{"raw", `[ 1 ]`, `[ 1 ]`},
		{"raw", `{"a": 1}`, `{"a": 1}`},
		{"map", `[1]`, bad("")},
		{"map", `{"a":1}`, `{"a":1}`},
		{"none", `[]`, `"ok"`},
		{"none", `[1]`, jsonrpcFault("1", -32602, "there are more params than the method has", "INVALID_PARAMS", `{"path":"/0"}`)},
		{"struct", `7`, jsonrpcFault("1", -32600, "Invalid Request", "INVALID_REQUEST", "")},
	} {
		t.Run(tc.method+" "+tc.params, func(t *testing.T) {
			want := tc.want
			if !strings.HasPrefix(want, `{"jsonrpc"`) {
				want = jsonrpcResult("1", want)
			}
			s.send(jsonrpc("1", tc.method, tc.params))
			s.expect(want)
			if _, _, got := post(t, h, jsonrpc("1", tc.method, tc.params)); got != want {
				t.Errorf("over HTTP %s", got)
			}
		})
	}
	s.send(request("1", "struct", `[1,2]`)) // WSX has no positions
	s.expect(`{"type":"rpc.error","id":1,"error":{"code":"INVALID_PARAMS","message":"the value does not fit the method's params","details":{"path":""}}}`)
}

func TestJSONRPC_EchoesIDsAndRefusesWhatIsNoRequest(t *testing.T) {
	s := dial(t, callDispatcher(), nil)
	h := wsx.JSONRPC(callDispatcher(), nil)
	invalid := func(id string) string { return jsonrpcFault(id, -32600, "Invalid Request", "INVALID_REQUEST", "") }
	for _, tc := range []struct{ send, want string }{
		{jsonrpc(`"x\u0079"`, "echo", `[1]`), jsonrpcResult(`"x\u0079"`, `[1]`)},
		{jsonrpc(`-1.50e+3`, "echo", `[1]`), jsonrpcResult(`-1.50e+3`, `[1]`)},
		{jsonrpc(`null`, "echo", `[1]`), jsonrpcResult(`null`, `[1]`)},
		{jsonrpc(`{}`, "echo", ""), invalid("null")},
		{jsonrpc(`true`, "echo", ""), invalid("null")},
		{jsonrpc(`1`, "", ""), invalid("1")},
		{`{"jsonrpc":"2.0","id":1}`, invalid("1")},
		{`{"jsonrpc":"2.0","id":1,"id":1,"method":"echo"}`, jsonrpcFault("null", -32600, "a member name occurs twice", "INVALID_REQUEST", "")},
		{jsonrpc("1", "echo", strings.Repeat("[", 32)+strings.Repeat("]", 32)), jsonrpcFault("1", -32600, "the message is nested too deeply", "INVALID_REQUEST", "")},
		{`{"jsonrpc":"2.0","id":1,"method":"echo","meta":7}`, jsonrpcFault("1", -32600, "meta must be an object", "INVALID_REQUEST", "")},
		{jsonrpc("1", "rpc.cancel", ""), jsonrpcFault("1", -32601, "Method not found", "METHOD_NOT_FOUND", `{"method":"rpc.cancel"}`)},
		{array(`{"jsonrpc":"1.0","id":7,"method":"echo"}`, `[]`), array(invalid("7"), invalid("null"))},
		{array(jsonrpc("1", "echo", `[1]`), jsonrpc("1", "echo", `[2]`), jsonrpc("null", "echo", `[3]`), jsonrpc("null", "echo", `[4]`)), array(
			jsonrpcResult("1", `[1]`), jsonrpcFault("1", -32600, "a request with this id is in flight", "INVALID_REQUEST", ""), jsonrpcResult("null", `[3]`), jsonrpcResult("null", `[4]`))},
		{array(make21()...), jsonrpcFault("null", -32600, "the batch is too long", "INVALID_REQUEST", "")},
	} {
		s.send(tc.send)
		if got := s.read(); !sameJSONRPC(t, got, tc.want) || strings.Contains(got, "error") && !strings.Contains(got, `"data":{"code":"`) {
			t.Errorf("%s\nanswered %s\nwant     %s", tc.send, got, tc.want)
		}
		if _, _, got := post(t, h, tc.send); !sameJSONRPC(t, got, tc.want) {
			t.Errorf("%s\nanswered %s over HTTP\nwant     %s", tc.send, got, tc.want)
		}
	}
	// Answers to nothing, faulty ones too, are not answered.
	s.send(`{"jsonrpc":"2.0","id":9,"result":1}`, `{"jsonrpc":"2.0","id":null,"error":{"code":1,"message":"x"}}`, `{"jsonrpc":"2.0","result":1}`, array(`{"jsonrpc":"2.0","id":9,"result":1}`), ping)
	s.expect(pong)
}

func make21() (elements []string) {
	for i := range 21 {
		elements = append(elements, jsonrpc(fmt.Sprint(i), "echo", ""))
	}
	return elements
}

func TestJSONRPC_ABatchLongerThanTheRoomInFlightEnds(t *testing.T) {
	d := wsx.NewDispatcher()
	var running, most atomic.Int32
	wsx.Handle(d, "wait", func(ctx context.Context, _ struct{}) (struct{}, error) {
		n := running.Add(1)
		defer running.Add(-1)
		for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
		}
		<-time.After(time.Millisecond)
		return struct{}{}, nil
	})
	synctest.Test(t, func(t *testing.T) {
		s := dial(t, d, &wsx.ServerOptions{MaxInFlight: 3})
		var send, want []string
		for i := range 40 {
			send = append(send, jsonrpc(fmt.Sprint(i), "wait", ""))
			want = append(want, jsonrpcResult(fmt.Sprint(i), "null"))
		}
		s.send(array(send[:20]...), array(send[20:]...))
		for _, want := range []string{array(want[:20]...), array(want[20:]...)} {
			if got := s.read(); !sameJSONRPC(t, got, want) {
				t.Error(got)
			}
		}
	})
	if most.Load() != 3 {
		t.Errorf("%d at a time", most.Load())
	}
}

func TestJSONRPC_ABatchKeepsItsIDsUntilItIsAnswered(t *testing.T) {
	d, contexts, release := handing()
	s := dial(t, d, nil)
	s.send(array(jsonrpc("1", "echo", "[1]"), jsonrpc("2", "hand", "")))
	<-contexts
	s.send(jsonrpc("1", "echo", "[2]"), request("1", "echo", "3"), jsonrpc("3", "echo", "[4]"))
	s.expect(jsonrpcFault("1", -32600, "a request with this id is in flight", "INVALID_REQUEST", ""),
		fault("1", "INVALID_REQUEST", "a request with this id is in flight"), jsonrpcResult("3", "[4]"))
	release <- struct{}{}
	if got := s.read(); !sameJSONRPC(t, got, array(jsonrpcResult("1", "[1]"), jsonrpcResult("2", "null"))) {
		t.Error(got)
	}
	s.send(jsonrpc("1", "echo", "[5]"))
	s.expect(jsonrpcResult("1", "[5]"))
}

func TestJSONRPC_LimitsTheAnswerToABatch(t *testing.T) {
	d := wsx.NewDispatcher()
	wsx.Handle(d, "long", func(_ context.Context, n int) (string, error) { return strings.Repeat("x", n), nil })
	s := dial(t, d, nil)
	h := wsx.JSONRPC(d, nil)
	var elements []string
	for i := range 20 {
		elements = append(elements, jsonrpc(fmt.Sprint(i), "long", "[100000]"))
	}
	s.send(array(elements...))
	_, _, over := post(t, h, array(elements...))
	for name, got := range map[string]string{"socket": s.read(), "HTTP": over} {
		var answers []jsontext.Value
		decodeAnswer(t, got, &answers)
		refused := strings.Count(got, `"error":{"code":-32029,"message":"the answer to the batch would be too long","data":{"code":"RESOURCE_EXHAUSTED"}}`)
		if len(got) > 1<<20 || len(answers) != 20 || refused < 9 || refused > 11 {
			t.Errorf("%s: %d answers, %d refused, %d bytes", name, len(answers), refused, len(got))
		}
	}
	// Amplification (threats): 10,901 elements in 32 KiB, and as many small requests as may be.
	flood := "[" + strings.TrimSuffix(strings.Repeat("1, ", 10901), ", ") + "]"
	small := array(make21()[:20]...)
	s.send(flood)
	if got := s.read(); len(got) > len(flood) {
		t.Error(got)
	}
	s.send(small)
	if got := s.read(); len(got) > 10*len(small) {
		t.Errorf("%d bytes for %d", len(got), len(small))
	}
}

func TestJSONRPC_CountsEachElementForTheRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := dial(t, callDispatcher(), &wsx.ServerOptions{MessageRate: 1, MessageBurst: 3})
		s.send(array(make21()[:5]...))
		got := s.read()
		if strings.Count(got, `"code":"RESOURCE_EXHAUSTED","details":{"retry_after_ms":1001}`) != 2 || strings.Count(got, `"result"`) != 3 {
			t.Error(got)
		}
		s.send(array(make21()[:2]...)) // there is no token for its first either
		if got := s.read(); strings.Count(got, `"code":-32029`) != 2 {
			t.Error(got)
		}
		s.send(jsonrpc("1", "echo", ""))
		if got := s.read(); !strings.Contains(got, `"code":-32029`) {
			t.Error(got)
		}
		s.send("[]")
		if got := s.read(); !strings.Contains(got, `"code":-32029`) {
			t.Error(got)
		}
		s.send(array(make21()[:20]...))
		s.expectClosed(4429)
	})
}

func TestJSONRPC_CancelsByNotificationDeadlineAndEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, contexts, release := handing()
		s := dial(t, d, &wsx.ServerOptions{RequestTimeout: time.Minute, KeepaliveAfter: -1})
		cancelled := func(id string) string { return jsonrpcFault(id, -32800, "cancelled", "CANCELLED", "") }
		for _, cancel := range []string{jsonrpc("", "rpc.cancel", `{"id":1}`), jsonrpc("", "rpc.cancel", `[7,1]`), `{"type":"rpc.cancel","id":1}`} {
			s.send(jsonrpc("1", "hand", ""))
			<-contexts
			s.send(jsonrpc("", "rpc.cancel", `{"id":{}}`), jsonrpc("", "rpc.cancel", `[null,2]`), cancel)
			s.expect(cancelled("1"))
			release <- struct{}{}
		}
		s.send(array(jsonrpc("1", "hand", ""), jsonrpc("2", "echo", "[]")))
		<-contexts
		s.send(jsonrpc("", "rpc.cancel", `{"id":1}`))
		if got := s.read(); !sameJSONRPC(t, got, array(cancelled("1"), jsonrpcResult("2", "[]"))) {
			t.Error(got)
		}
		release <- struct{}{}

		late := jsonrpcFault("1", -32008, "deadline exceeded", "DEADLINE_EXCEEDED", "")
		for text, after := range map[string]time.Duration{`{"timeout_ms":1500}`: 1500 * time.Millisecond, `{"timeout_ms":99999999}`: time.Minute, `{}`: time.Minute} {
			start := time.Now()
			s.send(`{"jsonrpc":"2.0","id":1,"method":"hand","meta":` + text + `}`)
			<-contexts
			s.expect(late)
			if took := time.Since(start); took != after {
				t.Errorf("%s: %v", text, took)
			}
			release <- struct{}{}
		}

		s.send(array(jsonrpc("1", "hand", ""), jsonrpc("", "hand", "")))
		first, second := <-contexts, <-contexts
		_ = s.c.CloseNow()
		<-first.Done()
		<-second.Done()
		close(release)
	})
}

func TestJSONRPC_SubscribesByMethod(t *testing.T) {
	hub := wsx.NewHub(nil)
	t.Cleanup(func() { _ = hub.Stop(context.Background()) })
	hub.Configure("room.>", wsx.ChannelOptions{History: 10, Presence: true})
	d, contexts, release := handing()
	_, client := serve(t, d, &wsx.ServerOptions{Hub: hub})
	s := dialSocket(t, client, "ws://wsx.test/")
	publish := func(payload string) wsx.Position {
		t.Helper()
		p, err := hub.Publish(t.Context(), "room.1", jsontext.Value(payload))
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	epoch := publish("0").Epoch
	subscribed := func(id, sub string, offset int, more string) string {
		return jsonrpcResult(id, fmt.Sprintf(`{"status":"subscribed","channel":"room.1","subscription":"%s","epoch":"%s","offset":%d%s}`, sub, epoch, offset, more))
	}
	event := func(sub string, n int) string {
		return jsonrpc("", "rpc.event", fmt.Sprintf(`{"channel":"room.1","payload":%d,"meta":{"sub_id":"%s","epoch":"%s","offset":%d}}`, n, sub, epoch, n+1))
	}
	s.send(jsonrpc("1", "rpc.subscribe", `{"channel":"room.1"}`))
	s.expect(subscribed("1", "1", 1, ""))
	publish("1")
	s.expect(event("1", 1))

	// By position, in a batch that is not answered yet: no event precedes the answer.
	s.send(array(jsonrpc("2", "rpc.subscribe", `["room.1",null,{"epoch":"`+epoch+`","offset":0}]`), jsonrpc("3", "hand", "")))
	<-contexts
	publish("2")
	s.expect(event("1", 2))
	close(release)
	answer := s.read()
	if !sameJSONRPC(t, answer, array(subscribed("2", "2", 2, `,"recovered":true`), jsonrpcResult("3", "null"))) &&
		!sameJSONRPC(t, answer, array(subscribed("2", "2", 3, `,"recovered":true`), jsonrpcResult("3", "null"))) {
		t.Error(answer)
	}
	s.expect(event("2", 0), event("2", 1), event("2", 2))

	// One on WSX beside it, in presence and in the same group.
	w := dialSocket(t, client, "ws://wsx.test/")
	w.send(`{"type":"rpc.subscribe","id":1,"channel":"room.1"}`)
	w.read()
	if got := s.read(); !strings.HasPrefix(got, `{"jsonrpc":"2.0","method":"wsx.join","params":{"channel":"room.1","member":{"conn":"`) {
		t.Error(got)
	}
	publish("3")
	s.expect(event("1", 3), event("2", 3))
	w.expect(fmt.Sprintf(`{"type":"rpc.event","channel":"room.1","payload":3,"meta":{"sub_id":"1","epoch":"%s","offset":4}}`, epoch))
	s.send(jsonrpc("4", "wsx.presence", `["room.1"]`))
	if got := s.read(); strings.Count(got, `"conn"`) != 2 {
		t.Error(got)
	}

	for _, tc := range []struct{ send, want string }{
		{jsonrpc("5", "rpc.unsubscribe", `{"subscription":"2"}`), jsonrpcResult("5", `{"status":"unsubscribed"}`)},
		{jsonrpc("6", "rpc.unsubscribe", `["2"]`), jsonrpcFault("6", -32004, "not found", "NOT_FOUND", "")},
		{jsonrpc("7", "rpc.unsubscribe", ""), jsonrpcFault("7", -32602, "subscription or channel is missing", "INVALID_PARAMS", "")},
		{jsonrpc("8", "rpc.subscribe", `{"channel":7}`), jsonrpcFault("8", -32602, "the value does not fit the method's params", "INVALID_PARAMS", `{"path":"/channel"}`)},
		{jsonrpc("9", "rpc.subscribe", `{"channel":"other"}`), jsonrpcFault("9", -32003, "subscription denied", "SUBSCRIPTION_DENIED", "")},
	} {
		s.send(tc.send)
		s.expect(tc.want)
	}
	s.send(jsonrpc("", "rpc.subscribe", `{"channel":"room.1"}`)) // nobody would know of it
	hub.Unsubscribe("room.1", wsx.CodePermissionDenied)
	s.expect(jsonrpc("", "wsx.unsubscribed", `{"subscription":"1","channel":"room.1","code":"PERMISSION_DENIED"}`))
	s.send(ping)
	s.expect(pong)
}

func TestJSONRPC_AStreamAnswersItsResultOnly(t *testing.T) {
	d := wsx.NewDispatcher()
	wsx.HandleStream(d, "count", func(ctx context.Context, n int, out *int) iter.Seq2[int, error] {
		return func(yield func(int, error) bool) {
			if err := wsx.Progress(ctx, "half"); err != nil {
				t.Error(err)
			}
			for ; *out < n && yield(*out, nil); *out++ {
			}
		}
	})
	s := dial(t, d, nil)
	s.send(`{"jsonrpc":"2.0","id":1,"method":"count","params":[3],"meta":{"progress":true}}`)
	s.expect(jsonrpcResult("1", "3"))
	if _, _, got := post(t, wsx.JSONRPC(d, nil), jsonrpc("1", "count", "[3]")); got != jsonrpcResult("1", "3") {
		t.Error(got)
	}
}

func TestConn_NotifySpeaksAsTheClientDoes(t *testing.T) {
	d := callDispatcher()
	conns := make(chan *wsx.Conn, 1)
	wsx.Handle(d, "notify", func(ctx context.Context, payload jsontext.Value) (struct{}, error) {
		conns <- wsx.ConnFrom(ctx)
		return struct{}{}, wsx.ConnFrom(ctx).Notify(ctx, "note", payload)
	})
	s := dial(t, d, nil)
	s.send(jsonrpc("1", "notify", `{"a":1}`))
	s.expect(jsonrpc("", "note", `{"a":1}`), jsonrpcResult("1", "null"))
	c := <-conns
	if err := c.Notify(t.Context(), "note", 7); err != nil {
		t.Error(err)
	}
	s.expect(jsonrpc("", "note", `[7]`))
	s.send(request("1", "notify", `7`))
	s.expect(`{"type":"rpc.notify","event":"note","payload":7}`, response("1", "null"))
	if err := c.Notify(t.Context(), "note", nil); err != nil {
		t.Error(err)
	}
	s.expect(`{"type":"rpc.notify","event":"note","payload":null}`)
}

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
		if status != tc.want || status >= 400 && header.Get("Content-Type") != "application/problem+json" {
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
	r, _ := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://wsx.test/", strings.NewReader(call))
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
		if _, _, got := post(t, h, jsonrpc("1", method, `{"channel":"a"}`)); !strings.Contains(got, `"code":-32009`) {
			t.Error(got)
		}
	}
	late := jsonrpcFault("1", -32008, "deadline exceeded", "DEADLINE_EXCEEDED", "")
	if _, _, got := post(t, h, jsonrpc("1", "hang", "")); got != late {
		t.Error(got)
	}
	if _, _, got := post(t, h, array(make21()...)); strings.Count(got, `"result"`) != 21 {
		t.Error(got)
	}
	// The client gives up: the handler ends, and the test with it.
	gone := make(chan struct{})
	wsx.Handle(d, "gone", func(ctx context.Context, _ struct{}) (bool, error) { close(gone); <-ctx.Done(); return true, ctx.Err() })
	ctx, cancel := context.WithCancel(t.Context())
	go func() { <-gone; cancel() }()
	r, _ := http.NewRequestWithContext(ctx, http.MethodPost, "http://wsx.test/", strings.NewReader(array(jsonrpc("1", "gone", ""))))
	r.Header.Set("Content-Type", "application/json")
	if _, err := wsxtest.Serve(t, wsx.JSONRPC(d, nil)).Do(r); err == nil {
		t.Error("answered")
	}
}
