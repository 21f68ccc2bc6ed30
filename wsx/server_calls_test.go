package wsx_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"

	"github.com/coder/websocket"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/genropy/genro-asgi-go/wsx"
)

// callDispatcher has the methods of most tests here. What gate methods wait for is closed by the
// test.
func callDispatcher() *wsx.Dispatcher {
	d := wsx.NewDispatcher()
	wsx.Handle(d, "add", add)
	wsx.Handle(d, "echo",
		func(_ context.Context, in jsontext.Value) (jsontext.Value, error) { return in, nil })
	wsx.Handle(d, "wait",
		func(ctx context.Context, _ struct{}) (struct{}, error) {
			<-ctx.Done()
			return struct{}{}, ctx.Err()
		})
	return d
}

func TestServer_AnswersByteForByte(t *testing.T) {
	s := dial(t, callDispatcher(), nil)
	for _, tc := range []struct{ name, send, want string }{
		{"string id", request(`"a\u0061/ é"`, "echo", "1"), response(`"a\u0061/ é"`, "1")},
		{"number id", request(`1.50e+01`, "echo", "1"), response(`1.50e+01`, "1")},
		{
			"large id", request(`123456789012345678901234567890`, "echo", "1"),
			response(`123456789012345678901234567890`, "1"),
		},
		{
			"long id", request(`"`+strings.Repeat("x", 500)+`"`, "echo", "1"),
			response(`"`+strings.Repeat("x", 500)+`"`, "1"),
		},
		{"empty id", request(`""`, "echo", "1"), response(`""`, "1")},
		{
			"params as they are", request("1", "echo", `{ "b":1.0, "a":[ ] }`),
			response("1", `{ "b":1.0, "a":[ ] }`),
		},
		{"no params", request("1", "echo", ""), response("1", "null")},
		{"typed", request("1", "add", `{"a":2,"b":40}`), response("1", `{"sum":42}`)},
		{
			"members in any order, unknown ones ignored",
			` {"x":[{}],"params":{"a":1},"id":1,"meta":{"trace":"t"},"method":"add",` +
				`"type":"rpc.request","subject":"admin"} `, response("1", `{"sum":1}`),
		},
		{"ping with id", `{"type":"rpc.ping","id":"p"}`, `{"type":"rpc.pong","id":"p"}`},
		{"ping", ping, pong},
		{
			"unknown method", request("1", "no.such", ""),
			`{"type":"rpc.error","id":1,"error":{"code":"METHOD_NOT_FOUND","message":"method not ` +
				`found","details":{"method":"no.such"}}}`,
		},
		{
			"unfit params", request("1", "add", `{"a":"x"}`),
			`{"type":"rpc.error","id":1,"error":{"code":"INVALID_PARAMS","message":"The request ` +
				`has invalid fields.","details":` + unfit("/a", "must be an integer") + `}}`,
		},
		{
			"unknown type", `{"type":"rpc.what","id":1}`,
			fault("1", "UNSUPPORTED_TYPE", "the message type is not supported"),
		},
		{
			"no id", `{"type":"rpc.request","method":"echo"}`,
			fault("null", "INVALID_REQUEST", "id must be a string or a number"),
		},
		{
			"bad method", request("7", "", ""),
			fault("7", "INVALID_REQUEST", "method must be a string of 1 to 256 bytes"),
		},
		{
			"duplicate member", `{"type":"rpc.request","id":8,"method":"echo","method":"add"}`,
			fault("8", "INVALID_REQUEST", "a member name occurs twice"),
		},
		{
			"bad time-out",
			`{"type":"rpc.request","id":9,"method":"echo","meta":{"timeout_ms":-1}}`,
			fault("9", "INVALID_REQUEST", "meta.timeout_ms must be a positive integer"),
		},
		{
			"not JSON", `{"type":"rpc.request"`,
			fault("null", "PARSE_ERROR", "the message is not JSON"),
		},
		{
			"the tunnel, which is off", `WSX://{"id":1,"method":"GET","path":"/"}`,
			fault("null", "PARSE_ERROR", "the message is not JSON"),
		},
		{
			"another shape", `{"id":1}`,
			fault("1", "INVALID_REQUEST", "the message is neither a WSX message nor JSON-RPC 2.0"),
		},
		{
			"nested too deeply",
			request("1", "echo", strings.Repeat("[", 32)+strings.Repeat("]", 32)),
			fault("1", "INVALID_REQUEST", "the message is nested too deeply"),
		},
		{
			"nested as deeply as allowed",
			request("1", "echo", strings.Repeat("[", 31)+strings.Repeat("]", 31)),
			response("1", strings.Repeat("[", 31)+strings.Repeat("]", 31)),
		},
		{
			"subscribing where no channel is open", `{"type":"rpc.subscribe","id":1,"channel":"a"}`,
			fault("1", "SUBSCRIPTION_DENIED", "subscription denied"),
		},
		{
			"unsubscribing what is not subscribed",
			`{"type":"rpc.unsubscribe","id":1,"channel":"a"}`,
			fault("1", "NOT_FOUND", "not found"),
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s.send(tc.send)
			s.expect(tc.want)
			if err := s.c.Write(t.Context(), websocket.MessageBinary, []byte(tc.send)); err != nil {
				t.Fatal(err)
			}
			s.expect(tc.want) // in text
		})
	}
	s.send(`{"type":"rpc.pong"}`, `{"type":"rpc.response","id":1,"result":2}`,
		`{"type":"rpc.cancel","id":"none"}`, `{"type":"rpc.stream","id":1,"item":1,"seq":0}`, ping)
	s.expect(pong) // and nothing for the others
}

