package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/go-json-experiment/json"

	"github.com/genropy/genro-asgi-go/internal/leakcheck"
)

func TestMain(m *testing.M) {
	if os.Getenv(asServer) != "" {
		main()
		return
	}
	leakcheck.Main(m)
}

// start runs the command and returns its address.
func start(t *testing.T, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	r, w := io.Pipe()
	done := make(chan error, 1)
	go func() {
		err := run(ctx, append([]string{"-addr", "127.0.0.1:0"}, args...), w)
		_ = w.CloseWithError(err)
		done <- err
	}()
	line, err := bufio.NewReader(r).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return strings.TrimSpace(strings.TrimPrefix(line, "listening on "))
}

func dial(t *testing.T, addr string) *websocket.Conn {
	t.Helper()
	c, resp, err := websocket.Dial(t.Context(), "ws://"+addr+"/ws",
		&websocket.DialOptions{Subprotocols: []string{"wsx.v1"}})
	if err != nil {
		t.Fatal(err)
	}
	_ = resp
	t.Cleanup(func() { _ = c.CloseNow() })
	return c
}

func exchange(t *testing.T, c *websocket.Conn, send string) string {
	t.Helper()
	if err := c.Write(t.Context(), websocket.MessageText, []byte(send)); err != nil {
		t.Fatal(err)
	}
	return receive(t, c)
}

func receive(t *testing.T, c *websocket.Conn) string {
	t.Helper()
	_, b, err := c.Read(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(b), canary) {
		t.Errorf("the canary reached the client: %s", b)
	}
	return string(b)
}

func TestConformance_Exchanges(t *testing.T) {
	c := dial(t, start(t))
	if c.Subprotocol() != "wsx.v1" {
		t.Errorf("subprotocol %q", c.Subprotocol())
	}
	for name, x := range map[string]struct{ send, want string }{
		"echo": {
			`{"type":"rpc.request","id":"a","method":"echo","params":{"x":[1, 2.50]}}`,
			`{"type":"rpc.response","id":"a","result":{"x":[1, 2.50]}}`,
		},
		"echo nothing": {
			`{"type":"rpc.request","id":1,"method":"echo"}`,
			`{"type":"rpc.response","id":1,"result":null}`,
		},
		"id byte for byte": {
			`{"id":1.50e1,"params":{"a":2,"b":40},"method":"add","type":"rpc.request"}`,
			`{"type":"rpc.response","id":1.50e1,"result":{"sum":42}}`,
		},
		"fail": {
			`{"type":"rpc.request","id":2,"method":"fail","params":{"code":"NO_STOCK",` +
				`"message":"none left","details":{"n":0}}}`,
			`{"type":"rpc.error","id":2,"error":{"code":"NO_STOCK","message":"none ` +
				`left","details":{"n":0}}}`,
		},
		"boom": {
			`{"type":"rpc.request","id":3,"method":"boom"}`,
			`{"type":"rpc.error","id":3,"error":{"code":"INTERNAL_ERROR",` +
				`"message":"internal error"}}`,
		},
		"panic": {
			`{"type":"rpc.request","id":4,"method":"panic"}`,
			`{"type":"rpc.error","id":4,"error":{"code":"INTERNAL_ERROR",` +
				`"message":"internal error"}}`,
		},
		"no such method": {
			`{"type":"rpc.request","id":5,"method":"nope"}`,
			`{"type":"rpc.error","id":5,"error":{"code":"METHOD_NOT_FOUND","message":"method not ` +
				`found","details":{"method":"nope"}}}`,
		},
		"whoami": {
			`{"type":"rpc.request","id":6,"method":"whoami"}`,
			`{"type":"rpc.response","id":6,"result":{"subject":""}}`,
		},
		"malformed": {
			`{"type":`,
			`{"type":"rpc.error","id":null,"error":{"code":"PARSE_ERROR","message":"the message ` +
				`is not JSON"}}`,
		},
		"ping":      {`{"type":"rpc.ping","id":"p"}`, `{"type":"rpc.pong","id":"p"}`},
		"bare ping": {` {"type":"rpc.ping"} `, `{"type":"rpc.pong"}`},
	} {
		t.Run(name, func(t *testing.T) {
			if got := exchange(t, c, x.send); got != x.want {
				t.Errorf("got  %s\nwant %s", got, x.want)
			}
		})
	}
	for name, x := range map[string]struct{ send, code string }{
		"wrong type": {
			`{"type":"rpc.request","id":7,"method":"add","params":{"a":"x"}}`,
			`"INVALID_PARAMS"`,
		},
		"pointer": {
			`{"type":"rpc.request","id":7,"method":"add","params":{"a":"x"}}`,
			`"path":"/a"`,
		},
		"unknown": {
			`{"type":"rpc.request","id":7,"method":"add","params":{"c":1}}`,
			`"INVALID_PARAMS"`,
		},
		"case variant": {
			`{"type":"rpc.request","id":7,"method":"add","params":{"A":1}}`,
			`"INVALID_PARAMS"`,
		},
		"duplicate": {
			`{"type":"rpc.request","id":7,"method":"add","params":{"a":1,"a":2}}`,
			`"INVALID_PARAMS"`,
		},
		"other shape": {`{"hello":1}`, `"INVALID_REQUEST"`},
		"no id":       {`{"type":"rpc.request","method":"echo"}`, `"INVALID_REQUEST"`},
		"two ids": {
			`{"type":"rpc.request","id":1,"id":2,"method":"echo"}`,
			`"INVALID_REQUEST"`,
		},
		"unknown type":  {`{"type":"rpc.what","id":8}`, `"UNSUPPORTED_TYPE"`},
		"server's type": {`{"type":"rpc.event","channel":"a","payload":1}`, `"UNSUPPORTED_TYPE"`},
		"bad timeout": {
			`{"type":"rpc.request","id":9,"method":"echo","meta":{"timeout_ms":0}}`,
			`"INVALID_REQUEST"`,
		},
		"too deep": {`{"type":"rpc.request","id":9,"method":"echo","params":` +
			strings.Repeat("[", 32) + strings.Repeat("]", 32) + `}`, `"INVALID_REQUEST"`},
		"deadline": {
			`{"type":"rpc.request","id":10,"method":"sleep","params":{"ms":60000},` +
				`"meta":{"timeout_ms":5}}`, `"DEADLINE_EXCEEDED"`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			if got := exchange(t, c, x.send); !strings.Contains(got, x.code) ||
				!strings.Contains(got, `"type":"rpc.error"`) {
				t.Errorf("got %s, want %s", got, x.code)
			}
		})
	}
}

