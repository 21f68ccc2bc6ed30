package wsxclient_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/genropy/genro-asgi-go/wsx"
	"github.com/genropy/genro-asgi-go/wsx/broker"
	"github.com/genropy/genro-asgi-go/wsx/wsxclient"
	"github.com/genropy/genro-asgi-go/wsx/wsxtest"
)

func TestJSONRPC_SpeaksTheSpecification(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var notes []string
		d := wsx.NewDispatcher()
		wsx.Handle(d, "twice",
			func(_ context.Context, in []int) (int, error) { return 2 * in[0], nil })
		wsx.Handle(d, "fail", func(context.Context, struct{}) (int, error) {
			return 0, &wsx.Error{Code: wsx.CodeConflict, Message: "no", Details: 1}
		})
		c := fake(t,
			&wsxclient.Options{
				JSONRPC: true, Methods: d,
				OnNotify: func(_ context.Context, event string, payload jsontext.Value) {
					notes = append(notes, event+string(payload))
				},
			}, func(c *websocket.Conn) error {
				if c.Subprotocol() != "" {
					return errors.New("a subprotocol was offered")
				}
				return errors.Join(
					expect(c, `{"jsonrpc":"2.0","id":1,"method":"a","params":[1,"x"]}`),
					say(c, `{"jsonrpc":"2.0","id":1,"result":{"x":1,"y":2}}`),
					expect(c, `{"jsonrpc":"2.0","id":2,"method":"b"}`),
					say(c,
						`{"jsonrpc":"2.0","id":2,"error":{"code":-32602,"message":"bad",`+
							`"data":[1]}}`),
					expect(c, `{"jsonrpc":"2.0","method":"n","params":{"x":3,"y":4}}`),
					expect(c, `{"jsonrpc":"2.0","id":3,"method":"c"}`),
					// not its answers
					say(c, `{"jsonrpc":"2.0","id":null,"error":{"code":-32700,"message":"?"}}`),
					say(c, `{"type":"rpc.response","id":2,"result":1}`), say(c, `{"result":1}`),
					say(c, `{"jsonrpc":"2.0","method":"note","params":[5]}`),
					say(c,
						`[{"jsonrpc":"2.0","method":"batched"},7,[],{"jsonrpc":"2.0","id":3,`+
							`"result":7}]`),
					expect(c, `{"jsonrpc":"2.0","id":4,"method":"slow"}`),
					expect(c, `{"jsonrpc":"2.0","method":"rpc.cancel","params":{"id":4}}`),
					expect(c, `{"jsonrpc":"2.0","id":5,"method":"d"}`),
					say(c, `{"jsonrpc":"2.0","id":5,"error":7}`),
					say(c, `{"jsonrpc":"2.0","id":"s","method":"twice","params":[21]}`),
					expect(c, `{"jsonrpc":"2.0","id":"s","result":42}`),
					say(c, `{"jsonrpc":"2.0","id":"s","method":"none"}`),
					expect(c,
						`{"jsonrpc":"2.0","id":"s","error":{"code":-32601,"message":"method not `+
							`found","data":{"code":"METHOD_NOT_FOUND",`+
							`"details":{"method":"none"}}}}`),
					say(c, `{"jsonrpc":"2.0","id":"s","method":"fail"}`),
					expect(c,
						`{"jsonrpc":"2.0","id":"s","error":{"code":-32009,"message":"no",`+
							`"data":{"code":"CONFLICT","details":1}}}`),
					say(c, `{"jsonrpc":"2.0","id":"s","method":1}`),
					expectPrefix(c, `{"jsonrpc":"2.0","id":"s","error":{"code":-32600,`),
					untilClosed(c))
			})
		ctx := t.Context()
		if got, err := wsxclient.Call[point](ctx, c, "a", []any{1, "x"}); err != nil ||
			got != (point{1, 2}) {
			t.Error(got, err)
		}
		_, err := wsxclient.Call[int](ctx, c, "b", nil)
		original, ok := errors.AsType[*wsxclient.JSONRPCError](err)
		if !errors.Is(err, wsx.NewError(wsx.CodeInvalidParams, "bad")) || !ok ||
			original.Code != -32602 || string(original.Data) != "[1]" {
			t.Error(err)
		}
		if err := c.Notify(ctx, "n", point{3, 4}); err != nil {
			t.Error(err)
		}
		for _, scalar := range []any{5, "x", true} {
			if _, err := wsxclient.Call[int](ctx, c, "scalar", scalar); err == nil ||
				c.Notify(ctx, "scalar", scalar) == nil {
				t.Error("sent", scalar)
			}
		}
		for _, err := range wsxclient.Stream[int](ctx, c, "stream", nil, nil) {
			if err == nil {
				t.Error("streamed")
			}
		}
		if got, err := wsxclient.Call[int](ctx, c, "c", jsontext.Value("null")); err != nil ||
			got != 7 {
			t.Error(got, err)
		}
		brief, cancel := context.WithTimeout(ctx, time.Second)
		defer cancel()
		if _, err := wsxclient.Call[int](brief, c, "slow", nil); !errors.Is(err,
			context.DeadlineExceeded) {
			t.Error(err)
		}
		if _, err := wsxclient.Call[int](ctx, c, "d", nil); err == nil {
			t.Error("took what is no answer for one")
		}
		synctest.Wait()
		_ = c.Close()
		if want := []string{"note[5]", "batched"}; !slices.Equal(notes, want) {
			t.Error(notes)
		}
	})
}