func TestServer_AnswersJSONRPCWithoutClosing(t *testing.T) {
	s := dial(t, callDispatcher(), nil)
	for range 20 { // a dialect: no protocol error
		s.send(`{"jsonrpc":"2.0","id":1}`)
		s.expect(
			`{"jsonrpc":"2.0","id":1,"error":{"code":-32600,"message":"Invalid ` +
				`Request","data":{"code":"INVALID_REQUEST"}}}`)
	}
	s.send(ping)
	s.expect(pong)
}

func TestServer_ClosesAfterTenMessagesOfNoDialect(t *testing.T) {
	for name, reset := range map[string]string{
		"a request":        request("1", "echo", ""),
		"a faulty request": `{"type":"rpc.what"}`,
		"a notification":   `{"type":"rpc.notify","method":"none"}`,
	} {
		t.Run("unless interrupted by "+name, func(t *testing.T) {
			s := dial(t, callDispatcher(), nil)
			for _, rubbish := range []string{"nonsense", "{}"} {
				for range 9 {
					s.send(rubbish)
					s.read()
				}
				s.send(reset)
				if !strings.Contains(reset, "notify") {
					s.read()
				}
			}
			for range 9 {
				s.send("WSX://")
				s.read()
			}
			if err := s.c.Write(t.Context(), websocket.MessageBinary,
				[]byte{'"', 0xff, '"'}); err != nil {
				t.Fatal(err)
			}
			s.expect(fault("null", "PARSE_ERROR", "the message is not JSON"))
			s.expectClosed(websocket.StatusPolicyViolation)
		})
	}
}

func TestServer_NeverAnswersNotifications(t *testing.T) {
	d := callDispatcher()
	ran := make(chan string, 10)
	wsx.HandleNotify(d, "ok", func(context.Context, struct{}) error { ran <- "ok"; return nil })
	wsx.HandleNotify(d, "fail",
		func(context.Context, struct{}) error { ran <- "fail"; return wsx.NewError("NO", "no") })
	wsx.HandleNotify(d, "panic",
		func(context.Context, struct{}) error { ran <- "panic"; panic("canary-7f3a") })
	wsx.HandleNotify(d, "slow",
		func(ctx context.Context, _ struct{}) error {
			<-ctx.Done()
			ran <- "slow"
			return ctx.Err()
		})
	// so that each has ended before the next message is served
	s := dial(t, d, &wsx.ServerOptions{MaxInFlight: 1})
	s.send(`{"type":"rpc.notify","method":"ok"}`, `{"type":"rpc.notify","method":"fail","id":1}`,
		`{"type":"rpc.notify","method":"panic"}`,
		`{"type":"rpc.notify","method":"ok","params":{"unknown":1}}`,
		`{"type":"rpc.notify","method":"none"}`,
		`{"type":"rpc.notify","method":"slow","meta":{"timeout_ms":1}}`,
		`{"type":"rpc.notify","method":"add","params":{"a":1}}`,
		request("1", "echo", "2"))
	s.expect(response("1", "2"))
	for _, want := range []string{"ok", "fail", "panic", "slow"} {
		if got := <-ran; got != want {
			t.Errorf("ran %s, want %s", got, want)
		}
	}
}