func TestConformance_CancelAndNotify(t *testing.T) {
	c := dial(t, start(t))
	if err := c.Write(t.Context(), websocket.MessageText,
		[]byte(`{"type":"rpc.request","id":"s","method":"sleep","params":{"ms":60000}}`)); err !=
		nil {
		t.Fatal(err)
	}
	if got := exchange(t, c,
		`{"type":"rpc.request","id":"s","method":"echo"}`); !strings.Contains(got,
		"INVALID_REQUEST") {
		t.Errorf("an id in flight was taken again: %s", got)
	}
	if got := exchange(t, c, `{"type":"rpc.cancel","id":"s"}`); got !=
		`{"type":"rpc.error","id":"s","error":{"code":"CANCELLED","message":"cancelled"}}` {
		t.Errorf("got %s", got)
	}
	if err := c.Write(t.Context(), websocket.MessageText,
		[]byte(`{"type":"rpc.notify","method":"log","params":{"n":1}}`)); err != nil {
		t.Fatal(err)
	}
	for { // notifications carry no promise of order among requests
		if got := exchange(t, c, `{"type":"rpc.request","id":1,"method":"logged"}`); got ==
			`{"type":"rpc.response","id":1,"result":[{"n":1}]}` {
			break
		}
	}
	if got := exchange(t, c,
		`{"type":"rpc.request","id":2,"method":"notify-me","params":{"event":"e",`+
			`"payload":[1]}}`); got != `{"type":"rpc.notify","event":"e","payload":[1]}` {
		t.Errorf("got %s", got)
	}
	if got := receive(t, c); got != `{"type":"rpc.response","id":2,"result":null}` {
		t.Errorf("got %s", got)
	}
}

