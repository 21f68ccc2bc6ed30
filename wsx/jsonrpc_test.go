package wsx_test

import (
	"context"
	"fmt"
	"iter"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/genropy/genro-asgi-go/wsx"
	"github.com/genropy/genro-asgi-go/wsx/broker"
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
	return fmt.Sprintf(
		`{"jsonrpc":"2.0","id":%s,"error":{"code":%d,"message":"%s","data":{"code":"%s"%s}}}`, id,
		number, message, code, details)
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
	wsx.Handle(d, "raw",
		func(_ context.Context, in jsontext.Value) (jsontext.Value, error) { return in, nil })
	wsx.Handle(d, "map",
		func(_ context.Context, in map[string]int) (map[string]int, error) { return in, nil })
	wsx.Handle(d, "none", func(context.Context, struct{}) (string, error) { return "ok", nil })
	s := dial(t, d, nil)
	h := wsx.JSONRPC(d, nil)
	bad := func(path, detail string) string {
		return jsonrpcFault("1", -32602, "The request has invalid fields.", "INVALID_PARAMS",
			unfit(path, detail))
	}
	for _, tc := range []struct{ method, params, want string }{
		{"struct", `[1,2,3,"four"]`, `{"x":1,"B":2,"y":3,"a b":"four"}`},
		{"struct", ` [ 1 , 2 ] `, `{"x":1,"B":2,"a b":""}`},
		{"struct", `[]`, `{"x":0,"B":0,"a b":""}`},
		{"struct", `{"y":3}`, `{"x":0,"B":0,"y":3,"a b":""}`},
		{"struct", `null`, `{"x":0,"B":0,"a b":""}`},
		{"struct", "", `{"x":0,"B":0,"a b":""}`},
		{
			"struct", `[1,2,3,"four",5]`,
			jsonrpcFault("1", -32602, "there are more params than the method has", "INVALID_PARAMS",
				`{"path":"/4"}`),
		},
		{"struct", `[1,2,"three"]`, bad("/2", "must be an integer")},
		{"struct", `[1,2,3,[{"deep":1}]]`, bad("/3", "must be a string")},
		{"struct", `{"x":"one"}`, bad("/x", "must be an integer")},
		{"pointer", `[1]`, `{"x":1,"B":0,"a b":""}`},
		{"pointer", "", `null`},
		{"scalar", `[7]`, `7`},
		{"scalar", `[]`, `0`},
		{"scalar", `["7"]`, bad("/0", "must be an integer")},
		{
			"scalar", `[7,8]`,
			jsonrpcFault("1", -32602, "there are more params than the method has", "INVALID_PARAMS",
				`{"path":"/1"}`),
		},
		{"text", `["x"]`, `"x"`},
		{"slice", `[1,2]`, `[1,2]`},
		{"slice", `[1,"2"]`, bad("/1", "must be an integer")},
		{"pair", `[1,2]`, `[1,2]`},
		{"any", `[1,{"a":2}]`, `[1,{"a":2}]`},
		{"raw", `[ 1 ]`, `[ 1 ]`},
		{"raw", `{"a": 1}`, `{"a": 1}`},
		{"map", `[1]`, bad("", "must be an object")},
		{"map", `{"a":1}`, `{"a":1}`},
		{"none", `[]`, `"ok"`},
		{
			"none", `[1]`,
			jsonrpcFault("1", -32602, "there are more params than the method has", "INVALID_PARAMS",
				`{"path":"/0"}`),
		},
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
	s.expect(
		`{"type":"rpc.error","id":1,"error":{"code":"INVALID_PARAMS","message":"The request has ` +
			`invalid fields.","details":` + unfit("", "must be an object") + `}}`)
}

func TestJSONRPC_EchoesIDsAndRefusesWhatIsNoRequest(t *testing.T) {
	s := dial(t, callDispatcher(), nil)
	h := wsx.JSONRPC(callDispatcher(), nil)
	invalid := func(id string) string {
		return jsonrpcFault(id, -32600, "Invalid Request", "INVALID_REQUEST", "")
	}
	for _, tc := range []struct{ send, want string }{
		{jsonrpc(`"x\u0079"`, "echo", `[1]`), jsonrpcResult(`"x\u0079"`, `[1]`)},
		{jsonrpc(`-1.50e+3`, "echo", `[1]`), jsonrpcResult(`-1.50e+3`, `[1]`)},
		{jsonrpc(`null`, "echo", `[1]`), jsonrpcResult(`null`, `[1]`)},
		{jsonrpc(`{}`, "echo", ""), invalid("null")},
		{jsonrpc(`true`, "echo", ""), invalid("null")},
		{jsonrpc(`1`, "", ""), invalid("1")},
		{`{"jsonrpc":"2.0","id":1}`, invalid("1")},
		{
			`{"jsonrpc":"2.0","id":1,"id":1,"method":"echo"}`,
			jsonrpcFault("null", -32600, "a member name occurs twice", "INVALID_REQUEST", ""),
		},
		{
			jsonrpc("1", "echo", strings.Repeat("[", 32)+strings.Repeat("]", 32)),
			jsonrpcFault("1", -32600, "the message is nested too deeply", "INVALID_REQUEST", ""),
		},
		{
			`{"jsonrpc":"2.0","id":1,"method":"echo","meta":7}`,
			jsonrpcFault("1", -32600, "meta must be an object", "INVALID_REQUEST", ""),
		},
		{
			jsonrpc("1", "rpc.cancel", ""),
			jsonrpcFault("1", -32601, "Method not found", "METHOD_NOT_FOUND",
				`{"method":"rpc.cancel"}`),
		},
		{
			array(`{"jsonrpc":"1.0","id":7,"method":"echo"}`, `[]`),
			array(invalid("7"), invalid("null")),
		},
		{
			array(jsonrpc("1", "echo", `[1]`), jsonrpc("1", "echo", `[2]`),
				jsonrpc("null", "echo", `[3]`), jsonrpc("null", "echo", `[4]`)), array(
				jsonrpcResult("1", `[1]`),
				jsonrpcFault("1", -32600, "a request with this id is in flight", "INVALID_REQUEST",
					""), jsonrpcResult("null", `[3]`), jsonrpcResult("null", `[4]`)),
		},
	} {
		s.send(tc.send)
		if got := s.read(); !sameJSONRPC(t, got, tc.want) || strings.Contains(got, "error") &&
			!strings.Contains(got, `"data":{"code":"`) {
			t.Errorf("%s\nanswered %s\nwant     %s", tc.send, got, tc.want)
		}
		if _, _, got := post(t, h, tc.send); !sameJSONRPC(t, got, tc.want) {
			t.Errorf("%s\nanswered %s over HTTP\nwant     %s", tc.send, got, tc.want)
		}
	}
	// Answers to nothing, faulty ones too, are not answered.
	s.send(`{"jsonrpc":"2.0","id":9,"result":1}`,
		`{"jsonrpc":"2.0","id":null,"error":{"code":1,"message":"x"}}`,
		`{"jsonrpc":"2.0","result":1}`, array(`{"jsonrpc":"2.0","id":9,"result":1}`), ping)
	s.expect(pong)
}

func TestJSONRPC_CancelsByNotificationDeadlineAndEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, contexts, release := handing()
		s := dial(t, d, &wsx.ServerOptions{RequestTimeout: time.Minute, KeepaliveAfter: -1})
		cancelled := func(id string) string {
			return jsonrpcFault(id, -32800, "cancelled", "CANCELLED", "")
		}
		for _, cancel := range []string{
			jsonrpc("", "rpc.cancel", `{"id":1}`),
			jsonrpc("", "rpc.cancel", `[7,1]`), `{"type":"rpc.cancel","id":1}`,
		} {
			s.send(jsonrpc("1", "hand", ""))
			<-contexts
			s.send(jsonrpc("", "rpc.cancel", `{"id":{}}`), jsonrpc("", "rpc.cancel", `[null,2]`),
				cancel)
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
		for text, after := range map[string]time.Duration{`{"timeout_ms":1500}`: 1500 *
			time.Millisecond, `{"timeout_ms":99999999}`: time.Minute, `{}`: time.Minute} {
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
	hub.Configure("room.>", &wsx.ChannelOptions{History: 10, Presence: true})
	d, contexts, release := handing()
	_, client := serve(t, d, &wsx.ServerOptions{Hub: hub})
	s := dialSocket(t, client, "ws://wsx.test/")
	publish := func(payload string) broker.Position {
		t.Helper()
		p, err := hub.Publish(t.Context(), "room.1", jsontext.Value(payload))
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	epoch := publish("0").Epoch
	subscribed := func(id, sub string, offset int, more string) string {
		return jsonrpcResult(id,
			fmt.Sprintf(
				`{"status":"subscribed","channel":"room.1","subscription":"%s","epoch":"%s",`+
					`"offset":%d%s}`, sub, epoch, offset, more))
	}
	event := func(sub string, n int) string {
		return jsonrpc("", "rpc.event",
			fmt.Sprintf(
				`{"channel":"room.1","payload":%d,"meta":{"sub_id":"%s","epoch":"%s","offset":%d}}`,
				n, sub, epoch, n+1))
	}
	s.send(jsonrpc("1", "rpc.subscribe", `{"channel":"room.1"}`))
	s.expect(subscribed("1", "1", 1, ""))
	publish("1")
	s.expect(event("1", 1))

	// By position, in a batch that is not answered yet: no event precedes the answer.
	s.send(array(jsonrpc("2", "rpc.subscribe", `["room.1",null,{"epoch":"`+epoch+`","offset":0}]`),
		jsonrpc("3", "hand", "")))
	<-contexts
	publish("2")
	s.expect(event("1", 2))
	close(release)
	answer := s.read()
	if !sameJSONRPC(t, answer,
		array(subscribed("2", "2", 2, `,"recovered":true`), jsonrpcResult("3", "null"))) &&
		!sameJSONRPC(t, answer,
			array(subscribed("2", "2", 3, `,"recovered":true`), jsonrpcResult("3", "null"))) {
		t.Error(answer)
	}
	s.expect(event("2", 0), event("2", 1), event("2", 2))

	// One on WSX beside it, in presence and in the same group.
	w := dialSocket(t, client, "ws://wsx.test/")
	w.send(`{"type":"rpc.subscribe","id":1,"channel":"room.1"}`)
	w.read()
	if got := s.read(); !strings.HasPrefix(got,
		`{"jsonrpc":"2.0","method":"wsx.join","params":{"channel":"room.1","member":{"conn":"`) {
		t.Error(got)
	}
	publish("3")
	s.expect(event("1", 3), event("2", 3))
	w.expect(
		fmt.Sprintf(
			`{"type":"rpc.event","channel":"room.1","payload":3,"meta":{"sub_id":"1",`+
				`"epoch":"%s","offset":4}}`, epoch))
	s.send(jsonrpc("4", "wsx.presence", `["room.1"]`))
	if got := s.read(); strings.Count(got, `"conn"`) != 2 {
		t.Error(got)
	}

	for _, tc := range []struct{ send, want string }{
		{
			jsonrpc("5", "rpc.unsubscribe", `{"subscription":"2"}`),
			jsonrpcResult("5", `{"status":"unsubscribed"}`),
		},
		{
			jsonrpc("6", "rpc.unsubscribe", `["2"]`),
			jsonrpcFault("6", -32004, "not found", "NOT_FOUND", ""),
		},
		{
			jsonrpc("7", "rpc.unsubscribe", ""),
			jsonrpcFault("7", -32602, "subscription or channel is missing", "INVALID_PARAMS", ""),
		},
		{
			jsonrpc("8", "rpc.subscribe", `{"channel":7}`),
			jsonrpcFault("8", -32602, "The request has invalid fields.", "INVALID_PARAMS",
				unfit("/channel", "must be a string")),
		},
		{
			jsonrpc("9", "rpc.subscribe", `{"channel":"other"}`),
			jsonrpcFault("9", -32003, "subscription denied", "SUBSCRIPTION_DENIED", ""),
		},
	} {
		s.send(tc.send)
		s.expect(tc.want)
	}
	s.send(jsonrpc("", "rpc.subscribe", `{"channel":"room.1"}`)) // nobody would know of it
	hub.Unsubscribe("room.1", wsx.CodePermissionDenied)
	s.expect(jsonrpc("", "wsx.unsubscribed",
		`{"subscription":"1","channel":"room.1","code":"PERMISSION_DENIED"}`))
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
	if _, _, got := post(t, wsx.JSONRPC(d, nil), jsonrpc("1", "count", "[3]")); got !=
		jsonrpcResult("1", "3") {
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