func TestServer_AnIDInFlightIsNotTakenAgain(t *testing.T) {
	d := callDispatcher()
	release := make(chan struct{})
	wsx.Handle(d, "hold", func(context.Context, struct{}) (int, error) { <-release; return 1, nil })
	s := dial(t, d, nil)
	s.send(request("1", "hold", ""), request(`"1"`, "echo", "2"), request("1", "echo", "3"),
		request("1.0", "echo", "4"))
	want := map[string]bool{
		response(`"1"`, "2"): true,
		fault("1", "INVALID_REQUEST", "a request with this id is in flight"): true,
		response("1.0", "4"): true,
	}
	for range 3 { // ids are the same when their bytes are
		if got := s.read(); !want[got] {
			t.Error(got)
		}
	}
	close(release)
	s.expect(response("1", "1"))
	for range 200 { // free as soon as the answer is read
		s.send(request("1", "echo", "5"))
		s.expect(response("1", "5"))
	}
}

func TestServer_ServesManyCallsAtATime(t *testing.T) {
	d := callDispatcher()
	arrived, release := make(chan struct{}, 64), make(chan struct{})
	wsx.Handle(d, "meet", func(context.Context, struct{}) (struct{}, error) {
		arrived <- struct{}{}
		<-release
		return struct{}{}, nil
	})
	s := dial(t, d, nil)
	for i := range 64 {
		s.send(request(fmt.Sprint(i), "meet", ""))
	}
	for range 64 {
		<-arrived // all run at once, or this never ends
	}
	close(release)
	seen := map[string]bool{}
	for range 64 {
		seen[s.read()] = true
	}
	for i := range 64 {
		if !seen[response(fmt.Sprint(i), "null")] {
			t.Errorf("no answer to %d", i)
		}
	}
}