func TestConformance_Channels(t *testing.T) {
	c := dial(t, start(t))
	for name, want := range map[string]string{
		"private.a": "SUBSCRIPTION_DENIED",
		"closed":    "SUBSCRIPTION_DENIED", "plain": "SUBSCRIPTION_DENIED",
		"a b": "INVALID_REQUEST",
	} {
		if got := exchange(t, c,
			`{"type":"rpc.subscribe","id":1,"channel":"`+name+`"}`); !strings.Contains(got, want) {
			t.Errorf("%s: %s", name, got)
		}
	}
	if got := exchange(t, c, `{"type":"rpc.subscribe","id":2,"channel":"plain.*"}`); got !=
		`{"type":"rpc.response","id":2,"result":{"status":"subscribed","channel":"plain.*",`+
			`"subscription":"1"}}` {
		t.Error(got)
	}
	if got := exchange(t, c,
		`{"type":"rpc.request","id":3,"method":"publish","params":{"channel":"plain.x",`+
			`"payload":[1]}}`); got != `{"type":"rpc.response","id":3,"result":{}}` &&
		got != `{"type":"rpc.event","channel":"plain.x","payload":[1],"meta":{"sub_id":"1"}}` {
		t.Error(got)
	}
	receive(t, c) // the other of the two: which comes first is not said
	if got := exchange(t, c,
		`{"type":"rpc.request","id":4,"method":"publish","params":{"channel":"room.x",`+
			`"payload":1}}`); got != `{"type":"rpc.response","id":4,"result":{"offset":1}}` {
		t.Error(got)
	}
}

func TestConformance_LimitsCloseWithTheirCode(t *testing.T) {
	addr := start(t)
	for name, x := range map[string]struct {
		send func(c *websocket.Conn) error
		code websocket.StatusCode
	}{
		"70 KB": {func(c *websocket.Conn) error {
			return c.Write(t.Context(), websocket.MessageText,
				[]byte(`"`+strings.Repeat("x", 70<<10)+`"`))
		}, 1009},
		"not UTF-8": {func(c *websocket.Conn) error {
			return c.Write(t.Context(), websocket.MessageText, []byte("\"\xff\""))
		}, 1007},
		"no dialect": {func(c *websocket.Conn) error {
			for range 10 {
				if err := c.Write(t.Context(), websocket.MessageText, []byte(`{}`)); err != nil {
					return err
				}
			}
			return nil
		}, 1008},
	} {
		t.Run(name, func(t *testing.T) {
			c := dial(t, addr)
			if err := x.send(c); err != nil {
				t.Fatal(err)
			}
			for {
				_, _, err := c.Read(t.Context())
				if err == nil {
					continue
				}
				if got := websocket.CloseStatus(err); got != x.code {
					t.Errorf("closed with %v, want %v", err, x.code)
				}
				return
			}
		})
	}
}

func TestConformance_ForeignOriginIsAProblem(t *testing.T) {
	addr := start(t, "-origins", "https://app.example")
	for origin, status := range map[string]int{
		"https://evil.example": 403,
		"null":                 403,
		"http://" + addr + "/": 403,
		"https://app.example":  101,
		"http://" + addr:       101,
	} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+addr+"/ws",
			nil)
		if err != nil {
			t.Fatal(err)
		}
		for k, v := range map[string]string{
			"Connection": "Upgrade", "Upgrade": "websocket",
			"Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA==",
			"Origin": origin,
		} {
			req.Header.Set(k, v)
		}
		resp, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		if resp.StatusCode != status {
			t.Errorf("%s: %d, want %d", origin, resp.StatusCode, status)
		}
		if status == 403 {
			var problem struct {
				Status int `json:"status"`
			}
			if err := json.UnmarshalRead(resp.Body, &problem); err != nil ||
				problem.Status != 403 ||
				resp.Header.Get("Content-Type") != "application/problem+json" {
				t.Errorf("%s: %v, %v, %s", origin, err, problem, resp.Header)
			}
		}
		_ = resp.Body.Close()
	}
}

func TestConformance_StopsWith1001(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	r, w := io.Pipe()
	done := make(chan error, 1)
	go func() { done <- run(ctx, []string{"-addr", "127.0.0.1:0"}, w) }()
	var addr string
	if _, err := fmt.Fscanf(r, "listening on %s", &addr); err != nil {
		t.Fatal(err)
	}
	c := dial(t, addr)
	exchange(t, c, `{"type":"rpc.ping"}`)
	began := time.Now()
	cancel()
	if _, _, err := c.Read(t.Context()); websocket.CloseStatus(err) != websocket.StatusGoingAway {
		t.Errorf("closed with %v", err)
	}
	if err := <-done; err != nil {
		t.Errorf("after %v: %v", time.Since(began), err)
	}
}
