package asgi_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/coder/websocket"

	"github.com/genropy/genro-asgi-go/asgi"
)

type move struct {
	X int   `json:"x"`
	Y []int `json:"y"`
}

func (m move) Validate() error {
	if m.X < 0 {
		return asgi.FieldError{Pointer: "/x", Detail: "must not be negative"}
	}
	if m.X > 1000 {
		return errors.New(canary)
	}
	return nil
}

// exchange serves fn and gives the client's end to talk; both have ended when it returns.
func exchange(t *testing.T, fn wsFunc, opts *asgi.WebSocketOptions,
	talk func(conn *websocket.Conn),
) {
	t.Helper()
	done := make(chan struct{})
	client, _ := memory(t, accepted(func(ctx context.Context, ws *asgi.WebSocket) error {
		defer close(done)
		return fn(ctx, ws)
	}), opts)
	conn := open(t, client)
	talk(conn)
	_ = conn.CloseNow()
	<-done
}

func TestWebSocket_AMessageOfTheWrongKindIsAnErrorAndNotTheEnd(t *testing.T) {
	exchange(t, func(ctx context.Context, ws *asgi.WebSocket) error {
		for range 2 {
			_, err := ws.ReceiveText(ctx)
			var raised *asgi.WebSocketError
			if !errors.As(err, &raised) || raised.Code != 1003 {
				t.Errorf("text: %v", err)
			}
			if _, err = ws.ReceiveBytes(ctx); !errors.As(err, &raised) || raised.Code != 1003 {
				t.Errorf("bytes: %v", err)
			}
			if text, err := ws.ReceiveText(ctx); text != "text" || err != nil {
				t.Errorf("got %q, %v", text, err)
			}
			if data, err := ws.ReceiveBytes(ctx); string(data) != "bytes" || err != nil {
				t.Errorf("got %q, %v", data, err)
			}
		}
		_, err := ws.ReceiveBytes(ctx)
		return err
	}, nil, func(conn *websocket.Conn) {
		for range 2 {
			for _, typ := range []websocket.MessageType{
				websocket.MessageBinary,
				websocket.MessageText, websocket.MessageText, websocket.MessageBinary,
			} {
				text := map[websocket.MessageType]string{
					websocket.MessageText:   "text",
					websocket.MessageBinary: "bytes",
				}[typ]
				if err := conn.Write(t.Context(), typ, []byte(text)); err != nil {
					t.Error(err)
				}
			}
		}
		_ = conn.Write(t.Context(), websocket.MessageText, nil)
		if got := closing(t, conn); got != "1003 a binary message was expected" {
			t.Error(got)
		}
	})
}

func TestWebSocket_ReceiveJSON(t *testing.T) {
	cases := map[string]struct {
		in     string
		want   string // of what was decoded, or of the reason
		status int    // of the cause
	}{
		"fits":              {`{"x":1,"y":[2]}`, "{1 [2]}", 0},
		"missing members":   {`{}`, "{0 []}", 0},
		"not JSON":          {`{"x":`, "the message is not valid JSON", 400},
		"empty":             {``, "the message is not valid JSON", 400},
		"two values":        {`{} {}`, "the message is not valid JSON", 400},
		"not UTF-8":         {"{\"\xff\":1}", "the message is not valid JSON", 400},
		"unknown member":    {`{"z":1}`, "/z is not known here", 422},
		"another case":      {`{"X":1}`, "/X is not known here", 422},
		"given twice":       {`{"x":1,"x":2}`, "/x must be given once", 400},
		"wrong type":        {`{"x":"1"}`, "/x must be an integer", 422},
		"wrong type inside": {`{"y":[1,"2"]}`, "/y/1 must be an integer", 422},
		"too deep": {
			strings.Repeat("[", 33) + strings.Repeat("]", 33),
			"the message nests more than 32 levels deep", 400,
		},
		"validated":         {`{"x":-1}`, "/x must not be negative", 422},
		"validated, secret": {`{"x":1001}`, "the message is not valid", 422},
		"long name": {
			`{"` + strings.Repeat("é", 200) + `":1}`,
			"/" + strings.Repeat("é", 61), 422,
		},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			exchange(t, func(ctx context.Context, ws *asgi.WebSocket) error {
				for range 2 {
					var in move
					err := ws.ReceiveJSON(ctx, &in)
					if c.status == 0 {
						if got := fmt.Sprint(in); got != c.want || err != nil {
							t.Errorf("got %v, %v", got, err)
						}
						continue
					}
					var raised *asgi.WebSocketError
					if !errors.As(err, &raised) || raised.Code != 1007 || raised.Reason != c.want {
						t.Errorf("error %v", err)
					}
					var problem *asgi.HTTPError
					if !errors.As(err, &problem) || problem.Status != c.status {
						t.Errorf("cause %v", err)
					}
				}
				if text, err := ws.ReceiveText(ctx); text != "still here" {
					t.Errorf("got %q, %v", text, err)
				}
				return nil
			}, nil, func(conn *websocket.Conn) {
				_ = conn.Write(t.Context(), websocket.MessageBinary, []byte(c.in))
				typ := websocket.MessageText
				if name == "not UTF-8" {
					typ = websocket.MessageBinary // the transport would refuse it
				}
				_ = conn.Write(t.Context(), typ, []byte(c.in))
				_ = conn.Write(t.Context(), websocket.MessageText, []byte("still here"))
				if got := closing(t, conn); got != "1000" {
					t.Error(got)
				}
			})
		})
	}
}