// Servers of others do not all keep to the specification: an answer with the id of a call ends it,
// whatever else it is.
func TestJSONRPC_TakesAnswersOfLooseServers(t *testing.T) {
	answers := []struct{ answer, want string }{
		{`{"jsonrpc":"2.0","id":ID,"result":7,"error":null}`, "7 <nil>"},
		{`{"jsonrpc":"2.0","id":ID.0,"result":7}`, "7 <nil>"},
		{`{"jsonrpc":"2.0","id":IDe0,"result":7}`, "7 <nil>"},
		{`{"jsonrpc":"2.0","id":"ID","result":7}`, "7 <nil>"},
		{`{"id":ID,"result":7}`, "7 <nil>"},
		{`{"jsonrpc":"1.0","id":ID,"result":7,"error":null}`, "7 <nil>"},
		{`{"jsonrpc":"2.0","id":ID}`, "null <nil>"},
		{`{"jsonrpc":"2.0","id":ID,"result":null,"error":null}`, "null <nil>"},
		{`[{"id":"ID","result":7}]`, "7 <nil>"},
		{
			`{"jsonrpc":"2.0","id":ID,"result":null,"error":{"code":-32601,"message":"no"}}`,
			" METHOD_NOT_FOUND: no: JSON-RPC error -32601",
		},
		{
			`{"jsonrpc":"2.0","id":ID,"error":{"code":"-32601","message":"no"}}`,
			" METHOD_NOT_FOUND: no: JSON-RPC error -32601",
		},
		{
			`{"jsonrpc":"2.0","id":ID,"error":{"code":-32601}}`,
			" METHOD_NOT_FOUND: method not found: JSON-RPC error -32601",
		},
		{`{"jsonrpc":"2.0","id":ID,"error":"no"}`, " INTERNAL_ERROR: no: JSON-RPC error 0"},
		{
			`{"jsonrpc":"2.0","id":ID,"result":7,"result":8}`,
			" wsx: the server's answer cannot be read: a member name occurs twice",
		},
	}
	synctest.Test(t, func(t *testing.T) {
		c := fake(t, &wsxclient.Options{JSONRPC: true}, func(c *websocket.Conn) error {
			for i, tc := range answers {
				id := fmt.Sprint(i + 1)
				if err := errors.Join(expect(c, `{"jsonrpc":"2.0","id":`+id+`,"method":"a"}`),
					say(c, strings.ReplaceAll(tc.answer, "ID", id)),
					say(c, strings.ReplaceAll(tc.answer, "ID", id))); err != nil {
					// the second answers nothing
					return err
				}
			}
			return untilClosed(c)
		})
		for _, tc := range answers {
			got, err := wsxclient.Call[jsontext.Value](t.Context(), c, "a", nil)
			if told := fmt.Sprint(string(got), " ", err); told != tc.want {
				t.Errorf("%s: %s, want %s", tc.answer, told, tc.want)
			}
		}
	})
}

