package main

import (
	"context"
	"errors"
	"io"
	"iter"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/genropy/genro-asgi-go/asgi"
	"github.com/genropy/genro-asgi-go/internal/leakcheck"
	"github.com/genropy/genro-asgi-go/wsx"
	"github.com/genropy/genro-asgi-go/wsx/wsxclient"
)

func TestMain(m *testing.M) { leakcheck.Main(m) }

// serve runs the app on a real port until the test ends, and returns its host and port.
func serve(t *testing.T, hooks asgi.Hooks) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	served := make(chan error, 1)
	app, _ := newApp(hooks)
	go func() { served <- app.Serve(ctx, l) }()
	t.Cleanup(func() {
		stop()
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	return l.Addr().String()
}

// send makes one request over a connection of its own.
func send(t *testing.T, method, url, body string) (status int, mediaType, text string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	resp, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(resp.Body)
	_ = resp.Body.Close()
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, resp.Header.Get("Content-Type"), string(b)
}

func TestQuickstart_HTTP(t *testing.T) {
	base := "http://" + serve(t, asgi.Hooks{})
	for name, x := range map[string]struct {
		method, path, body string
		status             int
		mediaType, part    string
	}{
		"the page": {"GET", "/", "", 200, "text/html; charset=utf-8", `new WebSocket(`},
		"a call":   {"POST", "/add", `{"a":2,"b":40}`, 200, "application/json", `{"sum":42}`},
		"a wrong call": {
			"POST", "/add", `{"a":"two"}`, 422, "application/problem+json",
			`"pointer":"/a"`,
		},
		"no such page": {"GET", "/nowhere", "", 404, "application/problem+json", `"status":404`},
		"no handshake": {"GET", "/ws", "", 426, "application/problem+json", `"status":426`},
		"the document": {
			"GET", "/openapi.json", "", 200, "application/json",
			`"/tasks/primes": {`,
		},
		"a page of it": {
			"GET", "/docs", "", 200, "text/html; charset=utf-8",
			`href="./openapi.json"`,
		},
		"ready to serve": {"GET", "/ready", "", 200, "application/json", `"ready"`},
	} {
		t.Run(name, func(t *testing.T) {
			status, mediaType, text := send(t, x.method, base+x.path, x.body)
			if status != x.status || mediaType != x.mediaType || !strings.Contains(text, x.part) {
				t.Errorf("%d %s %s", status, mediaType, text)
			}
		})
	}
}

func TestQuickstart_Socket(t *testing.T) {
	c, err := wsxclient.Dial(t.Context(), "ws://"+serve(t, asgi.Hooks{})+"/ws", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	out, err := wsxclient.Call[addOut](t.Context(), c, "add", addIn{A: 2, B: 40})
	if err != nil || out.Sum != 42 {
		t.Errorf("%+v, %v", out, err)
	}
	_, err = wsxclient.Call[addOut](t.Context(), c, "add", map[string]any{"a": "two"})
	if !errors.Is(err, wsx.NewError(wsx.CodeInvalidParams, "")) {
		t.Errorf("error %v", err)
	}
}

func TestQuickstart_LifespanAndGoingAway(t *testing.T) {
	var events []string
	t.Cleanup(func() { // after the app's own cleanup, which waits for it
		if got := strings.Join(events, " "); got != "started stopped" {
			t.Errorf("hooks %q", got)
		}
	})
	var client *wsxclient.Client
	t.Cleanup(func() {
		var closed *wsxclient.ClosedError
		<-client.Done()
		if !errors.As(client.Err(), &closed) || closed.Code != 1001 {
			t.Errorf("the socket ended with %v", client.Err())
		}
		_ = client.Close()
	})
	addr := serve(t, asgi.Hooks{
		OnStart: func(context.Context) error { events = append(events, "started"); return nil },
		OnStop:  func(context.Context) error { events = append(events, "stopped"); return nil },
	})
	var err error
	if client, err = wsxclient.Dial(t.Context(), "ws://"+addr+"/ws", nil); err != nil {
		t.Fatal(err)
	}
	if _, err := wsxclient.Call[addOut](t.Context(), client, "add", nil); err != nil {
		t.Error(err)
	}
}

func TestQuickstart_Channel(t *testing.T) {
	addr := serve(t, asgi.Hooks{})
	c, err := wsxclient.Dial(t.Context(), "ws://"+addr+"/ws", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if status, _, text := send(t, "POST", "http://"+addr+"/add", `{"a":1}`); status != 200 {
		t.Fatal(status, text)
	}
	sums, stop := iter.Pull2(wsxclient.Subscribe[addOut](t.Context(), c, "sums", nil))
	defer stop()
	done := make(chan struct{})
	var adding sync.WaitGroup
	adding.Go(func() {
		// until the subscription, whose beginning cannot be seen from here, has an event
		for i := 2; ; i++ {
			if _, err := wsxclient.Call[addOut](t.Context(), c, "add", addIn{A: i}); err != nil {
				return
			}
			select {
			case <-done:
				return
			default:
			}
		}
	})
	event, err, _ := sums()
	close(done)
	adding.Wait()
	if err != nil || uint64(event.Payload.Sum) != event.Position.Offset {
		t.Errorf("%+v, %v", event, err)
	}
}