func TestWebSocket_LimitsOfJSONAreThoseOfTheRequest(t *testing.T) {
	h := (&asgi.Limits{Depth: 1}).Wrap(
		asgi.HandleWebSocket(accepted(func(ctx context.Context, ws *asgi.WebSocket) error {
			return ws.ReceiveJSON(ctx, new(any))
		}), nil))
	conn := dial(t, socket(t, h), nil)
	_ = conn.Write(t.Context(), websocket.MessageText, []byte(`[[]]`))
	if got := closing(t, conn); got != "1007 the message nests more than 1 levels deep" {
		t.Error(got)
	}
}

func TestJSONMessages(t *testing.T) {
	exchange(t, func(ctx context.Context, ws *asgi.WebSocket) error {
		var got []string
		for m, err := range asgi.JSONMessages[move](ctx, ws) {
			got = append(got, fmt.Sprint(m, err != nil))
		}
		if want := "[{1 []} false {0 []} true {2 []} false]"; fmt.Sprint(got) != want {
			t.Errorf("got %v", got)
		}
		return nil
	}, nil, func(conn *websocket.Conn) {
		for _, text := range []string{`{"x":1}`, `{"x":"y"}`, `{"x":2}`} {
			_ = conn.Write(t.Context(), websocket.MessageText, []byte(text))
		}
		_ = conn.Close(1000, "")
	})
	exchange(t, func(ctx context.Context, ws *asgi.WebSocket) error {
		for _, err := range asgi.JSONMessages[move](ctx, ws) {
			if err != nil {
				t.Error(err)
			}
			break
		}
		var ends []error
		for _, err := range asgi.JSONMessages[move](ctx, ws) {
			ends = append(ends, err)
		}
		var gone *asgi.WebSocketDisconnect
		if len(ends) != 1 || !errors.As(ends[0], &gone) || gone.Code != 4000 {
			t.Errorf("got %v", ends)
		}
		return nil
	}, nil, func(conn *websocket.Conn) {
		_ = conn.Write(t.Context(), websocket.MessageText, []byte(`{}`))
		_ = conn.Close(4000, "")
	})
}