// With a server of this package's: calls, coded errors, retries, subscriptions.
func TestJSONRPC_WithThisServer(t *testing.T) {
	l := &ledger{ran: make(map[string]int)}
	d := ledgerMethods(l)
	wsx.Handle(d, "mirror",
		func(_ context.Context, p point) (point, error) { return point{p.Y, p.X}, nil })
	wsx.Handle(d, "fail", func(context.Context, struct{}) (int, error) {
		return 0, &wsx.Error{
			Code: "NO_STOCK", Message: "none left",
			Details: map[string]int{"n": 0},
		}
	})
	hub := wsx.NewHub(nil)
	hub.Configure("room.>", &wsx.ChannelOptions{History: 100})
	ctx := t.Context()
	c := wsxtest.New(t, d, &wsx.ServerOptions{Hub: hub}, &wsxclient.Options{JSONRPC: true})
	for _, params := range []any{point{1, 2}, []int{1, 2}} {
		if got, err := wsxclient.Call[point](ctx, c, "mirror", params); err != nil ||
			got != (point{2, 1}) {
			t.Error(got, err)
		}
	}
	_, err := wsxclient.Call[int](ctx, c, "fail", nil)
	coded, ok := errors.AsType[*wsx.Error](err)
	if !ok || coded.Code != "NO_STOCK" || fmt.Sprint(coded.Details) != `{"n":0}` ||
		errors.As(err, new(*wsxclient.JSONRPCError)) {
		t.Error(err)
	}
	if got, err := wsxclient.CallWith[string](ctx, c, "busy", []string{"a"},
		&wsxclient.CallOptions{Retry: true}); err != nil || got != "a" {
		t.Error(got, err)
	}
	for i := range 3 {
		if _, err := hub.Publish(ctx, "room.a", i); err != nil {
			t.Fatal(err)
		}
	}
	from := broker.Position{Epoch: position(t, hub, "room.a").Epoch, Offset: 1}
	var got []int
	for event, err := range wsxclient.Subscribe[int](ctx, c, "room.a",
		&wsxclient.SubscribeOptions{Recover: from, Params: struct{}{}}) {
		if err != nil {
			if len(got) < 3 || !errors.Is(err, wsx.NewError(wsx.CodePermissionDenied, "")) {
				t.Error(err)
			}
			break
		}
		if got = append(got, event.Payload); event.Payload == -2 &&
			hub.Unsubscribe("room.a", wsx.CodePermissionDenied) != 1 {
			t.Error("nobody was subscribed")
		}
	}
	for _, err := range wsxclient.Subscribe[int](ctx, c, "room.a",
		&wsxclient.SubscribeOptions{Recover: from}) {
		// and ended by this side
		if err != nil {
			t.Error(err)
		}
		break
	}
	if !slices.Equal(got, []int{1, 2, -2}) {
		t.Error(got)
	}
	if _, err := wsxclient.Call[point](ctx, c, "mirror", nil); err != nil {
		t.Error(err)
	}
	if err := hub.Stop(ctx); err != nil {
		t.Error(err)
	}
}

// -32000 is what others use for any error: that is not retried.
func TestJSONRPC_OthersErrorsAreNotRetried(t *testing.T) {
	c := fake(t, &wsxclient.Options{JSONRPC: true}, func(c *websocket.Conn) error {
		return errors.Join(expect(c, `{"jsonrpc":"2.0","id":1,"method":"a"}`),
			say(c,
				`{"jsonrpc":"2.0","id":1,"error":{"code":-32000,"message":"execution reverted"}}`),
			untilClosed(c))
	})
	_, err := wsxclient.CallWith[int](t.Context(), c, "a", nil, &wsxclient.CallOptions{Retry: true})
	if original, ok := errors.AsType[*wsxclient.JSONRPCError](err); !ok || original.Code != -32000 {
		t.Error(err)
	}
}