func TestServer_FaultsOfHandlersKeepTheConnection(t *testing.T) {
	const canary = "canary-7f3a"
	d := callDispatcher()
	for name, err := range map[string]error{
		"plain": errors.New(canary),
		"coded": &wsx.Error{
			Code: "OUT_OF_STOCK", Message: "none left",
			Details: map[string]int{"n": 0}, Err: errors.New(canary),
		},
		"wrapped": fmt.Errorf(canary+": %w", wsx.NewError(wsx.CodeConflict, "")),
		"status":  httpError{404},
		"status5": httpError{503},
		"noJSON":  &wsx.Error{Code: "BAD", Message: "bad", Details: func() {}},
		"quoted":  wsx.NewError("Q", "a \"quote\"\nand \x00 \u2028"),
	} {
		wsx.Handle(d, name, func(context.Context, struct{}) (int, error) { return 1, err })
	}
	wsx.Handle(d, "panic",
		func(context.Context, struct{}) (int, error) { panic(wsx.NewError("PANIC", canary)) })
	wsx.Handle(d, "nilmap",
		func(context.Context, struct{}) (int, error) { return *map[string]*int(nil)[canary], nil })
	wsx.Handle(d, "noResult",
		func(context.Context, struct{}) (any, error) { return []any{1, func() {}}, nil })
	wsx.Handle(d, "deadline",
		func(context.Context, struct{}) (int, error) { return 0, context.DeadlineExceeded })

	var log logBuffer
	s := dial(t, d, &wsx.ServerOptions{Logger: log.logger()})
	internal := fault("1", "INTERNAL_ERROR", "internal error")
	for _, tc := range []struct{ method, want, log string }{
		{"plain", internal, "level=ERROR"},
		{
			"coded",
			`{"type":"rpc.error","id":1,"error":{"code":"OUT_OF_STOCK","message":"none ` +
				`left","details":{"n":0}}}`, "level=DEBUG",
		},
		{"wrapped", fault("1", "CONFLICT", "conflict"), "level=DEBUG"},
		{"status", fault("1", "NOT_FOUND", "not found"), "level=DEBUG"},
		{"status5", fault("1", "UNAVAILABLE", "unavailable"), "level=DEBUG"},
		{"noJSON", fault("1", "BAD", "bad"), "level=ERROR"},
		{"quoted", fault("1", "Q", `a \"quote\"\nand \u0000 `+"\u2028"), "level=DEBUG"},
		{"panic", internal, "level=ERROR"},
		{"nilmap", internal, "level=ERROR"},
		{"noResult", internal, "level=ERROR"},
		{"deadline", fault("1", "DEADLINE_EXCEEDED", "deadline exceeded"), "level=DEBUG"},
	} {
		t.Run(tc.method, func(t *testing.T) {
			before := len(log.String())
			s.send(request("1", tc.method, ""))
			got := s.read()
			if got != tc.want {
				t.Errorf("got  %s\nwant %s", got, tc.want)
			}
			logged := log.String()[before:] // written before the answer
			if !strings.Contains(logged, tc.log) {
				t.Errorf("logged %q, want %s", logged, tc.log)
			}
			if tc.log == "level=ERROR" && tc.want == internal && tc.method != "noResult" &&
				tc.method != "nilmap" && !strings.Contains(logged, canary) {
				t.Errorf("the log lacks the error: %q", logged)
			}
			if tc.method == "panic" && !strings.Contains(logged, "calls_test.go") {
				t.Errorf("the log lacks the stack: %q", logged)
			}
		})
	}
	s.send(ping)
	s.expect(pong)
}

func TestServer_DebugSendsTheTextOfInternalErrors(t *testing.T) {
	d := wsx.NewDispatcher()
	wsx.Handle(d, "plain",
		func(context.Context, struct{}) (int, error) { return 1, errors.New("disk on fire") })
	s := dial(t, d, &wsx.ServerOptions{Debug: true})
	s.send(request("1", "plain", ""))
	s.expect(fault("1", "INTERNAL_ERROR", "disk on fire"))
}

func TestServer_LogsNothingThatAPeerMadeUpAsALine(t *testing.T) {
	var log logBuffer
	d := callDispatcher()
	wsx.Handle(d, "echoError",
		func(_ context.Context, s string) (int, error) { return 0, errors.New(s) })
	s := dial(t, d, &wsx.ServerOptions{Logger: log.logger()})
	const forged = `x\r\nlevel=ERROR msg=forged`
	s.send(request("1", forged, ""))
	s.expect(
		`{"type":"rpc.error","id":1,"error":{"code":"METHOD_NOT_FOUND","message":"method not ` +
			`found","details":{"method":"` + forged + `"}}}`)
	s.send(request(`"`+forged+`"`, "echoError", `"`+forged+`"`))
	s.read()
	for line := range strings.Lines(log.String()) {
		if strings.HasPrefix(line, "level=") {
			t.Errorf("forged: %q", line)
		}
	}
}

// A handler that ends its goroutine (t.Fatal in a test does) must not take the connection's reading
// with it.
func TestServer_SurvivesAHandlerThatEndsItsGoroutine(t *testing.T) {
	d := callDispatcher()
	wsx.Handle(d, "exit",
		func(context.Context, struct{}) (int, error) { runtime.Goexit(); return 1, nil })
	s := dial(t, d, nil)
	for range 3 {
		s.send(request("1", "exit", ""))
		s.expect(fault("1", "INTERNAL_ERROR", "internal error"))
	}
	s.send(request("1", "echo", "2"))
	s.expect(response("1", "2"))
}