func TestWebSocket_SendWhatCannotBeSent(t *testing.T) {
	exchange(t, func(ctx context.Context, ws *asgi.WebSocket) error {
		for name, err := range map[string]error{
			"text":    ws.SendText(ctx, "\xff"),
			"message": ws.Send(ctx, asgi.WebSocketMessage{Data: []byte("\xff")}),
			"JSON":    ws.SendJSON(ctx, func() {}),
		} {
			if err == nil || errors.Is(err, asgi.ErrWebSocketState) {
				t.Errorf("%s: %v", name, err)
			}
		}
		return errors.Join(ws.SendJSON(ctx, move{X: 1}), ws.SendBytes(ctx, []byte("\xff")))
	}, nil, func(conn *websocket.Conn) {
		if typ, data, err := conn.Read(t.Context()); typ != websocket.MessageText ||
			string(data) != `{"x":1,"y":[]}` || err != nil {
			t.Errorf("%v %s %v", typ, data, err)
		}
		if typ, data, err := conn.Read(t.Context()); typ != websocket.MessageBinary ||
			string(data) != "\xff" || err != nil {
			t.Errorf("%v %s %v", typ, data, err)
		}
		if got := closing(t, conn); got != "1000" {
			t.Error(got)
		}
	})
}

func TestWebSocket_APeerThatBreaksARuleIsAWebSocketError(t *testing.T) {
	large := strings.Repeat("x", 70<<10)
	cases := map[string]struct {
		opts *asgi.WebSocketOptions
		send func(conn *websocket.Conn)
		code int
	}{
		"a message of 70 KB": {
			nil,
			func(conn *websocket.Conn) {
				_ = conn.Write(t.Context(), websocket.MessageText, []byte(large))
			}, 1009,
		},
		"over an own limit": {
			&asgi.WebSocketOptions{MaxMessage: 3},
			func(conn *websocket.Conn) {
				_ = conn.Write(t.Context(), websocket.MessageText, []byte("1234"))
			}, 1009,
		},
		"text not UTF-8": {
			nil,
			func(conn *websocket.Conn) {
				_ = conn.Write(t.Context(), websocket.MessageText, []byte("\xff"))
			}, 1007,
		},
		"many frames": {&asgi.WebSocketOptions{MaxFrames: 3}, func(conn *websocket.Conn) {
			w, _ := conn.Writer(t.Context(), websocket.MessageText)
			for range 4 {
				_, _ = w.Write([]byte("x"))
			}
			_ = w.Close()
		}, 1008},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			exchange(t, func(ctx context.Context, ws *asgi.WebSocket) error {
				for range 2 {
					_, err := ws.Receive(ctx)
					var raised *asgi.WebSocketError
					if !errors.As(err, &raised) || raised.Code != c.code || raised.Unwrap() == nil {
						t.Errorf("receive: %v", err)
					}
					if err := ws.SendText(ctx, "x"); !errors.As(err, &raised) ||
						raised.Code != c.code {
						t.Errorf("send: %v", err)
					}
				}
				if ws.State() != asgi.WebSocketClosed {
					t.Errorf("it is %v", ws.State())
				}
				return errors.New("no matter")
			}, c.opts, func(conn *websocket.Conn) {
				go c.send(conn)
				if got := closing(t, conn); !strings.HasPrefix(got, fmt.Sprint(c.code)) {
					t.Errorf("closed with %q", got)
				}
			})
		})
	}
}

func TestWebSocket_APeerThatGoesIsAWebSocketDisconnect(t *testing.T) {
	cases := map[string]struct {
		leave func(conn *websocket.Conn)
		code  int
		quiet bool // Messages ends without an error
	}{
		"done":          {func(conn *websocket.Conn) { _ = conn.Close(1000, "bye") }, 1000, true},
		"page left":     {func(conn *websocket.Conn) { _ = conn.Close(1001, "bye") }, 1001, true},
		"its own":       {func(conn *websocket.Conn) { _ = conn.Close(4444, "bye") }, 4444, false},
		"no code":       {func(conn *websocket.Conn) { _ = conn.Close(1005, "") }, 1005, true},
		"without a bye": {func(conn *websocket.Conn) { _ = conn.CloseNow() }, 1006, false},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			client, logged := memory(t,
				accepted(func(ctx context.Context, ws *asgi.WebSocket) error {
					var ends []error
					for _, err := range ws.Messages(ctx) {
						ends = append(ends, err)
					}
					if c.quiet != (len(ends) == 0) {
						t.Errorf("the sequence ended with %v", ends)
					}
					<-ctx.Done() // it ends with the connection
					_, err := ws.Receive(ctx)
					var gone *asgi.WebSocketDisconnect
					if !errors.As(err, &gone) || gone.Code != c.code || gone.Code != 1005 &&
						gone.Code != 1006 && gone.Reason != "bye" {
						t.Errorf("receive: %v", err)
					}
					if (gone.Unwrap() == nil) != (c.code != 1006) {
						t.Errorf("cause %v", gone.Err)
					}
					if sent := ws.SendText(ctx, "x"); sent != err {
						t.Errorf("send: %v", sent)
					}
					if c.quiet {
						return err
					}
					// cancelled with the connection: no failure
					return fmt.Errorf("query: %w", ctx.Err())
				}), nil)
			conn := open(t, client)
			c.leave(conn)
			if err := client.Close(); err != nil {
				t.Error(err)
			}
			if strings.Contains(logged.String(), "level=ERROR") {
				t.Errorf("logged %s", logged)
			}
		})
	}
}

// A limit about time is the network's doing as a rule, as silence is.
func TestWebSocket_APeerOutOfTimeIsAWebSocketDisconnect(t *testing.T) {
	exchange(t, func(ctx context.Context, ws *asgi.WebSocket) error {
		_, err := ws.Receive(ctx)
		var gone *asgi.WebSocketDisconnect
		if !errors.As(err, &gone) || gone.Code != 4420 {
			t.Errorf("receive: %v", err)
		}
		return err
	}, &asgi.WebSocketOptions{MaxPings: 1}, func(conn *websocket.Conn) {
		for range 100 {
			go func() { _ = conn.Ping(t.Context()) }()
		}
		if got := closing(t, conn); !strings.HasPrefix(got, "4420") {
			t.Errorf("closed with %q", got)
		}
	})
}

func TestWebSocketErrors_Text(t *testing.T) {
	cause := errors.New("why")
	for want, err := range map[string]error{
		`asgi: WebSocket error: 1008`: &asgi.WebSocketError{Code: 1008},
		`asgi: WebSocket error: 1008 "a\nb": why`: &asgi.WebSocketError{
			Code:   1008,
			Reason: "a\nb", Err: cause,
		},
		`asgi: WebSocket disconnected: 1006: why`: &asgi.WebSocketDisconnect{
			Code: 1006, Err: cause,
		},
		`asgi: WebSocket disconnected: 1000 "level=ERROR\r\n"`: &asgi.WebSocketDisconnect{
			Code: 1000, Reason: "level=ERROR\r\n",
		},
	} {
		if err.Error() != want {
			t.Errorf("got %s, want %s", err, want)
		}
	}
}

// One receiver, many senders, and everybody may ask for the state. Nothing is lost or torn, and the
// order of each sender is kept.
func TestWebSocket_ManySenders(t *testing.T) {
	const senders, each = 8, 200
	h := asgi.HandleWebSocket(accepted(func(ctx context.Context, ws *asgi.WebSocket) error {
		var all sync.WaitGroup
		for s := range senders {
			all.Go(func() {
				for i := range each {
					if err := ws.SendJSON(ctx, [2]int{s, i}); err != nil {
						t.Error(err)
						return
					}
					_ = ws.State()
					_ = ws.Subprotocol()
				}
			})
		}
		reading, stop := context.WithCancel(ctx)
		all.Go(func() { _ = ws.Ping(reading) }) // whose pong may come too late for the reader
		for range each {
			if _, err := ws.Receive(ctx); err != nil {
				t.Error(err)
				break
			}
		}
		stop()
		all.Wait()
		return nil
	}), nil)
	conn := dial(t, socket(t, h), nil)
	go func() {
		for range each {
			_ = conn.Write(t.Context(), websocket.MessageText, []byte("x"))
		}
	}()
	var next [senders]int
	for range senders * each {
		_, data, err := conn.Read(t.Context())
		var s, i int
		if _, scan := fmt.Sscanf(string(data), "[%d,%d]", &s, &i); err != nil || scan != nil {
			t.Fatalf("%s, %v", data, err)
		}
		if next[s] != i {
			t.Fatalf("sender %d: %d, want %d", s, i, next[s])
		}
		next[s]++
	}
	if got := closing(t, conn); got != "1000" {
		t.Error(got)
	}
}
